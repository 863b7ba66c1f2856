"Each part of the reward on a report with a high potassium, and the order in which answers must stand."

import pytest

from medllm_nb.core import Example, Message
from medllm_nb.grpo.rewards import (
    REWARD_COMPONENTS,
    RewardParams,
    abstention_reward,
    agreement_rewards,
    consistency_reward,
    denial_checks,
    denied,
    flag_checks,
    groundedness_reward,
    is_quoted,
    length_reward,
    originality,
    report_in_prompt,
    reward,
    reward_components,
    reward_function,
    reward_row,
    total_reward,
)

REPORT = """Indication: Weakness for two days. Takes spironolactone.
Labs:
Potassium 6.1 mmol/L (3.5-5.1)
Sodium 139 mmol/L (135-145)
Creatinine 1.9 mg/dL (0.6-1.3)
Calcium 9.2 mg/dL (8.6-10.3)
Examination: Muscle strength 4/5 in the legs. No edema."""
DIAGNOSED = """\
Reasoning: Muscle strength 4/5 in the legs. Labs: Potassium 6.1 mmol/L (high), Creatinine 1.9 mg/dL (high).
Diagnosis: Hyperkalemia (ICD-10-CM E87.5)"""
NEAR = DIAGNOSED.replace("Hyperkalemia (ICD-10-CM E87.5)", "Hypokalemia (ICD-10-CM E87.6)")
WRONG = DIAGNOSED.replace("Hyperkalemia (ICD-10-CM E87.5)", "Gout (ICD-10-CM M10.9)")
FLAGGED = "Potassium 6.1 mmol/L: high (reference 3.5-5.1)\nCreatinine 1.9 mg/dL: high (reference 0.6-1.3)"
ALL_HIGH = "Potassium 6.1 mmol/L: high\nSodium 139 mmol/L: high\nCreatinine 1.9 mg/dL: high\nCalcium 9.2 mg/dL: high"
EVERYTHING = "Diagnosis: Pneumonia or Gout or Asthma or Hyperkalemia or Anemia or Sepsis or Migraine or Hypertension"
EDEMA = "Reasoning: Edema of both legs.\nDiagnosis: Pneumonia (ICD-10-CM E87.5)"
PARALYSIS = "Reasoning: Paralysis of both arms after a fall.\nDiagnosis: Hyperkalemia (E87.5)"
INVENTED = "Reasoning: Paralysis of both arms. Potassium 8.8 mmol/L (high).\nDiagnosis: Hyperkalemia (ICD-10-CM E87.5)"
ALLERGIC = "HISTORY: Cough.\nALLERGIES: Penicillin (rash), latex."
STATED, UNSTATED = "Potassium 6.1 mmol/L: high", "Not stated in the report."
ASKED_LABS = f"List the abnormal laboratory values.\n\nReport:\n{REPORT}"
ASKED_DIAGNOSIS = f"What is the diagnosis?\n\nReport:\n{REPORT}"


def worth(answer, reference=DIAGNOSED, task="diagnosis", prompt=ASKED_DIAGNOSIS):
    return total_reward(reward_components(answer, reference, task, prompt, agreement=1.0))


def worth_of_labs(answer):
    return worth(answer, FLAGGED, "abnormal_labs", ASKED_LABS)


def test_flags_are_borne_out_by_value_and_range():
    assert flag_checks(FLAGGED, REPORT) == [True, True]
    assert flag_checks(ALL_HIGH, REPORT) == [True, False, True, False]


def test_what_the_report_denies_is_not_asserted():
    assert denied(REPORT) == [{"edema"}]
    assert denial_checks("Edema of both legs.", REPORT) == [False]
    assert denial_checks("No edema.", REPORT) == []


def test_a_quote_stands_in_the_report():
    assert is_quoted("Muscle strength 4/5 in the legs.", REPORT)
    assert not is_quoted("Paralysis of both arms", REPORT)


@pytest.mark.parametrize(
    "answer,task,expected",
    [
        pytest.param(DIAGNOSED, "diagnosis", 1, id="follows"),
        pytest.param(ALL_HIGH, "abnormal_labs", 0.5, id="half the flags wrong"),
        pytest.param(EDEMA, "diagnosis", 0, id="nothing follows"),
        pytest.param("", "diagnosis", 0, id="no diagnosis"),
        pytest.param("", "abnormal_labs", 0, id="no labs"),
        pytest.param("", "summary", 0, id="no summary"),
    ],
)
def test_consistency(answer, task, expected):
    assert consistency_reward(answer, REPORT, task) == expected


@pytest.mark.parametrize(
    "answer,task,expected",
    [
        pytest.param(DIAGNOSED, "diagnosis", 1, id="quoted"),
        pytest.param(FLAGGED, "abnormal_labs", 1, id="labs quoted"),
        pytest.param(PARALYSIS, "diagnosis", 0, id="an invented finding"),
        pytest.param("Temperature 39.4 with a pulse of 122.", "summary", 0, id="invented numbers"),
        pytest.param("", "diagnosis", 0, id="no diagnosis"),
        pytest.param("", "summary", 0, id="no summary"),
    ],
)
def test_groundedness(answer, task, expected):
    assert groundedness_reward(answer, REPORT, task) == expected


def test_the_code_of_a_conclusion_is_no_value_of_a_test():
    "ICD-10 behind 'Iron deficiency anemia' is no iron of 10."
    report = "Pale conjunctivae.\nFerritin 6 ng/mL (20-300)\nDiagnosis: Iron deficiency anemia (ICD-10-CM D50.9)"
    answer = "Reasoning: Labs: Ferritin 6 ng/mL (low).\nDiagnosis: Iron deficiency anemia (ICD-10-CM D50.9)"
    assert groundedness_reward(answer, report, "diagnosis") == 1


def test_a_value_must_be_that_of_its_test():
    assert groundedness_reward(FLAGGED.replace("6.1", "139"), REPORT, "abnormal_labs") < 1


@pytest.mark.parametrize("part", [groundedness_reward, consistency_reward], ids=["groundedness", "consistency"])
@pytest.mark.parametrize(
    "allergies,expected",
    [pytest.param("Penicillin (rash), latex.", 1, id="stated"), pytest.param("Amoxicillin.", 0, id="another")],
)
def test_a_topic_is_quoted(part, allergies, expected):
    assert part(f"Allergies: {allergies}", ALLERGIC, "question") == expected


@pytest.mark.parametrize(
    "answers,task,expected",
    [
        pytest.param(
            [DIAGNOSED, "Diagnosis: hyperkalemia (E87.5)", "Diagnosis: Gout"],
            "diagnosis",
            [0.5, 0.5, 0],
            id="two of three",
        ),
        pytest.param(["", "", ""], "diagnosis", [0, 0, 0], id="empty ones"),
        pytest.param([FLAGGED, FLAGGED], "abnormal_labs", [1, 1], id="labs"),
    ],
)
def test_samples_agree(answers, task, expected):
    assert agreement_rewards(answers, task) == expected


@pytest.mark.parametrize(
    "answer,reference,correctness,expected",
    [
        pytest.param(STATED, STATED, 1, 1, id="right"),
        pytest.param(UNSTATED, STATED, 0, 0, id="declined though stated"),
        pytest.param("", STATED, 0, -0.5, id="empty"),
        pytest.param("Potassium 5.0: normal", STATED, 0, -1, id="wrong"),
        pytest.param(UNSTATED, UNSTATED, 1, 1, id="rightly declined"),
        pytest.param("Potassium 5.0: normal", UNSTATED, 0, -1, id="answered though not stated"),
    ],
)
def test_abstention(answer, reference, correctness, expected):
    assert abstention_reward(answer, reference, correctness) == expected


def test_length():
    assert [length_reward(a, FLAGGED) for a in (FLAGGED, "", FLAGGED * 9)] == [1, 0, 0]
    assert 0 < length_reward(FLAGGED * 2, FLAGGED) < 1


def test_a_copied_report_is_not_original():
    assert [originality(a, REPORT) for a in (DIAGNOSED, FLAGGED, REPORT)] == [1, 1, 0]


def test_the_report_in_a_prompt():
    assert report_in_prompt("Which labs are abnormal?\n\nReport:\nSodium 128") == "Sodium 128"


def test_the_reference_is_worth_one():
    assert worth(DIAGNOSED) == worth_of_labs(FLAGGED) == 1
    assert reward(DIAGNOSED, DIAGNOSED, "diagnosis", ASKED_DIAGNOSIS) == 1
    assert reward(FLAGGED, FLAGGED, "abnormal_labs", REPORT) == 1


def test_without_weights_nothing_is_rewarded():
    with pytest.raises(ValueError, match="all reward weights"):
        nothing = RewardParams(**dict.fromkeys(REWARD_COMPONENTS, 0))
        total_reward(reward_components(DIAGNOSED, DIAGNOSED, "diagnosis", ASKED_DIAGNOSIS), nothing)


@pytest.mark.parametrize("cheat", ["", ASKED_DIAGNOSIS, REPORT, EVERYTHING], ids=["empty", "prompt", "report", "all"])
def test_a_cheat_at_the_diagnosis_does_not_pay(cheat):
    assert worth(cheat) < 0.1


@pytest.mark.parametrize("cheat", ["", ASKED_LABS, REPORT, ALL_HIGH], ids=["empty", "prompt", "report", "all"])
def test_a_cheat_at_the_labs_does_not_pay(cheat):
    assert worth_of_labs(cheat) < 0.35


def test_an_answer_cut_before_its_false_alarm_earns_nothing():
    cut = FLAGGED + "\nCalcium 9.2 mg/dL: hi"
    parts = [reward_components(cut, FLAGGED, "abnormal_labs", ASKED_LABS, ended=e) for e in (True, False)]
    assert total_reward(parts[0]) > 0.5 and total_reward(parts[1]) == 0


def test_right_near_declined_wrong():
    order = [worth(a) for a in (DIAGNOSED, NEAR, UNSTATED, WRONG)]
    assert order == sorted(order, reverse=True) and order[3] < 0


@pytest.mark.parametrize("worse", [INVENTED, DIAGNOSED.splitlines()[1]], ids=["invented findings", "no reasoning"])
def test_bad_grounds_cost_something(worse):
    assert worth(worse) < worth(DIAGNOSED) - 0.1


def test_trl_is_given_totals_and_parts():
    example = Example(
        example_id="e1",
        report_id="r1",
        patient_key="p1",
        specialty="laboratory",
        task="abnormal_labs",
        prompt=[Message(role="system", content="Be careful."), Message(role="user", content=ASKED_LABS)],
        completion=[Message(role="assistant", content=FLAGGED)],
    )
    row, logged = reward_row(example), {}
    given = reward_function()(
        prompts=[row["prompt"]] * 4,
        completions=[[{"role": "assistant", "content": a}] for a in (FLAGGED, FLAGGED.splitlines()[0], ALL_HIGH, "")],
        reference=[row["reference"]] * 4,
        task=[row["task"]] * 4,
        example_id=["e1"] * 4,
        log_metric=logged.__setitem__,
        trainer_state=None,
    )
    assert given == sorted(given, reverse=True) and given[0] > 0.9 and given[-1] < 0
    assert set(logged) == {f"reward/{n}" for n in (*REWARD_COMPONENTS, "originality", "ended")}
