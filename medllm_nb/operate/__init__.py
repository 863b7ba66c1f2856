"After the release: rehearse a day, watch drift and use, learn from corrections; and the command `medllm`."

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={
        "tables": ["research_tables", "report_date", "run_tables"],
        "clinicians": ["RehearsalParams", "Judgment", "judge_answer", "reverses_flag", "rating"],
        "clinical_day": [
            "Day",
            "Event",
            "Session",
            "service",
            "sign_in_headers",
            "deal",
            "play",
            "day_metrics",
            "plot_day",
        ],
        "rehearsal": ["run_rehearsal"],
        "features": ["vocabulary", "report_features", "lab_series", "input_series", "answer_series"],
        "drift": [
            "MonitorParams",
            "psi",
            "bin_counts",
            "compare_feature",
            "drift_table",
            "embedding_drift",
            "plot_drift",
        ],
        "usage": ["use_frame", "wilson_rate", "use_rates", "alerts", "plot_use"],
        "monitor": ["run_monitor"],
        "corrections": [
            "RetrainParams",
            "CollectedExamples",
            "final_corrections",
            "example_from_correction",
            "collect_examples",
        ],
        "retrain": ["write_feedback_examples", "run_feedback", "judge_promotion", "run_propose"],
    },
)
