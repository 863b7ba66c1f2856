"""De-identification beside stock Presidio, and what a cache saves.

    python bench/deidentify.py [--patients 60] [--seed 2027] [--shared ../shared/data]

1. An unseen seed of the sample's generator (its text, without OCR): recall, precision, reports a second, ours and stock Presidio's
   BatchAnalyzerEngine on the same spaCy model, the same text and two cores.
2. Sentences that nobody here wrote (presidio-research, general text): recall and precision, ours and stock's.
3. Clinical text that its publisher has de-identified (MTSamples): the share of words that ours would change. All but the few values the
   publisher left in are false alarms, or clinical words lost.
4. Ten reports added to those already read: how many go through detection.
"""
import argparse
import json
import tempfile
import time
from pathlib import Path

import pandas as pd

from medllm_nb.core import Span
from medllm_nb.deidentify import DeidentifyParams, find_all, find_phi_stock, score_phi
from medllm_nb.lexicon import is_word
from medllm_nb.phi import find_phi
from medllm_nb.sample import make_corpus

KEY = bytes(range(32))


def timed(function, *args):
    start = time.perf_counter()
    result = function(*args)
    return result, time.perf_counter() - start


def ours(texts):
    "In a pool of two processes, without a cache."
    with tempfile.TemporaryDirectory() as folder: return find_all(texts, DeidentifyParams(workers=2), Path(folder), KEY)[0]


def beside_stock(texts, gold, title):
    mine, mine_s = timed(ours, texts)
    stock, stock_s = timed(find_phi_stock, texts)
    rows = {}
    for name, found, seconds in (("ours", mine, mine_s), ("stock Presidio", stock, stock_s)):
        table = score_phi(texts, gold, found)
        rows[name] = {"recall": table.recall["all"], "precision": table.precision["all"], "texts a second": len(texts) / seconds}
    rows["ratio"] = {k: rows["ours"][k] / rows["stock Presidio"][k] for k in rows["ours"]}
    print(f"\n{title}: {len(texts)} texts\n{pd.DataFrame(rows).T.round(3).to_string()}")
    return score_phi(texts, gold, mine)


def general_sentences(path):
    "Texts and gold spans of presidio-research."
    records = json.loads(path.read_text())
    spans = lambda r: [Span(start=s["start_position"], end=s["end_position"], entity=s["entity_type"]) for s in r["spans"]]
    return [r["full_text"] for r in records], [spans(r) for r in records]


def clinical_words_lost(texts):
    "Share of all words, and of plain or clinical English words, that fall into a span."
    found, words, changed, plain, plain_changed = ours(texts), 0, 0, 0, 0
    for text, spans in zip(texts, found):
        covered = {i for s in spans for i in range(s.start, s.end)}
        at = 0
        for word in text.split():
            at = text.index(word, at)
            inside, bare = at in covered, word.strip(".,;:()'\"")
            words, changed = words + 1, changed + inside
            if bare.islower() and is_word(bare): plain, plain_changed = plain + 1, plain_changed + inside
            at += len(word)
    print(f"\nMTSamples, {len(texts)} reports: {changed / words:.3%} of {words} words changed; of {plain} plain and clinical words in lower case {plain_changed / plain:.3%}")


def added(texts):
    "Ten more texts with the rest in the cache."
    with tempfile.TemporaryDirectory() as folder:
        params = DeidentifyParams(workers=2)
        (_, _), first_s = timed(find_all, texts[:-10], params, Path(folder), KEY)
        (_, cached), again_s = timed(find_all, texts, params, Path(folder), KEY)
    print(f"\nCache: {len(texts) - 10} texts in {first_s:.1f} s, then ten more: {len(texts) - cached} through detection, {cached} from the cache, {again_s:.1f} s")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patients", type=int, default=60)
    parser.add_argument("--seed", type=int, default=2027)
    parser.add_argument("--shared", type=Path, default=Path("../shared/data"))
    args = parser.parse_args()
    find_phi(["Warm up: Dr. Smith."]), find_phi_stock(["Warm up: Dr. Smith."])
    corpus = make_corpus(args.seed, args.patients)
    table = beside_stock([g.text for g in corpus], [g.phi for g in corpus], f"Sample, unseen seed {args.seed}")
    print(table[["gold", "recall", "precision"]].round(3).to_string())
    general, mt = args.shared / "presidio-research" / "synth_dataset_v2_even.json", args.shared / "mtsamples" / "mtsamples.jsonl"
    if general.is_file(): print(beside_stock(*general_sentences(general), "presidio-research")[["gold", "recall", "precision"]].round(3).to_string())
    if mt.is_file(): clinical_words_lost([json.loads(line)["transcription"] for line in mt.read_text().splitlines()[:200]])
    added([g.text for g in corpus])


if __name__ == "__main__": main()
