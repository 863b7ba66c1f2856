"A patient stays who it is: the same id, the same key and the same set, whatever reports come later."

import random

import pytest
from hypothesis import given, settings, strategies as st

from medllm_nb.core import (
    EngineParams,
    Example,
    Message,
    Report,
    StructuredReport,
    load_key,
    read_records,
    write_records,
)
from medllm_nb.ingest import IngestParams, extend_ledger, link_patients, run_ingest, same_patient
from medllm_nb.ingest.patients import matches
from medllm_nb.instruct.assignment import SPLITS, SplitParams
from medllm_nb.instruct.split import run_split
from medllm_nb.deidentify.surrogates import patient_key

NAMES = [
    f"{last}, {first}"
    for last in ("Zwingli", "Okonkwo", "Brandt", "Castellano", "Dubois", "Eriksen")
    for first in ("Ana", "Bogdan", "Chiara", "Dmitri", "Edda")
]


def number(patient):
    return f"{7000 + 97 * patient:08d}"


def letter(patient, seed, name=True, mrn=False):
    words = " ".join(random.Random(f"{patient}/{seed}").sample([f"finding{i}" for i in range(2000)], 30))
    fields = [f"Patient: {NAMES[patient]}", f"DOB: {1930 + patient}-03-14"] * name + [f"MRN: {number(patient)}"] * mrn
    return "\n".join([*fields, f"Impression: {words}."])


@pytest.fixture
def project(tmp_path):
    (tmp_path / "params.yaml").write_text("{}\n")
    (tmp_path / "data" / "reports").mkdir(parents=True)
    return tmp_path


def ingest(root, files):
    "Write files, read all, hand them on as the stages between do; patient_id by report's source."
    for name, text in files.items():
        (root / "data" / "reports" / name).write_text(text)
    run_ingest(IngestParams(), root, EngineParams(workers=1))
    reports = read_records(root / "artifacts/ingest/reports", Report, load_key("phi-at-rest"))
    keyed = [
        StructuredReport(
            report_id=r.report_id,
            patient_key=patient_key(load_key("surrogates"), r.patient_id),
            format="txt",
            specialty="other",
            text=r.text.split("Impression: ")[1],
        )
        for r in reports
    ]
    examples = [
        Example(
            example_id=f"e{r.report_id}",
            report_id=r.report_id,
            patient_key=r.patient_key,
            specialty="other",
            task="summary",
            prompt=[Message(role="user", content="?")],
            completion=[Message(role="assistant", content="!")],
        )
        for r in keyed
    ]
    write_records(root / "artifacts/structure/reports", keyed, StructuredReport)
    write_records(root / "artifacts/instruct/examples", examples, Example)
    return {r.source: r.patient_id for r in reports}


def split(root):
    "Set by report's source."
    run_split(SplitParams(), root)
    reports = read_records(root / "artifacts/ingest/reports", Report, load_key("phi-at-rest"))
    sources = {r.report_id: r.source for r in reports}
    sets = {name: read_records(root / "artifacts/split" / name, Example) for name in SPLITS}
    return {sources[e.report_id]: name for name, examples in sets.items() for e in examples}


def test_a_record_number_that_comes_later_moves_nobody(project):
    who = ingest(project, {f"{p}-{i}.txt": letter(p, i) for p in range(20) for i in range(2)})
    sides = split(project)
    ledger = {p.name: p.read_bytes() for p in (project / "artifacts/ingest/patients").iterdir()}
    assert not any(b"wingli" in content.lower() for content in ledger.values())
    ingest(project, {})
    assert ledger == {p.name: p.read_bytes() for p in (project / "artifacts/ingest/patients").iterdir()}, (
        "the same reports, another ledger"
    )
    later = ingest(
        project,
        {f"{p}-new.txt": letter(p, "new", mrn=True) for p in range(0, 20, 3)}
        | {f"{p}-0.txt": letter(p, 0) for p in range(20, 24)},
    )
    assert who.items() <= later.items(), "a patient_id changed"
    assert all(later[f"{p}-new.txt"] == later[f"{p}-0.txt"] for p in range(0, 20, 3))
    after = split(project)
    assert sides.items() <= after.items(), "a report changed sides"
    assert all(after[f"{p}-new.txt"] == after[f"{p}-0.txt"] for p in range(0, 20, 3))


def test_a_misread_number_renames_nobody(project):
    who = ingest(project, {f"{p}.txt": letter(p, 0, mrn=True) for p in range(6)})
    later = ingest(project, {"scan.txt": letter(2, "scan", mrn=True).replace("00007194", "00001194")})
    assert who.items() <= later.items() and later["scan.txt"] == who["2.txt"]


def test_a_table_that_grows_keeps_its_patients(project):
    "All its rows get other report ids, since a row is known by its file."
    table = lambda texts: "text\n" + "".join(f'"{text}"\n' for text in texts)
    rows = [letter(p, 0, mrn=p % 2 == 0) for p in range(8)]
    who = ingest(project, {"export.csv": table(rows)})
    later = ingest(project, {"export.csv": table([letter(9, 0), letter(1, "new", mrn=True), *rows])})
    assert [who[f"export.csv#{i}"] for i in range(8)] == [later[f"export.csv#{i + 2}"] for i in range(8)]
    assert later["export.csv#1"] == who["export.csv#1"]


@pytest.mark.parametrize("larger", ["train", "test"])
def test_two_patients_found_to_be_one_never_bring_a_tested_report_into_training(project, larger):
    "One known by name and birth date, one by record number, on different sides; then a report says that they are one."
    named = {f"n{p}.txt": letter(p, "a") for p in range(20)}
    numbered = {f"m{p}.txt": letter(p, "b", name=False, mrn=True) for p in range(20)}
    ingest(project, named | numbered)
    sides = split(project)
    tested = next(name for name, side in sides.items() if side == "test")
    trained = next(name for name, side in sides.items() if side == "train" and name[0] != tested[0])
    p, q = (int(name[1:-4]) for name in sorted((tested, trained), reverse=True))  # the named one, the numbered one
    more = trained if larger == "train" else tested
    who = ingest(project, {"more.txt": letter(p, "c") if more[0] == "n" else letter(q, "c", name=False, mrn=True)})
    sides = split(project)
    assert sides["more.txt"] == larger and who[tested] != who[trained]
    later = ingest(project, {"both.txt": letter(p, "d").replace("Impression", f"MRN: {number(q)}\nImpression")})
    assert {later[name] for name in (tested, trained, "more.txt", "both.txt")} == {who[more]}
    for after in (split(project), split(project)):
        assert after.items() <= (sides | {"both.txt": "test"}).items(), "a report changed sides"
        assert after["both.txt"] == after[tested] == "test"
        left_out = {trained, "more.txt"} if larger == "train" else {trained}
        assert sides.keys() - after.keys() == left_out


def test_another_key_does_not_forget_who_is_who(project, monkeypatch):
    ingest(project, {"a.txt": letter(0, 0)})
    before = {p: p.read_bytes() for p in (project / "artifacts/ingest").rglob("*") if p.is_file()}
    monkeypatch.setenv("MEDLLM_KEY", "another key of more than thirty-two characters")
    with pytest.raises(RuntimeError, match="ledger of patients, does not open"):
        run_ingest(IngestParams(), project, EngineParams(workers=1))
    assert before == {p: p.read_bytes() for p in (project / "artifacts/ingest").rglob("*") if p.is_file()}


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 5), st.booleans(), st.booleans()), min_size=2, max_size=16),
    st.integers(0, 16),
    st.randoms(),
)
def test_reports_added_in_any_order_keep_every_patient_that_did_not_merge(drawn, cut, rng):
    reports = [
        Report(report_id=f"r{i:02d}", patient_id="", source=f"{i}", format="txt", text=letter(p, i, name, mrn))
        for i, (p, name, mrn) in enumerate(drawn)
    ]
    first, ids = reports[:cut], lambda linked: {r.report_id: r.patient_id for r in linked}
    ledger = extend_ledger({}, first, link_patients(first))
    known, after = ids(link_patients(first)), ids(link_patients(reports, ledger))
    for name in set(known.values()):
        heirs = {after[r] for r in known if known[r] == name}
        assert len(heirs) == 1, "one patient became two"
        assert heirs == {name} or heirs <= set(known.values()), "a patient got an id that nobody had"
    rng.shuffle(reports)
    assert ids(link_patients(reports, ledger)) == after
    done = extend_ledger(ledger, reports, link_patients(reports, ledger))
    assert ids(link_patients(reports, done)) == after
    assert extend_ledger(done, reports, link_patients(reports, done)) == done


def test_no_match_is_missed_for_not_being_compared():
    draw = random.Random(3)
    names = ["margaret oconnell", "margret oconnell", "john foley", "jon foley", ""]
    days = ["1950-03-14", "1950-03-15", ""]
    numbers = ["00123456", "00128456", "0123456", "00123457", ""]
    fields = [
        {"name": draw.choice(names), "dob": draw.choice(days), "mrn": draw.choice(numbers), "head": draw.choice(names)}
        for _ in range(120)
    ]
    every = {(i, j) for j in range(120) for i in range(j) if same_patient(fields[i], fields[j])}
    assert every and matches(fields) == every
