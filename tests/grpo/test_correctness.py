"Forms, codes, labs and values on a report with a high potassium; every way to cheat earns little."

import pytest

from medllm_nb.grpo.correctness import (
    code_likeness,
    codes_reward,
    correctness_reward,
    diagnoses_offered,
    diagnosis_reward,
    format_reward,
    labs_reward,
    names_reward,
    reasoning_of,
    value_reward,
    wording_reward,
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
FLAGGED = "Potassium 6.1 mmol/L: high (reference 3.5-5.1)\nCreatinine 1.9 mg/dL: high (reference 0.6-1.3)"
ALL_HIGH = "Potassium 6.1 mmol/L: high\nSodium 139 mmol/L: high\nCreatinine 1.9 mg/dL: high\nCalcium 9.2 mg/dL: high"
UNSTATED = "Not stated in the report."
POTASSIUM = "Potassium 6.1 mmol/L: high (reference 3.5-5.1)"
ALLERGIES = "Allergies: Penicillin (rash), latex."
GOUT = "Reasoning: a red and swollen toe\nDiagnosis: Gout"
MANY = ["Pneumonia", "Gout", "Asthma", "Hyperkalemia", "Anemia", "Sepsis", "Migraine", "Hypertension"]
CODED = ("Pneumonia (J18.9)", "Gout (M10.9)", "Asthma (J45.909)", "Hyperkalemia (E87.5)")


def test_reasoning_stands_before_the_diagnosis():
    assert reasoning_of(DIAGNOSED).startswith("Muscle strength")


@pytest.mark.parametrize(
    "task,answer,expected",
    [
        pytest.param("diagnosis", DIAGNOSED, 1, id="a diagnosis"),
        pytest.param("abnormal_labs", FLAGGED, 1, id="labs"),
        pytest.param("abnormal_labs", "No abnormal labs.", 1, id="no labs"),
        pytest.param("coding", "Gout: M10.9", 1, id="codes"),
        pytest.param("recommendations", "- Rest\n- Ice", 1, id="a plan"),
        pytest.param("diagnosis", "", 0, id="nothing"),
        pytest.param("diagnosis", "Diagnosis: Gout\nReasoning: a red and swollen toe", 1 / 3, id="the answer first"),
        pytest.param("diagnosis", "Reasoning: pain pain pain\nDiagnosis: Gout", 2 / 3, id="no grounds"),
        pytest.param("diagnosis", f"{GOUT}\nDiagnosis: Asthma", 2 / 3, id="two answers"),
        pytest.param("diagnosis", DIAGNOSED + "<|im_end|>\n<|im_start|>user", 0, id="on after its end"),
        pytest.param("abnormal_labs", REPORT, 0, id="the report again"),
    ],
)
def test_the_form_of_a_task(task, answer, expected):
    assert format_reward(answer, task) == pytest.approx(expected)


@pytest.mark.parametrize(
    "answer,expected",
    [
        pytest.param(DIAGNOSED, 1, id="right"),
        pytest.param("Diagnosis: Hyperkalaemia", 1, id="by name, British"),
        pytest.param("Reasoning: low potassium.\nDiagnosis: Hypokalemia (ICD-10-CM E87.6)", 2 / 3, id="near"),
        pytest.param("Diagnosis: Pneumonia (ICD-10-CM J18.9)", 0, id="wrong"),
        pytest.param("Diagnosis: Pneumonia (ICD-10-CM E87.5)", 0, id="another's code"),
        pytest.param("Reasoning: Hyperkalemia E87.5 comes to mind.\nDiagnosis: Pneumonia", 0, id="in the reasoning"),
        pytest.param("", 0, id="nothing"),
    ],
)
def test_a_diagnosis_by_the_tree(answer, expected):
    assert diagnosis_reward(answer, DIAGNOSED) == pytest.approx(expected)


@pytest.mark.parametrize(
    "answer,most",
    [
        pytest.param("Diagnosis: " + " or ".join(MANY), 1 / 8, id="eight in a line"),
        pytest.param("\n".join(f"Diagnosis: {d}" for d in CODED), 1 / 4, id="four with codes"),
    ],
)
def test_many_diagnoses_share_the_score(answer, most):
    assert diagnosis_reward(answer, DIAGNOSED) <= most


@pytest.mark.parametrize(
    "answer,number",
    [
        pytest.param(DIAGNOSED, 1, id="one"),
        pytest.param("Diagnosis: Gout\nDiagnosis: Asthma", 2, id="two lines"),
        pytest.param("Diagnosis: gout or asthma", 2, id="two in a line"),
    ],
)
def test_diagnoses_are_counted(answer, number):
    assert diagnoses_offered(answer) == number


def test_nearness_of_codes():
    assert code_likeness("E87.5", "E87.6") == pytest.approx(2 / 3)
    assert 0 < code_likeness("E87.5", "E88.01") < code_likeness("E87.5", "E87.70") < 1
    assert code_likeness("E87.5", "J18.9") == code_likeness("E87.5", "Z99.99") == 0


@pytest.mark.parametrize(
    "answer,reference,expected",
    [
        pytest.param(FLAGGED, FLAGGED, 1, id="both"),
        pytest.param(FLAGGED.splitlines()[0], FLAGGED, 2 / 3, id="one of two"),
        pytest.param(ALL_HIGH, FLAGGED, 0, id="everything high"),
        pytest.param("", FLAGGED, 0, id="nothing"),
        pytest.param("", "No abnormal labs.", 0, id="nothing for none"),
        pytest.param(FLAGGED + "\n" + FLAGGED.replace("high", "low"), FLAGGED, 0, id="high and low"),
    ],
)
def test_labs_and_false_alarms(answer, reference, expected):
    assert labs_reward(answer, reference, REPORT) == pytest.approx(expected)


def test_no_abnormal_lab_must_be_said():
    assert labs_reward("No abnormal labs.", "No abnormal labs.") == 1


def test_codes_and_names():
    every = "\n".join(f"X: {c}" for c in "A09 B20 C61 D50.9 E87.5 F32.9 G43.909 H40.9 J18.9".split())
    two = "- Hypothyroid myopathy\n- Myasthenia gravis"
    assert codes_reward("Gout: M10.9\nHypertension: I10", "Hypertension: I10\nGout: M10.9") == 1
    assert codes_reward("Hypokalemia: E87.6", "Hyperkalemia: E87.5") == pytest.approx(2 / 3)
    assert codes_reward(every, "Hyperkalemia: E87.5") < 0.25
    assert names_reward(two, "\n".join(two.splitlines()[::-1])) == 1
    assert codes_reward("", "Gout: M10.9") == names_reward("", "- Gout\n- Asthma") == wording_reward("", "Rest") == 0


@pytest.mark.parametrize(
    "answer,reference,expected",
    [
        pytest.param(POTASSIUM, POTASSIUM, 1, id="value and flag"),
        pytest.param("The potassium is 6.1 mmol/L.", POTASSIUM, 0.5, id="value alone"),
        pytest.param("Potassium 5.1: high", POTASSIUM, 0, id="another value"),
        pytest.param("Potassium 6.1: high\nPotassium 5.1: normal", POTASSIUM, 0.5, id="two values"),
        pytest.param(ALLERGIES, ALLERGIES, 1, id="a topic"),
        pytest.param("Penicillin (rash), latex.", ALLERGIES, 1, id="a topic without its name"),
        pytest.param("No allergies are known.", ALLERGIES, 0, id="a topic denied"),
        pytest.param("Medications: Calcium 600 mg.", "Medications: Calcium 600 mg.", 1, id="a drug that is a test too"),
    ],
)
def test_a_value_and_a_topic(answer, reference, expected):
    assert value_reward(answer, reference) == pytest.approx(expected)


@pytest.mark.parametrize(
    "answer,expected",
    [
        pytest.param(UNSTATED, 1, id="declined"),
        pytest.param(f"{UNSTATED} Potassium 5.0: high", 0, id="declined and answered"),
    ],
)
def test_what_is_not_stated(answer, expected):
    assert correctness_reward(answer, UNSTATED, "not_stated") == expected
