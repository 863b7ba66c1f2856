"""Structure on arbitrary text, on lab rows in many layouts, and on real reports where ../shared/data is at hand."""
import csv, json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from medllm_nb.core import DeidReport, lab_tests
from medllm_nb.sections import heading_table
from medllm_nb.concepts import find_concepts, find_findings
from medllm_nb.diagnoses import find_diagnoses
from medllm_nb.labs import find_labs, flag_of
from medllm_nb.sections import find_sections, known_headings
from medllm_nb.structure import StructureParams, structure_report

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
relaxed = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])

PIECES = ["FINDINGS:", "IMPRESSION", "lMPRESSI0N:", "PLAN:,", "Dear Dr. X,", "cc:", "DIAGNOSIS", "\n", "\n\n", ",", " ", "\t", "|", ":", ".", "(", ")", "-", "<", "Potassium", "K", "Hb", "WBC", "5.9", "3,5", "1O.2",
          "mmol/L", "10^9/L", "K/uL", "(3.5-5.1)", "3.5-5.1", "H", "was elevated at", "J18.9", "no effusion", "**", "##", "1.", "\r\n", "\f", "é", "μ", "Electronically signed by"]
texts = st.one_of(st.text(max_size=300), st.lists(st.sampled_from(PIECES), max_size=60).map("".join), st.lists(st.sampled_from(PIECES), max_size=60).map(" ".join))


@relaxed
@given(texts)
def test_any_text_is_structured_with_valid_spans(text):
    report = structure_report(DeidReport(report_id="r", patient_key="p", format="txt", text=text))
    assert report.text == text
    before = 0
    for s in report.sections:
        assert before <= s.start < s.end <= len(text) and text[s.start:s.end].strip() == text[s.start:s.end] != ""
        before = s.end
    for l in report.labs: assert 0 <= l.start < l.end <= len(text) and any(c.isdigit() for c in text[l.start:l.end])
    for f in report.findings: assert text[f.start:f.end] == f.text != ""
    before = 0
    for m in report.concepts:
        assert before <= m.start < m.end <= len(text) and text[m.start:m.end] == m.text
        before = m.end
    for d in report.diagnoses: assert " ".join(text[d.start:d.end].split()) == d.text != ""


@relaxed
@given(texts)
def test_labs_do_not_overlap_and_are_found_again_alone(text):
    labs = find_labs(text)
    assert all(a.end <= b.start for a, b in zip(labs, labs[1:]))
    assert all(l.flag == flag_of(l.value, l.low, l.high, l.sign) for l in labs if l.low is not None or l.high is not None)


@settings(max_examples=20, deadline=None)
@given(st.text(alphabet="AB:,.\n -*#1(", max_size=3000))
def test_repetitive_text_takes_no_exponential_time(text):
    find_sections(text * 3); find_labs("Potassium " + text * 3)


@relaxed
@given(st.sampled_from(sorted(known_headings())), st.sampled_from(["{H}\n{b}", "{H}:\n{b}", "{T}: {b}", "{H}: {b}", "## {T}\n{b}", "**{T}:** {b}", "{H}:, {b}"]), st.booleans())
def test_every_known_heading_opens_its_section_in_every_style(heading, style, after_newline):
    if known_headings()[heading] == "signature" or len(heading) < 4: return   # need a body before them; too short to be safe in each style
    if heading in heading_table()["titles"] and not after_newline: return   # a report's title
    body = "Something was noted here."
    text = "Jane Roe\nFINDINGS: First.\n" * after_newline + style.format(H=heading.upper(), T=heading.capitalize(), b=body)
    last = find_sections(text)[-1]
    assert text[last.start:last.end] == body
    ambiguous = {"exam", "examination", "study", "results", "result", "investigations", "data", "studies", "tests", "diagnostics", "diagnostic data", "diagnostic studies", "test results", "pertinent results"}
    if heading not in ambiguous and after_newline: assert last.name == known_headings()[heading]


def test_each_heading_belongs_to_one_section():
    spelt = [h for names in heading_table()["sections"].values() for h in names]
    assert len(spelt) == len(set(spelt))


@st.composite
def lab_rows(draw):
    test = draw(st.sampled_from(sorted(lab_tests().values(), key=lambda t: t.name)))
    name = draw(st.sampled_from([test.name, *test.aliases]))
    low = draw(st.integers(1, 80)) / 10
    high = round(low + draw(st.integers(1, 900)) / 10, 1)
    value = draw(st.integers(1, 2000)) / 10
    unit = test.unit
    h = draw(st.sampled_from(["", "H", "L"])) if not unit.endswith("%") else ""
    layout = draw(st.sampled_from([
        "{n}    {v}   {u}   {l}-{h}   {f}", "{n}: {v} {u} ({l}-{h})", "{n}: {v} {u} [{l} - {h}]", "| {n} | {v} | {u} | {l}-{h} | {f} |", "{n}\t{v}\t{f}\t{u}\t{l}-{h}",
        "{n} {v} {u} Ref {l}-{h}", "{n} {v} {u} (ref: {l} to {h})", "{n} ..... {v} {u} ({l}-{h})", "{n} was {v} {u} (reference {l}-{h}).", "{n} of {v} {u} (normal range {l}-{h}).",
        "{n}\n{v}\n{u}\n{l}-{h}\n{f}", "{n};{v} {u} ({l}–{h})", "{n} = {v} {u} (reference range {l} - {h} {u})"]))
    return test.name, value, low, high, layout.format(n=name, v=value, u=unit, l=low, h=high, f=h)


@settings(max_examples=500, deadline=None)
@given(st.lists(lab_rows(), min_size=1, max_size=4, unique_by=lambda r: r[0]))
def test_lab_rows_of_many_layouts_are_read(rows):
    text = "LABORATORY RESULTS\n" + "\n".join(r[-1] for r in rows)
    found = {l.name: l for l in find_labs(text)}
    for name, value, low, high, _ in rows:
        lab = found[name]
        assert (lab.value, lab.low, lab.high) == (value, low, high), text
        assert lab.flag == flag_of(value, low, high)
        assert str(value) in text[lab.start:lab.end]
    assert len(found) == len(rows)


@relaxed
@given(st.sampled_from([t for t in lab_tests().values() if t.unit]), st.integers(0, 3000))
def test_default_range_is_used_with_the_tests_own_unit_only(test, tenths):
    value = tenths / 10
    (lab,) = find_labs(f"{test.name}: {value} {test.unit}")
    assert (lab.flag, lab.low) == (flag_of(value, test.low, test.high), None)
    assert all(l.flag == "unknown" for l in find_labs(f"{test.name}: {value} nmol/L"))


@pytest.mark.parametrize("text", ["Give potassium chloride 20 mEq daily", "Vitamin B12 1000 mcg IM", "Iron 325 mg twice daily", "INR goal 2-3", "target LDL below 70", "BP 120/80, HR 88, SpO2 98%", "K-wire 1.6 mm",
                                  "Urine sodium 20 mmol/L", "CSF glucose 60 mg/dL", "Direct bilirubin 0.9 mg/dL (0-0.3)", "HDL cholesterol 44 mg/dL (40-60)", "Free T3 3.1 pg/mL (2.0-4.4)", "CA 125 35 U/mL", "Hemoglobin 03/04/2021",
                                  "sodium bicarbonate 650 mg", "If potassium 6 or more, call", "INR in 2 weeks", "Troponin T 14 ng/L (0-14)", "Creatine kinase 150 U/L (30-200)", "Lactate dehydrogenase 180 U/L (120-250)"])
def test_what_is_no_result_is_left_alone(text):
    assert find_labs(text) == []


@pytest.mark.parametrize("written,name,value", [("Potasslum   5.9  mmol/L (3.5-5.1)", "Potassium", 5.9), ("Hemog1obin  l3.5 g/dL  (12.0-17.0)", "Hemoglobin", 13.5), ("Creatinine  O.8 mg/dL (0.6-1.3)", "Creatinine", 0.8),
                                                ("P1atelets | 9O | 10^9/L | 150-400", "Platelets", 90), ("Calcium 9,1 mg/dL (8,6-10,3)", "Calcium", 9.1), ("Sodlum    131 mmol/L  135-145", "Sodium", 131)])
def test_ocr_slips_are_read(written, name, value):
    assert [(l.name, l.value) for l in find_labs(written)] == [(name, value)]


def mtsamples():
    path = SHARED / "mtsamples/mtsamples.jsonl"
    return [json.loads(line)["transcription"] for line in path.open()] if path.exists() else pytest.skip(f"{path} is not here")


def aci_bench():
    paths = [SHARED / "aci-bench" / f for f in ("train.csv", "valid.csv", "clinicalnlp_taskB_test1.csv")]
    return [r["note"] for p in paths for r in csv.DictReader(p.open())] if all(p.exists() for p in paths) else pytest.skip(f"{SHARED / 'aci-bench'} is not here")


def found_in(texts):
    sections = [find_sections(t) for t in texts]
    share = lambda *names: sum(any(s.name in names for s in found) for found in sections) / len(texts)
    return sections, share


def test_sections_of_real_transcripts():
    texts = mtsamples()
    sections, share = found_in(texts)
    print(f"\nMTSamples: {len(texts)} reports, {sum(map(len, sections)) / len(texts):.1f} sections each, impression or diagnosis in {share('impression', 'diagnosis'):.0%}, plan in {share('recommendations'):.0%}")
    assert share("impression", "diagnosis") >= 0.8
    assert sum(s.name == "other" for found in sections for s in found) <= 0.06 * sum(map(len, sections))
    labs = [l for t in texts for l in find_labs(t)]
    assert len(labs) >= 80 and all(t.name in lab_tests() for t in labs)


def test_sections_of_real_visit_notes():
    texts = aci_bench()
    sections, share = found_in(texts)
    print(f"\nACI-Bench: {len(texts)} notes, {sum(map(len, sections)) / len(texts):.1f} sections each, impression or diagnosis in {share('impression', 'diagnosis'):.0%}, plan in {share('recommendations'):.0%}")
    assert share("impression", "diagnosis") >= 0.97 and share("history") >= 0.97 and share("recommendations") >= 0.7
    coded = [d.code for t, s in zip(texts, sections) for d in find_diagnoses(t, s)]
    assert len(coded) >= 70
    assert sum(len(find_findings(t, s)) for t, s in zip(texts, sections)) >= 5 * len(texts)


def test_real_note_in_full():
    text = next(t for t in mtsamples() if t.startswith("SUBJECTIVE:,  This 23-year-old white female"))
    assert [s.name for s in find_sections(text)] == ["history", "medications", "allergies", "examination", "impression", "recommendations"]


@pytest.mark.parametrize("dated", ["", " 03/04/2021", " (2021-03-04)"])
def test_an_addendums_own_impression_is_a_section_after_the_first(dated):
    text = ("CT CHEST\nFINDINGS: Small nodule in the right upper lobe.\nIMPRESSION: Nodule, benign in look.\nElectronically signed by A. Brown, MD\n"
            f"ADDENDUM{dated}: The earlier CT was made available.\nIMPRESSION: The nodule has grown.\nElectronically signed by A. Brown, MD")
    found = [(s.name, text[s.start:s.end]) for s in find_sections(text)]
    assert [body for name, body in found if name == "impression"] == ["Nodule, benign in look.", "The nodule has grown."]
    assert found[4] == ("other", "The earlier CT was made available.") and found[-1][0] == "signature"


@pytest.mark.parametrize("mark", ["*** ADDENDUM #1 ***\n", "ADDENDUM 03/04/2021 14:22: ", "Addendum (Dr. Jones): ", "Addendum by Dr. Jones on 12 March 2021:\n", "ADDENDUM 03/04/2021 "])
def test_an_addendum_below_the_signature_is_read(mark):
    text = f"FINDINGS: Clear lungs.\nIMPRESSION: Normal.\nElectronically signed by: Dr. A. Smith\n\n{mark}New pneumothorax on the right."
    found = [(s.name, text[s.start:s.end]) for s in find_sections(text)]
    assert found[2:] == [("signature", "Dr. A. Smith"), ("other", "New pneumothorax on the right.")]


@pytest.mark.parametrize("written", ["[HISTORY] cough [FINDINGS] clear [IMPRESSION] normal", "[HISTORY]\ncough\n[FINDINGS]\nclear\n[IMPRESSION]\nnormal", "<<HISTORY>>\ncough\n<<FINDINGS>>\nclear\n<<IMPRESSION>>\nnormal",
                                     "• HISTORY\ncough\n• FINDINGS\nclear\n• IMPRESSION\nnormal", "1. HISTORY\ncough\n2. FINDINGS\nclear\n3. IMPRESSION\nnormal", "I. HISTORY\ncough\nII. FINDINGS\nclear\nIII. IMPRESSION\nnormal",
                                     "history\ncough\n\nfindings\nclear\n\nimpression\nnormal", "history\ncough\nfindings\nclear\nimpression\nnormal", "Hx: cough\nO/E: clear\nIMPRESSION: normal"])
def test_headings_in_brackets_with_numbers_bullets_or_in_small_letters(written):
    found = [(s.name, written[s.start:s.end]) for s in find_sections(written)]
    assert found == [("history", "cough"), ("examination" if "O/E" in written else "findings", "clear"), ("impression", "normal")]


@pytest.mark.parametrize("text", ["FINDINGS: Seen by [NAME] on [DATE] in [HOSPITAL] for review.", "FINDINGS: We saw no acute bony injury, and of all the earlier\nfindings\nnone is left.", "FINDINGS: Three lesions are seen.\n1. Liver\n2. Spleen"])
def test_what_is_no_heading_stays_in_its_section(text):
    assert [(s.name, text[s.start:s.end]) for s in find_sections(text)] == [("findings", text.removeprefix("FINDINGS: "))]


@pytest.mark.parametrize("text", ["57M with chest pain.\nTroponin positive.\nHas STEMI and diabetes.\nTo cath lab.", "cough for 3 days\nlungs clear\nrest"])
def test_a_note_without_headings_is_no_header(text):
    assert [(s.name, text[s.start:s.end]) for s in find_sections(text)] == [("other", text)]


def test_assertion_agrees_with_labels_given_by_hand(monkeypatch):
    mtsamples(), aci_bench()   # skips where these are not at hand
    monkeypatch.syspath_prepend(Path(__file__).resolve().parents[1] / "bench")
    from structure_real import gold_mentions, our_assertion
    gold = [(text, r["start"], r["end"], r["label"]) for text, r in gold_mentions("assertion_gold.csv")]
    labels = [label for *_, label in gold]
    assert min(labels.count(kind) for kind in set(labels)) >= 15 and len(set(labels)) == 6
    assert sum(our_assertion(*place) == label for *place, label in gold) / len(gold) >= 0.9


def said_of(text):
    from medllm_nb.concepts import find_concepts
    return {m.text.lower(): m.assertion for m in find_concepts(text, find_sections(text))}


@pytest.mark.parametrize("sentence,disease,wanted", [
    ("The patient is negative for pneumonia.", "pneumonia", "negated"), ("Findings are negative for fracture.", "fracture", "negated"), ("She is free of asthma.", "asthma", "negated"),
    ("Lungs are free of pneumonia.", "pneumonia", "negated"), ("Pneumonia is negative.", "pneumonia", "negated"), ("The skin is absent of rash.", "rash", "negated"), ("Neg for DVT.", "dvt", "negated"),
    ("Unlikely pneumonia.", "pneumonia", "negated"), ("This is unlikely to be pneumonia.", "pneumonia", "negated"), ("Low probability of pneumonia.", "pneumonia", "negated"),
    ("I doubt pneumonia.", "pneumonia", "uncertain"), ("No doubt pneumonia.", "pneumonia", "present"), ("She no longer has asthma.", "asthma", "historical"), ("Pneumonia has cleared.", "pneumonia", "historical"),
    ("No chest pain, fever present.", "fever", "present"), ("No chest pain, fever present.", "chest pain", "negated"), ("No hypoglycemia, and neuropathy persists.", "neuropathy", "present"),
    ("No cough, fever, or rash present.", "fever", "negated"), ("No cough, fever, or rash present.", "rash", "negated"), ("No cough, fever not present.", "fever", "negated"), ("No cough, fever at present.", "fever", "negated"),
    ("Father with diabetes and patient has asthma.", "asthma", "present"), ("Father with diabetes and the patient has asthma.", "diabetes", "family"), ("Father with diabetes and asthma.", "asthma", "family")])
def test_what_a_sentence_says_of_a_disease(sentence, disease, wanted):
    assert said_of(f"FINDINGS: {sentence}")[disease] == wanted


@pytest.mark.parametrize("written,wanted", [
    ("IMPRESSION: Pneumonia (J18.9) was excluded.", []), ("IMPRESSION: No pneumonia (J18.9).", []), ("IMPRESSION:\n1. No evidence of gout (M10.9).\n2. Asthma.", ["Asthma"]),
    ("IMPRESSION: No urinary tract infection.", []), ("DIAGNOSIS: No evidence of pneumonia", []), ("DIAGNOSIS:\n1. Pneumonia, ruled out\n2. Gout", ["Gout"]), ("DIAGNOSIS: Gout in her father", []),
    ("DIAGNOSIS: Gastritis without bleeding (K29.70)", ["Gastritis without bleeding"]), ("DIAGNOSIS: Non-Hodgkin lymphoma", ["Non-Hodgkin lymphoma"]), ("DIAGNOSIS: Non Hodgkin lymphoma", ["Non Hodgkin lymphoma"]),
    ("DIAGNOSIS: Hyponatremia, resolved (E87.1)", ["Hyponatremia, resolved"]), ("DIAGNOSIS: Family history of breast cancer (Z80.3)", ["Family history of breast cancer"]),
    ("DIAGNOSIS: Acquired absence of left breast (Z90.12)", ["Acquired absence of left breast"]), ("DIAGNOSIS: Lack of coordination (R27.8)", ["Lack of coordination"])])
def test_what_a_report_denies_is_no_diagnosis_of_it(written, wanted):
    text = f"HISTORY: The patient has pain.\n{written}"
    assert [d.text for d in find_diagnoses(text, find_sections(text))] == wanted


def test_most_codes_are_the_concept_that_a_person_reads_there(monkeypatch):
    mtsamples(), aci_bench()
    monkeypatch.syspath_prepend(Path(__file__).resolve().parents[1] / "bench")
    from structure_real import gold_mentions

    from medllm_nb.concepts import find_concepts
    found, standing = {}, []
    for text, r in gold_mentions("concept_gold.csv"):
        if text not in found: found[text] = {(m.start, m.end): m.code for m in find_concepts(text)}
        if found[text].get((r["start"], r["end"])) == r["code"]: standing.append(r["label"])
    assert len(standing) > 170 and standing.count("right") / len(standing) >= 0.85


def one_lab(text):
    (lab,) = find_labs(text)
    return lab


@pytest.mark.parametrize("text,sign,flag,critical", [
    ("CRP <10 mg/L", "<", "unknown", False), ("Troponin I <40 ng/L", "<", "unknown", False), ("D-dimer <600 ng/mL", "<", "unknown", False), ("TSH <5 mIU/L", "<", "unknown", False),
    ("TSH <0.01 mIU/L", "<", "low", False), ("CRP <5 mg/L", "<", "normal", False), ("CRP <10 mg/L (0-5)", "<", "unknown", False), ("Potassium <2 mmol/L", "<", "low", True),
    ("Potassium >10 mmol/L", ">", "high", True), ("Potassium >2 mmol/L", ">", "unknown", False), ("Total bilirubin <20 mg/dL", "<", "unknown", False)])
def test_a_detection_limit_keeps_its_sign_and_claims_no_more_than_it_says(text, sign, flag, critical):
    lab = one_lab(text)
    assert (lab.sign, lab.flag, lab.critical) == (sign, flag, critical)


@pytest.mark.parametrize("text,value,flag,critical", [
    ("Calcium 4.5 mEq/L", 4.5, "normal", False), ("Magnesium 1.5 mEq/L", 1.5, "normal", False), ("Calcium 9 mEq/L", 9, "high", True), ("Phosphate 1.8 mEq/L", 1.8, "unknown", False), ("Potassium 6.9 mEq/L", 6.9, "high", True),
    ("WBC 1,200/uL", 1200, "low", True), ("Platelets 15,000/mm3", 15000, "low", True), ("Platelets 250,000/µL", 250000, "normal", False),
    ("Glucose 5.5 mmol/L", 5.5, "normal", False), ("Glucose 5.6 mmol/L", 5.6, "high", False), ("Hemoglobin 119 g/L", 119, "low", False), ("INR 9.0", 9, "high", True), ("INR 3.0", 3, "high", False),
    ("Potassium (mmol/L): 6.9", 6.9, "high", True), ("Potassium [mmol/L] 6.9", 6.9, "high", True), ("Potassium, mmol/L | 6.9 | 3.5-5.1 | H", 6.9, "high", True), ("Potassium mmol/L 6.9 3.5-5.1", 6.9, "high", True),
    ("Sodium was low, at 119 mmol/L", 119, "low", True), ("Potassium elevated (6.9 mmol/L)", 6.9, "high", True), ("Potassium climbed to 6.9 mmol/L", 6.9, "high", True), ("Potassium fell to 2.1 mmol/L", 2.1, "low", True),
    ("Hemoglobin dropped from 12 to 6.1 g/dL", 6.1, "low", True), ("Hemoglobin has dropped from 12.1 g/dL to 6.1 g/dL", 6.1, "low", True), ("Hb 8·2 g/dL", 8.2, "low", False),
    ("Potassium at 0800 was 5.9 mmol/L", 5.9, "high", False), ("Potassium at 8 am: 5.9 mmol/L", 5.9, "high", False), ("NT-proBNP at 1200 pg/mL", 1200, "high", False),
    ("Potassium was not elevated at 4.2", 4.2, "normal", False), ("Potassium was not elevated at 4.2 mmol/L", 4.2, "normal", False), ("Potassium was within normal limits at 4.0", 4.0, "normal", False)])
def test_value_flag_and_alarm_of_many_ways_to_write_a_lab(text, value, flag, critical):
    lab = one_lab(text)
    assert (lab.value, lab.flag, lab.critical) == (value, flag, critical)


def test_limits_in_two_columns_are_the_printed_range():
    for row in ("Sodium | 131 | mmol/L | 135 | 145", "| Sodium | 131 | L | mmol/L | 135 | 145 |", "Sodium\t131\tmmol/L\t135\t145"):
        lab = one_lab(row)
        assert (lab.value, lab.low, lab.high, lab.flag) == (131, 135, 145, "low"), row
    assert one_lab("Sodium | 131 | 129 | 138").low is None   # yesterday's and the day before's


@pytest.mark.parametrize("text", ["LDL < 70 mg/dL goal", "transfuse for Hgb <7 g/dL", "goal: Hgb >7 g/dL", "Urinalysis: glucose 1000 mg/dL", "Urine dipstick: glucose 500 mg/dL", "CSF: glucose 60", "Glucose (urine) 500 mg/dL",
                                  "Calcium 1.1 mmol/L ionized", "Calcium (ionized) 1.1 mmol/L", "LDL (<100 mg/dL)", "Potassium at 0800"])
def test_goals_thresholds_other_fluids_and_ionized_calcium_are_no_result(text):
    assert find_labs(text) == []


@pytest.mark.parametrize("text,value", [("INR 2.5, goal 2-3", 2.5), ("Bilirubin 3.2 mg/dL, direct 1.1", 3.2), ("admitted for potassium 6.9 mmol/L", 6.9), ("UA negative. Glucose 500 mg/dL", 500),
                                        ("UA clean, serum glucose 500 mg/dL", 500), ("Urine output 30 mL/h, potassium 6.9 mmol/L", 6.9), ("Urine toxicology negative, potassium 6.9 mmol/L", 6.9), ("Dark urine.,LABORATORY EXAM:, creatinine of 2.38", 2.38), ("UA: clean\nGlucose 500 mg/dL", 500)])
def test_a_goal_or_fluid_nearby_hides_no_result(text, value):
    assert one_lab(text).value == value


@pytest.mark.parametrize("text,value,flag,critical", [
    ("K 6.9", 6.9, "high", True), ("K 2.1", 2.1, "low", True), ("Na 128", 128, "low", False), ("Cl 101", 101, "normal", False), ("BUN 40", 40, "high", False), ("Cr 2.1", 2.1, "high", False), ("WBC 14.2", 14.2, "high", False),
    ("WBC 12,500", 12500, "high", False), ("Hgb 9.8", 9.8, "low", False), ("plt 90", 90, "low", False), ("Platelets 12,000", 12000, "low", True), ("TSH 0.01", 0.01, "low", False), ("A1c 8.2", 8.2, "high", False),
    ("glucose 240", 240, "high", False), ("glucose 6.0", 6.0, "high", False), ("creatinine 90", 90, "normal", False), ("Hgb 98", 98, "low", False), ("CRP 60", 60, "high", False), ("CRP 0.4", 0.4, "normal", False),
    ("CRP 3", 3, "unknown", False), ("glucose 40", 40, "unknown", True), ("bilirubin 20", 20, "unknown", False), ("HbA1c 58", 58, "high", False), ("Troponin 0.02", 0.02, "unknown", False), ("potassium 59", 59, "unknown", False),
    ("hemoglobin was low at 12.1", 12.1, "low", False), ("eGFR 38", 38, "low", False), ("GFR est. 52", 52, "low", False), ("eGFR 12", 12, "low", True), ("eGFR >60", 60, "normal", False), ("eGFR (non-African American): 88", 88, "normal", False)])
def test_a_result_without_a_unit_is_flagged_where_only_one_unit_or_every_unit_says_the_same(text, value, flag, critical):
    lab = one_lab(text)
    assert (lab.value, lab.unit, lab.flag, lab.critical) == (value, "", flag, critical)


def test_egfr_is_read_with_its_unit_and_range():
    for text in ("eGFR: 45 mL/min/1.73m2", "eGFR 45 ml/min per 1.73 m² (>60)", "Estimated GFR | 45 | mL/min/1.73 m2 | >60 | L"):
        lab = one_lab(text)
        assert (lab.name, lab.value, lab.unit, lab.ucum, lab.flag) == ("eGFR", 45, "mL/min/1.73 m2", "mL/min/{1.73_m2}", "low"), text


@pytest.mark.parametrize("text", ["vitamin K 2", "vit K 2", "L5", "C5-6", "pO2 on 4 L", "age 45", "K 20 mEq PO", "KCl 40", "glucose tablets 4", "T4 1.2", "B12", "CK-MB 4.5", "K 03/04/2021", "Na 08:00", "glucose 3+", "WBC 25 /hpf",
                                  "WBC 5 per high power field", "K 562 cells", "Cr 51 EDTA", "CO2 4 L/min", "pH 7.32, CO2 55", "glucose 2-hour test", "albumin 2.5 ± 0.8 g/dL in the group", "creatinine clearance 90"])
def test_what_only_looks_like_a_result_without_a_unit_is_none(text):
    assert find_labs(text) == []


@pytest.mark.parametrize("text", ["keep K >4 and Mg >2", "keep K 4 and Mg 2", "goal K > 4", "target INR 2-3", "replete K if <3.5", "replete K <3.5 or Mg <1.8", "transfuse if Hgb <7", "hold for K >5.5 or creatinine >2.5", "Keep INR 2.0",
                                  "maintain Hgb at 8", "aim for an INR of 2.5", "call house officer if temp >101.5, SBP <90, glucose >300", "until INR 2.0"])
def test_targets_and_conditions_are_no_result(text):
    assert find_labs(text) == []


@pytest.mark.parametrize("text,values", [("When seen, his TSH was <0.01", [0.01]), ("admitted for K 6.9 and Cr 4", [6.9, 4]), ("K 4.5, goal 4-5; Mg 1.9", [4.5, 1.9]), ("Keep NPO. K 6.9", [6.9]), ("We kept an eye on K 4.5", [4.5])])
def test_a_word_that_could_lead_to_a_target_hides_no_result(text, values):
    assert [l.value for l in find_labs(text)] == values


@pytest.mark.parametrize("text,names", [
    ("Urinalysis:\nColor: yellow\nGlucose 250 mg/dL\nProtein 30 mg/dL\nWBC 12\n\nCHEMISTRY\nSodium 140 mmol/L", ["Sodium"]), ("CSF:\nGlucose 60 mg/dL\nSerum glucose 110 mg/dL", ["Glucose"]),
    ("URINE\nGLUCOSE 250 mg/dL\nBLOOD TRACE\nKETONES 40 mg/dL\nCBC\nHgb 9.8 g/dL\nWBC 14.2", ["Hemoglobin", "White blood cells"]), ("Pleural fluid analysis\nGlucose | 60 | mg/dL\nLDH | 300\nHemoglobin | 9.8 | g/dL", ["Hemoglobin"]),
    ("Urinalysis: normal\nGlucose 250 mg/dL", ["Glucose"]), ("UA: blood 3+, glucose 500 mg/dL", []), ("Urinalysis\n\nProtein: 30\n\nGlucose: 250 mg/dL", []), ("Urine output:\nPotassium 6.9 mmol/L", ["Potassium"])])
def test_a_list_below_the_heading_of_a_fluid_is_not_read_as_blood(text, names):
    assert [l.name for l in find_labs(text)] == names


@pytest.mark.parametrize("text,said", [
    ("No chest pain, fever present.", {"chest pain": "negated", "fever": "present"}), ("Denies cough, reports fever.", {"cough": "negated", "fever": "present"}), ("No edema and she has cough.", {"edema": "negated", "cough": "present"}),
    ("No chest pain, fever or edema.", {"chest pain": "negated", "fever": "negated", "edema": "negated"}), ("Denies fever, has no cough.", {"fever": "negated", "cough": "negated"})])
def test_findings_and_concepts_say_the_same_of_a_symptom(text, said):
    from medllm_nb.concepts import find_concepts
    report = "EXAMINATION: " + text
    sections = find_sections(report)
    findings = find_findings(report, sections)
    assert {m.text.lower(): m.assertion for m in find_concepts(report, sections)} == said
    for symptom, assertion in said.items():
        (finding,) = [f for f in findings if symptom in f.text.lower()]
        assert finding.assertion == assertion, findings


@pytest.mark.parametrize("text,names", [
    ("S: cough for 3 days\nO: lungs clear\nA: bronchitis\nP: rest", ["history", "examination", "impression", "recommendations"]), ("S: 54 yo man\nO:\nT: 37\nP: 72\nLungs clear\nA: bronchitis\nP: rest", ["history", "examination", "impression", "recommendations"]),
    ("S: cough\nO: clear\nA/P: bronchitis, rest", ["history", "examination", "impression"]), ("S\ncough\nO\nclear\nA\nbronchitis\nP\nrest", ["history", "examination", "impression", "recommendations"]),
    ("S: cough\nA: gout\nP: rest\n\nS: better\nO: clear\nP: none", ["history", "impression", "recommendations", "history", "examination", "recommendations"])])
def test_the_letters_of_a_soap_note_head_its_sections(text, names):
    assert [s.name for s in find_sections(text)] == names


@pytest.mark.parametrize("text", ["FINDINGS: T: 37\nP: 72\nR: 16\nBP: 120/80", "FINDINGS: Blood group\nA: positive\nP: 72", "FINDINGS: He had type A: S and O: were not found, P: none.", "FINDINGS: S: cough\nP: rest", "FINDINGS: P: 72\nO: none\nS: none"])
def test_single_letters_head_nothing_without_a_soap_note(text):
    assert [s.name for s in find_sections(text)] == ["findings"]


def test_an_empty_box_of_a_form_is_neither_finding_nor_diagnosis():
    text = "FINDINGS:\n[ ] Pleural effusion\n[x] Consolidation of the left lower lobe\nPneumothorax: [ ]\nFever: [x] yes [ ] no\nIMPRESSION:\n[x] Pneumonia\n[ ] Pulmonary embolism\n[ ] Heart failure"
    report = structure_report(DeidReport(report_id="f", patient_key="p", format="pdf", text=text))
    assert [f.assertion for f in report.findings] == ["negated", "present", "negated", "present"]
    assert [d.text for d in report.diagnoses] == ["Pneumonia"]
    assert [c.text for c in find_concepts(text) if c.assertion == "present"] == ["Fever", "Pneumonia"]


@pytest.mark.parametrize("text, labs", [
    ("Hgb/Hct 8.2/25.", [("Hemoglobin", 8.2, "low"), ("Hematocrit", 25, "low")]), ("H and H are 10.8 and 38.7", [("Hemoglobin", 10.8, "low"), ("Hematocrit", 38.7, "normal")]),
    ("BUN and creatinine are of 27 and 1.9, K 4.1", [("Urea nitrogen", 27, "high"), ("Creatinine", 1.9, "high"), ("Potassium", 4.1, "normal")]),
    ("HCT/HGB 31 % / 10.2 g/dL", [("Hematocrit", 31, "low"), ("Hemoglobin", 10.2, "low")]), ("AST/ALT ratio 1.2", []), ("Urine Na/K 20/40", []), ("H/H 120/80", [])])
def test_two_tests_in_one_phrase_have_a_number_each(text, labs):
    assert [(l.name, l.value, l.flag) for l in find_labs(text)] == labs
