"""FHIR, CDA, DICOM and other XML as systems export them: the cases after public bug reports, and their kin."""

import base64
import io
import json
import re

import pydicom
import pytest
from case_files import CASES, case_structure, case_text, lab_values, read_case, statuses
from conftest import SHARED
from lxml import etree
from PIL import Image, ImageDraw, ImageFont
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from medllm_nb.ingest import IngestError, normalize_text, read_content
from medllm_nb.ingest.reading import read_file

PATIENT = {"resourceType": "Patient", "id": "p", "name": [{"family": "Okonkwo-Lind", "given": ["Ida"]}]}


@pytest.mark.parametrize(
    "name, wanted",
    [
        pytest.param("FHI-01-b.json", "RPR titer 1:128\nEpithelial cells 10-20 /HPF", id="ratio and range"),
        pytest.param("FHI-04-r.json", "FINDINGS: The liver is enlarged with a 3 cm cyst.", id="narrative"),
        pytest.param(
            "FHI-06-doc.json", "Hospital course:\nTreated for pneumonia of the right lower lobe.", id="document"
        ),
        pytest.param("FHI-07-b.json", "Okonkwo-Lind, Ida", id="patient by an address"),
        pytest.param("FHI-07-b.json", "Potassium 6.1 mmol/L\nSodium 128 mmol/L", id="results by address and version"),
        pytest.param("FHI-09-b.json", "Specimen: Urine\nGlucose 1000 mg/dL", id="specimen"),
        pytest.param("FHI-12-b.json", "Potassium 6.1 mmol/L\nHyperkalemia.", id="a field that R4 does not know"),
        pytest.param(
            "FHI-13-b.json", "Report date: 2024-03-05\nPotassium 6.1 mmol/L\nHyperkalemia.", id="no zone, empty lists"
        ),
        pytest.param("FHI-16-b.json", "Hepatitis B surface antigen Not detected", id="coded result"),
        *(
            pytest.param(f"CDA-0{n}", "RESULTS:\nTest | Result\nPotassium | 6.1 mmol/L", id=f"CDA {n}")
            for n in (1, 3, 4)
        ),
        pytest.param("DCM-01-sr.dcm", "Calcium score 312\nMean attenuation 45 HU\nEjection fraction 25 %", id="units"),
        pytest.param("DCM-03-sr.dcm", "Finding: Small right pleural effusion; no pneumonia.", id="no preamble"),
        pytest.param("DCM-04-sr.dcm", "Finding: Épanchement: small right\npleural effusion.", id="latin-1, CR LF"),
        pytest.param("XML-01-CXR1.xml", "FINDINGS: The lungs are clear. Heart size is normal.", id="OpenI"),
    ],
)
def test_a_case_is_read_as_it_was_sent(name, wanted):
    (path,) = CASES.glob(f"{name}*")
    assert wanted in case_text(path.name)


def test_a_report_entered_in_error_is_set_aside():
    reports, problems = read_case("FHI-03-b.json")
    assert not reports and [p.kind for p in problems] == ["withdrawn report"]


def test_of_several_ranges_that_of_the_patients_sex_counts():
    assert lab_values(case_structure("FHI-10-b.json")) == {("Hemoglobin", 12.5, "g/dL", "normal")}


def test_long_names_and_units_of_codes_are_read():
    assert lab_values(case_structure("FHI-15-b.json")) == {
        ("TSH", 12.1, "mIU/L", "high"),
        ("Hemoglobin", 9.1, "g/dL", "low"),
        ("White blood cells", 15.6, "10^9/L", "high"),
    }


def test_a_result_in_urine_is_none_of_the_blood():
    assert not lab_values(case_structure("FHI-09-b.json"))


def test_a_negative_result_is_a_disease_denied():
    assert statuses(case_structure("FHI-16-b.json"), "hepatitis b") == {"negated"}


def observation(number, name="Potassium", **fields):
    "An Observation."
    fields = fields or {"valueQuantity": {"value": 6.1, "unit": "mmol/L"}}
    return {"resourceType": "Observation", "id": number, "status": "final", "code": {"text": name}} | fields


def report(*results, **fields):
    "A DiagnosticReport."
    references = [{"reference": f"Observation/{r}"} for r in results]
    basic = {"resourceType": "DiagnosticReport", "id": "r", "status": "final", "code": {"text": "Laboratory"}}
    return basic | {"subject": {"reference": "Patient/p"}, "result": references} | fields


def text_of(*resources):
    "The text of the first report of a bundle."
    entries = [{"resource": r} for r in (PATIENT, *resources)]
    content = json.dumps({"resourceType": "Bundle", "type": "collection", "entry": entries}).encode()
    return read_content(content, "a.json").reports[0].text


MARCH = {"start": "2024-03-01", "end": "2024-03-05"}
SYSTOLIC = {"code": {"text": "Systolic"}, "valueQuantity": {"value": 150, "unit": "mmHg"}}


@pytest.mark.parametrize(
    "fields, line",
    [
        pytest.param({"valueInteger": 4}, "X 4", id="integer"),
        pytest.param({"valueBoolean": True}, "X true", id="boolean"),
        pytest.param({"valueString": "Clear, yellow"}, "X Clear, yellow", id="string"),
        pytest.param({"valueTime": "09:30:00"}, "X 09:30:00", id="time"),
        pytest.param({"valuePeriod": MARCH}, "X 2024-03-01 to 2024-03-05", id="period"),
        pytest.param({"valueQuantity": {"value": 5, "comparator": "<", "code": "10*3/uL"}}, "X <5 10^3/uL", id="UCUM"),
        pytest.param({"dataAbsentReason": {"text": "hemolyzed"}}, "X: hemolyzed", id="absent, with its reason"),
        pytest.param({"valueQuantity": "broken", "note": [{"text": "Repeat."}]}, "Repeat.", id="one broken field"),
        pytest.param({"component": [SYSTOLIC]}, "Systolic 150 mmHg", id="component"),
    ],
)
def test_a_value_of_any_type_is_shown(fields, line):
    assert line in text_of(observation("o", "X", **fields), report("o")).splitlines()


def test_digits_of_a_number_stay():
    inr = observation("o", "INR", valueQuantity={"value": "DIGITS", "unit": "{INR}"})
    content = json.dumps(report(contained=[inr], result=[{"reference": "#o"}])).replace('"DIGITS"', "1.10")
    assert read_content(content.encode(), "a.json").reports[0].text.splitlines()[-1] == "INR 1.10"


def test_withdrawn_results_are_left_out_and_counted():
    wrong = observation("w") | {"status": "entered-in-error"}
    entries = [{"resource": r} for r in (PATIENT, wrong, observation("o", "Sodium"), report("w", "o"))]
    contents = read_content(json.dumps({"resourceType": "Bundle", "entry": entries}).encode(), "a.json")
    assert "Potassium" not in contents.reports[0].text and "Sodium" in contents.reports[0].text
    assert [p.kind for p in contents.problems] == ["withdrawn result"]


def test_a_panels_members_follow_it_in_r4_and_stu3():
    members = [observation("a", "Sodium"), observation("b", "Chloride")]
    panel = {"resourceType": "Observation", "id": "x", "code": {"text": "Panel"}}
    for links in (
        {"hasMember": [{"reference": "Observation/a"}, {"reference": "Observation/b"}]},
        {"related": [{"type": "has-member", "target": {"reference": f"Observation/{n}"}} for n in "ab"]},
    ):
        text = text_of(*members, panel | links, report("x"))
        assert text.splitlines()[-2:] == ["Sodium 6.1 mmol/L", "Chloride 6.1 mmol/L"]


def test_a_bulk_exports_files_are_read_together(tmp_path):
    other = PATIENT | {"id": "q", "name": [{"family": "Bergstrom"}]}
    urine = observation(
        "u", "Glucose", valueQuantity={"value": 900, "unit": "mg/dL"}, specimen={"reference": "Specimen/s"}
    )
    files = {
        "Patient.ndjson": [other, PATIENT],
        "Observation.000.ndjson": [observation("o"), observation("unused", "Sodium")],
        "Observation.001.ndjson": [urine],
        "Specimen.ndjson": [{"resourceType": "Specimen", "id": "s", "type": {"text": "Urine"}}],
        "DiagnosticReport.ndjson": [report("o", "u"), report("o", id="r2", subject={"reference": "Patient/q"})],
    }
    for name, resources in files.items():
        (tmp_path / name).write_text("\n".join(map(json.dumps, resources)))
    reports, problems = read_file(tmp_path / "DiagnosticReport.ndjson")
    assert not problems and "Okonkwo-Lind" in reports[0].text and "Bergstrom" in reports[1].text
    assert (
        "Potassium 6.1 mmol/L\nSpecimen: Urine\nGlucose 900 mg/dL" in reports[0].text
        and "Sodium" not in reports[0].text
    )
    with pytest.raises(IngestError, match="no report"):
        read_file(tmp_path / "Patient.ndjson")


def test_a_report_without_its_patient_keeps_the_reference_as_its_number():
    content = json.dumps(report(conclusion="A conclusion that is long enough to be a report.")).encode()
    assert [r.patient for r in read_content(content, "a.json").reports] == ["Patient/p"]


def test_a_social_security_number_is_no_record_number():
    numbers = [
        {"type": {"coding": [{"code": "SS"}]}, "system": "http://hl7.org/fhir/sid/us-ssn", "value": "123-45-6789"},
        {"value": "00451299"},
    ]
    entries = [{"resource": r} for r in (PATIENT | {"identifier": numbers}, observation("o"), report("o"))]
    text = read_content(json.dumps({"resourceType": "Bundle", "entry": entries}).encode(), "a.json").reports[0].text
    assert "MRN: 00451299" in text and "123-45" not in text


def test_fhir_as_xml_is_read_as_json_is():
    xml = """<Bundle xmlns="http://hl7.org/fhir"><entry><fullUrl value="urn:uuid:1"/><resource><Patient><id value="p"/>
    <name><family value="Okonkwo-Lind"/><given value="Ida"/></name></Patient></resource></entry><entry><resource>
    <Observation><id value="o"/><status value="final"/><code><text value="Potassium"/></code><valueQuantity>
    <value value="6.10"/><unit value="mmol/L"/></valueQuantity></Observation></resource></entry><entry><resource>
    <DiagnosticReport><id value="r"/><text><status value="additional"/><div xmlns="http://www.w3.org/1999/xhtml">
    <p>Written by hand: hemolysis is <b>not</b> likely.</p></div></text><status value="final"/><code>
    <text value="Laboratory"/></code><subject><reference value="urn:uuid:1"/></subject><result>
    <reference value="Observation/o"/></result>
    </DiagnosticReport></resource></entry></Bundle>"""
    for name in ("a.xml", "a", "a.txt"):
        text = read_content(xml.encode(), name).reports[0].text
        assert "Patient: Okonkwo-Lind, Ida" in text and "Potassium 6.10 mmol/L" in text
        assert "hemolysis is not likely" in text


CDA = """<ClinicalDocument xmlns="urn:hl7-org:v3"><recordTarget><patientRole><id root="2.16.840.1.113883.4.1"
extension="123-45-6789"/><id extension="00451299"/><patient><name><given>Ida</given><family>Okonkwo-Lind</family></name>
</patient></patientRole></recordTarget><component>{}</component></ClinicalDocument>"""
SECTION = "<structuredBody><component><section><title>T</title><text>{}</text>{}</section></component></structuredBody>"


@pytest.mark.parametrize(
    "narrative, text",
    [
        pytest.param("<paragraph>One.</paragraph><paragraph>Two.</paragraph>", "One.\nTwo.", id="paragraphs"),
        pytest.param("<list><item>One</item><item>Two</item></list>", "- One\n- Two", id="list"),
        pytest.param("90 x 10<sup>9</sup>/L, CO<sub>2</sub> 24", "90 x 10⁹/L, CO₂ 24", id="powers"),
        pytest.param("Small<content revised='delete'> large</content> effusion", "Small effusion", id="deleted"),
        pytest.param("A<br/>B &lt; 5", "A\nB < 5", id="breaks and entities"),
        pytest.param(
            "<table><tbody><tr><td>K</td><td><content>6.1</content></td></tr></tbody></table>", "K | 6.1", id="table"
        ),
    ],
)
def test_a_sections_narrative_is_read_as_it_is_seen(narrative, text):
    content = CDA.format(SECTION.format(narrative, "")).encode()
    read = read_content(content, "a.xml").reports[0].text
    assert f"T:\n{text}" in read and "MRN: 00451299" in read and "123-45" not in read


def test_sections_inside_sections_and_pictures_are_not_lost():
    picture = "<renderMultiMedia referencedObject='m'/>"
    inner = f"<component><section><title>Inner</title><text>Deep.{picture}</text></section></component>"
    contents = read_content(CDA.format(SECTION.format("Outer.", inner)).encode(), "a.xml")
    assert "T:\nOuter." in contents.reports[0].text and "Inner:\nDeep." in contents.reports[0].text
    assert [p.kind for p in contents.problems] == ["picture in a section"]


def test_a_file_inside_a_document_goes_through_the_readers():
    data = base64.b64encode((CASES / "PDF-06-n.pdf").read_bytes()).decode()
    body = f'<nonXMLBody><text mediaType="application/pdf" representation="B64">{data}</text></nonXMLBody>'
    text = read_content(CDA.format(body).encode(), "a.cda").reports[0].text
    assert "Potassium: 6.1 mmol/L" in text and "Okonkwo-Lind, Ida" in text


def test_unknown_and_damaged_xml_say_so():
    for content, kind in (
        (b"<?xml version='1.0'?><note><to>x</to></note>", "unknown XML"),
        (b"<?xml version='1.0'?><a><b>", "broken XML"),
    ):
        with pytest.raises(IngestError) as e:
            read_content(content, "a.xml")
        assert e.value.kind == kind


def picture_object(sop, modality, text):
    "A DICOM object with a picture of a text."
    image = Image.new("L", (1400, 500), 255)
    ImageDraw.Draw(image).text((60, 60), text, fill=0, font=ImageFont.load_default(48))
    data = Dataset()
    data.SOPClassUID, data.SOPInstanceUID, data.Modality = sop, generate_uid(), modality
    data.PatientName, data.PatientID = "OKONKWO-LIND^IDA", "00451299"
    data.Rows, data.Columns, data.SamplesPerPixel, data.PhotometricInterpretation = 500, 1400, 1, "MONOCHROME2"
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 8, 8, 7, 0
    data.PixelData = image.tobytes()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.save_as(saved := io.BytesIO(), enforce_file_format=True)
    return saved.getvalue()


def test_a_picture_of_a_document_is_read_and_an_image_of_the_patient_is_not():
    text = "IMPRESSION: Pulmonary nodule, follow up\nin three months is advised."
    read = read_content(picture_object("1.2.840.10008.5.1.4.1.1.7", "OT", text), "a.dcm").reports[0].text
    assert "Patient: OKONKWO-LIND, IDA" in read and "Pulmonary nodule, follow up" in read
    with pytest.raises(IngestError, match="no report"):
        read_content(picture_object("1.2.840.10008.5.1.4.1.1.2", "CT", text), "a.dcm")


def test_a_clinical_document_in_a_dicom_object_is_read():
    data = Dataset()
    data.SOPClassUID, data.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.104.2", generate_uid()
    data.EncapsulatedDocument = CDA.format(SECTION.format("Small effusion on the right.", "")).encode()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    pydicom.dcmwrite(saved := io.BytesIO(), data, enforce_file_format=True)
    assert "Small effusion on the right." in read_content(saved.getvalue(), "a.dcm").reports[0].text


@pytest.mark.data
@pytest.mark.parametrize(
    "path", sorted((SHARED / "ccda").glob("[A-Z]*.ccda")) or ["absent"], ids=lambda p: getattr(p, "stem", p)
)
def test_each_word_of_each_section_of_the_public_samples_is_in_the_text_in_order(path):
    if path == "absent":
        pytest.skip(f"{SHARED / 'ccda'} is not here")
    squeezed = lambda text: re.sub(r"[\s|]+", "", normalize_text(text))
    text = squeezed(" ".join(r.text for r in read_content(path.read_bytes(), path.name).reports))
    names, at = {"h": "urn:hl7-org:v3"}, 0
    for section in etree.parse(path).findall(".//h:structuredBody//h:section", names):
        for part in (section.find("h:title", names), section.find("h:text", names)):
            for piece in part.itertext() if part is not None else ():
                place = text.find(squeezed(piece).strip("-"), at)
                assert place >= 0
                at = place


def bundle_text(*entries):
    "The text of the first report of a bundle of entries, and the kinds of the problems."
    content = json.dumps({"resourceType": "Bundle", "type": "collection", "entry": list(entries)}).encode()
    contents = read_content(content, "a.json")
    return contents.reports[0].text, [p.kind for p in contents.problems]


def test_results_without_an_id_are_all_read():
    results = [{k: v for k, v in observation("x", name).items() if k != "id"} for name in ("Sodium", "Chloride")]
    urls = ["urn:uuid:1", "urn:uuid:2"]
    whole = report() | {"result": [{"reference": url} for url in urls]}
    text, problems = bundle_text({"resource": whole}, *({"fullUrl": u, "resource": r} for u, r in zip(urls, results)))
    assert "Sodium 6.1" in text and "Chloride 6.1" in text and not problems


@pytest.mark.parametrize("newest_first", [True, False])
def test_of_several_versions_the_last_counts_and_a_named_one_where_it_is_named(newest_first):
    versions = [
        observation("o", valueQuantity={"value": value, "unit": "mmol/L"}) | {"meta": {"versionId": str(n)}}
        for n, value in ((1, 9.9), (2, 4.2))
    ]
    entries = [{"resource": v} for v in (versions[::-1] if newest_first else versions)]
    text, _ = bundle_text(*entries, {"resource": report("o")})
    assert "Potassium 4.2" in text and "9.9" not in text
    text, _ = bundle_text(*entries, {"resource": report() | {"result": [{"reference": "Observation/o/_history/1"}]}})
    assert "Potassium 9.9" in text


def test_a_result_of_another_server_with_the_same_id_is_not_taken():
    at = lambda server, resource: {
        "fullUrl": f"https://{server}/{resource['resourceType']}/{resource['id']}",
        "resource": resource,
    }
    values = [observation("o", valueQuantity={"value": v, "unit": "mmol/L"}) for v in (1.1, 2.2)]
    text, _ = bundle_text(
        at("a.example.org/f", values[0]), at("b.example.org/f", values[1]), at("b.example.org/f", report("o"))
    )
    assert "Potassium 2.2" in text and "1.1" not in text


URINE = {"resourceType": "Specimen", "id": "s", "type": {"text": "Urine"}}


@pytest.mark.parametrize(
    "resources",
    [
        [observation("o"), URINE, report("o", specimen=[{"reference": "Specimen/s"}])],
        [observation("o") | {"contained": [URINE], "specimen": {"reference": "#s"}}, report("o")],
        [
            observation("o"),
            {"resourceType": "Observation", "id": "p", "code": {"text": "Panel"}, "specimen": {"display": "Urine"},
             "hasMember": [{"reference": "Observation/o"}]},
            report("p"),
        ],
    ],
    ids=["the report's", "contained", "the panel's"],
)  # fmt: skip
def test_a_specimen_is_found_wherever_it_stands(resources):
    text = text_of(*resources)
    assert text.index("Specimen: Urine") < text.index("6.1")


MEN = {"low": {"value": 13.5}, "high": {"value": 17.5}, "appliesTo": [{"text": "male"}]}
CRITICAL = {"low": {"value": 2.5}, "high": {"value": 6.5}, "type": {"text": "critical"}}
CHILDREN = {"low": {"value": 3}, "high": {"value": 6}, "age": {"high": {"value": 12, "unit": "a"}}}


@pytest.mark.parametrize(
    "ranges, shown", [([MEN], "(male 13.5-17.5)"), ([CRITICAL], "(critical 2.5-6.5)"), ([CHILDREN], "(age <12 a 3-6)")]
)
def test_a_range_that_may_be_anothers_says_whose_it_is(ranges, shown):
    assert shown in text_of(observation("o") | {"referenceRange": ranges}, report("o"))


@pytest.mark.parametrize(
    "ratio, line",
    [
        ({"numerator": {"value": 500, "unit": "mg"}, "denominator": {"value": 24, "unit": "h"}}, "X 500 mg/24 h"),
        ({"numerator": {"value": 1}, "denominator": {"value": 320}}, "X 1:320"),
    ],
)
def test_a_ratio_is_a_titer_or_an_amount_in_another(ratio, line):
    assert line in text_of(observation("o", "X", valueRatio=ratio), report("o")).splitlines()


def test_an_extension_beside_a_value_of_xml_does_not_hide_it():
    xml = """<DiagnosticReport xmlns="http://hl7.org/fhir"><status value="entered-in-error"><extension url="x">
    <valueString value="y"/></extension></status><code><text value="Laboratory"/></code>
    <conclusion value="Large effusion on the left side of the chest."/></DiagnosticReport>"""
    contents = read_content(xml.encode(), "a.xml")
    assert not contents.reports and [p.kind for p in contents.problems] == ["withdrawn report"]


def test_a_sentence_of_the_narrative_that_the_fields_lack_is_kept():
    div = "<div xmlns='http://www.w3.org/1999/xhtml'><p>Potassium 6.1 mmol/L</p><p>Hemolysis is not likely.</p></div>"
    text = text_of(
        observation("o"), report("o", conclusion="Hemolysis is likely?", text={"status": "additional", "div": div})
    )
    assert "Hemolysis is not likely." in text and text.count("6.1") == 1


def test_entities_of_a_documents_own_are_refused():
    content = '<?xml version="1.0"?><!DOCTYPE ClinicalDocument [<!ENTITY m "10">]>' + CDA.format(
        SECTION.format("5&m; mg", "")
    )
    with pytest.raises(IngestError, match="XML entities"):
        read_content(content.encode(), "a.xml")


def test_a_cell_that_spans_rows_leaves_the_columns_in_their_place():
    rows = "<tr><td rowspan='2'>Monday</td><td>Na</td><td>128</td></tr>"
    rows += "<tr><td>K</td><td>6.1<footnote>hemolyzed</footnote></td></tr>"
    read = read_content(CDA.format(SECTION.format(f"<table><tbody>{rows}</tbody></table>", "")).encode(), "a.xml")
    assert "Monday | Na | 128\n| K | 6.1 (hemolyzed)" in read.reports[0].text


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize("before", ["", "<!-- exported -->", "<?xml version='1.0'?>\n"])
def test_a_document_is_known_by_its_root_whatever_stands_before_it(encoding, before):
    content = (before + CDA.format(SECTION.format("Small effusion on the right.", ""))).encode(encoding)
    for name in ("a.xml", "a.txt", "a"):
        assert "T:\nSmall effusion" in read_content(content, name).reports[0].text
