"Codes of mentions against labels given by hand, findings beside mentions, and the folder of a SNOMED CT release."

from pathlib import Path

import pytest
from conftest import ROOT
from public_texts import aci_bench, mtsamples

from medllm_nb.structure.concepts import find_concepts, find_findings
from medllm_nb.structure.sections import find_sections
from medllm_nb.structure.terms import CLINICAL_FINDING, FULLY_SPECIFIED_NAME, IS_A, TERMINOLOGY


@pytest.mark.data
def test_most_codes_are_the_concept_that_a_person_reads_there(monkeypatch):
    mtsamples(), aci_bench()
    monkeypatch.syspath_prepend(ROOT / "bench")
    from structure_real import gold_mentions

    found, standing = {}, []
    for text, r in gold_mentions("concept_gold.csv"):
        if text not in found:
            found[text] = {(m.start, m.end): m.code for m in find_concepts(text)}
        if found[text].get((r["start"], r["end"])) == r["code"]:
            standing.append(r["label"])
    assert len(standing) > 170 and standing.count("right") / len(standing) >= 0.85


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param(
            "No chest pain, fever present.",
            {"chest pain": "negated", "fever": "present"},
            id="No_chest_pain_fever_present.",
        ),
        pytest.param(
            "Denies cough, reports fever.", {"cough": "negated", "fever": "present"}, id="Denies_cough_reports_fever."
        ),
        pytest.param(
            "No edema and she has cough.", {"edema": "negated", "cough": "present"}, id="No_edema_and_she_has_cough."
        ),
        pytest.param(
            "No chest pain, fever or edema.",
            {"chest pain": "negated", "fever": "negated", "edema": "negated"},
            id="No_chest_pain_fever_or_edema.",
        ),
        pytest.param(
            "Denies fever, has no cough.", {"fever": "negated", "cough": "negated"}, id="Denies_fever_has_no_cough."
        ),
    ],
)
def test_findings_and_concepts_say_the_same_of_a_symptom(text, said):
    report = "EXAMINATION: " + text
    sections = find_sections(report)
    findings = find_findings(report, sections)
    assert {m.text.lower(): m.assertion for m in find_concepts(report, sections)} == said
    for symptom, assertion in said.items():
        (finding,) = [f for f in findings if symptom in f.text.lower()]
        assert finding.assertion == assertion, findings


def write_release(folder):
    "A release of one invented concept."
    rows = {
        "Concept": [("id", "active"), (CLINICAL_FINDING, "1"), ("101", "1")],
        "Description": [
            ("active", "conceptId", "typeId", "term"),
            ("1", "101", FULLY_SPECIFIED_NAME, "Blue fever (disorder)"),
        ],
        "Relationship": [
            ("active", "sourceId", "destinationId", "typeId"),
            ("1", "101", CLINICAL_FINDING, IS_A),
        ],
    }
    for kind, lines in rows.items():
        text = "\n".join("\t".join(line) for line in lines) + "\n"
        (folder / f"sct2_{kind}_Snapshot_INT_20260101.txt").write_text(text)


def test_a_folder_with_a_release_codes_in_snomed_ct(tmp_path):
    write_release(tmp_path)
    (mention,) = find_concepts("FINDINGS: Blue fever, pneumonia.", snomed=str(tmp_path))
    assert (mention.text, mention.code, mention.system) == ("Blue fever", "101", "SNOMED CT")


@pytest.mark.parametrize(
    "snomed",
    [
        pytest.param("", id="none named"),
        pytest.param(TERMINOLOGY, id="the repository's own folder"),
        pytest.param(str(ROOT / "docs"), id="a folder without a release"),
    ],
)
def test_without_a_release_it_is_icd_10_cm(snomed):
    if snomed == TERMINOLOGY and list((ROOT / TERMINOLOGY).rglob("sct2_*")):
        pytest.skip("a release lies in terminology/")
    assert [m.code for m in find_concepts("FINDINGS: Pneumonia.", snomed=snomed)] == ["J18.9"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        pytest.param("no-such-folder", "no-such-folder is not there", id="no folder"),
        pytest.param("SnomedCT.zip", "must name an unpacked RF2 release", id="an archive still packed"),
        pytest.param("sct2_Concept_Snapshot_INT.txt", "is no RF2 Concept file", id="an empty file"),
    ],
)
def test_half_a_release_is_an_error(tmp_path, name, said):
    folder = tmp_path
    if name == "no-such-folder":
        folder = Path(name)
    else:
        (tmp_path / name).write_text("x\n")
    with pytest.raises((FileNotFoundError, ValueError), match=said):
        find_concepts("FINDINGS: Pneumonia.", snomed=str(folder))


def test_terminology_is_a_folder_of_the_repository():
    "params.yaml names it, and DVC depends on it."
    assert (ROOT / TERMINOLOGY / "README.md").is_file()
