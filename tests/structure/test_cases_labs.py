"Laboratory results in the layouts of public bug reports, and their kin: what is read, and what is left alone."

import pytest
from case_files import CASES, structure_text

from medllm_nb.structure import read_labs


def results(labs):
    return [(l.name, l.value) for l in labs]


def case_report(case):
    return structure_text((CASES / f"{case}-x.txt").read_text(encoding="utf-8"))


def units(labs):
    return {l.name: l.unit for l in labs}


@pytest.mark.parametrize(
    ("case", "values"),
    [
        pytest.param(
            "LAB-01", "HbA1c 6.9 high; Potassium 5.9 high; White blood cells 6.2 normal; TSH 2.1 normal", id="LAB-01"
        ),
        pytest.param(
            "LAB-03",
            "Total bilirubin 2.4 high; Bicarbonate 24 normal; Sodium 138 normal; Creatinine 1.9 high; "
            "Free T4 1.2 normal; LDL cholesterol 160 high; Alkaline phosphatase 150 high; AST 60 high; ALT 70 high; "
            "Ferritin 8 low; Bicarbonate 18 low; Urea nitrogen 40 high; Free T4 2.4 high",
            id="LAB-03",
        ),
        pytest.param(
            "LAB-04",
            "White blood cells 12.5 high; Hemoglobin 9.9 low; Platelets 250 normal; Glucose 102 high; "
            "Creatinine 0.8 normal; eGFR 90 normal",
            id="LAB-04",
        ),
        pytest.param(
            "LAB-06",
            "White blood cells 18.4 high; Hemoglobin 9.1 low; Hematocrit 30.9 low; MCV 90 normal; Glucose 180 high; "
            "Urea nitrogen 40 high; Creatinine 2.1 high; Sodium 128 low; Potassium 6.1 high; Chloride 103 normal; "
            "Bicarbonate 18 low",
            id="LAB-06",
        ),
        pytest.param("LAB-07", "PSA 6.48 high; TSH 8.75 high; Lipase 147.5 high", id="LAB-07"),
        pytest.param("LAB-09", "Platelets 2.5 normal; Platelets 2.1 normal", id="LAB-09"),
        pytest.param("LAB-10", "Potassium 5.9 high; Sodium 128 low; Hemoglobin 9.1 low", id="LAB-10"),
        pytest.param(
            "LAB-12",
            "Hemoglobin 9.5 low; White blood cells 15.6 high; Platelets 210 normal; Glucose 185 high; "
            "Creatinine 2.9 high; HbA1c 8.1 high; Urea nitrogen 44 high; Potassium 6.3 high; Total bilirubin 3.1 high",
            id="LAB-12",
        ),
        pytest.param("LAB-13", "", id="LAB-13"),
        pytest.param("LAB-15", "Sodium 128 low; Potassium 6.1 high", id="LAB-15"),
        pytest.param("LAB-16", "Glucose 102 high; Potassium 5.9 high; Sodium 128 low", id="LAB-16"),
        pytest.param("LAB-18", "Sodium 128 low; Potassium 6.1 high; Creatinine 1.9 high", id="LAB-18"),
        pytest.param("LAB-19", "", id="LAB-19"),
        pytest.param("LAB-21", "White blood cells 12500 high", id="LAB-21"),
        pytest.param("LAB-22", "Hematocrit 0.41 normal; Hematocrit 0.29 low", id="LAB-22"),
        pytest.param(
            "LAB-24",
            "Sodium 128 low; Potassium 6.1 high; Creatinine 2.1 high; Hemoglobin 9.1 low; Glucose 210 high; "
            "Chloride 112 high; Calcium 7.1 low",
            id="LAB-24",
        ),
        pytest.param("LAB-25", "Glucose 182 high", id="LAB-25"),
        pytest.param("LAB-27", "", id="LAB-27"),
        pytest.param("LAB-28", "HbA1c 8.1 high", id="LAB-28"),
        pytest.param("LAB-30", "", id="LAB-30"),
        pytest.param("LAB-31", "Glucose 180 unknown; ESR 45 high", id="LAB-31"),
        pytest.param("LAB-33", "Potassium 5.3 normal; Sodium 134 normal", id="LAB-33"),
        pytest.param("LAB-34", "Potassium 6.1 high; Sodium 128 low", id="LAB-34"),
    ],
)
def test_a_case_gives_its_results_and_no_other(case, values):
    found = "; ".join(f"{l.name} {l.value:g} {l.flag}" for l in case_report(case).labs)
    assert found == values


def test_units_and_ranges_of_the_cases_are_read():
    quest = case_report("LAB-04").labs
    assert units(quest)["Platelets"] == units(quest)["White blood cells"] == "10^9/L"
    assert {l.name: l.low for l in quest}["eGFR"] == 60
    cumulative = case_report("LAB-15")
    assert [(l.low, l.high, l.unit) for l in cumulative.labs] == [(135, 145, "mmol/L"), (3.5, 5.1, "mmol/L")]
    assert results(cumulative.previous_labs) == [
        ("Sodium", 136),
        ("Sodium", 140),
        ("Potassium", 4.4),
        ("Potassium", 4.1),
    ]
    assert [(l.low, l.high) for l in case_report("LAB-22").labs] == [(0.36, 0.46), (None, None)]
    assert all(l.doubtful for l in case_report("LAB-18").labs)


@pytest.mark.parametrize(
    ("text", "now", "before"),
    [
        pytest.param("Creatinine 0.9 -> 1.9", [1.9], [0.9], id="arrow"),
        pytest.param("Hgb 12.1 → 9.8 → 8.2", [8.2], [12.1, 9.8], id="two arrows"),
        pytest.param("Cr 1.9 <- 0.9", [1.9], [0.9], id="arrow back"),
        pytest.param("Cr 1.9 (was 0.9)", [1.9], [0.9], id="was"),
        pytest.param("creatinine went from 0.9 to 1.9 mg/dL", [1.9], [0.9], id="from to"),
        pytest.param("Previous potassium 4.1 mmol/L", [], [4.1], id="previous"),
        pytest.param(
            "WBC 01 12.5 High 10.1 01/02/2023 x10E3/uL 3.4-10.8", [12.5], [10.1], id="LabCorp's former result"
        ),
        pytest.param("Test | Previous | Current\nSodium | 136 | 128", [128], [136], id="previous and current"),
        pytest.param(
            "Recent Labs\n03/04/24\n0500\n03/05/24\n0430\nNA 136 128*", [128], [136], id="Epic's dates stacked"
        ),
        pytest.param("Hgb 12 > 9", [], [], id="a sign that may be an arrow"),
        pytest.param("Cr 0.9, 1.4, 1.9", [], [], id="a list"),
        pytest.param("Sodium 128 136 140 mmol/L", [], [], id="columns without heading"),
        pytest.param("Test | 02/03/2024 | 03/02/2024\nSodium | 128 | 136", [], [], id="dates that may be turned"),
        pytest.param("Test  01/15/2024  03/05/2024\nSodium  136", [], [], id="a value is missing"),
    ],
)
def test_the_current_result_is_told_from_those_before(text, now, before):
    found = read_labs(text)
    assert ([l.value for l in found.current], [l.value for l in found.previous]) == (now, before)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        pytest.param("Date Time Na K Cl\n03/05/24 0630 128 6.1 101", [128, 6.1, 101], id="one blank"),
        pytest.param("WBC RBC Hgb Plt\n12.5 3.9 9.1 210", [12.5, 9.1, 210], id="with a test that is not known"),
        pytest.param(
            "| | Na | K |\n|---|---|---|\n| Result | 128 | 6.1 |\n| Reference | 135-145 | 3.5-5.1 |",
            [128, 6.1],
            id="Markdown",
        ),
        pytest.param("Sodium\tPotassium\nmmol/L\tmmol/L\n128\t6.1", [128, 6.1], id="units below"),
        pytest.param("Sodium | Potassium\n128 | pending", [128], id="pending cell"),
        pytest.param("Na K Cl\n128 6.1", [], id="a cell is missing"),
        pytest.param("A1c | Glucose\n6 | 126\n7 | 154", [], id="conversion table"),
        pytest.param("Sodium\nPotassium\n6.1", [], id="names apart, a value missing"),
        pytest.param("Sodium\nCreatinine\n1.9\n128", [], id="values that cannot be"),
        pytest.param(
            "Test | Specimen | Result\nGlucose | Urine | 1000\nGlucose | Serum | 110", [110], id="specimen column"
        ),
    ],
)
def test_tables_are_read_by_column_or_not_at_all(text, values):
    assert [l.value for l in read_labs(text).current] == values


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("Creatinine (U) 95 mg/dL", id="U in brackets"),
        pytest.param("U-Na 20 mmol/L", id="Nordic prefix"),
        pytest.param("Glucose, Ur 1000 mg/dL", id="Ur"),
        pytest.param("Sodium, Urine Random 20 mmol/L", id="urine, random"),
        pytest.param("Glucose 1000 mg/dL, specimen: urine", id="specimen behind"),
        pytest.param("URINE CHEMISTRY\nCreatinine 95 mg/dL\nSodium 20 mmol/L", id="urine chemistry"),
        pytest.param("Specimen: Urine, random\nGlucose 1000 mg/dL", id="specimen line"),
        pytest.param("Study: URINALYSIS\nReport date: 2024-03-05\nGlucose 1000 mg/dL (0-15) H", id="study line"),
        pytest.param("Body fluid cell count\nWBC 500 /uL", id="body fluid"),
        pytest.param("Stool: potassium 40 mmol/L", id="stool"),
        pytest.param("___ 09:40AM URINE Creat-95 Na-20", id="MIMIC's urine"),
        pytest.param("___ 09:40AM ASCITES WBC-250* Albumin-1.1", id="MIMIC's ascites"),
        pytest.param("Leukocytes [#/volume] in Cerebral spinal fluid 5 /uL", id="LOINC's fluid"),
        pytest.param("Glucose [Presence] in Urine 2", id="LOINC's presence"),
        pytest.param("Calcium.ionized [Moles/volume] in Blood 1.1 mmol/L", id="LOINC's ionized calcium"),
        pytest.param("Urea nitrogen/Creatinine [Mass Ratio] in Serum or Plasma 20", id="LOINC's ratio"),
        pytest.param("Reticulocyte hemoglobin 30 pg", id="reticulocyte hemoglobin"),
        pytest.param("Mean platelet volume 10 fL", id="platelet volume"),
        pytest.param("Magnesium, RBC 5.0 mg/dL", id="magnesium in cells"),
        pytest.param("Wonder glucose 183 mg/dL", id="a glucose that nobody knows"),
        pytest.param("TSH receptor antibody 1.5 IU/L", id="antibody"),
        pytest.param("BUN/Creatinine ratio 20", id="ratio"),
        pytest.param("Urea 40 mg/dL", id="urea is no urea nitrogen"),
        pytest.param("A1c of 6.5% or higher is diagnostic of diabetes", id="or higher"),
        pytest.param("Vitamin B12: <200 pg/mL deficient, 200-300 borderline", id="legend of B12"),
        pytest.param("BNP <100 pg/mL makes heart failure unlikely", id="legend of BNP"),
        pytest.param("eGFR 60-89 mildly decreased, 45-59 moderate", id="stages"),
        pytest.param("Potassium TNP 3.5-5.3 mmol/L", id="TNP"),
        pytest.param("Potassium | Canceled | | 3.5-5.1", id="canceled"),
        pytest.param("Hemoglobin A1c: Not performed 4.8-5.6", id="not performed"),
        pytest.param("Potassium | | mmol/L | 3.5-5.1\n5.9 | x", id="empty cell"),
        pytest.param("CALCIUM\n25-OH Vitamin D 30 ng/mL", id="pending, then a number"),
        pytest.param("Troponin I: negative", id="qualitative"),
        pytest.param("Glucose Negative mg/dL", id="negative with unit"),
    ],
)
def test_other_specimens_other_tests_legends_and_pending_results_are_none(text):
    assert read_labs(text).current == []


@pytest.mark.parametrize(
    ("text", "name", "unit", "flag", "loinc"),
    [
        pytest.param("Platelets 90 G/L", "Platelets", "10^9/L", "low", "26515-7", id="G/L"),
        pytest.param("Platelets 250 x 109/L (150-400)", "Platelets", "10^9/L", "normal", "26515-7", id="x 109/L"),
        pytest.param("Platelets 250 x10⁹/L", "Platelets", "10^9/L", "normal", "26515-7", id="10⁹/L"),
        pytest.param("WBC 12.5 thou/uL", "White blood cells", "10^9/L", "high", "26464-8", id="thou/uL"),
        pytest.param("WBC 12.5 x10(3)/mcL", "White blood cells", "10^9/L", "high", "26464-8", id="x10(3)/mcL"),
        pytest.param("WBC 12.500 /mm3 (4.000-10.000)", "White blood cells", "/mm3", "high", "26464-8", id="points"),
        pytest.param("Platelet Count 1,50,000 /cumm", "Platelets", "/mm3", "normal", "26515-7", id="lakhs"),
        pytest.param("Hb 9.5 gm%", "Hemoglobin", "g/dL", "low", "718-7", id="gm%"),
        pytest.param("TSH 5.2 mcIU/mL", "TSH", "mIU/L", "high", "3016-3", id="mcIU/mL"),
        pytest.param("Iron 50 mcg/dL", "Iron", "ug/dL", "low", "2498-4", id="mcg/dL"),
        pytest.param("TSH 2,100 mIU/L (0,450-4,500)", "TSH", "mIU/L", "normal", "3016-3", id="decimal commas"),
        pytest.param("Glucose 5,6 mmol/L", "Glucose", "mmol/L", "high", "14749-6", id="mmol/L"),
        pytest.param("Creatinine 120 µmol/L", "Creatinine", "umol/L", "high", "14682-9", id="µmol/L"),
        pytest.param(
            "Thyrotropin [Units/volume] in Serum or Plasma 12.1 m[IU]/L", "TSH", "mIU/L", "high", "3016-3", id="UCUM"
        ),
        pytest.param("Potassium 6.1 Critical High mmol/L", "Potassium", "mmol/L", "high", "2823-3", id="critical high"),
        pytest.param("Sodium ↓ 128 mmol/L", "Sodium", "mmol/L", "low", "2951-2", id="arrow before"),
        pytest.param("HEMOGLOBIN A1c 6.1 H <5.7 % of total Hgb", "HbA1c", "%", "high", "4548-4", id="of total"),
        pytest.param("EGFR 45 > OR = 60 mL/min/1.73m2", "eGFR", "mL/min/1.73 m2", "low", "69405-9", id="or equal"),
    ],
)
def test_units_flags_and_loinc_numbers(text, name, unit, flag, loinc):
    (lab,) = read_labs(text).current
    assert (lab.name, lab.unit, lab.flag, lab.loinc) == (name, unit, flag, loinc)


def test_a_name_is_mended_in_text_that_ocr_read_only():
    row = "Potasium 5.9 mmol/L (3.5-5.1)\nCalcitonin 12 pg/mL (0-10)\nNT-proANP 900 pg/mL (0-125)"
    typed, scanned = structure_text(row), structure_text(row, format="image", ocr_confidence=[90.0])
    assert (typed.labs, results(scanned.labs)) == ([], [("Potassium", 5.9)])


def test_a_critical_result_of_a_doubtful_layout_is_marked():
    (lab,) = [l for l in read_labs("Potassium\nSodium\n6.9\n128").current if l.critical]
    assert (lab.name, lab.doubtful) == ("Potassium", True)
    (lab,) = read_labs("Potassium 6.9 mmol/L").current
    assert lab.critical and not lab.doubtful
