"""HL7 v2 as laboratories and radiology departments send it: the cases after public bug reports, and their kin."""

import base64
import re

import pytest
from case_files import CASES, case_structure, case_text, lab_values, read_case, statuses
from conftest import SHARED
from hypothesis import given, settings
from hypothesis import strategies as st

from medllm_nb.ingest import read_content

MSH = r"MSH|^~\&|LAB|CLINIC|||20240305100000||ORU^R01|1|P|2.5.1"
PID = "PID|1||00451299^^^CLINIC^MR||OKONKWO-LIND^IDA||19500314|F"
OBR = "OBR|1|1|2|X^Panel^L|||20240305"


def obx(kind, test, value, unit="", reference="", flag="", number=1, status="F"):
    "An OBX segment."
    return f"OBX|{number}|{kind}|{test}||{value}|{unit}|{reference}|{flag}|||{status}"


def read(*segments, msh=MSH, pid=PID, newline="\r"):
    "Texts of the reports of one message, and the kinds of its problems."
    content = newline.join([msh, *([pid] if pid else []), *segments, ""])
    contents = read_content(content if isinstance(content, bytes) else content.encode(), "a.hl7")
    return [r.text for r in contents.reports], [p.kind for p in contents.problems]


CHEST = (
    "CLINICAL HISTORY:\nCough and weight loss.\n\nFINDINGS:\nThere is a 9 mm nodule in the left lower\nlobe. No pleural"
)


@pytest.mark.parametrize(
    "name, wanted",
    [
        pytest.param("HL7-01-r.hl7", CHEST, id="a line an OBX"),
        pytest.param("HL7-03-r.hl7", CHEST, id="OBX-3 empty"),
        pytest.param("HL7-04-r.hl7", CHEST, id="one FT field"),
        pytest.param("HL7-07-r.hl7", "Specimen: Urine\nGlucose 1000 mg/dL (0-15) H", id="specimen"),
        pytest.param("HL7-09-r.hl7", "enlarged.\n\nIMPRESSION:\nCardiomegaly & effusion.\nFollow", id="escapes"),
        pytest.param("HL7-09-r.hl7", "Normal <5.7\nPrediabetes: 5.7-6.4\nDiabetic: ≥6.5", id="hexadecimal escapes"),
        pytest.param("HL7-10-r.hl7", "TSH >100 mIU/L", id="comparator"),
        pytest.param("HL7-10-r.hl7", "RPR titer 1:128 A", id="titer"),
        pytest.param("HL7-10-r.hl7", "Epithelial cells 10-20 /HPF", id="range"),
        pytest.param("HL7-12-r.hl7", "No pleural effusion, no pneumonia", id="text beside a document elsewhere"),
        pytest.param("HL7-13-r.hl7", "FINDINGS: The heart is enlarged.", id="base64 in text"),
        pytest.param("HL7-15-r.hl7", "Potassium 6.1 mmol/L (3.5-5.1) H", id="fifth encoding character"),
        pytest.param("HL7-16-r.hl7", "HEMOGLOBIN: pending\n17 OH Progesterone 45 ng/dL", id="pending"),
        pytest.param("HL7-19-r.hl7", "weeks.\nPMH: Diabetes.\nMRI: Normal brain.\nThe end of it.", id="raw lines"),
        pytest.param("HL7-20-r.hl7", "No evidence of pulmonary\nembolism or pneumothorax.", id="negation over lines"),
    ],
)
def test_a_case_is_read_as_it_was_written(name, wanted):
    assert wanted in case_text(name)


def test_two_patients_of_one_message_are_two_reports():
    first, second = read_case("HL7-06-r.hl7")[0]
    assert "OKONKWO-LIND" in first.text and "6.1" in first.text and "BERGSTROM" not in first.text
    assert "BERGSTROM" in second.text and "4.1" in second.text and "6.1" not in second.text


def test_a_document_elsewhere_is_counted():
    assert [p.kind for p in read_case("HL7-12-r.hl7")[1]] == ["attachment elsewhere"]


def test_pending_results_have_no_value():
    assert not {name for name, *_ in lab_values(case_structure("HL7-16-r.hl7"))} & {"Hemoglobin", "Potassium"}


def test_a_negation_reaches_the_next_line():
    report = case_structure("HL7-20-r.hl7")
    assert statuses(report, "embolism") == statuses(report, "pneumothorax") == {"negated"}


@pytest.mark.parametrize(
    "segments, wanted",
    [
        pytest.param([obx("NM", "H^Hb & Hct^L", "9.1", "g/dL")], "Hb & Hct 9.1 g/dL", id="bare &"),
        pytest.param([obx("ST", "P^Path^L", r"C:\temp\scan1 seen")], r"Path: C:\temp\scan1 seen", id="backslash"),
        pytest.param([obx("FT", "N^Note^L", r"3\S\4, 1\F\2, \R\ \E\ x")], r"Note: 3^4, 1|2, ~ \ x", id="separators"),
        pytest.param([obx("CWE", "B^Culture^L", "^^^^^^^^Salmonella sp.")], "Culture: Salmonella sp.", id="CWE-9"),
        pytest.param([obx("CE", "B^HBsAg^L", "NR^Non-Reactive")], "HBsAg: Non-Reactive", id="coded text"),
        pytest.param([obx("NR", "A^Cells^L", "5^10", "/HPF")], "Cells 5-10 /HPF", id="numeric range"),
        pytest.param([obx("DT", "D^Last period^L", "20240201")], "Last period: 2024-02-01", id="date"),
        pytest.param(
            [obx("NM", "K^K^L", "5.9", "mmol/L", "3.5-5.1", "H~HH")], "K 5.9 mmol/L (3.5-5.1) H HH", id="two flags"
        ),
        pytest.param([obx("NM", "K^K^L", "5.9", "mmol/L^millimole^UCUM")], "K 5.9 mmol/L", id="unit as CE"),
        pytest.param([obx("NM", "1^^LN^K^Potassium^L", "5.9", "mmol/L")], "Potassium 5.9 mmol/L", id="the other name"),
        pytest.param([obx("NM", "K^K^L", "5.9", "mmol/L"), "NTE|1||Hemolyzed."], "mmol/L\nHemolyzed.", id="comment"),
        pytest.param([obx("TX", "M^Micro", "One"), obx("TX", "M^Micro", "Two")], "Micro:\nOne\nTwo", id="name once"),
        pytest.param([obx("TX", "N^Note^L", "see ~ and ^ here")], "see \n and ^ here", id="separators in prose"),
    ],
)
def test_a_value_of_any_type_is_read(segments, wanted):
    (text,), problems = read(OBR, *segments)
    assert wanted in text and not problems


@pytest.mark.parametrize(
    "status, kept", [("W", False), ("D", False), ("X", False), ("F", True), ("P", True), ("C", True)]
)
def test_withdrawn_results_are_left_out_and_counted(status, kept):
    other = "OBX|2|NM|NA^Sodium^L||140|mmol/L||||F"
    (text,), problems = read(OBR, f"OBX|1|NM|K^Potassium^L||9.9|mmol/L|||||{status}", other)
    assert ("9.9" in text) == kept and "140" in text
    assert problems == ([] if kept else ["withdrawn result"])


def test_a_corrected_result_takes_the_place_of_the_first():
    first = "OBX|1|NM|K^Potassium^L||9.9|mmol/L|||||F"
    (text,), _ = read(OBR, first, "OBX|2|NM|K^Potassium^L||4.9|mmol/L|||||C")
    assert "9.9" not in text and "Potassium 4.9 mmol/L (corrected)" in text


@pytest.mark.parametrize(
    "pid, number",
    [
        ("PID|1||123-45-6789^^^USA^SS~00451299^^^CLINIC^MR||A^B", "00451299"),
        ("PID|1||123456789^^^^SS||A^B", ""),
        ("PID|1|77|99^^^X^PI~88^^^Y^MR||A^B", "88"),
        ("PID|1|4711|||A^B", "4711"),
        ("PID|1||3196695816^^^SIM^MRN~6597923189^^^NHSNBR^NHSNMBR||A^B", "3196695816"),
    ],
)
def test_the_record_number_is_never_a_social_security_number(pid, number):
    (text,), _ = read(OBR, "OBX|1|NM|K^Potassium^L||4.9|mmol/L|||||F", pid=pid)
    assert re.findall(r"MRN: (.*)", text) == ([number] if number else [])


@pytest.mark.parametrize(
    "specimen", ["OBR|1|1|2|U^Panel^L|||20240305||||||||UR&Urine", "SPM|1|||UR^Urine^HL70487", "SPM|1|||UR"]
)
def test_the_specimen_stands_above_its_values(specimen):
    order = specimen if specimen.startswith("OBR") else OBR
    after = [] if specimen.startswith("OBR") else [specimen]
    (text,), _ = read(order, "OBX|1|NM|G^Glucose^L||1000|mg/dL|||||F", *after)
    assert text.index("Specimen: Urine") < text.index("Glucose 1000")


@pytest.mark.parametrize("newline", ["\r", "\n", "\r\n"])
@pytest.mark.parametrize("frame", ["{}", "\x0b{}\x1c\r", "FHS|^~\\&|A\rBHS|^~\\&|A\r{}BTS|1\rFTS|1\r"])
def test_line_ends_frames_and_batches_make_no_difference(newline, frame):
    message = newline.join([MSH, PID, OBR, "OBX|1|NM|K^Potassium^L||4.9|mmol/L|||||F", ""])
    contents = read_content(frame.format(message).encode(), "a.hl7")
    assert [r.text.splitlines()[-1] for r in contents.reports] == ["Potassium 4.9 mmol/L"]


def test_a_pdf_split_over_several_text_segments_is_read():
    data = base64.b64encode((CASES / "PDF-06-n.pdf").read_bytes()).decode()
    parts = [data[i : i + 700] for i in range(0, len(data), 700)]
    segments = [f"OBX|{n}|TX|PDF^Report^L||{part}||||||F" for n, part in enumerate(parts, 1)]
    (text,), problems = read(OBR, *segments)
    assert data[:40] not in text and len(text) > 150 and not problems


def test_an_obsolete_document_is_set_aside():
    txa = "|".join(["TXA", "1", "DS", "TX", *[""] * 15, "OB"])
    contents = read_content("\r".join([MSH, PID, txa, "OBX|1|TX|N^Note^L||Text of it||||||F", ""]).encode(), "a.hl7")
    assert [p.kind for p in contents.problems] == ["withdrawn report"] and not contents.reports


def test_latin_1_is_read_where_the_message_says_so():
    msh = MSH + "||||||8859/1"
    content = "\r".join([msh, PID.replace("IDA", "JOSÉ"), OBR, "OBX|1|TX|N^Note^L||38 °C, 5 µg||||||F", ""])
    text = read_content(content.encode("latin-1"), "a.hl7").reports[0].text
    assert "JOSÉ" in text and "38 °C, 5 µg" in text


WORD = st.from_regex(r"[A-Za-z]{1,8}|[0-9]{1,3}(?:\.[0-9])?|[|^~&\\]", fullmatch=True)
LINES = st.lists(st.lists(WORD, min_size=1, max_size=6).map(" ".join), min_size=1, max_size=5)


@settings(deadline=None, max_examples=60)
@given(LINES, st.sampled_from(["TX", "FT", "ST"]))
def test_every_word_that_hl7apy_writes_is_read_once_and_in_order(lines, kind):
    from hl7apy.core import Message

    message = Message("ORU_R01", version="2.5")
    message.pid.pid_5 = "OKONKWO^IDA"
    message.add_segment("OBR")
    for number, line in enumerate(lines, 1):
        obx = message.add_segment("OBX")
        obx.obx_1, obx.obx_2, obx.obx_3, obx.obx_11 = str(number), kind, "N^Note", "F"
        escaped = "".join(dict(zip("\\|^~&", (r"\E\ \F\ \S\ \R\ \T\ ").split())).get(c, c) for c in line)
        obx.obx_5.value = escaped
    text = read_content(message.to_er7().encode(), "a.hl7").reports[0].text
    assert text.split("Note:")[1].split() == " ".join(lines).split()


@pytest.mark.data
@pytest.mark.parametrize("name", ["LAB-ORU-1.hl7", "MDM-T02-01.hl7", "MDM-T02-03.hl7", "ORU-R01-01.hl7"])
def test_each_result_of_the_public_samples_is_in_the_text(name):
    path = SHARED / "hl7v2" / name
    if not path.exists():
        pytest.skip(f"{path} is not here")
    content = path.read_bytes()
    contents = read_content(content, name)
    text = " ".join(" ".join(r.text for r in contents.reports).split())
    for segment in content.decode("utf-8-sig").splitlines():
        fields = segment.split("|")
        if fields[0] == "NTE":
            assert " ".join(fields[3].replace(r"\T\ ", "& ").split()) in text
        if fields[0] == "OBX" and fields[2] in ("NM", "TX", "CWE"):
            value = fields[5].split("^")[1] if fields[2] == "CWE" else fields[5].replace("~", ", ")
            assert value in text
    references = len(re.findall(r"(?m)^OBX\|\d*\|(?:RP|ED)\|", content.decode("utf-8-sig")))
    assert [p.kind for p in contents.problems].count("attachment elsewhere") == references
