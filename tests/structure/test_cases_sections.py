"Sections of reports as others type them: the cases after public reports, and their siblings."

import pytest
from case_files import case_structure
from medllm_nb.structure.sections import find_sections

CASES = [
    pytest.param(
        "SEC-01-x.txt",
        [("findings", "lungs are clear"), ("impression", "No acute disease"), ("history", "Cough and fever")],
        id="SEC-01",
    ),
    pytest.param("SEC-03-x.txt", [("impression", "Right lower lobe")], id="SEC-03"),
    pytest.param(
        "SEC-04-x.txt",
        [("history", "Breast mass"), ("diagnosis", "Invasive ductal"), ("findings", "Infiltrating ductal")],
        id="SEC-04",
    ),
    pytest.param(
        "SEC-06-x.txt",
        [("findings", "heart is enlarged"), ("impression", "Cardiomegaly"), ("recommendations", "Echocardiogram")],
        id="SEC-06",
    ),
    pytest.param("SEC-07-x.txt", [("findings", "9 mm nodule"), ("impression", "Pulmonary nodule")], id="SEC-07"),
    pytest.param("SEC-09-x.txt", [("history", "Fall"), ("impression", "Fracture")], id="SEC-09"),
    pytest.param(
        "SEC-10-x.txt",
        [("history", "Cough"), ("findings", "lungs are clear"), ("impression", "No active disease")],
        id="SEC-10",
    ),
]


@pytest.mark.parametrize(("file", "places"), CASES)
def test_a_case_is_cut_where_its_headings_stand(file, places):
    report = case_structure(file)
    held = lambda words: {s.name for s in report.sections if words in report.text[s.start : s.end]}
    assert [held(words) for _, words in places] == [{name} for name, _ in places]


TYPED = [
    pytest.param(
        "FINDINGS\xa0: The heart is enlarged.\nIMPRESSION\u202f: Cardiomegaly.",
        ["findings", "impression"],
        id="nbsp",
    ),
    pytest.param(
        "CLINICAL\xa0HISTORY: Cough.\nFINDINGS:\xa0Clear.",
        ["history", "findings"],
        id="nbsp-in",
    ),
    pytest.param(
        "FINDINGS：Clear.\nIMPRESSION：Normal.",
        ["findings", "impression"],
        id="fullwidth",
    ),
    pytest.param(
        "F I N D I N G S\nClear lungs.\nI M P R E S S I O N\nNormal.",
        ["findings", "impression"],
        id="spaced",
    ),
    pytest.param(
        "F I N D I N G S: Clear lungs.\nI M P R E S S I O N: Normal.",
        ["findings", "impression"],
        id="spaced-colon",
    ),
    pytest.param(
        "FINDINGS:Clear lungs.\nIMPRESSION:Normal.",
        ["findings", "impression"],
        id="nospace",
    ),
    pytest.param(
        "Findings:Clear lungs.\nImpression:Normal.",
        ["findings", "impression"],
        id="title-nospace",
    ),
    pytest.param(
        "findings: clear lungs.\nimpression: normal.",
        ["findings", "impression"],
        id="lower",
    ),
    pytest.param(
        "## Findings\nClear lungs.\n## Impression\nNormal.",
        ["findings", "impression"],
        id="md",
    ),
    pytest.param(
        "**Findings:** Clear lungs.\n**Impression:** Normal.",
        ["findings", "impression"],
        id="bold",
    ),
    pytest.param(
        "*FINDINGS*\nClear lungs.\n_IMPRESSION_\nNormal.",
        ["findings", "impression"],
        id="bold2",
    ),
    pytest.param(
        "FINDINGS\n========\nClear lungs.\n\nIMPRESSION\n----------\nNormal.",
        ["findings", "impression"],
        id="under",
    ),
    pytest.param(
        "1. FINDINGS: Clear lungs.\n2. IMPRESSION: Normal.",
        ["findings", "impression"],
        id="numbered",
    ),
    pytest.param(
        "I. FINDINGS\nClear lungs.\nII. IMPRESSION\nNormal.",
        ["findings", "impression"],
        id="roman",
    ),
    pytest.param(
        "A. FINDINGS:\nClear lungs.\nB. IMPRESSION:\nNormal.",
        ["findings", "impression"],
        id="letter",
    ),
    pytest.param(
        "FINDINGS - Clear lungs.\nIMPRESSION - Normal.",
        ["findings", "impression"],
        id="dash",
    ),
    pytest.param(
        "FINDINGS – Clear lungs.\nIMPRESSION – Normal.",
        ["findings", "impression"],
        id="dash2",
    ),
    pytest.param(
        "Findings - Clear lungs.\nImpression - Normal.",
        ["findings", "impression"],
        id="dash3",
    ),
    pytest.param(
        "FINDINGS >> Clear lungs.\nIMPRESSION >> Normal.",
        ["findings", "impression"],
        id="arrow",
    ),
    pytest.param(
        "[FINDINGS] Clear lungs.\n[IMPRESSION] Normal.",
        ["findings", "impression"],
        id="brackets",
    ),
    pytest.param(
        "HISTORY: Cough. TECHNIQUE: PA and lateral. COMPARISON: None. FINDINGS: Lungs clear. "
        "IMPRESSION: No acute disease.",
        ["history", "procedure", "procedure", "findings", "impression"],
        id="oneline",
    ),
    pytest.param(
        "Indication: Cough. Findings: Lungs clear. Impression: No acute disease.",
        ["history", "findings", "impression"],
        id="oneline-title",
    ),
    pytest.param(
        "INDICATION: Cough FINDINGS: Lungs clear IMPRESSION: No acute disease",
        ["history", "findings", "impression"],
        id="oneline-nostop",
    ),
    pytest.param(
        " FINAL REPORT\n INDICATION:  Cough.\n \n FINDINGS:  Lungs clear.\n \n IMPRESSION:  Normal.",
        ["history", "findings", "impression"],
        id="mimic",
    ),
    pytest.param(
        "WET READ: No pneumothorax.\nFINAL REPORT\nFINDINGS: Clear.\nIMPRESSION: Normal.",
        ["findings", "impression"],
        id="wet",
    ),
    pytest.param(
        "FINDINGS / HALLAZGOS: Clear lungs.\nIMPRESSION / IMPRESIÓN: Normal.",
        ["findings", "impression"],
        id="bilingual",
    ),
    pytest.param(
        "Befund / Findings: Clear lungs.\nBeurteilung / Impression: Normal.",
        ["findings", "impression"],
        id="bilingual2",
    ),
    pytest.param(
        "FINDINGS (HALLAZGOS): Clear lungs.\nIMPRESSION (IMPRESIÓN): Normal.",
        ["findings", "impression"],
        id="bilingual3",
    ),
    pytest.param(
        "INDICATION : Toux.\nRÉSULTATS : Lungs are clear.\nCONCLUSION : Normal.",
        ["history", "findings", "impression"],
        id="french",
    ),
    pytest.param(
        "FINDINGS (CT): Clear lungs.\nIMPRESSION (preliminary): Normal.",
        ["findings", "impression"],
        id="bracketed",
    ),
    pytest.param(
        "FINDINGS/IMPRESSION: Fracture.",
        ["impression"],
        id="joint1",
    ),
    pytest.param(
        "FINDINGS & IMPRESSION: Fracture.",
        ["impression"],
        id="joint2",
    ),
    pytest.param(
        "IMPRESSION AND PLAN: Fracture.\n",
        ["impression"],
        id="joint3",
    ),
    pytest.param(
        "Assessment and Recommendations: Gout.",
        ["impression"],
        id="joint4",
    ),
    pytest.param(
        "HISTORY/INDICATION: Cough.\nTECHNIQUE/COMPARISON: None\nFINDINGS: Clear.",
        ["history", "procedure", "findings"],
        id="joint5",
    ),
    pytest.param(
        "Clinical History and Indication: Cough.\nFINDINGS: Clear.",
        ["history", "findings"],
        id="joint6",
    ),
    pytest.param(
        "SPECIMEN(S) SUBMITTED: Breast.\nCLINICAL HISTORY: Mass.\nGROSS DESCRIPTION: Nodule.\n"
        "MICROSCOPIC DESCRIPTION: Carcinoma.\nFINAL DIAGNOSIS: Carcinoma.\nCOMMENT: ER.",
        ["procedure", "history", "findings", "findings", "diagnosis", "other"],
        id="path",
    ),
    pytest.param(
        "PRE-OP DIAGNOSIS: Mass.\nINTRAOPERATIVE CONSULTATION: Benign.\nPATHOLOGICAL DIAGNOSIS:\n"
        "Breast: carcinoma.\nSYNOPTIC REPORT: Grade 2.\nADDENDUM DIAGNOSIS: ER positive.",
        ["diagnosis", "findings", "diagnosis", "findings", "diagnosis"],
        id="path2",
    ),
    pytest.param(
        "DIAGNOSIS:\nA. Skin, left arm, shave: Basal cell carcinoma.\nMACROSCOPIC: A shave.\n"
        "MICROSCOPIC: Basaloid nests.\nIMMUNOHISTOCHEMISTRY: BerEP4 positive.\nCLINICAL DATA: Lesion.",
        ["diagnosis", "findings", "findings", "findings", "history"],
        id="path3",
    ),
    pytest.param(
        "Final Pathologic Diagnosis\nColon, biopsy: Adenocarcinoma.\nGross Description\n"
        "Received in formalin.\nMicroscopic Description\nGlands.\nClinical Information\nBleeding.",
        ["diagnosis", "findings", "findings", "history"],
        id="path4",
    ),
    pytest.param(
        "FROZEN SECTION DIAGNOSIS: Benign.\nTUMOR SITE: Colon.\nPATHOLOGIST'S COMMENT: None.\nFINAL DX: Adenoma.",
        ["diagnosis", "other", "impression", "diagnosis"],
        id="path5",
    ),
    pytest.param(
        "Clinical details: Cough.\nReport: The lungs are clear.\nOpinion: No active disease.",
        ["history", "findings", "impression"],
        id="british",
    ),
    pytest.param(
        "Clinical Indication: Cough.\nExamination: Chest X-ray.\nReport:\nThe lungs are clear.\nConclusion:\nNormal.",
        ["history", "procedure", "findings", "impression"],
        id="british2",
    ),
    pytest.param(
        "Presenting complaint: Cough.\nPMHx: Asthma.\nDrug history: Salbutamol.\nO/E: Chest clear.\n"
        "Imp: Asthma.\nPlan: Inhaler.",
        ["history", "history", "medications", "examination", "impression", "recommendations"],
        id="british3",
    ),
    pytest.param(
        "Reason for request: Cough.\nFindings: Clear.\nComment: Normal.",
        ["history", "findings", "other"],
        id="british4",
    ),
    pytest.param(
        "CT CHEST: FINDINGS:\nCT CHEST: There is a nodule.\nCT CHEST: IMPRESSION:\nCT CHEST: Nodule.",
        ["findings", "impression"],
        id="prefix",
    ),
    pytest.param(
        "OBX|FINDINGS: Clear\nOBX|IMPRESSION: Normal",
        ["findings", "impression"],
        id="prefix2",
    ),
    pytest.param(
        "FINDINGS:\nIMPRESSION:\nRight lower lobe pneumonia.",
        ["impression"],
        id="empty",
    ),
    pytest.param(
        "FINDINGS:\n\n\nCOMPARISON:\n\nIMPRESSION:\nPneumonia.",
        ["impression"],
        id="empty2",
    ),
    pytest.param(
        "HISTORY: \nFINDINGS: Clear.\nIMPRESSION:",
        ["findings"],
        id="empty3",
    ),
    pytest.param(
        "FINDINGS; Clear lungs.\nIMPRESSION; Normal.",
        ["findings", "impression"],
        id="semi",
    ),
    pytest.param(
        "FINDINGS.\nClear lungs.\nIMPRESSION.\nNormal.",
        ["findings", "impression"],
        id="period",
    ),
    pytest.param(
        "FINDNGS: Clear lungs.\nIMPRESION: Normal.",
        ["findings", "impression"],
        id="typo",
    ),
    pytest.param(
        "Findngs: Clear lungs.\nImpresion: Normal.",
        ["findings", "impression"],
        id="typo2",
    ),
    pytest.param(
        "Finding: Clear.\nImpressions: Normal.",
        ["findings", "impression"],
        id="plural",
    ),
    pytest.param(
        "FINDINGS:\tClear lungs.\nIMPRESSION:\tNormal.",
        ["findings", "impression"],
        id="tab",
    ),
    pytest.param(
        "FINDINGS Clear lungs.\nIMPRESSION No acute disease.",
        ["findings", "impression"],
        id="caps-nocolon",
    ),
    pytest.param(
        "FINDINGS:\r\nClear lungs.\r\nIMPRESSION:\r\nNormal.",
        ["findings", "impression"],
        id="crlf",
    ),
    pytest.param(
        "FINDINGS:\rClear lungs.\rIMPRESSION:\rNormal.",
        ["findings", "impression"],
        id="cr",
    ),
    pytest.param(
        "      FINDINGS:\n   Clear lungs.\n      IMPRESSION:\n   Normal.",
        ["findings", "impression"],
        id="indent",
    ),
    pytest.param(
        "| FINDINGS | Clear lungs. |\n| IMPRESSION | Normal. |",
        ["findings", "impression"],
        id="pipes",
    ),
    pytest.param(
        "• FINDINGS: Clear.\n• IMPRESSION: Normal.",
        ["findings", "impression"],
        id="bullets",
    ),
    pytest.param(
        "EXAM: CT chest.\nCLINICAL INDICATION: Cough.\nTECHNIQUE: Axial.\nFINDINGS:\nLUNGS: Clear.\n"
        "HEART: Normal.\nIMPRESSION: Normal.",
        ["procedure", "history", "procedure", "findings", "impression"],
        id="rad",
    ),
    pytest.param(
        "Medical Decision Making: Viral.\nED Course: Fluids.\nDisposition: Home.",
        ["impression", "history", "recommendations"],
        id="ed2",
    ),
    pytest.param(
        "FINDINGS: - Clear lungs.\nIMPRESSION: - Normal.",
        ["findings", "impression"],
        id="dash4",
    ),
    pytest.param(
        "FINDINGS   :   Clear.\nIMPRESSION   :   Normal.",
        ["findings", "impression"],
        id="colonspace",
    ),
    pytest.param(
        '"FINDINGS": Clear.\n"IMPRESSION": Normal.',
        ["findings", "impression"],
        id="quoted",
    ),
    pytest.param(
        "\ufeffFINDINGS: Clear.\n\u200bIMPRESSION: Normal.",
        ["findings", "impression"],
        id="zero",
    ),
    pytest.param(
        "FINDINGS = Clear lungs.\nIMPRESSION = Normal.",
        ["findings", "impression"],
        id="equals",
    ),
]


@pytest.mark.parametrize(("text", "names"), TYPED)
def test_headings_as_they_are_typed(text, names):
    assert [s.name for s in find_sections(text) if s.name != "header"] == names
