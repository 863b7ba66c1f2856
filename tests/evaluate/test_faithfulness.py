"What an answer invents or leaves out, on a report with a critical potassium and a mass."

import pytest

from medllm_nb.evaluate.facts import source_facts
from medllm_nb.evaluate.faithfulness import find_hallucinations, find_omissions, look_up
from medllm_nb.evaluate.metrics import Answer, diagnosis_rows, is_correct_answer

REPORT = """A 61-year-old man on metformin. Chest pain for 3 days. No fever.
Potassium 6.8 mmol/L (3.5-5.1)
Sodium 138 mmol/L (135-145)
CT: mass of 23 mm in the left upper lobe, no pleural effusion."""
TRUE = """A 61-year-old man with chest pain for 3 days and no fever. Potassium 6.8 mmol/L: high. \
A mass of 23 mm in the left upper lobe."""
FALSE = """Sodium 128 mmol/L: low. Pleural effusion is present. A mass of 23 cm in the right upper lobe. \
Given morphine 5 mg for gout."""
REFERENCE = "Potassium 6.8 mmol/L: high (reference 3.5-5.1)\nMass of 23 mm in the left upper lobe, with chest pain."
SODIUM = "Sodium 128 mmol/L: low (reference 135-145)"


def test_a_true_answer_passes_and_a_false_one_is_critical():
    assert find_hallucinations(TRUE, REPORT) == []
    assert sum(e.severity == "critical" for e in find_hallucinations(FALSE, REPORT)) >= 3


def test_a_critical_lab_left_out_is_critical_and_what_is_said_is_not_left_out():
    errors = find_omissions("The patient has chest pain.", REFERENCE)
    assert {("omission", "lab", "critical"), ("omission", "quantity", "major")} <= {e[:3] for e in errors}
    assert not any(e.quote == "chest pain" for e in errors if e.kind == "finding")


@pytest.mark.parametrize(
    "answer,error",
    [
        pytest.param("CRP <10 mg/L", None, id="the same limit"),
        pytest.param("CRP 10 mg/L", "lab", id="the limit as a value"),
        pytest.param("CRP >10 mg/L", "lab", id="the limit turned"),
        pytest.param("eGFR >60", None, id="a limit that the value meets"),
        pytest.param("eGFR <60", "lab", id="a limit that it does not"),
        pytest.param("eGFR 80", None, id="the value"),
    ],
)
def test_a_limit_is_no_value(answer, error):
    source = source_facts("CRP <10 mg/L, eGFR 80")
    assert [look_up(f, source) for f in source_facts(answer).facts if f.kind == "lab"] == [error]


def test_no_credit_in_the_tree_for_another_chapter():
    reference = "Reasoning: Ferritin 6 ng/mL is low.\nDiagnosis: Iron deficiency anemia (ICD-10-CM D50.9)"
    near = diagnosis_rows("Diagnosis: Anemia in neoplastic disease (ICD-10-CM D63.0)", reference, ["D50.9"])
    far = diagnosis_rows("Diagnosis: Gout (ICD-10-CM M10.9)", reference, ["D50.9"])
    assert far["code_hierarchy"][0] == 0 <= near["code_hierarchy"][0] < 1
    assert near["diagnosis_accuracy"] == near["code_exact"] == [False, 1]


@pytest.mark.parametrize(
    "text,right",
    [
        pytest.param(SODIUM, True, id="right"),
        pytest.param("Sodium 138 mmol/L: low", False, id="another value"),
        pytest.param("Not stated in the report.", False, id="declined"),
    ],
)
def test_an_answer_about_a_value(text, right):
    answer = Answer(example_id="1", task="question", model="m", text=text, reference=SODIUM)
    assert is_correct_answer(answer) is right
