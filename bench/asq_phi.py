"""De-identification of short clinical questions (ASQ-PHI), of invented cases, and of pasted values.

    python bench/asq_phi.py [--shared ../shared/data]

1. ASQ-PHI (the half at hand), by the strict rule: every letter and digit of each gold value must be covered, at every
   place where the value stands. Elements, characters and notes found whole; letters and digits outside gold values that
   are replaced; hard negatives (questions without PHI) in which anything is. Ours and stock Presidio in the same run.
2. tests/cases/deid.jsonl: what stands in [[ ]] must go whole, what stands in {{ }} must stay. Cases right, by kind.
3. 10,000 pasted notes (panels, gases, drips, growth charts, scores): those in which anything is found, and those in
   which a figure is. All are false alarms.
"""

import argparse
import json
import re
from collections import Counter
from pathlib import Path
from random import Random

import pandas as pd

from medllm_nb.deidentify import find_phi, find_phi_stock
from medllm_nb.sample import pasted_note

MARKED = re.compile(r"\[\[(?P<gone>.*?)\]\]|\{\{(?P<kept>.*?)\}\}", re.DOTALL)
CASES = Path(__file__).resolve().parents[1] / "tests" / "cases" / "deid.jsonl"


def questions(path):
    "(question, its gold values) of a file of ASQ-PHI."
    out = []
    for block in path.read_text(encoding="utf-8").split("===QUERY===")[1:]:
        query, _, tags = block.partition("===PHI_TAGS===")
        out.append((query.strip(), [json.loads(line)["value"] for line in tags.splitlines() if line.strip()]))
    return out


def covered(spans):
    return {i for s in spans for i in range(s.start, s.end)}


def strict_score(rows, found):
    "Shares by the strict rule, of questions with their gold values and the spans found in each."
    n = Counter()
    for (text, values), spans in zip(rows, found):
        inside, gold, whole = covered(spans), set(), True
        for value in values:
            places = [m.span() for m in re.finditer(re.escape(value), text, re.I)]
            letters = {i for a, b in places for i in range(a, b) if text[i].isalnum()}
            n["elements"] += bool(places)
            n["elements found"] += bool(places) and letters <= inside
            whole, gold = whole and letters <= inside, gold | letters
        rest = {i for i, c in enumerate(text) if c.isalnum()} - gold
        n["gold letters"] += len(gold)
        n["gold letters found"] += len(gold & inside)
        n["other letters"] += len(rest)
        n["other letters replaced"] += len(rest & inside)
        n["notes" if values else "negatives"] += 1
        n["notes whole"] += bool(values) and whole
        n["negatives touched"] += not values and bool(spans)
    return {
        "elements": n["elements found"] / n["elements"],
        "characters": n["gold letters found"] / n["gold letters"],
        "notes": n["notes whole"] / n["notes"],
        "non-PHI removed": n["other letters replaced"] / n["other letters"],
        "hard negatives touched": n["negatives touched"] / n["negatives"],
    }


def clinical_questions(path):
    "ASQ-PHI: ours and stock Presidio."
    rows = questions(path)
    texts = [text for text, _ in rows]
    table = {name: strict_score(rows, find(texts)) for name, find in (("ours", find_phi), ("stock", find_phi_stock))}
    print(f"\nASQ-PHI, {len(rows)} questions, the strict rule\n{pd.DataFrame(table).T.round(4).to_string()}")
    return table


def unmarked(marked):
    "A case's text without its marks, and the (start, end) of what must go and of what must stay."
    plain, gone, kept, at = "", [], [], 0
    for m in MARKED.finditer(marked):
        plain += marked[at : m.start()]
        value = m["gone"] if m["gone"] is not None else m["kept"]
        (gone if m["gone"] is not None else kept).append((len(plain), len(plain) + len(value)))
        plain, at = plain + value, m.end()
    return plain + marked[at:], gone, kept


def cases():
    "Share of the cases that are right, and how many of each kind."
    rows = [json.loads(line) for line in CASES.read_text(encoding="utf-8").splitlines()]
    texts = [unmarked(row["text"]) for row in rows]
    right, total = Counter(), Counter()
    for row, (text, gone, kept), spans in zip(rows, texts, find_phi([text for text, _, _ in texts])):
        inside, kind = covered(spans), row["kind"].split("-")[0]
        found = all(i in inside or not text[i].isalnum() for a, b in gone for i in range(a, b))
        total[kind] += 1
        right[kind] += found and not any(i in inside for a, b in kept for i in range(a, b))
    print(f"\nInvented cases\n{pd.DataFrame({'right': right, 'of': total}).to_string()}")
    return {"right": right.total() / total.total()} | {kind: right[kind] / total[kind] for kind in total}


def pasted(number=10_000):
    "Pasted notes in which anything is found, and in which a figure is."
    rng = Random(2026)
    texts = [pasted_note(rng) for _ in range(number)]
    found = [[text[s.start : s.end] for s in spans] for text, spans in zip(texts, find_phi(texts))]
    figures = sum(any(re.search(r"\d", v) for v in values) for values in found)
    print(f"\n{number} pasted notes: {sum(map(bool, found))} touched, {figures} of them at a figure")
    return {"touched": sum(map(bool, found)) / number, "a figure touched": figures / number}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=Path("../shared/data"))
    figures, path = {}, parser.parse_args().shared / "asq-phi" / "queries_odd.txt"
    if path.is_file():
        figures["asq-phi"] = clinical_questions(path)
    else:
        print(f"{path} is not here: no ASQ-PHI")
    print(json.dumps(figures | {"cases": cases(), "pasted": pasted()}))


if __name__ == "__main__":
    main()
