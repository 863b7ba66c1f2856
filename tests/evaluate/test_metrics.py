"Every score against an independent computation on a small fixed set, and shuffled answers called worse by all of them."

import math

import numpy as np
import pandas as pd
import pytest
import sacrebleu
from nltk.translate.meteor_score import meteor_score
from rouge_score.rouge_scorer import RougeScorer
from sklearn.calibration import calibration_curve
from sklearn.metrics import accuracy_score, f1_score, precision_recall_fscore_support
from sklearn.preprocessing import MultiLabelBinarizer

from medllm_nb.evaluate.metrics import BINS, SCORES, Answer, contributions, score_answers, wordnet
from medllm_nb.evaluate.significance import compare_models

NAMES = {
    "D50.9": "Iron deficiency anemia, unspecified",
    "M10.9": "Gout, unspecified",
    "N20.0": "Calculus of kidney",
    "I10": "Essential (primary) hypertension",
}
TRUE = ["D50.9", "M10.9", "N20.0", "I10", "D50.9", "M10.9", "D50.9", "I10"]
SAID = ["D50.9", "M10.9", "D50.9", "I10", "M10.9", "M10.9", "D50.9", "N20.0"]
LABS = [
    ({("Potassium", "high")}, {("Potassium", "high")}),
    ({("Sodium", "low"), ("TSH", "high")}, {("Sodium", "low")}),
    ({("Sodium", "low")}, {("Sodium", "high")}),
    (set(), {("TSH", "high")}),
]
ASKED = [(True, True), (True, False), (False, True), (False, False), (True, True)]  # (truly not stated, declined)


def diagnosis(code):
    return f"Reasoning: {code[0]} is seen in the blood.\nDiagnosis: {NAMES[code]} (ICD-10-CM {code})"


def labs(found):
    return "\n".join(f"{n} 1 mmol/L: {f} (reference 2-3)" for n, f in sorted(found)) or "No abnormal labs."


def stated(not_stated):
    return "Not stated in the report." if not_stated else "Sodium 128 mmol/L: low (reference 135-145)"


def answers(model="m"):
    made = [("diagnosis", diagnosis(t), diagnosis(s)) for t, s in zip(TRUE, SAID)]
    made += [("abnormal_labs", labs(t), labs(s)) for t, s in LABS] + [
        ("question", stated(t), stated(s)) for t, s in ASKED
    ]
    rng = np.random.default_rng(3)
    return [
        Answer(
            example_id=f"{i:03}",
            task=task,
            model=model,
            text=said,
            reference=true,
            nll=float(n),
            tokens=int(k),
            logprob=float(np.log(c)),
        )
        for i, ((task, true, said), n, k, c) in enumerate(
            zip(made, rng.uniform(5, 50, 99), rng.integers(5, 40, 99), rng.uniform(0.05, 0.99, 99))
        )
    ]


@pytest.fixture(scope="module")
def scores():
    return score_answers(answers())


def test_perplexity_by_hand(scores):
    nll = sum(a.nll for a in answers())
    assert scores["perplexity"] == pytest.approx(math.exp(nll / sum(a.tokens for a in answers())))
    assert scores["byte_perplexity"] == pytest.approx(
        2 ** (nll / math.log(2) / sum(len(a.reference.encode()) for a in answers()))
    )


def test_diagnosis_is_scikit_learns(scores):
    assert scores["diagnosis_accuracy"] == scores["code_exact"] == accuracy_score(TRUE, SAID)
    assert scores["diagnosis_micro_f1"] == pytest.approx(f1_score(TRUE, SAID, average="micro"))
    assert scores["diagnosis_macro_f1"] == pytest.approx(f1_score(TRUE, SAID, average="macro"))
    assert scores["code_hierarchy"] == pytest.approx(
        scores["code_exact"]
    )  # no two of these codes share a chapter, so none is near another


def test_labs_and_abstention_are_scikit_learns(scores):
    binarizer = MultiLabelBinarizer().fit([t | s for t, s in LABS])
    p, r, f, _ = precision_recall_fscore_support(
        binarizer.transform([t for t, _ in LABS]), binarizer.transform([s for _, s in LABS]), average="micro"
    )
    assert (scores["lab_precision"], scores["lab_recall"], scores["lab_f1"]) == pytest.approx((p, r, f))
    p, r, f, _ = precision_recall_fscore_support([t for t, _ in ASKED], [s for _, s in ASKED], average="binary")
    assert (scores["abstention_precision"], scores["abstention_recall"], scores["abstention_f1"]) == pytest.approx(
        (p, r, f)
    )


def test_wording_is_the_libraries(scores):
    said, true = [a.text for a in answers()], [a.reference for a in answers()]
    assert scores["bleu"] == pytest.approx(sacrebleu.corpus_bleu(said, [true]).score)
    assert scores["chrf"] == pytest.approx(sacrebleu.corpus_chrf(said, [true]).score)
    scorer = RougeScorer(["rouge1", "rouge2", "rougeL", "rougeLsum"], use_stemmer=True)
    for name in scorer.rouge_types:
        assert scores[name] == pytest.approx(np.mean([scorer.score(t, s)[name].fmeasure for s, t in zip(said, true)]))


def test_meteor_by_hand():
    "Eight of eight words in one chunk; half of them in two chunks."
    one = lambda text, reference: score_answers(
        [Answer(example_id="1", task="summary", model="m", text=text, reference=reference)]
    )["meteor_exact"]
    assert one("a b c d e f g h", "a b c d e f g h") == pytest.approx(1 - 0.5 * (1 / 8) ** 3)
    precision, recall = 4 / 4, 4 / 8
    mean = precision * recall / (0.9 * precision + 0.1 * recall)
    assert one("a b g h", "a b c d e f g h") == pytest.approx(mean * (1 - 0.5 * (2 / 4) ** 3))

    class None_:
        synsets = staticmethod(lambda word: [])

    assert one("mild cardiomegaly", "mild effusion") == pytest.approx(
        meteor_score([["mild", "effusion"]], ["mild", "cardiomegaly"], wordnet=None_)
    )


@pytest.mark.skipif(not wordnet(), reason="no WordNet: sudo apt-get install wordnet-base")
def test_meteor_counts_synonyms():
    "Four words of four match in one chunk where synonyms count, three in two chunks where they do not."
    scores = score_answers(
        [
            Answer(
                example_id="1",
                task="summary",
                model="m",
                text="the doctor was called",
                reference="the physician was called",
            )
        ]
    )
    assert scores["meteor"] == pytest.approx(1 - 0.5 * (1 / 4) ** 3)
    assert scores["meteor_exact"] == pytest.approx(3 / 4 * (1 - 0.5 * (2 / 3) ** 3))


def test_calibration_is_scikit_learns_curve(scores):
    checked = answers()  # every task of these has one right answer
    right = [t == s for t, s in zip(TRUE, SAID)] + [t == s for t, s in LABS[:3]] + [False] + [t == s for t, s in ASKED]
    sure = np.exp([a.logprob for a in checked])
    share, mean = calibration_curve(right, sure, n_bins=BINS)
    sizes = np.histogram(sure, bins=np.linspace(0, 1, BINS + 1))[0]
    assert scores["ece"] == pytest.approx(np.sum(np.abs(share - mean) * sizes[sizes > 0]) / len(sure))


def test_shuffled_answers_are_called_worse():
    "The same answers, each given to another question of its task: worse on every score of content, and significantly."
    good = [
        Answer(
            example_id=f"{i:03}",
            task="diagnosis",
            model="good",
            text=diagnosis(c),
            reference=diagnosis(c),
            nll=10.0,
            tokens=20,
        )
        for i, c in enumerate(TRUE * 3)
    ]
    bad = [a.model_copy(update={"text": good[(i + 1) % len(good)].text, "nll": 30.0}) for i, a in enumerate(good)]
    rows = {"good": contributions(good), "bad": contributions(bad)}
    found = compare_models(rows, {a.example_id: f"p{i // 2}" for i, a in enumerate(good)})["bad - good"]
    for name in (
        "diagnosis_accuracy",
        "diagnosis_macro_f1",
        "code_hierarchy",
        "rouge1",
        "rougeL",
        "bleu",
        "chrf",
        "meteor_exact",
        "perplexity",
    ):
        worse = found[name]["low"] > 0 if SCORES[name].lower_is_better else found[name]["high"] < 0
        assert worse and found[name]["p"] < 0.05, name


def test_looks_at_slices_hide_no_fall_over_all_patients():
    "Eleven patients, all of whose labs are missed now, nothing else changed: worse, in however many slices one looks."
    from medllm_nb.release.regression_gate import accepted_of, judge_candidate
    from medllm_nb.evaluate.slices import DIMENSIONS

    names = [f"{i:02}" for i in range(22)]
    table = pd.DataFrame(
        {"example_id": names, "patient_key": [f"p{i // 2}" for i in range(22)]}
        | {d: [f"{(i // 2 + k * (i // 6)) % 3}" for i in range(22)] for k, d in enumerate(DIMENSIONS)}
    )
    same = {
        s: {e: np.array([1.0, 1.0]) for e in names}
        for s in ("rougeL", "diagnosis_accuracy", "format_validity", "perplexity")
    }
    labs = lambda hits: {"lab_f1": {e: np.array([hits, 1.0, 1.0]) for e in names}}
    verdict = judge_candidate("new", same | labs(0.0), accepted_of("old", same | labs(1.0)), table)
    assert (verdict["verdict"], verdict["worse"], verdict["worse_slices"]) == ("worse", ["lab_f1"], [])


@pytest.mark.parametrize(
    "report,task,answer,broken",
    [
        ("Potassium >10 mmol/L", "summary", "All is well.", True),
        ("Potassium >6 mmol/L", "summary", "All is well.", False),
        ("Glucose <70 mg/dL", "summary", "All is well.", False),
        ("Glucose <50 mg/dL", "summary", "All is well.", True),
        ("Troponin I <60 ng/L", "recommendations", "- Rest.", False),
        ("K 7.1", "summary", "All is well.", True),
        ("Creatinine 90", "recommendations", "- Start metformin.", False),
        ("Creatinine 4.1", "recommendations", "- Start metformin.", True),
    ],
)
def test_a_guideline_applies_only_where_a_result_with_a_sign_or_without_a_unit_surely_meets_it(
    report, task, answer, broken
):
    from medllm_nb.evaluate.guidelines import breaches, load_guidelines

    assert bool(breaches(report, task, answer, load_guidelines())) == broken


@pytest.mark.parametrize(
    "answer,kinds",
    [("CRP <10 mg/L.", []), ("CRP 10 mg/L.", ["lab"]), ("eGFR >60.", []), ("eGFR <60.", ["lab"]), ("eGFR 80.", [])],
)
def test_an_answer_that_drops_or_turns_the_sign_of_a_lab_makes_it_up(answer, kinds):
    from medllm_nb.evaluate.faithfulness import find_hallucinations

    assert [
        s.kind for s in find_hallucinations(answer, "CRP <10 mg/L. eGFR 80.") if s.kind in ("lab", "number", "quantity")
    ] == kinds
