"What sentences, lists, forms and results assert: the cases after public reports, and their siblings."

import pytest
from assertion_cases import CASES
from case_files import case_structure, statuses, structure_text

from medllm_nb.structure.assertion import UNANSWERED, assertions
from medllm_nb.structure.sections import find_sections


@pytest.mark.parametrize(("given", "said"), [pytest.param(given, said, id=name) for name, given, said in CASES])
def test_what_is_said(given, said):
    report = case_structure(given) if given.endswith(".txt") else structure_text(given)
    at = {word: report.text.lower().index(word.lower()) for word in said}
    asserted = assertions(report.text, [(a, a + len(w)) for w, a in at.items()], find_sections(report.text))
    assert dict(zip(said, asserted)) == {word: kind or UNANSWERED for word, kind in said.items()}
    assert {word: statuses(report, word) - {kind} for word, kind in said.items()} == {word: set() for word in said}
