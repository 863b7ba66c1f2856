"""How the automatic measures of hallucination and omission agree with people, beside ROUGE-1.

    python bench/faithfulness.py [NLI model, default none]

MTS-Dialog's 400 automatic summaries of 100 dialogues, with the fact scores that its authors counted by hand (Ben
Abacha et al. 2023), from ../shared/data. Pearson's correlation of each measure with each manual score, with a 95%
interval from resampling dialogues. The rules were written after a look at the summaries of 50 dialogues (`SEEN`); the
other 50 are reported first. (Dates, questions and list marks got theirs earlier, after a look at all.) Good: high
with factual F1, and high with the manual score of the same name.
"""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from rouge_score.rouge_scorer import RougeScorer
from scipy.stats import pearsonr

from medllm_nb.evaluate.faithfulness import entailment_judge, faithfulness_rates

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "mts-dialog"
SEEN = set(np.random.default_rng(7).permutation(100)[:50].tolist())
MANUAL = {"FactualF1": "factual F1", "HallucinationRate": "hallucination", "OmissionRate": "omission"}


def load() -> pd.DataFrame:
    "Dialogue, reference, summary and manual scores, a row a summary."
    texts = pd.read_csv(DATA / "MTS-Dialog-Automatic-Summaries-ValidationSet.csv").fillna("")
    manual = pd.read_csv(DATA / "MTS-Dialog-Manual-Scores4CorrelationStudy.csv", encoding="utf-8-sig")
    assert len(texts) == len(manual)
    return pd.concat([texts, manual.astype(float)], axis=1)


def measures(rows: pd.DataFrame, judge=None) -> pd.DataFrame:
    scorer = RougeScorer(["rouge1"], use_stemmer=True)
    found = [
        faithfulness_rates(r["Automatic Summary"], r["Dialogue"], r["Reference Summary"], judge)
        for _, r in rows.iterrows()
    ]
    rouge = [
        scorer.score(r["Reference Summary"], r["Automatic Summary"])["rouge1"].fmeasure for _, r in rows.iterrows()
    ]
    return pd.DataFrame(found).assign(rouge1=rouge)


def correlation(x, y, groups) -> tuple[float, float, float]:
    "Pearson's r and its 95% interval from resampling groups."
    rng, names = np.random.default_rng(7), np.unique(groups)
    where = {g: np.flatnonzero(groups == g) for g in names}
    drawn = [np.concatenate([where[g] for g in rng.choice(names, len(names))]) for _ in range(500)]
    low, high = np.nanpercentile([np.corrcoef(x[i], y[i])[0, 1] for i in drawn], [2.5, 97.5])
    return pearsonr(x, y).statistic, low, high


def table(rows: pd.DataFrame, found: pd.DataFrame) -> pd.DataFrame:
    "A row a measure: its mean, and its correlation with each manual score."
    own = {
        "rouge1": "ROUGE-1",
        "factual_f1": "factual F1 (ours)",
        "hallucination": "hallucination (ours)",
        "omission": "omission (ours)",
    }
    cells = {
        own[m]: {"mean": f"{found[m].mean():.2f}"}
        | {
            label: "{:+.2f} [{:+.2f}, {:+.2f}]".format(*correlation(found[m].values, rows[key].values, rows.ID.values))
            for key, label in MANUAL.items()
        }
        for m in own
    }
    return pd.DataFrame(
        {"manual mean": {"mean": ""} | {label: f"{rows[key].mean():.2f}" for key, label in MANUAL.items()}} | cells
    ).T


def main(model: str = ""):
    if not DATA.is_dir():
        sys.exit(f"{DATA} is not there: nothing to measure against")
    rows = load()
    found, seen = measures(rows, entailment_judge(model) if model else None), rows.ID.isin(SEEN).values
    for name, half in (("not looked at", ~seen), ("looked at", seen), ("all", np.ones(len(rows), bool))):
        print(f"\n{half.sum()} summaries of {rows.ID[half].nunique()} dialogues, {name}")
        print(table(rows[half], found[half]).to_string())
    unseen = ~seen
    correlations = {
        f"{measure} with {label}": round(float(pearsonr(found[measure][unseen], rows[key][unseen]).statistic), 3)
        for measure in ("rouge1", "factual_f1", "hallucination", "omission")
        for key, label in MANUAL.items()
    }
    print(json.dumps(correlations | {"summaries": int(unseen.sum())}))


if __name__ == "__main__":
    main(*sys.argv[1:])
