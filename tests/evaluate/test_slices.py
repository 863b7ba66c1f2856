"Which slices a report belongs to."

from medllm_nb.core import StructuredReport
from medllm_nb.evaluate.slices import slices_of


def report(report_id, text, ocr=()):
    return StructuredReport(
        report_id=report_id,
        patient_key=f"p{report_id}",
        format="pdf",
        specialty="cardiology",
        ocr_confidence=list(ocr),
        text=text,
    )


def test_lengths_are_cut_into_thirds_of_the_reports_at_hand():
    three = [
        report("a", "A 50-year-old woman is tired."),
        report("b", "Mr. Hays is well. " * 5, [93.0, 71.5]),
        report("c", "He rests. " * 40),
    ]
    assert slices_of(three)["b"] == {
        "specialty": "cardiology",
        "format": "scan",
        "OCR confidence": "under 80",
        "length": "16 to 40 words",
        "sex": "male",
        "age": "unknown",
    }
