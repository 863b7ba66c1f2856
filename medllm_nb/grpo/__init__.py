"Reinforcement learning: what an answer is worth, and the training that is paid by it."

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={
        "correctness": [
            "reasoning_of",
            "declines",
            "format_reward",
            "code_likeness",
            "same_name",
            "name_likeness",
            "diagnosis_likeness",
            "diagnoses_offered",
            "diagnosis_reward",
            "labs_reward",
            "codes_reward",
            "names_reward",
            "wording_reward",
            "value_reward",
            "correctness_reward",
        ],
        "rewards": [
            "REWARD_COMPONENTS",
            "RewardParams",
            "reward",
            "reward_components",
            "total_reward",
            "consistency_reward",
            "agreement_rewards",
            "groundedness_reward",
            "abstention_reward",
            "length_reward",
            "copied_share",
            "originality",
            "report_in_prompt",
            "reward_row",
            "text_of",
            "reward_function",
        ],
        "policy": ["GrpoParams", "pick_prompts", "load_policy", "held_out_score"],
        "watch": ["Sample", "stop_reason", "read_samples", "grpo_callback"],
        "trainer": ["rollout", "grpo_arguments", "build_grpo", "train_grpo", "curves", "grpo_run_metrics", "plot_grpo"],
        "grpo": ["run_grpo"],
    },
)
