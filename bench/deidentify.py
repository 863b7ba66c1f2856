"""De-identification beside stock Presidio, and what a cache saves.

    python bench/deidentify.py [--patients 150] [--seed 2027] [--shared ../shared/data]
                               [--detectors rules,gazetteer,spacy,rampart]

1. An unseen seed of the sample's generator (its text, without OCR): recall and precision of spans and tokens, and
   reports a second. Ours and stock Presidio's BatchAnalyzerEngine on the same spaCy model, the same text and two cores;
   stock's as it is and with two processes of spaCy, and the ratio to the quicker of the two. Then kind by kind.
2. Sentences that nobody here wrote (presidio-research, general text): recall and precision, ours, each of our detectors
   alone, and stock's. Rows 0, 2, 4, ... were looked at while the rules were written; the odd rows were not, and are
   what counts. Scored for all kinds of the set, and for those that HIPAA names (not: titles, nationalities, ages under
   90, years, countries and states alone).
3. Clinical text that its publisher has de-identified (MTSamples, the 173 reports that were not looked at): the share of
   words that ours would change, and of the words that the lexicon calls clinical, in any case (headings aside). All but
   the few values the publisher left in are false alarms, or clinical words lost.
4. The same clinical text with sentences planted in it that name people, places and employers of fourteen countries
   without a title or a label: recall of those values, ours and stock's. The sentences are ours, the reports and names
   are not.
5. Ten reports added to those already read: how many go through detection.
"""

import argparse
import json
import re
import tempfile
import time
from pathlib import Path
from random import Random

import pandas as pd
from faker import Faker

from medllm_nb.core import EngineParams, Span
from medllm_nb.deidentify import (
    DETECTORS,
    DeidentifyParams,
    countries,
    find_all,
    find_phi,
    find_phi_stock,
    is_clinical,
    is_word,
    score_phi,
)
from medllm_nb.sample.corpus import make_corpus

KEY = bytes(range(32))


FIGURES = {}  # what is printed, by name, for the last line


def timed(function, *args):
    start = time.perf_counter()
    result = function(*args)
    return result, time.perf_counter() - start


def ours(texts, detectors=DETECTORS):
    "In a pool of two processes, without a cache."
    with tempfile.TemporaryDirectory() as folder:
        return find_all(texts, DeidentifyParams(detectors=list(detectors)), Path(folder), KEY, EngineParams(workers=2))[
            0
        ]


def totals(texts, gold, found):
    row = score_phi(texts, gold, found).loc["all"]
    return {c: row[c] for c in ("recall", "precision", "token_recall", "token_precision")}


def beside_stock(texts, gold, title, detectors):
    mine, mine_s = timed(ours, texts, detectors)
    stock, stock_s = timed(find_phi_stock, texts)
    stock_2, stock_2_s = timed(find_phi_stock, texts, "en_core_web_sm", 32, 2)
    rows = {
        name: totals(texts, gold, found) | {"texts a second": len(texts) / seconds}
        for name, found, seconds in (
            ("ours", mine, mine_s),
            ("stock Presidio", stock, stock_s),
            ("stock Presidio, two processes", stock_2, stock_2_s),
        )
    }
    better = min((stock_s, "stock Presidio"), (stock_2_s, "stock Presidio, two processes"))[1]
    rows[f"ours to {better}"] = {k: rows["ours"][k] / rows[better][k] for k in rows["ours"]}
    print(f"\n{title}: {len(texts)} texts\n{pd.DataFrame(rows).T.round(3).to_string()}")
    FIGURES[title.split(",")[0].lower()] = rows
    return mine, stock


def kind_by_kind(texts, gold, mine, stock):
    "Recall by kind of gold, precision by kind found; ours and stock's, whose kinds have names of their own."
    tables = {name: score_phi(texts, gold, found) for name, found in (("ours", mine), ("stock", stock))}
    for what, count in (("recall", "gold"), ("precision", "found")):
        shown = pd.concat(
            {f"{name} {column}": t[column] for name, t in tables.items() for column in (count, what, f"token_{what}")},
            axis=1,
        )
        shown = shown.loc[[k for k in shown.index if shown.filter(like=count).loc[k].max() > 0]].sort_index(
            key=lambda kinds: kinds == "all", kind="stable"
        )
        print(f"\n{what.capitalize()}, kind by kind\n{shown.round(3).to_string()}")


def general_sentences(path, rows):
    "Texts and gold spans of presidio-research."
    records = json.loads(path.read_text())[rows]
    spans = lambda r: [
        Span(start=s["start_position"], end=s["end_position"], entity=s["entity_type"]) for s in r["spans"]
    ]
    return [r["full_text"] for r in records], [spans(r) for r in records]


def named_by_hipaa(text, span):
    "Whether a gold span is one of Safe Harbor's identifiers."
    value = text[span.start : span.end].strip()
    if span.entity in ("TITLE", "NRP"):
        return False
    if span.entity == "AGE":
        return any(int(n) > 89 for n in re.findall(r"\d+", value))
    if span.entity == "DATE_TIME":
        return not re.fullmatch(r"\d{4}", value)
    return not (span.entity == "GPE" and re.sub(r" \(\w+\)$", "", value.lower()) in countries())  # Cyprus (Greek)


def general_text(path, detectors):
    for half, rows in (("rows not looked at", slice(1, None, 2)), ("rows looked at", slice(0, None, 2))):
        texts, gold = general_sentences(path, rows)
        mine, stock = beside_stock(texts, gold, f"presidio-research {half}, all kinds", detectors)
        kind_by_kind(texts, gold, mine, stock)
        hipaa = [[s for s in spans if named_by_hipaa(t, s)] for t, spans in zip(texts, gold)]
        found = (
            {"ours": mine}
            | {f"  {d} alone": find_phi(texts, detectors=(d,)) for d in detectors}
            | {"stock Presidio": stock}
        )
        recall = {
            name: {
                "recall": totals(texts, hipaa, f)["recall"],
                "precision (any gold)": totals(texts, gold, f)["precision"],
            }
            for name, f in found.items()
        }
        FIGURES[f"presidio-research {half}, kinds that hipaa names"] = recall
        print(f"\nThe same, kinds that HIPAA names\n{pd.DataFrame(recall).T.round(3).to_string()}")
        table = pd.DataFrame(
            {name: score_phi(texts, hipaa, f).recall for name, f in (("ours", mine), ("stock Presidio", stock))}
        )
        table.insert(0, "gold", score_phi(texts, hipaa, mine).gold)
        print(table[table.gold > 0].round(3).to_string())


def clinical_words_lost(texts):
    "Share of all words, of plain words in lower case, and of clinical words in any case, that fall into a span."
    found, words, changed, plain, plain_changed, clinical, clinical_changed = ours(texts), 0, 0, 0, 0, 0, 0
    for text, spans in zip(texts, found):
        covered = {i for s in spans for i in range(s.start, s.end)}
        heading = {i for m in re.finditer(r"[A-Z][A-Z /&,\-]+:", text) for i in range(*m.span())}
        at = 0
        for word in text.split():
            at = text.index(word, at)
            inside, bare = at in covered, word.strip(".,;:()'\"")
            words, changed = words + 1, changed + inside
            if bare and is_clinical(bare) and at not in heading:
                clinical, clinical_changed = clinical + 1, clinical_changed + inside
            if bare.islower() and is_word(bare):
                plain, plain_changed = plain + 1, plain_changed + inside
            at += len(word)
    shares = {"all": changed / words, "plain": plain_changed / plain, "clinical": clinical_changed / clinical}
    FIGURES["share of words changed in mtsamples"] = shares
    print(
        (
            f"\nMTSamples, {len(texts)} reports: {changed / words:.3%} of {words} words changed; of {plain} plain"
            f" and clinical words in lower case {plain_changed / plain:.4%}; of {clinical} clinical words in any "
            f"case {clinical_changed / clinical:.4%}"
        )
    )


PLANTED = (
    "Discussed with {name} today.",
    "{first} tolerated the procedure well.",
    "Her neighbor {name} drove her from {city}.",
    "This was reviewed with {last} at the bedside.",
    "Wound care was taught to {first} and {friend}.",
    "He works with {name} in {city}.",
    "Patient asks that {name} be called with results.",
    "Lives at {street}.",
    "Interpreter {name} was present.",
    "Works for {company}.",
)
LOCALES = (
    "en_US",
    "es_MX",
    "pl_PL",
    "en_IN",
    "nl_NL",
    "it_IT",
    "pt_BR",
    "tr_TR",
    "vi_VN",
    "fr_FR",
    "de_DE",
    "en_GB",
    "fi_FI",
    "ro_RO",
)


def plant(texts, seed, each=3):
    "Texts with sentences of PLANTED between theirs, and where the planted values stand."
    rng, fakes = Random(seed), [Faker(locale) for locale in LOCALES]
    for i, fake in enumerate(fakes):
        fake.seed_instance(seed + i)
    planted, gold = [], []
    for text in texts:
        sentences = re.split(r"(?<=\. )", text)
        at = sorted(rng.randrange(1, len(sentences) + 1) for _ in range(each))
        out, spans = "", []
        for i, sentence in enumerate((*sentences, "")):
            for _ in range(at.count(i)):
                fake, form = rng.choice(fakes), rng.choice(PLANTED)
                values = {
                    "name": f"{fake.first_name()} {fake.last_name()}",
                    "first": fake.first_name(),
                    "friend": fake.first_name(),
                    "last": fake.last_name(),
                    "city": fake.city(),
                    "street": fake.street_address().split("\n")[0],
                    "company": fake.company(),
                }
                start, said = len(out), form.format(**values)
                spans += [
                    Span(
                        start=start + said.index(values[k]),
                        end=start + said.index(values[k]) + len(values[k]),
                        entity=k,
                    )
                    for k in re.findall(r"\{(\w+)\}", form)
                ]
                out += said + " "
            out += sentence
        planted.append(out)
        gold.append(spans)
    return planted, gold


def planted_names(texts, detectors):
    planted, gold = plant(texts, seed=100)
    found = {"ours": ours(planted, detectors), "stock Presidio": find_phi_stock(planted)}
    table = pd.DataFrame({name: score_phi(planted, gold, f).recall for name, f in found.items()})
    table.insert(0, "planted", score_phi(planted, gold, found["ours"]).gold)
    FIGURES["recall of what was planted in mtsamples"] = table.loc["all"].drop("planted").to_dict()
    print(f"\nPlanted in {len(planted)} reports of MTSamples\n{table[table.planted > 0].round(3).to_string()}")


def added(texts):
    "Ten more texts with the rest in the cache."
    with tempfile.TemporaryDirectory() as folder:
        params, engine = DeidentifyParams(), EngineParams(workers=2)
        (_, _), first_s = timed(find_all, texts[:-10], params, Path(folder), KEY, engine)
        (_, cached), again_s = timed(find_all, texts, params, Path(folder), KEY, engine)
    FIGURES["ten texts more"] = {"detected": len(texts) - cached, "time to all": again_s / first_s}
    print(
        (
            f"\nCache: {len(texts) - 10} texts in {first_s:.1f} s, then ten more: {len(texts) - cached} through "
            f"detection, {cached} from the cache, {again_s:.1f} s"
        )
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patients", type=int, default=150)
    parser.add_argument("--seed", type=int, default=2027)
    parser.add_argument("--shared", type=Path, default=Path("../shared/data"))
    parser.add_argument("--detectors", default=",".join(DETECTORS))
    args = parser.parse_args()
    detectors = args.detectors.split(",")
    find_phi(["Warm up: Dr. Smith."], detectors=detectors), find_phi_stock(["Warm up: Dr. Smith."])
    corpus = make_corpus(args.seed, args.patients)
    texts, gold = [g.text for g in corpus], [g.phi for g in corpus]
    mine, stock = beside_stock(texts, gold, f"Sample, unseen seed {args.seed}", detectors)
    kind_by_kind(texts, gold, mine, stock)
    alone = pd.DataFrame({d: totals(texts, gold, find_phi(texts, detectors=(d,))) for d in detectors}).T
    print(f"\nEach detector alone\n{alone.round(3).to_string()}")
    general, mt = (
        args.shared / "presidio-research" / "synth_dataset_v2_even.json",
        args.shared / "mtsamples" / "mtsamples.jsonl",
    )
    if general.is_file():
        general_text(general, detectors)
    if mt.is_file():
        lines = mt.read_text().splitlines()
        reports = [
            json.loads(line)["transcription"] for line in lines[100:200] + lines[300:]
        ]  # the others were looked at
        clinical_words_lost(reports)
        planted_names(reports, detectors)
    added(texts)
    print(json.dumps(FIGURES))


if __name__ == "__main__":
    main()
