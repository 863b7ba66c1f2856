"Codes of ICD-10-CM as reports print them: the cases after public reports, and their siblings."

import pytest
from case_files import case_structure

from medllm_nb.structure.diagnoses import find_diagnoses


@pytest.mark.parametrize(
    ("file", "codes"),
    [
        pytest.param("ICD-01-x.txt", ["E11.9", "I25.10", "J44.9"], id="ICD-01"),
        pytest.param("ICD-03-x.txt", ["E11.22", "N18.31"], id="ICD-03"),
        pytest.param("ICD-04-x.txt", [], id="ICD-04"),
        pytest.param("ICD-07-x.txt", ["I10", "E11.9", "M10.9"], id="ICD-07"),
        pytest.param("ICD-06-x.txt", ["E53.8"], id="ICD-06"),  # by the words; none of those printed is a code
    ],
)
def test_the_codes_of_a_case(file, codes):
    assert [d.code for d in case_structure(file).diagnoses if d.code] == codes


@pytest.mark.parametrize(
    ("items", "codes"),
    [
        ("Type 2 diabetes with chronic kidney disease (E11.22; N18.31)", ["E11.22", "N18.31"]),
        ("Type 2 diabetes with chronic kidney disease E11.22 / N18.31", ["E11.22", "N18.31"]),
        ("Type 2 diabetes with chronic kidney disease E11.22 and N18.31", ["E11.22", "N18.31"]),
        ("Diabetes with kidney disease E1122, N1831", ["E11.22", "N18.31"]),
        ("E11.22, N18.31 - Diabetes with kidney disease", ["E11.22", "N18.31"]),
        ("Type 2 diabetes (E11.9), hypertension (I10), gout (M10.9)", ["E11.9", "I10", "M10.9"]),
        ("E11.9 Type 2 diabetes; I10 Hypertension; M10.9 Gout", ["E11.9", "I10", "M10.9"]),
        ("Type 2 diabetes - E11.9; Hypertension - I10", ["E11.9", "I10"]),
        ("Crohn disease K5080\nIron deficiency anemia D509", ["K50.80", "D50.9"]),
        ("K5080: Crohn disease\nD509: Iron deficiency anemia", ["K50.80", "D50.9"]),
        ("Crohn's disease\tK50.80\nIron deficiency anemia\tD50.9", ["K50.80", "D50.9"]),
        ("| Crohn's disease | K50.80 |\n| Iron deficiency anemia | D509 |", ["K50.80", "D50.9"]),
        ("Type 2 diabetes\nE11.9\nHypertension\nI10", ["E11.9", "I10"]),
        ("Status post pacemaker V45.01\nDiabetes mellitus 250.00\nFall E880.9", []),
        ("Diabetes mellitus (250.00)\nHypertension (401.9)\n401.1 Benign hypertension", []),
        ("Pacemaker (V45.01)\nLong term use of insulin, V58.67", []),
        ("Hypertension (ICD-9: 401.9, ICD-10: I10)", ["I10"]),
        ("Hypertension ICD-9 401.9 / ICD-10 I10", ["I10"]),
        ("Hypertension (ICD-9: 401.9; ICD-10: I10)", ["I10"]),
        ("Appendicitis (K35.80), CPT 44970", ["K35.80"]),
        ("Acute appendicitis K35.80 44970", ["K35.80"]),
        ("Lumbar injection, HCPCS J1100\nLow back pain M54.50", ["M54.50"]),
        ("J1100 Dexamethasone injection\nM54.50 Low back pain", ["M54.50"]),
        ("Melanoma (S100, HMB45 positive)\nLung cancer, p16 positive", ["C43.9"]),
        ("Lung adenocarcinoma, EGFR T790M, L858R; BRAF V600E", []),
        ("Compression fracture of L1 (L1)\nFracture of C5, T11\nSpondylosis C5-C6", []),
        ("Type 2 diabetes E11.-\nType 1 diabetes with kidney complications E10.2-", ["E11", "E10.2"]),
        ("Hypertension I10X\nCOVID-19 U07.1", ["I10", "U07.1"]),
        ("Fracture of right radius S52.501A\nPedal cycle accident V10.3XXA", ["S52.501A", "V10.3XXA"]),
        ("Fracture of lower end of right radius S52501A", ["S52.501A"]),
        ("Something Z99.99\nOther Q99.99", []),
        ("icd-10 code: e11.9 type 2 diabetes", ["E11.9"]),
        ("ICD-10-CM Codes: E11.9, I10, J44.9", ["E11.9", "I10", "J44.9"]),
        ("Type 2 diabetes (ICD-10-CM E11.9)\nCOPD [J44.9]", ["E11.9", "J44.9"]),
        ("HTN (I10); DM2 (E11.9); COPD (J44.9)", ["I10", "E11.9", "J44.9"]),
        ("Hypertension (I10) and gout (M10.9)", ["I10", "M10.9"]),
        ("Hypokalemia E876\nFall from stairs E8809", ["E87.6"]),
        ("Appendectomy, ICD-10-PCS 0DTJ4ZZ\nOPCS H01.1 appendectomy", []),
        ("Pneumonia J18.9. Sepsis A41.9. ", ["J18.9", "A41.9"]),
        ("Primary: Pneumonia (J18.9)\nSecondary: Sepsis (A41.9)", ["J18.9", "A41.9"]),
        ("1) J18.9 – Pneumonia, unspecified organism\n2) A41.9 – Sepsis", ["J18.9", "A41.9"]),
        ("Hypertension  I10\nAsthma  J45.909", ["I10", "J45.909"]),
        ("Hypertension, I10\nType 2 diabetes, E119", ["I10", "E11.9"]),
    ],
)
def test_the_codes_of_a_list(items, codes):
    text = f"DIAGNOSIS:\n{items}"
    diagnoses = find_diagnoses(text)
    assert [d.code for d in diagnoses if d.code] == codes
    assert all(" ".join(text[d.start : d.end].split()) == d.text for d in diagnoses)
