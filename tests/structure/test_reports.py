"One report as a whole: any text, and a form with boxes."

from hypothesis import given
from structure_texts import relaxed, texts

from medllm_nb.core import DeidReport
from medllm_nb.structure.concepts import find_concepts
from medllm_nb.structure.reports import structure_report


@relaxed
@given(texts)
def test_any_text_is_structured_with_valid_spans(text):
    report = structure_report(DeidReport(report_id="r", patient_key="p", format="txt", text=text))
    assert report.text == text
    before = 0
    for s in report.sections:
        assert before <= s.start < s.end <= len(text) and text[s.start : s.end].strip() == text[s.start : s.end] != ""
        before = s.end
    for l in report.labs:
        assert 0 <= l.start < l.end <= len(text) and any(c.isdigit() for c in text[l.start : l.end])
    for f in report.findings:
        assert text[f.start : f.end] == f.text != ""
    before = 0
    for m in report.concepts:
        assert before <= m.start < m.end <= len(text) and text[m.start : m.end] == m.text
        before = m.end
    for d in report.diagnoses:
        assert " ".join(text[d.start : d.end].split()) == d.text != ""


def test_an_empty_box_of_a_form_is_neither_finding_nor_diagnosis():
    text = """FINDINGS:
[ ] Pleural effusion
[x] Consolidation of the left lower lobe
Pneumothorax: [ ]
Fever: [x] yes [ ] no
IMPRESSION:
[x] Pneumonia
[ ] Pulmonary embolism
[ ] Heart failure"""
    report = structure_report(DeidReport(report_id="f", patient_key="p", format="pdf", text=text))
    assert [f.assertion for f in report.findings] == ["negated", "present", "negated", "present"]
    assert [d.text for d in report.diagnoses] == ["Pneumonia"]
    assert [c.text for c in find_concepts(text) if c.assertion == "present"] == ["Fever", "Pneumonia"]
