"Rewards stay in their range for any text, cheats score low on any report, and TRL's GRPOTrainer takes them."

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from medllm_nb.core import DeidReport, lab_tests
from medllm_nb.instruct.examples import make_examples
from medllm_nb.grpo.correctness import code_likeness
from medllm_nb.grpo.rewards import (
    REWARD_COMPONENTS,
    RANGES,
    RewardParams,
    agreement_rewards,
    report_in_prompt,
    reward_function,
    reward_row,
    reward_components,
    text_of,
    total_reward,
)
from medllm_nb.structure.reports import structure_report
from medllm_nb.instruct.instructions import TASKS, InstructParams

REPORT = """DISCHARGE SUMMARY
HOSPITAL COURSE: Weakness for two days. Takes spironolactone.
LABORATORY RESULTS
Potassium   6.1 mmol/L  (3.5-5.1)
Sodium      139 mmol/L  (135-145)
Creatinine  1.9 mg/dL   (0.6-1.3)
Calcium     9.2 mg/dL   (8.6-10.3)
EXAMINATION: Muscle strength 4/5 in the legs. No edema. Heart sounds normal.
IMPRESSION: Weakness from a potassium of 6.1 mmol/L on spironolactone. \
Differential diagnosis: myasthenia gravis, hypothyroid myopathy.
DIAGNOSIS: Hyperkalemia (ICD-10-CM E87.5)
PLAN:
1. Stop spironolactone.
2. Recheck potassium in 24 hours."""
EXAMPLES = {}
for e in make_examples(
    structure_report(DeidReport(report_id="de30", patient_key="k1", format="txt", text=REPORT)),
    InstructParams(tasks=dict.fromkeys(TASKS, 1)),
):
    EXAMPLES[e.task] = e
ALL_HIGH = "Potassium 6.1 mmol/L: high\nSodium 139 mmol/L: high\nCreatinine 1.9 mg/dL: high\nCalcium 9.2 mg/dL: high"
DISEASES = [
    "Pneumonia",
    "Gout",
    "Asthma",
    "Hyperkalemia",
    "Anemia",
    "Sepsis",
    "Migraine",
    "Hypertension",
    "Diabetes",
    "Stroke",
]
EVERY_DIAGNOSIS = "Reasoning: It could be many things at once.\nDiagnosis: " + " or ".join(DISEASES)

# text as a model would write it when it explores: words of the task, marks, numbers, newlines, in any order
WORDS = [
    "Reasoning:",
    "Diagnosis:",
    "Hyperkalemia",
    "(ICD-10-CM E87.5)",
    "E87.6",
    "J18.9",
    "Potassium",
    "6.1",
    "mmol/L",
    ": high",
    ": low",
    "normal",
    "Sodium 139",
    "not stated",
    "No abnormal labs.",
    "- ",
    "\n",
    "1. ",
    "edema",
    "no",
    "or",
    ";",
    "Report:",
    "<|im_end|>",
    "**",
    "(",
    ")",
    "9e99",
    "١٢",
    "é",
    *list(lab_tests())[:6],
]
ANSWERS = st.one_of(st.text(max_size=300), st.lists(st.sampled_from(WORDS), max_size=60).map(" ".join))


def prompt_of(example):
    return text_of([m.model_dump() for m in example.prompt])


def worth(answer, task):
    example = EXAMPLES[task]
    return total_reward(
        reward_components(answer, example.completion[0].content, task, prompt_of(example), agreement=1.0)
    )


def test_every_task_has_an_example_and_its_reference_is_worth_most():
    assert set(EXAMPLES) == set(TASKS)
    for task, example in EXAMPLES.items():
        assert worth(example.completion[0].content, task) > 0.98, task


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    answer=ANSWERS,
    reference=st.one_of(ANSWERS, st.sampled_from([e.completion[0].content for e in EXAMPLES.values()])),
    task=st.sampled_from(TASKS),
    prompt=st.one_of(st.text(max_size=100), st.sampled_from([prompt_of(e) for e in EXAMPLES.values()])),
)
def test_rewards_stay_in_their_range_for_any_text(answer, reference, task, prompt):
    parts = reward_components(
        answer, reference, task, prompt, agreement=agreement_rewards([answer, reference, answer], task)[0]
    )
    assert set(parts) == {*REWARD_COMPONENTS, "originality", "ended"}
    for name, value in (parts | {"total": total_reward(parts)}).items():
        low, high = RANGES[name]
        assert low <= value <= high, name
    assert parts == reward_components(answer, reference, task, prompt, agreement=parts["agreement"]), (
        "not the same twice"
    )


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(st.sampled_from(REWARD_COMPONENTS), st.floats(0.01, 10), min_size=1))
def test_total_stays_in_range_whatever_the_weights(weights):
    params = RewardParams(**weights)
    for answer in (ALL_HIGH, "", EXAMPLES["abnormal_labs"].completion[0].content):
        example = EXAMPLES["abnormal_labs"]
        assert (
            -1
            <= total_reward(
                reward_components(answer, example.completion[0].content, example.task, prompt_of(example)), params
            )
            <= 1
        )


@pytest.mark.parametrize("task", TASKS)
def test_the_empty_answer_scores_low(task):
    assert worth("", task) < 0 and worth(" \n ", task) < 0
    assert all(v == 0 for v in agreement_rewards(["", "", ""], task))


@pytest.mark.parametrize("task", TASKS)
def test_the_copied_prompt_scores_low(task):
    prompt = prompt_of(EXAMPLES[task])
    for copied in (
        prompt,
        report_in_prompt(prompt),
        prompt[: len(prompt) // 2],
        report_in_prompt(prompt) + "\n" + report_in_prompt(prompt),
    ):
        assert worth(copied, task) <= 0.05


def test_the_answer_everything_answer_scores_low():
    assert worth(ALL_HIGH, "abnormal_labs") < 0
    assert worth(EVERY_DIAGNOSIS, "diagnosis") < 0
    assert worth("\n".join(f"Diagnosis: {d}" for d in DISEASES), "diagnosis") < 0
    assert (
        worth(
            "\n".join(
                f"{d}: {c}"
                for d, c in zip(
                    DISEASES,
                    ("J18.9", "M10.9", "J45.909", "E87.5", "D64.9", "A41.9", "G43.909", "I10", "E11.9", "I63.9"),
                )
            ),
            "coding",
        )
        < 0.1
    )
    assert worth("\n".join(f"- {d}" for d in DISEASES), "differential") < 0
    assert worth(ALL_HIGH, "question") < 0.25


@pytest.mark.parametrize("task", ["diagnosis", "conversation", "abnormal_labs", "coding", "question"])
def test_a_confident_wrong_answer_costs_more_than_none(task):
    wrong = {
        "abnormal_labs": "Sodium 139 mmol/L: low",
        "coding": "Gout: M10.9",
        "question": "Glucose 300 mg/dL: high",
    }.get(
        task,
        "Reasoning: Muscle strength 4/5 in the legs. Labs: Potassium 6.1 mmol/L (high).\n"
        "Diagnosis: Gout (ICD-10-CM M10.9)",
    )
    assert (
        worth(wrong, task)
        < worth("Not stated in the report.", task)
        <= 0
        < worth(EXAMPLES[task].completion[0].content, task)
    )
    assert worth("Not stated in the report.", "not_stated") > 0.99 and worth(wrong, "not_stated") < 0


@pytest.mark.parametrize(
    "worse",
    [
        lambda a: a.replace("6.1", "7.4"),
        lambda a: a.replace("Muscle strength 4/5 in the legs.", "Edema of the legs."),
        lambda a: a.split("\n")[1],
        lambda a: a.replace("E87.5", "E87.6").replace("Hyperkalemia", "Hypokalemia"),
        lambda a: a + "\n" + "It is well known that this is so. " * 20,
    ],
)
def test_every_fault_costs_something(worse):
    right = EXAMPLES["diagnosis"].completion[0].content
    assert worse(right) != right
    assert worth(worse(right), "diagnosis") < worth(right, "diagnosis") - 0.01


def test_an_answer_that_quotes_a_topic_is_worth_its_likeness_to_it():
    prompt = (
        "What do you know of the patient's medications?\n\nReport:\nHISTORY: Cough.\n"
        "MEDICATIONS: Calcium 600 mg daily, warfarin 5 mg at night, metoprolol 50 mg twice a day.\n"
        "LABS: Calcium 9.2 mg/dL (8.5-10.5)"
    )
    reference = "Medications: " + prompt.partition("MEDICATIONS: ")[2].partition("\n")[0]
    worth = lambda answer: total_reward(reward_components(answer, reference, "question", prompt, 1.0))
    right, without_label, half, wrong = (
        worth(reference),
        worth(reference.partition(": ")[2]),
        worth("Medications: Calcium 600 mg daily."),
        worth("Medications: Aspirin 100 mg."),
    )
    assert right == pytest.approx(1) and right > without_label > half > wrong and wrong < 0
    assert worth(prompt) < half and worth("Not stated in the report.") == pytest.approx(0)


@settings(max_examples=60, deadline=None)
@given(*[st.sampled_from(["E87.5", "E87.6", "E87.70", "I10", "C50.911", "S52.501A", "J18.9", "Z99.99", ""])] * 2)
def test_likeness_of_codes_is_symmetric_and_full_only_for_the_same(a, b):
    assert code_likeness(a, b) == code_likeness(b, a)
    assert (code_likeness(a, b) == 1) == (a == b and a not in ("Z99.99", ""))


def test_trl_calls_it_and_logs_its_parts(tiny_model, tmp_path):
    "Through GRPOTrainer's own code; the rest of a step needs a GPU or Unsloth's patches (a Triton kernel)."
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import GRPOConfig, GRPOTrainer

    rows = [reward_row(EXAMPLES[t]) for t in ("abnormal_labs", "diagnosis")]
    args = GRPOConfig(
        output_dir=str(tmp_path),
        per_device_train_batch_size=4,
        num_generations=2,
        report_to="none",
        use_cpu=True,
        bf16=False,
    )
    trainer = GRPOTrainer(
        model=AutoModelForCausalLM.from_pretrained(tiny_model, dtype="float32"),
        reward_funcs=reward_function(),
        args=args,
        train_dataset=Dataset.from_list(rows),
        processing_class=AutoTokenizer.from_pretrained(tiny_model),
    )
    inputs = [rows[0], rows[0], rows[1], rows[1]]
    answers = [rows[0]["reference"], ALL_HIGH, rows[1]["reference"], EVERY_DIAGNOSIS]
    completions = [[{"role": "assistant", "content": a}] for a in answers]
    given = trainer._calculate_rewards(inputs, [r["prompt"] for r in inputs], completions, [[0]] * 4)[:, 0].tolist()
    assert given[0] > 0.9 and given[2] > 0.9 and given[1] < 0 and given[3] < 0
    assert {f"reward/{name}" for name in REWARD_COMPONENTS} <= set(trainer._pending_metrics)
    trainer.reward_funcs = [reward_function(ends={2})]
    cut = trainer._calculate_rewards(
        inputs, [r["prompt"] for r in inputs], completions, [[5, 2], [5, 2], [5, 7], [5, 7]]
    )[:, 0].tolist()
    assert cut[0] == given[0] and cut[2] == 0 and cut[3] == given[3], (
        "a cut answer earns nothing, and loses what it would have lost"
    )
