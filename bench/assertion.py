"""What a report asserts of what it names: this project's ConText beside medspaCy's and a plain NegEx, in one table.

    python bench/assertion.py [--medspacy PYTHON]

On three lists: the mentions of assertion_gold.csv and assertion_gold_2.csv (ACI-Bench and MTSamples, labelled by hand;
their heads say how), and the cases of tests/structure/assertion_cases.py, which hold lists, forms and results too. The
rules here were written with all three in sight, medspaCy's with none: that favors this project. Cases without an answer
are left out.

medspaCy's ConText runs in an environment of its own, whose Python `--medspacy` names (medspacy 1.3.1, installed with
`--no-deps` beside spaCy 3.8, PyRuSH and pysbd; QuickUMLS is not needed and stands in as an empty module). It has its
English rules and its own splitter of sentences. Its classes become ours in our order; where it has none the mention is
present. Without it, or where it does not start, its rows are left out. Speed is texts a CPU second, sections
included for this project, which needs them, and not for medspaCy, whose sections are another component. The last line
is the figures as JSON.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

from structure_real import gold_mentions, plain_negex

ROOT = Path(__file__).resolve().parents[1]
KINDS = ("family", "hypothetical", "uncertain", "negated", "historical", "present")

MEDSPACY = """
import json, sys, time, types

stub = types.ModuleType("quickumls")
stub.spacy_component = types.ModuleType("spacy_component")
sys.modules |= {"quickumls": stub, "quickumls.spacy_component": stub.spacy_component}
import spacy
from loguru import logger
from spacy.util import filter_spans
import medspacy
from medspacy.context import ConText
from medspacy.sentence_splitting import PyRuSHSentencizer

logger.remove()
nlp = spacy.blank("en")
splitter, context = PyRuSHSentencizer(nlp), ConText(nlp)
names = ("family", "hypothetical", "uncertain", "negated", "historical")
out, seconds = [], 0
for text, places in json.load(sys.stdin):
    start = time.process_time()
    doc = splitter(nlp.make_doc(text))
    left, said = {tuple(p): doc.char_span(*p, label="X", alignment_mode="expand") for p in places}, {}
    while left:
        chosen = {(s.start, s.end): s for s in filter_spans(left.values())}  # those that do not overlap
        doc.ents = list(chosen.values())
        for e in context(doc).ents:
            flags = e._.is_family, e._.is_hypothetical, e._.is_uncertain, e._.is_negated, e._.is_historical
            said[e.start, e.end] = next((n for n, f in zip(names, flags) if f), "present")
        done = {p: s for p, s in left.items() if (s.start, s.end) in said}
        out += [(text, *p, said[s.start, s.end]) for p, s in done.items()]
        left = {p: s for p, s in left.items() if p not in done}
    seconds += time.process_time() - start
print(json.dumps([out, seconds]))
"""


def gold_list(name: str) -> list[tuple[str, int, int, str]]:
    "Text, place and label of the mentions of a file beside this one."
    return [(text, r["start"], r["end"], r["label"]) for text, r in gold_mentions(name)]


def case_list() -> list[tuple[str, int, int, str]]:
    "The same of the tests' cases."
    sys.path.insert(0, str(ROOT / "tests" / "structure"))
    from assertion_cases import CASES

    mentions = []
    for _, given, said in CASES:
        text = (ROOT / "tests" / "cases" / given).read_text() if given.endswith(".txt") else given
        places = [(text.lower().index(word.lower()), len(word), kind) for word, kind in said.items() if kind]
        mentions += [(text, at, at + length, kind) for at, length, kind in places]
    return mentions


def by_text(mentions: list[tuple]) -> list[tuple[str, list[tuple[int, int]]]]:
    "The texts, each with the places of its mentions."
    places: dict[str, list] = {}
    for text, start, end, _ in mentions:
        places.setdefault(text, []).append((start, end))
    return list(places.items())


def ours(text: str, places: list[tuple[int, int]]) -> list[str]:
    from medllm_nb.structure.assertion import assertions
    from medllm_nb.structure.sections import find_sections

    return assertions(text, places, find_sections(text))


def negex(text: str, places: list[tuple[int, int]]) -> list[str]:
    return [plain_negex(text, *place) for place in places]


def timed(say):
    "A way of asserting, with the texts a second that it manages."

    def run(mentions):
        start, said, texts = time.process_time(), {}, by_text(mentions)
        for text, places in texts:
            said |= {(text, *place): kind for place, kind in zip(places, say(text, places))}
        return [said[m[:3]] for m in mentions], len(texts) / (time.process_time() - start)

    return run


def medspacy(python: str):
    "medspaCy's ConText in a process of its own; None where it does not start."

    def run(mentions):
        texts = by_text(mentions)
        done = subprocess.run([python, "-c", MEDSPACY], input=json.dumps(texts), capture_output=True, text=True)
        if done.returncode:
            return None
        out, seconds = json.loads(done.stdout.splitlines()[-1])
        said = {tuple(place): kind for *place, kind in out}
        return [said[m[:3]] for m in mentions], len(texts) / seconds

    return run


def figures_of(gold: list[str], said: list[str]) -> dict[str, float]:
    "The F1 of each class and the accuracy."
    f1 = {}
    for kind in [k for k in KINDS if k in gold]:
        both = sum(g == s == kind for g, s in zip(gold, said))
        f1[kind] = 2 * both / (gold.count(kind) + said.count(kind))
    return f1 | {"accuracy": sum(g == s for g, s in zip(gold, said)) / len(gold)}


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--medspacy", help="Python of an environment with medspacy 1.3.1")
    python = parser.parse_args().medspacy
    lists = {
        "gold 1": gold_list("assertion_gold.csv"),
        "gold 2": gold_list("assertion_gold_2.csv"),
        "cases": case_list(),
    }
    ways = {"this project": timed(ours), "plain NegEx": timed(negex)}
    if python:
        ways["medspaCy 1.3.1, ConText"] = medspacy(python)
    ours("Warm.", [(0, 4)])
    print(f"{'':<36}" + "".join(f"{k[:11]:>12}" for k in (*KINDS, "accuracy", "texts/s")))
    figures = {}
    for name, mentions in lists.items():
        gold = [m[3] for m in mentions]
        print(f"{name}, {len(mentions)} mentions: " + ", ".join(f"{k} {gold.count(k)}" for k in KINDS if k in gold))
        for way, run in ways.items():
            if (done := run(mentions)) is None:
                print(f"  {way:<34} did not start")
                continue
            got = figures_of(gold, done[0])
            figures[f"{name}, {way}"] = got | {"texts a second": done[1]}
            columns = "".join(f"{got[k]:>12.3f}" if k in got else f"{'':>12}" for k in (*KINDS, "accuracy"))
            print(f"  {way:<34}{columns}{done[1]:>12,.0f}")
    print(json.dumps(figures))
