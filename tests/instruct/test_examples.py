"A report gives an example of every task, and no answer has a value that its prompt does not show."

import pytest
from instruct_reports import a_report, structured

from medllm_nb.instruct.drafts import NoExample
from medllm_nb.instruct.examples import make_example
from medllm_nb.instruct.instructions import TASKS, InstructParams


@pytest.mark.parametrize("task", TASKS)
def test_a_report_gives_an_example_of_every_task(task):
    "A numbered impression, a unit with a power of ten and a list's own marks are no unsupported numbers."
    assert make_example(a_report(), task).task == task


IN_HEADER = "CLINIC\nPotassium 6.8 mmol/L (3.5-5.1)\n\n"
IN_IMPRESSION = "IMPRESSION: Potassium 6.8 mmol/L (3.5-5.1), sodium 120 mmol/L (135-145).\n"
BODY = "HISTORY: Weakness for two days.\nFINDINGS: Peaked T waves are seen in all leads.\n"


@pytest.mark.parametrize("task", ["question", "explanation", "conversation", "abnormal_labs"])
@pytest.mark.parametrize(
    "before, after", [pytest.param(IN_HEADER, "", id="header"), pytest.param("", IN_IMPRESSION, id="impression")]
)
def test_no_answer_has_a_value_that_its_prompt_does_not_show(task, before, after):
    "A lab that stands in the header or, for a diagnosis, in the impression is never shown."
    report = structured(before + BODY + after + "DIAGNOSIS: Hyperkalemia (E87.5)\n", "h1")
    try:
        example = make_example(report, task)
    except NoExample:
        return
    messages = example.prompt[1:] + example.completion
    prompt, *answers = [m.content for m in messages if m.role == "assistant" or "Report:" in m.content]
    for value in ("6.8", "120"):
        assert value in prompt or not any(value in answer for answer in answers)


def test_tests_of_one_phrase_are_asked_for_and_answered_from_it():
    report = structured("LABORATORY DATA: Hgb/Hct 8.2/25.\n\nIMPRESSION: Anemia.\n", "f" * 16)
    answer = make_example(report, "abnormal_labs", InstructParams()).completion[0].content
    assert "Hemoglobin 8.2" in answer and "Hematocrit 25" in answer
