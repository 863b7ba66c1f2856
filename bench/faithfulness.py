"""How the automatic measures of hallucination and omission agree with people, beside ROUGE-1.

    python bench/faithfulness.py [summaries, default all 400] [NLI model, default none]

MTS-Dialog's 400 automatic summaries of 100 dialogues, with the fact scores that its authors counted by hand (Ben Abacha et al. 2023), from
../shared/data. Pearson's correlation of each measure with each manual score, with a 95% interval from resampling dialogues. Dates,
questions and list marks got their rules after a look at these summaries; no threshold was fitted. Good: high with factual F1, and high with the manual score of the same name.
"""
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from rouge_score.rouge_scorer import RougeScorer
from scipy.stats import pearsonr

from medllm_nb.faithfulness import entailment_judge, rates

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "mts-dialog"
MANUAL = {"FactualF1": "factual F1", "HallucinationRate": "hallucination", "OmissionRate": "omission"}


def load(n: int = 0) -> pd.DataFrame:
    "Dialogue, reference, summary and manual scores, a row a summary."
    texts = pd.read_csv(DATA / "MTS-Dialog-Automatic-Summaries-ValidationSet.csv").fillna("")
    manual = pd.read_csv(DATA / "MTS-Dialog-Manual-Scores4CorrelationStudy.csv", encoding="utf-8-sig")
    assert len(texts) == len(manual)
    return pd.concat([texts, manual.astype(float)], axis=1).head(n or None)


def measures(rows: pd.DataFrame, judge=None) -> pd.DataFrame:
    scorer = RougeScorer(["rouge1"], use_stemmer=True)
    found = [rates(r["Automatic Summary"], r["Dialogue"], r["Reference Summary"], judge) for _, r in rows.iterrows()]
    rouge = [scorer.score(r["Reference Summary"], r["Automatic Summary"])["rouge1"].fmeasure for _, r in rows.iterrows()]
    return pd.DataFrame(found).assign(rouge1=rouge)


def correlation(x, y, groups) -> tuple[float, float, float]:
    "Pearson's r and its 95% interval from resampling groups."
    rng, names = np.random.default_rng(7), np.unique(groups)
    where = {g: np.flatnonzero(groups == g) for g in names}
    drawn = [np.concatenate([where[g] for g in rng.choice(names, len(names))]) for _ in range(500)]
    low, high = np.nanpercentile([np.corrcoef(x[i], y[i])[0, 1] for i in drawn], [2.5, 97.5])
    return pearsonr(x, y).statistic, low, high


def main(n: int = 0, model: str = ""):
    if not DATA.is_dir(): sys.exit(f"{DATA} is not there: nothing to measure against")
    rows = load(n)
    found = measures(rows, entailment_judge(model) if model else None)
    print(f"{len(rows)} summaries of {rows.ID.nunique()} dialogues; manual means: factual F1 {rows.FactualF1.mean():.2f}, hallucination {rows.HallucinationRate.mean():.2f}, omission {rows.OmissionRate.mean():.2f}; "
          f"measured: {found.factual_f1.mean():.2f}, {found.hallucination.mean():.2f}, {found.omission.mean():.2f}")
    table = {m: {label: "{:+.2f} [{:+.2f}, {:+.2f}]".format(*correlation(found[m].values, rows[key].values, rows.ID.values)) for key, label in MANUAL.items()}
             for m in ("rouge1", "factual_f1", "hallucination", "omission")}
    print(pd.DataFrame(table).T.rename(index={"rouge1": "ROUGE-1", "factual_f1": "factual F1 (ours)", "hallucination": "hallucination (ours)", "omission": "omission (ours)"}).to_string())


if __name__ == "__main__": main(int(sys.argv[1]) if len(sys.argv) > 1 else 0, sys.argv[2] if len(sys.argv) > 2 else "")
