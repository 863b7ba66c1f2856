"A typo in a file that a clinician edits is an error with file, key and line."

import pytest
from conftest import ROOT

from medllm_nb.core import DataFileError, parse_data
from medllm_nb.structure import tables

DATA = ROOT / "medllm_nb" / "structure" / "data"


@pytest.mark.parametrize(
    ("name", "schema", "old", "new", "said"),
    [
        pytest.param("labs.yaml", "LabsFile", "low: 12, high: 17", "low: 21, high: 17", "tests.Hemoglobin", id="range"),
        pytest.param("labs.yaml", "LabsFile", "low: 12, high: 17", "low: 12, hgih: 17", "hgih", id="key of a test"),
        pytest.param("labs.yaml", "LabsFile", "low: 12,", "low: twelve,", "tests.Hemoglobin.low", id="no number"),
        pytest.param("labs.yaml", "LabsFile", "  Lactate: [~", "  Lactat: [~", "'Lactat'", id="name of a test"),
        pytest.param("labs.yaml", "LabsFile", "critical:", "criticl:", "criticl", id="name of a table"),
        pytest.param("headings.yaml", "HeadingsFile", "  allergies: [", "  alergies: [", "alergies", id="section"),
        pytest.param(
            "headings.yaml", "HeadingsFile", "clinical details,", "clinical details, plan,", "'plan'", id="twice"
        ),
        pytest.param("assertion.yaml", "CuesFile", "  after: >-", "  afer: >-", "hypothetical.afer", id="direction"),
        pytest.param("assertion.yaml", "CuesFile", "family|^fhx$", "family|(^fhx$", "headings.family", id="expression"),
        pytest.param("abbreviations.yaml", "AbbreviationsFile", "plain:", "plian:", "plian", id="kind"),
        pytest.param(
            "specialties.yaml",
            "SpecialtiesFile",
            "  cardiology: 'card",
            "  cardiolgy: 'card",
            "cardiolgy",
            id="kind of report",
        ),
        pytest.param("terms.yaml", "TermsFile", "  I10: hyper", "  10: hyper", "everyday", id="code"),
        pytest.param("terms.yaml", "TermsFile", "[of, the,", "[on, the,", "weightless", id="on is true in YAML"),
    ],
)
def test_a_typo_is_told_with_its_place(name, schema, old, new, said):
    text = (DATA / name).read_text(encoding="utf-8")
    assert old in text
    with pytest.raises(DataFileError) as error:
        parse_data(text.replace(old, new, 1), getattr(tables, schema), name)
    assert str(error.value).startswith(f"{name}, line ") and said in str(error.value)


def test_another_list_of_abbreviations_is_read_and_checked(tmp_path):
    house = tmp_path / "house.yaml"
    house.write_text("plain:\n  RRW: resting right wrist\n")
    assert tables.abbreviation_table(str(house)).plain == {"RRW": "resting right wrist"}
    broken = tmp_path / "broken.yaml"
    broken.write_text("plain: [RRW]\n")
    with pytest.raises(DataFileError, match="broken.yaml, line 1, plain"):
        tables.abbreviation_table(str(broken))
