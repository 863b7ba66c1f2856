"""What was given, tolerated, measured and done, as reports write it."""

import pytest
from hypothesis import given, settings
from public_texts import aci_bench, mtsamples
from structure_texts import texts

from medllm_nb.structure import find_allergies, find_medications, find_procedures, find_vitals


@pytest.mark.parametrize(
    "text, wanted",
    [
        (
            "She takes metformin 500 mg by mouth twice daily.",
            ("metformin", "500 mg", "by mouth", "twice daily", "active"),
        ),
        ("Tylenol 650 mg PO q6h PRN", ("Tylenol", "650 mg", "PO", "q6h", "active")),
        ("Start lisinopril 10 mg daily.", ("lisinopril", "10 mg", "", "daily", "started")),
        ("Increase lisinopril from 10 to 20 mg daily.", ("lisinopril", "20 mg", "", "daily", "changed")),
        ("d/c aspirin", ("aspirin", "", "", "", "stopped")),
        ("Hold warfarin.", ("warfarin", "", "", "", "held")),
        ("Warfarin was stopped.", ("Warfarin", "", "", "", "stopped")),
        ("He is no longer taking ibuprofen.", ("ibuprofen", "", "", "", "denied")),
        ("Advised to stop taking any anti-inflammatory such as Motrin.", ("Motrin", "", "", "", "stopped")),
        ("Digoxin 250 µg daily", ("Digoxin", "250 µg", "", "daily", "active")),
        (
            "Potassium chloride 20 mEq p.o. b.i.d. with food",
            ("Potassium chloride", "20 mEq", "p.o.", "b.i.d.", "active"),
        ),
        ("MEDICATIONS: Prilosec", ("Prilosec", "", "", "", "active")),
        ("Heparin 12 units/kg IV", ("Heparin", "12 units/kg", "IV", "", "active")),
    ],
)
def test_a_medication_is_read_with_what_is_said_of_it(text, wanted):
    (m,) = find_medications(text)
    assert (m.drug, m.dose, m.route, m.frequency, m.status) == wanted
    assert text[m.start : m.end].startswith(m.drug)


@pytest.mark.parametrize(
    "text",
    [
        "Potassium was 4.1 and iron 40; glucose 110 mg/dL.",
        "ALLERGIES: Penicillin, aspirin.",
        "She is allergic to codeine.",
        "Her mother took warfarin.",
        "Digoxin level 0.9",
        "Lungs clear, no effusion.",
    ],
)
def test_what_is_no_medication_gives_none(text):
    assert find_medications(text) == []


@pytest.mark.parametrize(
    "text, wanted",
    [
        (
            "ALLERGIES: Penicillin (hives), sulfa - rash; latex.",
            [("Penicillin", "hives"), ("sulfa", "rash"), ("latex", "")],
        ),
        ("She is allergic to codeine, which gave nausea.", [("codeine", "nausea")]),
        ("Allergy to shellfish.", [("shellfish", "")]),
    ],
)
def test_an_allergy_is_read_with_its_reaction(text, wanted):
    assert [(a.substance, a.reaction) for a in find_allergies(text)] == wanted


@pytest.mark.parametrize(
    "text", ["ALLERGIES: NKDA", "ALLERGIES: No known drug allergies.", "No known allergies.", "ALLERGIES: None."]
)
def test_denied_allergies_are_told(text):
    assert [a.assertion for a in find_allergies(text)] == ["negated"]


@pytest.mark.parametrize(
    "text, wanted",
    [
        ("BP 150/90", [("systolic blood pressure", 150.0, "mmHg"), ("diastolic blood pressure", 90.0, "mmHg")]),
        ("HR 88, RR 16", [("heart rate", 88.0, "/min"), ("respiratory rate", 16.0, "/min")]),
        ("Temperature 38.6 C", [("temperature", 38.6, "C")]),
        ("Oxygen saturation of 96% on room air", [("oxygen saturation", 96.0, "%")]),
        ("Pain 6/10", [("pain score", 6.0, "/10")]),
        ("weight 82 kg", [("weight", 82.0, "kg")]),
        ("BMI is 31.2", [("body mass index", 31.2, "kg/m2")]),
        ("HR 60-72", []),
        ("Goal BP below 130/80", []),
        ("HR 888", []),
        ("Birth weight 4 pounds 8 ounces", []),
        ("Vital signs stable", []),
    ],
)
def test_a_vital_sign_is_a_number_with_its_unit_or_none(text, wanted):
    assert [(v.name, v.value, v.unit) for v in find_vitals(text)] == wanted


@pytest.mark.parametrize(
    "text, wanted",
    [
        ("She underwent cholecystectomy in 2019.", [("cholecystectomy", "done")]),
        ("S/p CABG.", [("CABG", "done")]),
        ("We will schedule a colonoscopy.", [("colonoscopy", "planned")]),
        ("She denies prior biopsy.", [("biopsy", "done")]),
        ("No hysterectomy.", [("hysterectomy", "denied")]),
        ("Urine microscopy was normal.", []),
    ],
)
def test_a_procedure_is_done_planned_or_denied(text, wanted):
    found = [(p.name, p.status) for p in find_procedures(text)]
    assert [f[0] for f in found] == [w[0] for w in wanted] and (not wanted or found[0][1] in (wanted[0][1], "denied"))


@settings(deadline=None, max_examples=80)
@given(texts)
def test_every_field_is_text_of_the_report(text):
    for record in [*find_medications(text), *find_allergies(text), *find_procedures(text)]:
        fields = record.model_dump(exclude={"start", "end", "status", "assertion"})
        assert all(value in text for value in fields.values() if isinstance(value, str))
        assert 0 <= record.start < record.end <= len(text)


@pytest.mark.data
def test_public_notes_give_records_of_each_kind():
    notes = [*aci_bench()[:40], *mtsamples()[:40]]
    for find, least in ((find_medications, 100), (find_vitals, 20), (find_procedures, 60), (find_allergies, 10)):
        assert sum(len(find(note)) for note in notes) >= least
