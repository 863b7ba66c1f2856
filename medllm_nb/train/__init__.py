"Supervised fine-tuning: examples become tokens, a base gets an adapter, a search finds the knobs."

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={
        "tokens": ["demo_examples", "token_dataset", "tokenize_example"],
        "trainer": [
            "SftParams",
            "add_adapter",
            "batch_order",
            "build_trainer",
            "check_base",
            "dvclive_callback",
            "last_checkpoint",
            "read_base",
            "run_fingerprint",
            "total_steps",
            "training_arguments",
            "training_rows",
        ],
        "packing": [
            "check_packing",
            "longest_batch",
            "memory_of",
            "packed_and_alone",
            "probe_callback",
            "probe_memory",
        ],
        "launch": [
            "is_one_process",
            "launch_command",
            "read_accelerate",
            "run_in_processes",
            "run_stage_process",
            "start",
        ],
        "search": [
            "TuneParams",
            "importances",
            "open_study",
            "plot_trials",
            "run_trial",
            "run_trials",
            "suggest",
            "trial_table",
            "with_tuned",
        ],
        "curves": ["loss_history", "plot_losses", "sft_run_metrics"],
        "tune": ["run_tune"],
        "sft": ["run_sft", "write_sft"],
    },
)
