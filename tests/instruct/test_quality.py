"What is trained on stands in the evidence, and the gate cannot be opened by other words."

import pytest
from instruct_reports import a_report

from medllm_nb.instruct.drafts import NoExample
from medllm_nb.instruct.examples import make_example
from medllm_nb.instruct.instructions import InstructParams
from medllm_nb.instruct.quality import check_answer, unsupported_reason

WITH_EVIDENCE = [
    "abnormal_labs",
    "diagnosis",
    "differential",
    "coding",
    "question",
    "recommendations",
    "explanation",
    "conversation",
]


@pytest.mark.parametrize("task", WITH_EVIDENCE)
def test_no_span_of_the_evidence_can_be_spared(task):
    "The report holds all of it; the evidence without one span does not."
    report = a_report()
    example = make_example(report, task)
    answer = example.completion[0].content
    spans = sorted({(e.start, e.end) for e in example.evidence})

    def reason_without(span):
        return unsupported_reason(task, answer, [s for s in spans if s != span], report)

    assert unsupported_reason(task, answer, spans, report) is None
    needed = spans if task != "conversation" else [s for s in spans if reason_without(s)]
    assert len(needed) > 1 or len(spans) == 1
    for left_out in needed:
        assert reason_without(left_out), report.text[slice(*left_out)]


@pytest.mark.parametrize(
    "task, of, to, reason",
    [
        pytest.param("summary", "high", "low", "words", id="summary: another word"),
        pytest.param("recommendations", "spironolactone", "apixaban", "words", id="plan: another drug"),
        pytest.param("recommendations", "24", "139", "number", id="plan: another number"),
        pytest.param("diagnosis", "Reduced", "Brisk", "words", id="diagnosis: another finding"),
        pytest.param("diagnosis", "Hyperkalemia", "Hyponatremia", "words", id="diagnosis: another disease"),
        pytest.param("coding", "Hyperkalemia", "Kidney failure", "words", id="coding: another disease"),
        pytest.param("differential", "Myasthenia", "Ocular myasthenia", "words", id="differential: a word more"),
        pytest.param("explanation", "Stop", "Raise", "words", id="explanation: another step"),
        pytest.param("abnormal_labs", "1.9", "6.1", "lab result", id="labs: another test's value"),
        pytest.param("abnormal_labs", "Creatinine", "Sodium", "lab result", id="labs: another test"),
        pytest.param(
            "diagnosis", "Labs: Potassium 6.1", "Labs: Creatinine 6.1", "lab result", id="reasoning: another test"
        ),
    ],
)
def test_an_answer_that_says_what_its_evidence_does_not_is_refused(task, of, to, reason):
    "Each altered answer but the one with apixaban could be pieced together from the report's own words and numbers."
    report = a_report()
    example = make_example(report, task)
    answer = example.completion[0].content
    spans = [(e.start, e.end) for e in example.evidence]
    assert of in answer and unsupported_reason(task, answer, spans, report) is None
    assert reason in unsupported_reason(task, answer.replace(of, to, 1), spans, report)


def test_an_abstention_beside_a_number_does_not_open_the_gate():
    with pytest.raises(NoExample, match="number"):
        check_answer("Potassium 9.9 mmol/L is high. Sodium is not mentioned.", a_report(), InstructParams())
    check_answer("The report does not mention a sodium.", a_report(), InstructParams())
