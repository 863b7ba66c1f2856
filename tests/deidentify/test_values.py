"No value of medicine is changed: pasted lines come through whole, and public notes give the same labs and sections."

from random import Random

import pytest
from public_texts import aci_bench, mtsamples

from medllm_nb.deidentify import find_phi, prepare, why_phi
from medllm_nb.deidentify.decisions import keep_values
from medllm_nb.core import Span
from medllm_nb.deidentify.reports import replace_phi
from medllm_nb.sample import PASTED, pasted_note
from medllm_nb.structure import find_labs, find_sections

KEY = bytes(range(32))


@pytest.mark.parametrize("line", PASTED, ids=lambda f: f.__name__)
def test_what_is_pasted_into_a_chart_stays_as_it_is(line):
    rng = Random(line.__name__)
    texts = [line(rng) for _ in range(150)] + [pasted_note(rng) for _ in range(100)]
    found = find_phi(texts)
    assert [text[s.start : s.end] for text, spans in zip(texts, found) for s in spans] == []


@pytest.mark.parametrize(
    "read", [pytest.param(mtsamples, marks=pytest.mark.data), pytest.param(aci_bench, marks=pytest.mark.data)]
)
def test_labs_and_sections_are_the_same_before_and_after(read):
    texts = read()[:150]
    for text, spans in zip(texts, find_phi(texts)):
        clean, _ = replace_phi(text, spans, "P1", KEY)
        labs = lambda t: [(x.name, x.value, x.unit, x.flag) for x in find_labs(t)]
        assert labs(clean) == labs(text)
        assert [s.name for s in find_sections(clean)] == [s.name for s in find_sections(text)]


def test_a_finding_that_overlaps_a_value_loses_the_values_part():
    report = prepare("Ada Okonkwo 250 mg daily")
    (kept,) = keep_values(report, [Span(start=0, end=18, entity="PERSON", detector="a model", score=0.6)])
    assert report.text[kept.start : kept.end] == "Ada Okonkwo"


@pytest.mark.parametrize(
    ("text", "value", "outcome", "said"),
    [
        pytest.param("Na 118. pH 7.21/68/55/27/88%", "7.21/68/55/27/88", "dropped", "clinical value", id="value"),
        pytest.param("Started Mounjaro and Wegovy", "Mounjaro", "dropped", "name of medicine", id="drug"),
        pytest.param("Seen by Dr. Foley today", "Foley", "kept", "PERSON", id="doctor"),
    ],
)
def test_a_reader_learns_why(text, value, outcome, said):
    verdicts = [v for v in why_phi(text) if value in text[v.start : v.end] or text[v.start : v.end] in value]
    assert all(v.outcome == outcome and said in v.reason for v in verdicts)
    assert verdicts or outcome == "dropped"
