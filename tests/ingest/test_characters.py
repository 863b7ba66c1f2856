"""One way of writing for every reader's text, and the language it is written in."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from public_texts import aci_bench, mtsamples

from medllm_nb.ingest import IngestError, IngestParams, find_language, normalize_text, read_file, symbol_character

WORDS = st.lists(st.from_regex(r"[a-z]{1,9}|[0-9]{1,4}(?:\.[0-9]{1,2})?", fullmatch=True), min_size=1, max_size=12)
BLANKS = st.sampled_from([" ", "\u00a0", "\u2003", "\u3000", "\t", "\n", "\r\n", "\x0b", "\x0c", "\u2028"])


@settings(deadline=None)
@given(WORDS, st.lists(BLANKS, min_size=12, max_size=12))
def test_no_word_and_no_number_changes_whatever_blanks_stand_between(words, blanks):
    text = "".join(word + blank for word, blank in zip(words, blanks))
    assert normalize_text(text).split() == words


@settings(deadline=None)
@given(st.text(max_size=200))
def test_writing_a_text_in_the_one_way_again_changes_nothing(text):
    once = normalize_text(text)
    assert normalize_text(once) == once


@pytest.mark.parametrize(
    "raw, text",
    [
        pytest.param("Potassium\u00a06.1\u202fmmol/L", "Potassium 6.1 mmol/L", id="no-break and narrow blanks"),
        pytest.param("base excess \u22122.1", "base excess -2.1", id="minus sign"),
        pytest.param("3.5\u20135.1 and 4\u20147", "3.5-5.1 and 4-7", id="dashes in ranges"),
        pytest.param("15.6 x 10\u2079/L, CO\u2082 24", "15.6 x 10⁹/L, CO₂ 24", id="powers stay powers"),
        pytest.param("25\u03bcg and \u03b1\u03bc", "25µg and αμ", id="micro before a unit"),
        pytest.param("K &lt; 3.0 &amp; Na &#62; 150", "K < 3.0 & Na > 150", id="HTML entities"),
        pytest.param("ﬁndings of ﬂuid", "findings of fluid", id="ligatures"),
        pytest.param("hemo\u00adglobin and hema-\ntocrit", "hemoglobin and hematocrit", id="soft and line-end hyphen"),
        pytest.param("pneu\x02monia, con\ufffesolidation", "pneumonia, consolidation", id="PDFium's two marks"),
        pytest.param("range 3.5-\n5.1, 2023-11-\n05", "range 3.5-5.1, 2023-11-05", id="numbers keep their hyphen"),
        pytest.param("a follow-\nup, an X-\nray", "a follow-up, an X-ray", id="words with a hyphen of their own"),
        pytest.param("Dr. Okonkwo-\nLind", "Dr. Okonkwo-Lind", id="double names"),
        pytest.param("Mr. Szczepa\x02niak, Szczepaniak", "Mr. Szczepaniak, Szczepaniak", id="a name that stands whole"),
        pytest.param("\uf0b3 40 %, 25 \uf06dg, \uf0fe yes \uf0a8 no", "≥ 40 %, 25 µg, ☑ yes ☐ no", id="fonts of signs"),
        pytest.param("1-\n2-\n3-\n", "1-\n2-\n3-\n", id="an empty list stays one"),
        pytest.param("Allergies -\nnone", "Allergies -\nnone", id="a dash is no hyphen"),
    ],
)
def test_what_looks_the_same_is_written_the_same(raw, text):
    assert normalize_text(raw) == text


@pytest.mark.parametrize(
    "font, code, character",
    [
        ("Symbol", 0x6D, "µ"),
        ("Symbol", 0xF0B3, "≥"),
        ("SymbolMT", 0xA3, "≤"),
        ("Symbol", 0x44, "Δ"),
        ("Wingdings", 0xF0FE, "☑"),
        ("Wingdings 2", 0x51, "☒"),
        ("Webdings", 0x63, "☐"),
        ("Arial", 0x6D, None),
    ],
)
def test_a_font_of_signs_draws_another_character(font, code, character):
    assert symbol_character(font, code) == character


LETTERS = {
    "de": "Befund: Das Herz ist vergrößert. Kleiner Pleuraerguss rechts. Kein Pneumothorax. Beurteilung: Insuffizienz.",
    "es": "HALLAZGOS: El corazón está aumentado de tamaño. Hay un pequeño derrame pleural derecho. No hay neumotórax.",
    "fr": "Radiographie du thorax : cardiomégalie. Petit épanchement pleural droit. Pas de pneumothorax.",
    "pt": "Achados: o coração está aumentado. Pequeno derrame pleural à direita. Não há pneumotórax nem consolidação.",
    "nl": "Verslag: het hart is vergroot. Klein pleuravocht rechts. Geen pneumothorax. Conclusie: hartfalen.",
    "pl": "Opis: serce powiększone. Niewielki płyn w prawej jamie opłucnej. Bez odmy opłucnowej.",
    "ru": "Описание: сердце увеличено. Небольшой плевральный выпот справа. Пневмоторакса нет.",
    "zh": "心影增大,右侧少量胸腔积液。未见气胸。两肺纹理清晰,未见实变。" * 2,
}


@pytest.mark.parametrize("language", LETTERS)
def test_a_report_in_another_language_is_set_aside_and_a_parameter_takes_it(language, tmp_path):
    path = tmp_path / "a.txt"
    path.write_text(LETTERS[language], encoding="utf-8")
    with pytest.raises(IngestError, match="another language: report 1 of it is in [A-Z]"):
        read_file(path)
    assert read_file(path, IngestParams(languages=["en", language]))[0]
    assert read_file(path, IngestParams(languages=[]))[0]


@pytest.mark.parametrize(
    "text",
    [
        "Sodium 135 mmol/L\nPotassium 6.1 mmol/L\nCreatinine 1.9 mg/dL\nHemoglobin 9.1 g/dL\nChloride 101 mmol/L",
        "DIAGNOSIS: Diabetes mellitus, status post cholecystectomy, cor pulmonale, angina pectoris, herpes zoster.",
        "Pt c/o SOB x2d, r/o PE. CXR neg. D-dimer 0.3. Cont ASA 81 mg qd, f/u prn.",
        "Bilirubin, Total 0.8 mg/dL; Carbon Dioxide, Total 24 mmol/L; Creatinine, Serum 1.1 mg/dL; Globulin 2.5 g/dL",
    ],
)
def test_short_lists_and_latin_are_no_other_language(text):
    assert find_language(text) in (None, "en")


@pytest.mark.data
def test_no_report_of_the_public_sets_is_set_aside():
    assert {find_language(text) for text in [*mtsamples(), *aci_bench()]} <= {"en", None}
