"What is a diagnosis and what is denied."

import pytest

from medllm_nb.structure.diagnoses import find_diagnoses
from medllm_nb.structure.sections import find_sections


@pytest.mark.parametrize(
    ("written", "wanted"),
    [
        pytest.param("IMPRESSION: Pneumonia (J18.9) was excluded.", [], id="IMPRESSION_Pneumonia_J18.9_was_excluded."),
        pytest.param("IMPRESSION: No pneumonia (J18.9).", [], id="IMPRESSION_No_pneumonia_J18.9_."),
        pytest.param(
            "IMPRESSION:\n1. No evidence of gout (M10.9).\n2. Asthma.",
            ["Asthma"],
            id="IMPRESSION_1._No_evidence_of_gout_M10.9_._2._Ast",
        ),
        pytest.param("IMPRESSION: No urinary tract infection.", [], id="IMPRESSION_No_urinary_tract_infection."),
        pytest.param("DIAGNOSIS: No evidence of pneumonia", [], id="DIAGNOSIS_No_evidence_of_pneumonia"),
        pytest.param(
            "DIAGNOSIS:\n1. Pneumonia, ruled out\n2. Gout", ["Gout"], id="DIAGNOSIS_1._Pneumonia_ruled_out_2._Gout"
        ),
        pytest.param("DIAGNOSIS: Gout in her father", [], id="DIAGNOSIS_Gout_in_her_father"),
        pytest.param(
            "DIAGNOSIS: Gastritis without bleeding (K29.70)",
            ["Gastritis without bleeding"],
            id="DIAGNOSIS_Gastritis_without_bleeding_K29.70",
        ),
        pytest.param("DIAGNOSIS: Non-Hodgkin lymphoma", ["Non-Hodgkin lymphoma"], id="DIAGNOSIS_Non-Hodgkin_lymphoma"),
        pytest.param("DIAGNOSIS: Non Hodgkin lymphoma", ["Non Hodgkin lymphoma"], id="DIAGNOSIS_Non_Hodgkin_lymphoma"),
        pytest.param(
            "DIAGNOSIS: Hyponatremia, resolved (E87.1)",
            ["Hyponatremia, resolved"],
            id="DIAGNOSIS_Hyponatremia_resolved_E87.1",
        ),
        pytest.param(
            "DIAGNOSIS: Family history of breast cancer (Z80.3)",
            ["Family history of breast cancer"],
            id="DIAGNOSIS_Family_history_of_breast_cancer_Z80.3",
        ),
        pytest.param(
            "DIAGNOSIS: Acquired absence of left breast (Z90.12)",
            ["Acquired absence of left breast"],
            id="DIAGNOSIS_Acquired_absence_of_left_breast_Z90.12",
        ),
        pytest.param(
            "DIAGNOSIS: Lack of coordination (R27.8)",
            ["Lack of coordination"],
            id="DIAGNOSIS_Lack_of_coordination_R27.8",
        ),
    ],
)
def test_what_a_report_denies_is_no_diagnosis_of_it(written, wanted):
    text = f"HISTORY: The patient has pain.\n{written}"
    assert [d.text for d in find_diagnoses(text, find_sections(text))] == wanted
