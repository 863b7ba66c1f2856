"One file: any bytes are read or refused, and a table's columns stand above the reports that do not say them."

import pytest
from hypothesis import given, settings, strategies as st

from medllm_nb.ingest import (
    IngestError,
    header_fields,
    read_report,
    read_reports,
)

from made_files import TEXT


ROW = 'name,dob,mrn,note\n"{name}",{dob},00451234,Ms. Zwingli was seen for a right lower lobe pneumonia.\n'


@pytest.mark.parametrize(
    "name,dob",
    [
        pytest.param("zwingli ana", "1950-03-14", id="small letters"),
        pytest.param("Zwingli, Ana", "19500314", id="a date without dashes"),
        pytest.param("ZWINGLI, ANA", "14.03.1950", id="capitals"),
    ],
)
def test_what_a_table_says_of_the_patient_is_found_in_the_text(name, dob, tmp_path):
    "That it is then removed stands in tests/deidentify/test_table_headers.py."
    path = tmp_path / "export.csv"
    path.write_text(ROW.format(name=name, dob=dob))
    assert header_fields(read_report(path).text) == {"mrn": "00451234", "name": "ana zwingli", "dob": "1950-03-14"}


def test_a_table_row_without_a_report_is_none_whoever_it_names(tmp_path):
    path = tmp_path / "export.csv"
    path.write_text("patient_name,birth_date,mrn,text\nZwingli Ana Maria Magdalena,1950-03-14,00451234,see above\n")
    with pytest.raises(IngestError, match="no text"):
        read_report(path)


def test_a_record_number_is_not_written_into_a_report_that_lacks_it(tmp_path):
    path = tmp_path / "export.csv"
    path.write_text("mrn,text\n00451234,Impression: Right lower lobe pneumonia with effusion.\n")
    report = read_report(path)
    assert report.patient_id == "00451234" and "0045" not in report.text


def test_read_report_refuses_a_file_with_several(tmp_path):
    path = tmp_path / "export.csv"
    path.write_text(f'mrn,note\n1,"{TEXT}"\n2,"{TEXT} Again."\n')
    with pytest.raises(IngestError, match="several reports"):
        read_report(path)


@settings(max_examples=60, deadline=None)
@given(
    content=st.binary(max_size=400),
    suffix=st.sampled_from([".txt", ".csv", ".json", ".pdf", ".docx", ".png", ".tif", ".xyz", ""]),
    head=st.sampled_from(
        [b"", b"%PDF-1.7\n", b"PK\x03\x04 word/", b"\x89PNG\r\n\x1a\n", b"II*\x00", b"\xff\xd8\xff", b"a,text\n", b"[{"]
    ),
)
def test_any_bytes_are_read_or_refused_never_a_crash(tmp_path_factory, content, suffix, head):
    path = tmp_path_factory.mktemp("fuzz") / f"file{suffix}"
    path.write_bytes(head + content)
    try:
        reports = read_reports(path)
    except IngestError as e:
        assert e.kind
    else:
        assert reports and all(r.text.strip() for r in reports)
