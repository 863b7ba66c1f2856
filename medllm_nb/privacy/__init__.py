"What a run gives away: the leak audit's search, memory measured, and training whose memory is bounded."

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={
        "written_forms": ["days_in", "name_variants", "spellings", "variants", "written_days"],
        "audited_files": ["SearchUnit", "all_files", "file_units", "flatten_text", "is_text", "owners", "search_units"],
        "leak_audit": [
            "IdentifierMatch",
            "PatientIndex",
            "automaton",
            "find_leaks",
            "find_matches",
            "header_values",
            "index_patient",
            "is_leak",
            "parts",
            "patient_identifiers",
            "search_strings",
        ],
        "privacy": ["LeakError", "run_privacy"],
        "dp_sgd": ["PrivacySpent", "patient_gradients", "private_optimizer", "train_private"],
        "membership": [
            "MemorizationParams",
            "attack_auc",
            "attack_scores",
            "learn_by_heart",
            "mean_by_patient",
            "measure",
            "plot_attacks",
            "token_nats",
            "verbatim",
        ],
        "canaries": [
            "canary",
            "canary_exposures",
            "exposure",
            "fitted_exposures",
            "plan_canaries",
            "plot_exposures",
            "random_secrets",
            "sample_by_patient",
            "train_canaries",
            "train_dp",
        ],
        "memorization": ["run_memorization"],
    },
)
