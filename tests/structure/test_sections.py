"Headings in every style, on any text, and on real reports where ../shared/data is at hand."

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from public_texts import aci_bench, mtsamples
from structure_texts import relaxed

from medllm_nb.core import lab_tests
from medllm_nb.structure.concepts import find_findings
from medllm_nb.structure.diagnoses import find_diagnoses
from medllm_nb.structure.labs import find_labs
from medllm_nb.structure.headings import known_headings
from medllm_nb.structure.sections import find_sections
from medllm_nb.structure.tables import heading_table


@settings(max_examples=20, deadline=None)
@given(st.text(alphabet="AB:,.\n -*#1(", max_size=3000))
def test_repetitive_text_takes_no_exponential_time(text):
    find_sections(text * 3)
    find_labs("Potassium " + text * 3)


@relaxed
@given(
    st.sampled_from(sorted(known_headings())),
    st.sampled_from(["{H}\n{b}", "{H}:\n{b}", "{T}: {b}", "{H}: {b}", "## {T}\n{b}", "**{T}:** {b}", "{H}:, {b}"]),
    st.booleans(),
)
def test_every_known_heading_opens_its_section_in_every_style(heading, style, after_newline):
    if known_headings()[heading] == "signature" or len(heading) < 4:
        return  # need a body before them; too short to be safe in each style
    if heading in heading_table().titles and not after_newline:
        return  # a report's title
    body = "Something was noted here."
    text = "Jane Roe\nFINDINGS: First.\n" * after_newline + style.format(
        H=heading.upper(), T=heading.capitalize(), b=body
    )
    last = find_sections(text)[-1]
    assert text[last.start : last.end] == body
    ambiguous = {
        "exam",
        "examination",
        "study",
        "results",
        "result",
        "investigations",
        "data",
        "studies",
        "tests",
        "diagnostics",
        "diagnostic data",
        "diagnostic studies",
        "test results",
        "pertinent results",
    }
    if heading not in ambiguous and after_newline:
        assert last.name == known_headings()[heading]


def test_each_heading_belongs_to_one_section():
    spelt = [h for names in heading_table().sections.values() for h in names]
    assert len(spelt) == len(set(spelt))


def found_in(texts):
    sections = [find_sections(t) for t in texts]
    share = lambda *names: sum(any(s.name in names for s in found) for found in sections) / len(texts)
    return sections, share


@pytest.mark.data
def test_sections_of_real_transcripts():
    texts = mtsamples()
    sections, share = found_in(texts)
    assert share("impression", "diagnosis") >= 0.8
    assert sum(s.name == "other" for found in sections for s in found) <= 0.06 * sum(map(len, sections))
    labs = [l for t in texts for l in find_labs(t)]
    assert len(labs) >= 80 and all(t.name in lab_tests() for t in labs)


@pytest.mark.data
def test_sections_of_real_visit_notes():
    texts = aci_bench()
    sections, share = found_in(texts)
    assert share("impression", "diagnosis") >= 0.97 and share("history") >= 0.97 and share("recommendations") >= 0.7
    coded = [d.code for t, s in zip(texts, sections) for d in find_diagnoses(t, s)]
    assert len(coded) >= 70
    assert sum(len(find_findings(t, s)) for t, s in zip(texts, sections)) >= 5 * len(texts)


@pytest.mark.data
def test_real_note_in_full():
    text = next(t for t in mtsamples() if t.startswith("SUBJECTIVE:,  This 23-year-old white female"))
    assert [s.name for s in find_sections(text)] == [
        "history",
        "medications",
        "allergies",
        "examination",
        "impression",
        "recommendations",
    ]


@pytest.mark.parametrize(
    "dated",
    [
        pytest.param("", id="empty"),
        pytest.param(" 03/04/2021", id="03/04/2021"),
        pytest.param(" (2021-03-04)", id="2021-03-04"),
    ],
)
def test_an_addendums_own_impression_is_a_section_after_the_first(dated):
    text = (
        "CT CHEST\nFINDINGS: Small nodule in the right upper lobe.\nIMPRESSION: Nodule, benign in look.\n"
        "Electronically signed by A. Brown, MD\n"
        f"ADDENDUM{dated}: The earlier CT was made available.\nIMPRESSION: The nodule has grown.\n"
        "Electronically signed by A. Brown, MD"
    )
    found = [(s.name, text[s.start : s.end]) for s in find_sections(text)]
    assert [body for name, body in found if name == "impression"] == [
        "Nodule, benign in look.",
        "The nodule has grown.",
    ]
    assert found[4] == ("other", "The earlier CT was made available.") and found[-1][0] == "signature"


@pytest.mark.parametrize(
    "mark",
    [
        pytest.param("*** ADDENDUM #1 ***\n", id="ADDENDUM_1"),
        pytest.param("ADDENDUM 03/04/2021 14:22: ", id="ADDENDUM_03/04/2021_14_22"),
        pytest.param("Addendum (Dr. Jones): ", id="Addendum_Dr._Jones"),
        pytest.param("Addendum by Dr. Jones on 12 March 2021:\n", id="Addendum_by_Dr._Jones_on_12_March_2021"),
        pytest.param("ADDENDUM 03/04/2021 ", id="ADDENDUM_03/04/2021"),
    ],
)
def test_an_addendum_below_the_signature_is_read(mark):
    signed = "FINDINGS: Clear lungs.\nIMPRESSION: Normal.\nElectronically signed by: Dr. A. Smith"
    text = f"{signed}\n\n{mark}New pneumothorax on the right."
    found = [(s.name, text[s.start : s.end]) for s in find_sections(text)]
    assert found[2:] == [("signature", "Dr. A. Smith"), ("other", "New pneumothorax on the right.")]


@pytest.mark.parametrize(
    "written",
    [
        pytest.param(
            "[HISTORY] cough [FINDINGS] clear [IMPRESSION] normal", id="HISTORY_cough_FINDINGS_clear_IMPRESSION_normal"
        ),
        pytest.param(
            "[HISTORY]\ncough\n[FINDINGS]\nclear\n[IMPRESSION]\nnormal",
            id="HISTORY_cough_FINDINGS_clear_IMPRESSION_normal_2",
        ),
        pytest.param(
            "<<HISTORY>>\ncough\n<<FINDINGS>>\nclear\n<<IMPRESSION>>\nnormal",
            id="<<HISTORY>>_cough_<<FINDINGS>>_clear_<<IMPRESSIO",
        ),
        pytest.param(
            "• HISTORY\ncough\n• FINDINGS\nclear\n• IMPRESSION\nnormal",
            id="HISTORY_cough_FINDINGS_clear_IMPRESSION_normal_3",
        ),
        pytest.param(
            "1. HISTORY\ncough\n2. FINDINGS\nclear\n3. IMPRESSION\nnormal",
            id="1._HISTORY_cough_2._FINDINGS_clear_3._IMPRESSION",
        ),
        pytest.param(
            "I. HISTORY\ncough\nII. FINDINGS\nclear\nIII. IMPRESSION\nnormal",
            id="I._HISTORY_cough_II._FINDINGS_clear_III._IMPRESS",
        ),
        pytest.param(
            "history\ncough\n\nfindings\nclear\n\nimpression\nnormal",
            id="history_cough_findings_clear_impression_normal",
        ),
        pytest.param(
            "history\ncough\nfindings\nclear\nimpression\nnormal", id="history_cough_findings_clear_impression_normal_2"
        ),
        pytest.param("Hx: cough\nO/E: clear\nIMPRESSION: normal", id="Hx_cough_O/E_clear_IMPRESSION_normal"),
    ],
)
def test_headings_in_brackets_with_numbers_bullets_or_in_small_letters(written):
    found = [(s.name, written[s.start : s.end]) for s in find_sections(written)]
    assert found == [
        ("history", "cough"),
        ("examination" if "O/E" in written else "findings", "clear"),
        ("impression", "normal"),
    ]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(
            "FINDINGS: Seen by [NAME] on [DATE] in [HOSPITAL] for review.",
            id="FINDINGS_Seen_by_NAME_on_DATE_in_HOSPITAL_for_re",
        ),
        pytest.param(
            "FINDINGS: We saw no acute bony injury, and of all the earlier\nfindings\nnone is left.",
            id="FINDINGS_We_saw_no_acute_bony_injury_and_of_all",
        ),
        pytest.param(
            "FINDINGS: Three lesions are seen.\n1. Liver\n2. Spleen",
            id="FINDINGS_Three_lesions_are_seen._1._Liver_2._Spl",
        ),
    ],
)
def test_what_is_no_heading_stays_in_its_section(text):
    assert [(s.name, text[s.start : s.end]) for s in find_sections(text)] == [
        ("findings", text.removeprefix("FINDINGS: "))
    ]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(
            "57M with chest pain.\nTroponin positive.\nHas STEMI and diabetes.\nTo cath lab.",
            id="57M_with_chest_pain._Troponin_positive._Has_STEM",
        ),
        pytest.param("cough for 3 days\nlungs clear\nrest", id="cough_for_3_days_lungs_clear_rest"),
    ],
)
def test_a_note_without_headings_is_no_header(text):
    assert [(s.name, text[s.start : s.end]) for s in find_sections(text)] == [("other", text)]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        pytest.param(
            "S: cough for 3 days\nO: lungs clear\nA: bronchitis\nP: rest",
            ["history", "examination", "impression", "recommendations"],
            id="S_cough_for_3_days_O_lungs_clear_A_bronchitis_P",
        ),
        pytest.param(
            "S: 54 yo man\nO:\nT: 37\nP: 72\nLungs clear\nA: bronchitis\nP: rest",
            ["history", "examination", "impression", "recommendations"],
            id="S_54_yo_man_O_T_37_P_72_Lungs_clear_A_bronchitis",
        ),
        pytest.param(
            "S: cough\nO: clear\nA/P: bronchitis, rest",
            ["history", "examination", "impression"],
            id="S_cough_O_clear_A/P_bronchitis_rest",
        ),
        pytest.param(
            "S\ncough\nO\nclear\nA\nbronchitis\nP\nrest",
            ["history", "examination", "impression", "recommendations"],
            id="S_cough_O_clear_A_bronchitis_P_rest",
        ),
        pytest.param(
            "S: cough\nA: gout\nP: rest\n\nS: better\nO: clear\nP: none",
            ["history", "impression", "recommendations", "history", "examination", "recommendations"],
            id="S_cough_A_gout_P_rest_S_better_O_clear_P_none",
        ),
    ],
)
def test_the_letters_of_a_soap_note_head_its_sections(text, names):
    assert [s.name for s in find_sections(text)] == names


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("FINDINGS: T: 37\nP: 72\nR: 16\nBP: 120/80", id="FINDINGS_T_37_P_72_R_16_BP_120/80"),
        pytest.param("FINDINGS: Blood group\nA: positive\nP: 72", id="FINDINGS_Blood_group_A_positive_P_72"),
        pytest.param(
            "FINDINGS: He had type A: S and O: were not found, P: none.",
            id="FINDINGS_He_had_type_A_S_and_O_were_not_found_P",
        ),
        pytest.param("FINDINGS: S: cough\nP: rest", id="FINDINGS_S_cough_P_rest"),
        pytest.param("FINDINGS: P: 72\nO: none\nS: none", id="FINDINGS_P_72_O_none_S_none"),
    ],
)
def test_single_letters_head_nothing_without_a_soap_note(text):
    assert [s.name for s in find_sections(text)] == ["findings"]
