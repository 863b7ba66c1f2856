"""Every pattern takes four times as long for a run four times as long, whatever the run is made of."""

import re
import time

import pytest

from medllm_nb.deidentify.matches import find_by_rules
from medllm_nb.deidentify.recognizers import (
    KINDS,
    PhiRule,
    RecognizersFile,
    SearchTimeout,
    apply_rules,
    phi_rules,
)
from medllm_nb.core import Report, load_data
from medllm_nb.deidentify import DeidentifyParams, deidentify_patients, find_phi

RUNS = (" ", "\n", "a", "A", "1", ".", "-", ",", "Ab ", "Ab-", "12 ", "1-", "A. ")


def seconds(search, text: str, times: int) -> float:
    "The best of some runs."
    taken = []
    for _ in range(times):
        start = time.process_time()
        search(text)
        taken.append(time.process_time() - start)
    return min(taken)


def is_linear(search, before: str, piece: str, after: str) -> bool:
    "Whether 4,000 characters take less than 8 times as long as 1,000, or less than 8 passes over them."
    short, long = (before + (piece * length)[:length] + after for length in (1000, 4000))
    one_pass = lambda text: sum(1 for _ in re.finditer(r"(?:\w|\W)", text))
    for times in (1, 4, 12):
        if seconds(search, long, times) < 8 * max(seconds(search, short, times), seconds(one_pass, long, times)):
            return True
    return False


def places(example: str) -> list[tuple[str, str]]:
    "An example cut before what is found, and behind it."
    before, found, after = re.fullmatch("(.*?)«(.*?)»(.*)", example, re.DOTALL).groups()
    rest = re.sub("[«»]", "", after)
    return [(before, found + rest), (before + found, rest)]


@pytest.mark.parametrize("kind", KINDS)
def test_long_runs_take_linear_time(kind):
    rules = phi_rules((kind,))
    slow = []
    for recognizer in load_data("deidentify", f"recognizers/{kind}.yaml", RecognizersFile).recognizers:
        search = lambda text, rule=rules[recognizer.name]: apply_rules(text, [rule])
        for before, after in places(recognizer.examples[0]):
            slow += [(recognizer.name, piece) for piece in RUNS if not is_linear(search, before, piece, after)]
    assert slow == []


def test_all_patterns_together_take_linear_time():
    assert [piece for piece in RUNS if not is_linear(find_by_rules, "Seen. ", piece, " by Dr. Hart")] == []


def test_what_is_not_searched_in_time_does_not_pass(monkeypatch):
    slow = PhiRule("slow", "ID", 0.9, "(?:a|aa)+(?P<phi>c)")
    with pytest.raises(SearchTimeout, match="'slow' took longer"):
        apply_rules("a" * 60 + "xc", [slow], seconds=0.01)
    monkeypatch.setattr("medllm_nb.deidentify.matches._all_rules", lambda: (slow,))
    monkeypatch.setattr("medllm_nb.deidentify.matches.SECONDS", 0.01)
    text = "a" * 60 + "xc"
    with pytest.warns(UserWarning, match="took longer"):
        (span,) = find_by_rules(text)
    assert (span.start, span.end) == (0, len(text))


def test_a_report_that_is_not_searched_in_time_is_withheld(monkeypatch):
    slow = PhiRule("slow", "ID", 0.9, "(?:a|aa)+(?P<phi>c)")
    monkeypatch.setattr("medllm_nb.deidentify.matches._all_rules", lambda: (slow,))
    monkeypatch.setattr("medllm_nb.deidentify.matches.SECONDS", 0.01)
    text = "Seen for cough. " + "a" * 60 + "xc"
    report = Report(
        report_id="r1", patient_id="p1", source="a.txt", format="text", text=text, pages=1, ocr_confidence=[]
    )
    with pytest.warns(UserWarning, match="took longer"):
        spans = find_phi([text])[0]
    ((result,),) = deidentify_patients([[(report, spans)]], DeidentifyParams(), bytes(range(32)))
    assert result.rejected
