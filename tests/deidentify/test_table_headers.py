"What the columns of a table say of the patient is removed from its reports, as what their own text says is."

import re

import pytest

from medllm_nb.deidentify.reports import deidentify
from medllm_nb.ingest import read_report

ROW = 'name,dob,mrn,note\n"{name}",{dob},00451234,Ms. Zwingli was seen for a right lower lobe pneumonia.\n'


@pytest.mark.parametrize(
    "name,dob",
    [
        pytest.param("zwingli ana", "1950-03-14", id="small letters"),
        pytest.param("Zwingli, Ana", "19500314", id="a date without dashes"),
        pytest.param("ZWINGLI, ANA", "14.03.1950", id="capitals"),
    ],
)
def test_what_a_table_says_of_the_patient_is_removed(name, dob, tmp_path):
    path = tmp_path / "export.csv"
    path.write_text(ROW.format(name=name, dob=dob))
    text = deidentify(read_report(path), key=bytes(32)).text
    assert not re.search(r"(?i)zwingli|00451234|1950|ana\b", text) and "right lower lobe pneumonia" in text
