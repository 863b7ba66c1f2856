"Patients who opted out: none of their reports is written, whatever a report says of them, and nothing is kept of them."

import json
import shutil

import pytest

from medllm_nb.core import (
    DeidReport,
    EncryptedCache,
    EngineParams,
    GoldReport,
    Report,
    kept_results,
    load_key,
    read_records,
)
from medllm_nb.deidentify import DeidentifyParams, patient_key
from medllm_nb.deidentify.stage import run_deidentify
from medllm_nb.ingest import ExcludedReport, ExclusionError, IngestParams, LedgerEntry, Quarantined, run_ingest
from medllm_nb.sample import make_patient, write_sample

ONE = EngineParams(workers=1)
WHO = make_patient(20240314, 0)
LIST = IngestParams(exclude="list.csv")
STRIP = f"Patient: {WHO.first} {WHO.last}\nDate of birth: {WHO.dob}\n\nECG: sinus rhythm, no acute changes.\n"
HEAD = "mrn,name,birth_date\n"


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    "A sample that has been read, with a report of the first patient that has no record number."
    root = tmp_path_factory.mktemp("sample")
    (root / "params.yaml").write_text("{}\n")
    gold = write_sample(root / "data", 6)
    (root / "data/reports/text/strip.txt").write_text(STRIP)
    (root / f"data/reports/{WHO.first}_{WHO.last}.txt").write_text("see")
    return root, gold, run_ingest(IngestParams(), root, ONE)


@pytest.fixture
def drawer(sample, tmp_path):
    "A copy of it."
    shutil.copytree(sample[0], tmp_path, dirs_exist_ok=True)
    return tmp_path


def records(root, what, cls):
    return read_records(root / "artifacts/ingest" / what, cls, load_key("phi-at-rest"))


def exclude(root, text):
    (root / "list.csv").write_text(HEAD + text, encoding="utf-8")
    return run_ingest(LIST, root, ONE)


def all_kept(root):
    "All that the cache of ingest holds, as text."
    folder, key = root / "artifacts/.cache/ingest", load_key("phi-at-rest")
    caches = (EncryptedCache(folder, key, ""), EncryptedCache(folder / "pages", key, ""))
    return [json.dumps(result) for cache in caches for _, result in kept_results(cache)]


@pytest.mark.parametrize(
    "row, reason",
    [
        (f"{WHO.mrn},,", "mrn"),
        (f"{int(WHO.mrn)},,", "mrn"),
        (f"{WHO.mrn[:2]}-{WHO.mrn[2:]},,", "mrn"),
        (f',"{WHO.last}, {WHO.first}",{WHO.dob:%m/%d/%Y}', "name"),
        (f',"{WHO.last.upper()}, {WHO.first.lower()}",{WHO.dob:%d.%m.%Y}', "name"),
        (f',Mrs. {WHO.first.replace("a", "á")} {WHO.last},"{WHO.dob:%B %d, %Y}"', "name"),
        (f",{WHO.first} {WHO.middle}. {WHO.last},{WHO.dob:%Y%m%d}", "name"),
        (f"{WHO.mrn},{WHO.first} {WHO.last},{WHO.dob}", "mrn"),
    ],
)
def test_all_reports_of_a_patient_who_opted_out_are_taken_out(sample, drawer, row, reason):
    _, gold, before = sample
    metrics = exclude(drawer, row + "\n")
    own = sum(g.patient_id == WHO.patient_id for g in gold) + 1
    assert metrics["excluded.reports"] == own == before["reports"] - metrics["reports"]
    assert metrics["excluded.patients"] == 1 and metrics["excluded.rows_without_report"] == 0
    counts = [metrics[f"excluded.by_{r}"] for r in ("mrn", "name_and_birth_date", "link")]
    assert sum(counts) == own and counts[0 if reason == "mrn" else 1] > 0
    names = {r.patient_id for r in records(drawer, "reports", Report)}
    assert len(names) == before["patients"] - 1
    assert not any(WHO.mrn in r.text or STRIP[9:20] in r.text for r in records(drawer, "reports", Report))
    assert not any(g.patient_id == WHO.patient_id for g in records(drawer, "gold", GoldReport))


def test_nothing_is_kept_of_them(drawer):
    metrics = exclude(drawer, f"{WHO.mrn},{WHO.first} {WHO.last},{WHO.dob}\n")
    assert WHO.mrn not in {e.patient_id for e in records(drawer, "patients", LedgerEntry)}
    assert metrics["excluded.files_set_aside"] == 1
    assert not any(WHO.last in q.source for q in records(drawer, "quarantine", Quarantined))
    assert not any(WHO.mrn in kept or WHO.last in kept for kept in all_kept(drawer))
    assert len(records(drawer, "excluded", ExcludedReport)) == metrics["excluded.reports"]
    told = json.dumps(metrics)
    assert not any(value in told for value in (WHO.mrn, WHO.last, str(WHO.dob)))


def test_the_others_are_read_from_the_cache_as_before(sample, drawer):
    exclude(drawer, f"{WHO.mrn},,\n")
    again = run_ingest(LIST, drawer, ONE)
    others = [r for r in records(sample[0], "reports", Report) if r.patient_id != WHO.mrn]
    assert records(drawer, "reports", Report) == others
    assert again["from_cache"] > 0 and again["excluded.reports"] == 3


def test_later_stages_do_not_know_them_and_their_cache_is_emptied(drawer):
    params = DeidentifyParams(detectors=["rules"], compare_stock=False)
    before = run_deidentify(params, drawer, ONE)
    kept = lambda: len(list((drawer / "artifacts/.cache/deidentify").glob("*.enc")))
    of_all = kept()
    metrics = exclude(drawer, f"{WHO.mrn},,\n")
    after = run_deidentify(params, drawer, ONE)
    gone = metrics["excluded.reports"]
    assert (
        before["reports"] - after["reports"] == of_all - kept() == gone == after["from_cache"] - after["reports"] + gone
    )
    keys = {r.patient_key for r in read_records(drawer / "artifacts/deidentify/reports", DeidReport)}
    assert patient_key(load_key("surrogates"), WHO.mrn) not in keys and len(keys) == 5


def test_a_row_that_means_nobody_is_counted_and_told_by_its_line_alone(drawer):
    with pytest.warns(UserWarning, match="list.csv, line 3") as told:
        metrics = exclude(drawer, f"{WHO.mrn},,\n999888777,Zoe Nobody,1990-01-01\n")
    assert metrics["excluded.rows"] == 2 and metrics["excluded.rows_without_report"] == 1
    assert not any("Nobody" in str(w.message) or "999888777" in str(w.message) for w in told)


def test_the_number_of_a_person_with_another_name_is_not_enough(drawer):
    with pytest.warns(UserWarning, match="line 2"):
        assert exclude(drawer, f"{WHO.mrn},Xavier Quirk,1990-01-01\n")["excluded.reports"] == 0


@pytest.mark.parametrize(
    "text, told",
    [
        ("mrn,nam,birth_date\n", "line 1: this line must name the columns mrn, name, birth_date"),
        ("Zoe Quirk,1990-01-01,\n", "line 1: this line must name"),
        ("", "empty"),
        (HEAD + "1234567,,\n,Zoe Quirk,\n", "line 3: a row needs mrn, or name and birth_date"),
        (HEAD + ",,1990-01-01\n", "line 2: a row needs"),
        (HEAD + ",Quirk,1990-01-01\n", "line 2: name needs a first and a last name"),
        (HEAD + ",Zoe Quirk,1990-13-41\n", "line 2: birth_date is no date"),
        (HEAD + ",Zoe Quirk,1990\n", "line 2: birth_date is no date"),
        (HEAD + ",Quirk, Zoe,1990-01-01\n", "line 2: more cells than columns"),
        (HEAD + "Zoe Quirk,1234567,\n", "line 2: mrn has no digit"),
        ("# salt\nmrn;name;birth_date\n12;;\n", "line 3: mrn has fewer than three digits"),
    ],
)
def test_a_slip_in_the_list_is_told_by_file_and_line_before_anything_is_read(tmp_path, text, told):
    (tmp_path / "params.yaml").write_text("{}\n")
    (tmp_path / "list.csv").write_text(text)
    with pytest.raises(ExclusionError, match=told) as caught:
        run_ingest(LIST, tmp_path, ONE)
    assert "list.csv" in str(caught.value)
    assert not any(value in str(caught.value) for value in ("Zoe", "Quirk", "1990-", "1234567"))


def test_a_list_that_is_not_there_is_an_error(tmp_path):
    (tmp_path / "params.yaml").write_text("{}\n")
    with pytest.raises(FileNotFoundError, match="exluded.csv"):
        run_ingest(IngestParams(exclude="exluded.csv"), tmp_path, ONE)


def test_a_folder_holds_any_number_of_lists(drawer):
    (drawer / "excluded").mkdir()
    (drawer / "excluded/README.md").write_text("no list")
    assert "excluded.rows" not in run_ingest(IngestParams(), drawer, ONE)
    (drawer / "excluded/a.csv").write_text(f"mrn\n{WHO.mrn}\n")
    (drawer / "excluded/b.csv").write_text(HEAD + f"{make_patient(20240314, 1).mrn},,\n")
    assert run_ingest(IngestParams(), drawer, ONE)["excluded.patients"] == 2
