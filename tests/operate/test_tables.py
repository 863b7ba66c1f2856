"""`medllm tables`: what the structure stage found, for other programs."""

import json

import pandas as pd
import pytest
from fhir.resources.R4B import get_fhir_model_class
from typer.testing import CliRunner

from medllm_nb.core import DeidReport, StructuredReport, write_records
from medllm_nb.operate.cli import app
from medllm_nb.operate.tables import run_tables
from medllm_nb.structure import structure_report

TEXT = """Report date: 2024-03-05
ALLERGIES: Penicillin (rash).
MEDICATIONS: Metformin 500 mg p.o. b.i.d.
VITALS: BP 150/90.
LABS: Ferritin 6 ng/mL (20-300), potassium 6.1 mmol/L
HISTORY: She underwent cholecystectomy.
DIAGNOSIS: Iron deficiency anemia (D50.9)
IMPRESSION: No pneumonia. =SUM(A1) is no formula."""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    reports = [
        structure_report(DeidReport(report_id=f"r{n}", patient_key=f"{n:016x}", format="txt", text=TEXT))
        for n in (2, 1)
    ]
    write_records(tmp_path / "artifacts" / "structure" / "reports", reports, StructuredReport)
    (tmp_path / "params.yaml").write_text("")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_each_record_is_a_row_with_patient_date_and_place(folder):
    counts = run_tables("tables", folder)
    labs = pd.read_csv(folder / "tables" / "labs.csv", dtype={"patient_key": str})
    assert labs.loc[0, ["patient_key", "report_id", "report_date", "name", "value", "unit"]].tolist() == [
        f"{1:016x}", "r1", "2024-03-05", "Ferritin", 6.0, "ng/mL",
    ]  # fmt: skip
    assert [TEXT[row.start : row.end][:8] for row in labs.itertuples()] == ["Ferritin", "potassiu"] * 2
    wanted = {"labs": 4, "medications": 2, "allergies": 2, "vitals": 4, "procedures": 2, "diagnoses": 2, "reports": 2}
    assert wanted.items() <= counts.items()
    assert pd.read_parquet(folder / "tables" / "labs.parquet").shape == labs.shape
    book = pd.read_excel(folder / "tables" / "tables.xlsx", sheet_name=None, dtype={"patient_key": str})
    assert set(book) >= set(wanted) and book["medications"].loc[0, "dose"] == "500 mg"


def test_fhir_resources_are_valid_and_refer_to_their_patient(folder):
    run_tables("tables", folder)
    kinds = {}
    for path in (folder / "tables" / "fhir").glob("*.ndjson"):
        for line in path.read_text().splitlines():
            resource = json.loads(line)
            get_fhir_model_class(resource["resourceType"]).model_validate(resource)
            kinds[path.stem] = kinds.get(path.stem, 0) + 1
            assert resource["resourceType"] == path.stem
            if path.stem != "Patient":
                subject = resource.get("subject") or resource["patient"]
                assert subject["reference"].startswith("Patient/00000000")
    assert kinds["Patient"] == 2 and kinds["Observation"] == 8 and kinds["MedicationStatement"] == 2
    assert {"Condition", "AllergyIntolerance", "Procedure"} <= kinds.keys()


def test_omop_tables_have_the_standards_columns(folder):
    run_tables("tables", folder)
    note = pd.read_csv(folder / "tables" / "omop" / "note.csv")
    terms = pd.read_csv(folder / "tables" / "omop" / "note_nlp.csv")
    assert list(note.columns[:5]) == ["note_id", "person_id", "note_date", "note_datetime", "note_type_concept_id"]
    assert note["person_id"].tolist() == [1, 2] and set(terms["note_id"]) == {1, 2}
    pneumonia = terms[terms["lexical_variant"].str.lower() == "pneumonia"]
    assert set(pneumonia["term_exists"]) == {"N"}


def test_the_same_reports_give_the_same_bytes_and_an_earlier_folder_is_replaced(folder):
    run_tables("tables", folder)
    read = lambda: {
        p.name: p.read_bytes() for p in (folder / "tables").rglob("*.*") if p.suffix in (".csv", ".ndjson", ".parquet")
    }
    first = read()
    (folder / "tables" / "old.csv").write_text("x")
    run_tables("tables", folder)
    assert read() == first


def test_the_command_prints_the_rows_and_says_what_is_missing(folder):
    result = CliRunner().invoke(app, ["tables", "out"])
    assert result.exit_code == 0 and "labs" in result.output and (folder / "out" / "README.txt").exists()
    (folder / "artifacts" / "structure" / "reports").rename(folder / "elsewhere")
    result = CliRunner().invoke(app, ["tables", "out"])
    assert result.exit_code == 1
