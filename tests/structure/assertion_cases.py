"""Sentences, lists, forms and test results, with what each says of the names in it: cases of the test and the bench."""

CASES = [  # id, a file of tests/cases or a text, what is said of each word; None where a form leaves it open
    (
        "AST-01",
        "AST-01-x.txt",
        {"fever": "present", "chest pain": "negated", "cough": "present", "dyspnea": "negated"},
    ),
    (
        "AST-03",
        "AST-03-x.txt",
        {"pneumonia": "negated", "pleural effusion": "negated", "cardiomegaly": "present"},
    ),
    (
        "AST-04",
        "AST-04-x.txt",
        {
            "diabetes": "negated",
            "hypertension": "historical",
            "asthma": "negated",
            "stroke": "historical",
            "epilepsy": "negated",
        },
    ),
    (
        "AST-06",
        "AST-06-x.txt",
        {"fever": "negated", "chills": "negated", "weight loss": "negated", "cough": "present"},
    ),
    (
        "AST-07",
        "AST-07-x.txt",
        {
            "hepatitis B": "negated",
            "hepatitis C": "negated",
            "HIV": "negated",
            "influenza A": "negated",
            "syphilis": "present",
            "COVID-19": "present",
        },
    ),
    (
        "AST-09",
        "AST-09-x.txt",
        {"pleural effusion": "negated", "pneumothorax": "negated", "cardiomegaly": "present", "pneumonia": "uncertain"},
    ),
    (
        "AST-10",
        "AST-10-x.txt",
        {
            "pneumonia": "uncertain",
            "fracture": "negated",
            "malignancy": "uncertain",
            "pleural effusion": "present",
            "hydronephrosis": "negated",
        },
    ),
    (
        "AST-12",
        "AST-12-x.txt",
        {
            "fever": "negated",
            "chills": "negated",
            "night sweats": "negated",
            "chest pain": "negated",
            "abdominal pain": "negated",
            "vomiting": "negated",
            "diarrhea": "negated",
            "hematuria": "negated",
        },
    ),
    (
        "AST-13",
        "AST-13-x.txt",
        {
            "cough": "present",
            "wheezing": "present",
            "hemoptysis": "negated",
            "chest pain": "negated",
            "palpitations": "present",
        },
    ),
    (
        "AST-15",
        "AST-15-x.txt",
        {"headache": "negated", "fever": "negated", "cough": "negated", "vomiting": "negated"},
    ),
    (
        "AST-16",
        "AST-16-x.txt",
        {
            "fever": "negated",
            "headache": "negated",
            "chills": "negated",
            "vomiting": "negated",
            "fracture": "negated",
            "dislocation": "negated",
        },
    ),
    (
        "signs-behind",
        "ROS: fever (+), chest pain (-), cough (+)",
        {"fever": "present", "chest pain": "negated", "cough": "present"},
    ),
    (
        "signs-lines",
        "ROS:\n+ fever\n- chest pain\n+ cough",
        {"fever": "present", "chest pain": "negated", "cough": "present"},
    ),
    (
        "bullets",
        "Complaints:\n- fever\n- chest pain\n- cough",
        {"fever": "present", "chest pain": "present", "cough": "present"},
    ),
    (
        "signs-list",
        "ROS: (-) fever, chills, cough; (+) headache",
        {"fever": "negated", "chills": "negated", "cough": "negated", "headache": "present"},
    ),
    (
        "signs-ve",
        "Fever: +ve\nRash: -ve",
        {"fever": "present", "rash": "negated"},
    ),
    (
        "sign-either",
        "+/- nausea, (+/-) cough",
        {"cough": "uncertain"},
    ),
    (
        "signs-minus",
        "ROS: (+) dyspnea, (−) syncope",
        {"dyspnea": "present", "syncope": "negated"},
    ),
    (
        "box-brackets",
        "PMH:\n[x] Asthma  [ ] Diabetes\n[X] Gout\n[] Stroke",
        {"asthma": "historical", "diabetes": "negated", "gout": "historical", "stroke": "negated"},
    ),
    (
        "box-parens",
        "(x) Asthma ( ) Diabetes",
        {"asthma": "present", "diabetes": "negated"},
    ),
    (
        "box-behind",
        "Asthma [x]\nDiabetes [ ]\nStroke ☐",
        {"asthma": "present", "diabetes": "negated", "stroke": "negated"},
    ),
    (
        "box-choice",
        "Asthma: ☒ Yes ☐ No\nDiabetes: ☐ Yes ☒ No\nStroke: ☐ Yes ☐ No",
        {"asthma": "present", "diabetes": "negated", "stroke": None},
    ),
    (
        "box-choice-behind",
        "Asthma   Yes ☒  No ☐\nDiabetes   Yes ☐  No ☒",
        {"asthma": "present", "diabetes": "negated"},
    ),
    (
        "box-below",
        "Do you have asthma?\n☐ Yes  ☒ No\nDiabetes:\n☒ Yes  ☐ No",
        {"asthma": "negated", "diabetes": "present"},
    ),
    (
        "box-first",
        "☐ Yes ☒ No  Asthma\n☒ Yes ☐ No  Diabetes",
        {"asthma": "negated", "diabetes": "present"},
    ),
    (
        "box-no",
        "☒ No chest pain\n☐ No cough",
        {"chest pain": "negated", "cough": None},
    ),
    (
        "box-squares",
        "□ Asthma\n□ Gout",
        {"asthma": None, "gout": None},
    ),
    (
        "box-squares-used",
        "□ Asthma\n☑ Gout",
        {"asthma": "negated", "gout": "present"},
    ),
    (
        "box-cross",
        "✗ Asthma ✓ Gout",
        {"asthma": "negated", "gout": "present"},
    ),
    (
        "box-cross-tick",
        "☐ Asthma ✗ Gout",
        {"asthma": "negated", "gout": None},
    ),
    (
        "box-heading",
        "Symptoms: [x] fever [ ] cough [x] rash",
        {"fever": "present", "cough": "negated", "rash": "present"},
    ),
    (
        "box-yn",
        "Asthma  [ ] Y  [x] N\nGout  (x) Y ( ) N",
        {"asthma": "negated", "gout": "present"},
    ),
    (
        "list-numbers",
        "She denies:\n1) fever\n2) chills\nHas a cough.",
        {"fever": "negated", "chills": "negated", "cough": "present"},
    ),
    (
        "list-lines",
        "Denies:\nFever\nChills\nWeight loss\n\nCough for two weeks.",
        {"fever": "negated", "chills": "negated", "weight loss": "negated", "cough": "present"},
    ),
    (
        "list-lower",
        "No evidence of:\nfracture\ndislocation\nThere is arthritis.",
        {"fracture": "negated", "dislocation": "negated", "arthritis": "present"},
    ),
    (
        "list-capital",
        "PERTINENT NEGATIVES: fever, chills.\nPERTINENT POSITIVES: cough.",
        {"fever": "negated", "chills": "negated", "cough": "present"},
    ),
    (
        "list-positive",
        "Pertinent negatives:\n- fever\n- chills\nPertinent positives:\n- cough",
        {"fever": "negated", "chills": "negated", "cough": "present"},
    ),
    (
        "list-no",
        "No:\n• fever\n• chills\nYes:\n• cough",
        {"fever": "negated", "chills": "negated", "cough": "present"},
    ),
    (
        "list-blank",
        "Patient denies the following:\n\n- fever\n\n- chills\n\nCough is productive.",
        {"fever": "negated", "chills": "negated", "cough": "present"},
    ),
    (
        "list-heading",
        "Denies:\n- fever\n- chills\nASSESSMENT:\n- cough",
        {"fever": "negated", "chills": "negated", "cough": "present"},
    ),
    (
        "list-return",
        "Return to the ER if you have:\n- fever\n- chest pain",
        {"fever": "hypothetical", "chest pain": "hypothetical"},
    ),
    (
        "list-rule-out",
        "Rule out:\n- pneumonia\n- pulmonary embolism",
        {"pneumonia": "uncertain", "pulmonary embolism": "uncertain"},
    ),
    (
        "list-inline",
        "Negative: fever, chills. Positive: cough.",
        {"fever": "negated", "chills": "negated", "cough": "present"},
    ),
    (
        "list-negative-for",
        "ROS negative for:\n* fever\n* chills\nROS positive for:\n* cough",
        {"fever": "negated", "chills": "negated", "cough": "present"},
    ),
    (
        "list-but",
        "Denies fever but reports:\n- cough\n- chest pain",
        {"fever": "negated", "cough": "present", "chest pain": "present"},
    ),
    (
        "list-mother",
        "Family history\nMother:\n- breast cancer\n- stroke",
        {"breast cancer": "family", "stroke": "family"},
    ),
    (
        "list-wrapped",
        "Denies fever, chills,\nNausea, or vomiting.\nCough present.",
        {"fever": "negated", "chills": "negated", "nausea": "negated", "cough": "present"},
    ),
    (
        "answer-dash",
        "fever - no\nheadache - yes\ncough – none",
        {"fever": "negated", "headache": "present", "cough": "negated"},
    ),
    (
        "answer-bare",
        "Fever No\nHeadache Yes\nCough No",
        {"fever": "negated", "headache": "present", "cough": "negated"},
    ),
    (
        "answer-row",
        "Fever: no, headache: yes, cough: no",
        {"fever": "negated", "headache": "present", "cough": "negated"},
    ),
    (
        "answer-columns",
        "Fever: No   Headache: Yes   Cough: No",
        {"fever": "negated", "headache": "present", "cough": "negated"},
    ),
    (
        "answer-dots",
        "Fever ........ No\nHeadache ..... Yes",
        {"fever": "negated", "headache": "present"},
    ),
    (
        "answer-question",
        "Any fever? No. Headache? Yes. Cough? Denies.",
        {"fever": "negated", "headache": "present", "cough": "negated"},
    ),
    (
        "answer-below",
        "Fever:\nNo\nHeadache:\nYes",
        {"fever": "negated", "headache": "present"},
    ),
    (
        "answer-denies",
        "Fever: denies\nHeadache: present\nCough: absent\nRash: nil",
        {"fever": "negated", "headache": "present", "cough": "negated", "rash": "negated"},
    ),
    (
        "answer-space-colon",
        "Headache : No\nFever :no\nCough: NO.",
        {"headache": "negated", "fever": "negated", "cough": "negated"},
    ),
    (
        "answer-unknown",
        "Diabetes: unknown\nStroke: N/A\nGout: Yes",
        {"diabetes": None, "stroke": None, "gout": "present"},
    ),
    (
        "answer-more",
        "Cough: no sputum\nPain: no",
        {"cough": "present"},
    ),
    (
        "answer-history",
        "History of diabetes: No\nHistory of stroke: Yes",
        {"diabetes": "negated", "stroke": "historical"},
    ),
    (
        "answer-elsewhere",
        "Medications for asthma: none\nComplications of diabetes: none",
        {"asthma": "present"},
    ),
    (
        "answer-double",
        "Denies fever: yes\nNo cough: no",
        {"fever": "negated", "cough": None},
    ),
    (
        "table-bar",
        "Condition | Answer\nDiabetes | No\nAsthma | Yes\nStroke | N",
        {"diabetes": "negated", "asthma": "present", "stroke": "negated"},
    ),
    (
        "table-tab",
        "Diabetes\tNo\nAsthma\tYes",
        {"diabetes": "negated", "asthma": "present"},
    ),
    (
        "table-open",
        "Diabetes  Y  N\nAsthma | Yes | No\nStroke: Yes / No\nGout Y/N",
        {"diabetes": None, "asthma": None, "stroke": None},
    ),
    (
        "table-cross",
        "Condition | Yes | No\nDiabetes | | x\nAsthma | x |",
        {"diabetes": "negated", "asthma": "present"},
    ),
    (
        "table-cross-blank",
        "Condition        Yes    No\nDiabetes                X\nAsthma           X",
        {"diabetes": "negated", "asthma": "present"},
    ),
    (
        "result-blank",
        "Hepatitis B surface antigen      Non Reactive     Non Reactive\n"
        "HIV 1/2 Ab/Ag     NONREACTIVE\nSyphilis Ab   REACTIVE   Non-Reactive",
        {"hepatitis B": "negated", "HIV": "negated", "syphilis": "present"},
    ),
    (
        "result-not-detected",
        "COVID-19 RNA: NOT DETECTED\nInfluenza B - Negative\nHepatitis C RNA | Target not detected",
        {"COVID-19": "negated", "influenza": "negated", "hepatitis C": "negated"},
    ),
    (
        "result-equivocal",
        "Syphilis antibody: Equivocal\nHIV Ag/Ab: Indeterminate",
        {"syphilis": "uncertain", "HIV": "uncertain"},
    ),
    (
        "result-positive",
        "Influenza A: Positive\nInfluenza B: Negative\nCOVID-19 antigen: POSITIVE (A)",
        {"COVID-19": "present"},
    ),
    (
        "result-immunity",
        "Hepatitis B surface antibody: Reactive\nRubella IgG: Positive",
        {"hepatitis B": None, "rubella": None},
    ),
    (
        "aside",
        "Patient without effusion has anemia.",
        {"effusion": "negated", "anemia": "present"},
    ),
    (
        "aside-no",
        "A woman with no fever developed pneumonia.",
        {"fever": "negated", "pneumonia": "present"},
    ),
    (
        "aside-list",
        "Lungs are clear without effusion, pneumonia or pneumothorax.",
        {"effusion": "negated", "pneumonia": "negated", "pneumothorax": "negated"},
    ),
    (
        "though",
        "Although she denies fever, she has pneumonia.",
        {"fever": "negated", "pneumonia": "present"},
    ),
    (
        "negative-positive",
        "Negative for fever and chills. Positive for cough.",
        {"fever": "negated", "chills": "negated", "cough": "present"},
    ),
    (
        "negative-and-positive",
        "Negative for fever and positive for cough, negative for rash.",
        {"fever": "negated", "cough": "present", "rash": "negated"},
    ),
    (
        "no-longer",
        "He no longer has asthma.",
        {"asthma": "historical"},
    ),
    (
        "mother",
        "Her mother had breast cancer. She has asthma.",
        {"breast cancer": "family", "asthma": "present"},
    ),
    (
        "uncle",
        "Paternal uncle with stroke; patient has gout.",
        {"stroke": "family", "gout": "present"},
    ),
    (
        "wife",
        "His wife has influenza.",
        {"influenza": "family"},
    ),
    (
        "mother-denies",
        "Mother denies fever but reports cough.",
        {"fever": "negated", "cough": "present"},
    ),
    (
        "history",
        "History of asthma. S/p stroke. Resolved pneumonia.",
        {"asthma": "historical", "stroke": "historical", "pneumonia": "historical"},
    ),
    (
        "week-history",
        "Presents with a 2-week history of cough.",
        {"cough": "present"},
    ),
    (
        "since",
        "Headache started 3 months ago.",
        {"headache": "present"},
    ),
    (
        "return",
        "Return if fever or chest pain. Watch for rash. Call if cough worsens.",
        {"fever": "hypothetical", "chest pain": "hypothetical", "rash": "hypothetical", "cough": "hypothetical"},
    ),
    (
        "planned",
        "CT to rule out pulmonary embolism. R/o pneumonia. Evaluate for stroke. Screening for diabetes.",
        {
            "pulmonary embolism": "uncertain",
            "pneumonia": "uncertain",
            "stroke": "uncertain",
            "diabetes": "hypothetical",
        },
    ),
    (
        "vaccine",
        "Vaccinated against influenza.",
        {"influenza": "hypothetical"},
    ),
]

NOT_RULED_OUT = [
    "Pneumonia has not been ruled out.",
    "Pneumonia cannot be excluded.",
    "Pneumonia not excluded.",
    "Cannot rule out pneumonia.",
    "Unable to exclude pneumonia.",
    "Pneumonia could not be entirely excluded.",
    "We can't rule out pneumonia.",
    "This does not exclude pneumonia.",
    "Pneumonia hasn't been ruled out.",
    "Pneumonia is not definitively excluded.",
    "Difficult to exclude pneumonia.",
    "Pneumonia has yet to be ruled out.",
    "Pneumonia needs to be excluded.",
    "An underlying pneumonia cannot entirely be excluded.",
    "Could not completely exclude early pneumonia.",
    "Pneumonia was never ruled out.",
    "Pneumonia remains a possibility.",
    "Pneumonia remains in the differential.",
    "It is not possible to exclude pneumonia.",
    "Pneumonia can neither be confirmed nor excluded.",
    "A small pneumonia is difficult to exclude.",
    "Superimposed pneumonia is not entirely excluded.",
    "Pneumonia, not ruled out.",
    "Pneumonia cannot be reliably ruled out.",
    "Pneumonia is not unlikely.",
    "PNEUMONIA NOT EXCLUDED.",
    "We were not able to rule out pneumonia.",
    "Pneumonia has still not been excluded.",
]

RULED_OUT = [
    "Pneumonia has been ruled out.",
    "Pneumonia was excluded.",
    "Pneumonia is ruled out.",
    "Pneumonia has been excluded by CT.",
    "CT ruled out pneumonia.",
    "No further pneumonia.",
    "There is no new pneumonia.",
    "Pneumonia is no longer seen.",
    "Neither effusion nor pneumonia.",
    "No fever, effusion, or pneumonia.",
    "Not consistent with pneumonia.",
    "No findings suspicious for pneumonia.",
    "No convincing evidence of pneumonia.",
    "Lungs clear of pneumonia.",
    "No effusion/pneumonia.",
    "No effusion and/or pneumonia.",
    "Pneumonia unlikely.",
    "Pneumonia: none.",
    "The mother denies pneumonia.",
]

NO_NEGATION = [
    "No change in the pneumonia.",
    "No significant interval change of the pneumonia.",
    "No increase in pneumonia.",
    "Not only pneumonia but also effusion.",
    "Pneumonia has not resolved.",
    "No improvement in pneumonia.",
    "She does not deny pneumonia.",
    "Not without pneumonia.",
    "There is no doubt of pneumonia.",
    "Pneumonia is not improved.",
    "Pneumonia, otherwise negative.",
    "Unresolved pneumonia.",
    "No worsening of the pneumonia.",
    "Pneumonia without change.",
]

CASES += [
    (
        "curly-quotes",
        "We can\u2019t rule out pneumonia. Rash hasn\u2019t been excluded.",
        {"pneumonia": "uncertain", "rash": "uncertain"},
    ),
    ("no-break", "Headache\u00a0: no\nFever\u00a0:\u00a0No", {"headache": "negated", "fever": "negated"}),
    ("hyphen", "HIV Ag/Ab: Non\u2011Reactive", {"HIV": "negated"}),
]
CASES += [
    (f"{name}-{i}", f"FINDINGS: {said}", {"pneumonia": kind})
    for name, kind, sentences in (
        ("open", "uncertain", NOT_RULED_OUT),
        ("out", "negated", RULED_OUT),
        ("pseudo", "present", NO_NEGATION),
    )
    for i, said in enumerate(sentences)
]
