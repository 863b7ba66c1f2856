"""The files of tests/cases: invented reports in the layouts of public bug reports, and what is read from them."""

from pathlib import Path

from medllm_nb.core import DeidReport, Report, StructuredReport
from medllm_nb.ingest import IngestError
from medllm_nb.ingest.reading import read_file
from medllm_nb.structure import structure_report

CASES = Path(__file__).parent / "cases"


def read_case(name: str) -> tuple[list[Report], list[IngestError]]:
    "The reports of a case's file, and the problems; a file that is refused has no reports and one problem."
    try:
        return read_file(CASES / name)
    except IngestError as e:
        return [], [e]


def case_text(name: str) -> str:
    "The text of all reports of a case."
    return "\n".join(report.text for report in read_case(name)[0])


def structure_text(text: str, **fields: object) -> StructuredReport:
    "A text as the structure stage sees it."
    deid = DeidReport(report_id="1", patient_key="k", format=fields.pop("format", "txt"), text=text, **fields)
    return structure_report(deid)


def case_structure(name: str) -> StructuredReport:
    "What is found in a case's only report."
    (report,) = read_case(name)[0]
    return structure_text(report.text, format=report.format, ocr_confidence=report.ocr_confidence)


def lab_values(report: StructuredReport) -> set[tuple]:
    "(name, value, unit, flag) of a report's results."
    return {(lab.name, lab.value, lab.unit, lab.flag) for lab in report.labs}


def statuses(report: StructuredReport, word: str) -> set[str]:
    "How a concept whose mention or finding holds this word is asserted."
    mentions = [m for m in [*report.concepts, *report.findings] if word.lower() in report.text[m.start : m.end].lower()]
    return {m.assertion for m in mentions}
