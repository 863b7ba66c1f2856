"""The recognizers of medllm_nb/deidentify/data/recognizers: their own examples, and faults of a file that are told."""

import json

import pytest
from case_files import CASES

from medllm_nb.core import DataFileError, parse_data
from medllm_nb.deidentify.recognizers import (
    KINDS,
    RecognizersFile,
    apply_rules,
    check_recognizers,
    guarded,
    phi_rules,
)

ONE = """
source: a test
fragments: {digit: '\\d'}
recognizers:
  - name: room
    why: a test
    entity: ID
    score: 0.9
    pattern: 'room[ ] (?P<phi> <digit>+ )'
    examples: ['room «12»']
    not: ['room for one']
"""


@pytest.mark.parametrize("kind", KINDS)
def test_every_recognizer_finds_its_examples_and_leaves_the_others(kind):
    assert check_recognizers((kind,)) >= 2 * len(phi_rules((kind,)))


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("<digit>", "<digits>", "<digits> means nothing here"),
        ("{digit: '\\d'}", "{digit: '<digit>'}", "<digit> stands in its own meaning"),
        ("score: 0.9", "score: 9", "line 8, recognizers.0.score"),
        ("why: a test", "reason: a test", "line 6, recognizers.0.reason"),
        ("score: 0.9", "score: 0.9\n    guard: nobody", "no guard 'nobody'"),
        ("not: ['room for one']", "not: []", "recognizers.0.not"),
    ],
)
def test_a_fault_of_a_file_is_told(old, new, told):
    assert old in ONE
    with pytest.raises(DataFileError) as error:
        parse_data(ONE.replace(old, new), RecognizersFile, "rooms.yaml")
    assert "rooms.yaml" in str(error.value)
    assert told in str(error.value)


ROWS = [json.loads(line) for line in (CASES / "recognizers.jsonl").read_text(encoding="utf-8").splitlines()]


def found_by(kinds: tuple[str, ...], text: str) -> set[str]:
    rules = phi_rules(kinds)
    spans = [guarded(text, s, rules[s.detector]) for s in apply_rules(text, rules.values())]
    return {text[s.start : s.end] for s in spans if s}


@pytest.mark.parametrize("row", [pytest.param(row, id=f"{row['kinds']}-{i}") for i, row in enumerate(ROWS)])
def test_a_kind_finds_what_it_should_in_a_text(row):
    kinds = ("numbers", "phones") if row["kinds"] == "numbers" else (row["kinds"],)
    found = found_by(kinds, row["text"])
    assert set(row["found"]) <= found if row["found"] else not found
