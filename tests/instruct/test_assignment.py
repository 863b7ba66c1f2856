"""No patient and no near-duplicate crosses a border, whatever the corpus looks like."""

import random

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from medllm_nb.core import DeidReport, Example, Message, SPECIALTIES, StructuredReport
from medllm_nb.instruct.near_duplicates import jaccard, shingles
from medllm_nb.instruct.assignment import (
    SPLITS,
    SplitParams,
    assign_groups,
    check_split,
    near_duplicate_reports,
    split_examples,
)
from medllm_nb.structure.reports import structure_report

relaxed = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
WORDS = [f"word{i}" for i in range(4000)]


def prose(seed, words=60):
    return " ".join(random.Random(seed).sample(WORDS, words))


def report(i, patient, text=None, specialty="radiology"):
    return StructuredReport(
        report_id=f"r{i:04d}", patient_key=patient, format="txt", specialty=specialty, text=text or prose(i)
    )


def example(r, task="summary"):
    return Example(
        example_id=f"{r.report_id}-{task}",
        report_id=r.report_id,
        patient_key=r.patient_key,
        specialty=r.specialty,
        task=task,
        prompt=[Message(role="user", content="?")],
        completion=[Message(role="assistant", content="!")],
    )


@st.composite
def corpora(draw):
    patients = draw(st.lists(st.integers(0, 40), min_size=4, max_size=80))
    kinds = [draw(st.sampled_from(SPECIALTIES)) for _ in patients]
    reports = [report(i, f"p{p}", specialty=k) for i, (p, k) in enumerate(zip(patients, kinds))]
    copies = draw(st.lists(st.tuples(st.integers(0, len(reports) - 1), st.integers(0, len(reports) - 1)), max_size=4))
    for a, b in copies:
        reports[b] = reports[b].model_copy(update={"text": reports[a].text + " copied"})
    tasks = draw(st.integers(1, 4))
    return reports, [
        example(r, t) for r in reports for t in ("summary", "abnormal_labs", "diagnosis", "recommendations")[:tasks]
    ]


@relaxed
@given(corpora())
def test_no_patient_and_no_copy_crosses(corpus):
    reports, examples = corpus
    try:
        splits = split_examples(examples, reports)
    except ValueError as e:
        assert "cannot be split in three" in str(e)
        return
    assert sorted(e.example_id for es in splits.values() for e in es) == sorted(e.example_id for e in examples)
    where = {}
    for name, es in splits.items():
        for e in es:
            assert where.setdefault(e.patient_key, name) == name
    texts = {r.report_id: shingles(r.text) for r in reports}
    side = {e.report_id: name for name, es in splits.items() for e in es}
    for a in texts:
        for b in texts:
            if side[a] != side[b]:
                assert jaccard(texts[a], texts[b]) < SplitParams().jaccard_threshold  # every pair, without the index


@relaxed
@given(
    st.lists(st.tuples(st.integers(1, 5), st.sampled_from(SPECIALTIES[:3])), min_size=40, max_size=200),
    st.sampled_from([(0.8, 0.1, 0.1), (0.9, 0.05, 0.05), (0.85, 0.1, 0.05)]),
)
def test_shares_are_near_what_was_asked(groups, shares):
    params = SplitParams(train=shares[0], validation=shares[1], test=shares[2])
    members = {
        i: [example(report(f, f"p{i}", "x", kind), str(k)) for k in range(n)]
        for i, (n, kind) in enumerate(groups)
        for f in [i]
    }
    went = assign_groups(members, params)
    total, largest = sum(n for n, _ in groups), max(n for n, _ in groups)
    for name, share in zip(SPLITS, shares):
        got = sum(len(members[g]) for g in went if went[g] == name)
        assert abs(got - share * total) <= 4 * largest + 1  # a group's rounding at each border of at most four strata
    assert set(went.values()) == set(SPLITS)


@relaxed
@given(st.integers(0, 10**6), st.permutations(range(30)))
def test_order_of_the_input_changes_nothing(seed, order):
    reports = [report(i, f"p{seed}-{i // 2}") for i in range(30)]
    examples = [example(r) for r in reports]
    first = split_examples(examples, reports)
    again = split_examples([examples[i] for i in order], [reports[i] for i in reversed(order)])
    assert {k: {e.example_id for e in v} for k, v in first.items()} == {
        k: {e.example_id for e in v} for k, v in again.items()
    }


@pytest.mark.parametrize("seed", range(8))
def test_planted_near_duplicate_of_another_patient_stays_on_one_side(seed):
    reports = [report(seed * 100 + i, f"p{seed}-{i}") for i in range(40)]
    body = prose(f"long{seed}", 150)
    reports[3] = reports[3].model_copy(update={"text": "Jane Roe 12 March 2021 " + body})
    reports[36] = reports[36].model_copy(update={"text": "Ann Poe 4 June 2022 " + body})
    splits = split_examples([example(r) for r in reports], reports)
    side = {e.patient_key: name for name, es in splits.items() for e in es}
    assert side[reports[3].patient_key] == side[reports[36].patient_key]
    assert len(near_duplicate_reports(reports)) == 1


def test_the_same_findings_under_two_letterheads_are_near_duplicates():
    body = (
        "HISTORY: Cough for two days.\nFINDINGS: Consolidation of the right lower lobe with air bronchograms. "
        "No effusion.\nIMPRESSION: Right lower lobe pneumonia."
    )

    def head(name, born, doctor):
        return (
            f"NORTHGATE HOSPITAL\nPatient: {name}\nDate of birth: {born}\nReferring physician: Dr. {doctor}\n"
            f"Address: 12 {doctor} Street\n\n"
        )

    texts = [
        head("Ann Miller", "1971-03-04", "Harris") + body + "\n\nElectronically signed by Dr. Lowe",
        head("George Baker", "1950-11-30", "Oduya") + body,
    ]
    reports = [
        structure_report(DeidReport(report_id=f"{i:016x}", patient_key=f"p{i}", format="txt", text=t))
        for i, t in enumerate(texts)
    ]
    assert jaccard(*(shingles(r.text) for r in reports)) < 0.5
    assert len(near_duplicate_reports(reports)) == 1


def test_a_chain_of_copies_holds_all_its_patients_together():
    text = prose("chain", 200).split()
    reports = [report(i, f"p{i}") for i in range(30)]
    for i in range(5):
        reports[i] = reports[i].model_copy(update={"text": " ".join(text[i * 8 : i * 8 + 160])})
    splits = split_examples([example(r) for r in reports], reports)
    assert len({name for name, es in splits.items() for e in es if e.patient_key in {f"p{i}" for i in range(5)}}) == 1


def test_a_split_that_leaks_is_found_out():
    reports = [report(i, f"p{i}") for i in range(20)]
    reports[19] = reports[19].model_copy(update={"text": reports[0].text})
    examples = [example(r) for r in reports]
    with pytest.raises(ValueError, match="near-duplicate pairs cross"):
        check_split({"train": examples[:16], "validation": examples[16:18], "test": examples[18:]}, reports)
    shared = [*examples[17:], example(reports[5], "diagnosis")]
    with pytest.raises(ValueError, match="report_id in more than one split"):
        check_split({"train": examples[:15], "validation": examples[15:17], "test": shared}, reports)


@pytest.mark.parametrize("patients", [1, 2])
def test_too_few_patients_are_a_clear_error(patients):
    reports = [report(i, f"p{i % patients}") for i in range(10)]
    with pytest.raises(ValueError, match="cannot be split in three"):
        split_examples([example(r) for r in reports], reports)


@relaxed
@given(corpora(), corpora())
def test_new_reports_never_move_a_patient(old, new):
    reports, examples = old
    try:
        before = {e.patient_key: n for n, es in split_examples(examples, reports).items() for e in es}
    except ValueError:
        return
    more = [
        r.model_copy(update={"report_id": f"n{r.report_id}"}) for r in new[0]
    ]  # other reports, some of the same patients, some copies of theirs
    try:
        after = split_examples(examples + [example(r) for r in more], reports + more, sides=before)
    except ValueError as e:
        assert "empty split" in str(e)  # all of a small set turned out to be copies of another
        return
    for name, es in after.items():
        for e in es:
            assert before.get(e.patient_key, name) == name
