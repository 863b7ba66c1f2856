"""Sections and assertion on text that nobody of this project wrote: ACI-Bench's notes, MTSamples' transcripts.

    python bench/structure_real.py [--medspacy PYTHON]

Gold headings are the lines in capitals of ACI-Bench's notes and the `LABEL:` in capitals of MTSamples. The section
that each opens is written down here by hand. A label that is not here is left out of the score, and a part of the
body such as HEENT must open none. Three ways: the project's, the same table of headings as a plain regular
expression, and any line or label in capitals looked up in it. Beside the texts as they are: their headings in Title
Case, and with one letter of each damaged as OCR does.

Be warned that the table of headings was made with these corpora in sight. What is measured is how well the rules find
headings and keep off what only looks like one, not how many headings of an unseen hospital the table has. `--medspacy`
names the Python of an environment with medspacy 1.3.0 (it does not install beside this project's spaCy), whose
sectionizer then runs on the same texts.

What is asserted of a mention is scored against assertion_gold.csv, whose head says who labelled it and how. Beside it
stands a plain NegEx: a short list of negations up to five words before the mention in its sentence, all else present.
The precision of concepts' codes is that of concept_gold.csv, labelled likewise; what find_concepts misses is not
counted there. The last line is the figures as JSON.
"""

import argparse
import csv
import hashlib
import json
import random
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"

GOLD = {
    name: {" ".join(label.split()) for label in labels.split(",")}
    for name, labels in {
        "history": """
            chief complaint, history of present illness, hpi, review of systems, ros, social history, medical
            history, family history, past history, surgical history, past medical history, past surgical
            history, birth history, subjective, history, brief history, indications, indication, indications for
            procedure, indications for operation, indication for procedure, indication for surgery, indications
            for surgery, indication for operation, hospital course, brief history of the patient, reason for
            visit, reason for exam, reason for consultation, pmh, immunizations, gynecologic history, course,
            indications for the procedure, indications for this procedure, indication for the procedure""",
        "medications": "medications, current medications, medication",
        "allergies": "allergies, allergies to medications",
        "examination": "physical exam, physical examination, vitals, exam, vitals reviewed, vital signs, objective",
        "procedure": """
            procedure, procedures, anesthesia, estimated blood loss, complications, procedure performed,
            description of procedure, procedure in detail, specimens, drains, description of operation,
            operative procedure, operation performed, fluids, operation, title of operation, specimen, fluids
            received, procedures performed, procedure detail, blood loss, tubes and drains, operations,
            operative note, operative procedure in detail, urine output, procedure note, operations performed,
            details of the operation, ebl, description of the operation, tourniquet time, name of operation,
            counts, tubes/drains, iv fluids, details of the procedure, surgery, procedure details, title of
            procedure, drain, details of procedure, devices, description of procedure in detail, informed
            consent, technique, operative procedures, anesthetic, operation in detail, description of the
            procedure, name of procedure, summary of procedure""",
        "labs": "laboratory data, laboratory, results",
        "imaging": "imaging, results",
        "other": "condition, miscellaneous",
        "findings": """
            findings, operative findings, abnormal findings, intraoperative findings, ekg, gross findings,
            results, gross intraoperative findings""",
        "impression": "assessment, assessment and plan, impression, impression/plan, summary, conclusion",
        "diagnosis": """
            preoperative diagnosis, postoperative diagnosis, postoperative diagnoses, preoperative diagnoses,
            diagnosis, preop diagnosis, postop diagnosis, admitting diagnoses, discharge diagnoses, admitting
            diagnosis, discharge diagnosis""",
        "recommendations": "plan, instructions, disposition, recommendations, discharge instructions",
    }.items()
}
NO_HEADINGS = {
    "heent",
    "general",
    "abdomen",
    "extremities",
    "heart",
    "neck",
    "lungs",
    "neurologic",
    "skin",
    "chest",
    "genitalia",
    "cardiovascular",
    "genitourinary",
    "rectal",
    "cardiac",
    "ent",
    "musculoskeletal",
    "back",
    "msk",
    "respiratory",
    "urine",
    "hiv",
}
ALONE = re.compile(r"(?m)^(?P<label>[A-Za-z][A-Za-z /&'-]{2,60}?):?[ \t]*$")
INLINE = re.compile(r"(?:^|(?<=[,\n]))[ ]{0,2}(?P<label>[A-Z][A-Z /&'-]{2,60}?):")


def sections_of(label: str) -> set[str]:
    return {name for name, labels in GOLD.items() if label.lower().strip() in labels}


def gold_headings(text: str, pattern: re.Pattern) -> dict[int, set[str]]:
    "Where each known heading begins, and the sections it may open, if any; one without a body is left out."
    found = [
        (m.start("label"), m.end(), m["label"])
        for m in pattern.finditer(text)
        if sections_of(m["label"]) or m["label"].lower() in NO_HEADINGS
    ]
    ends = [f[0] for f in found[1:]] + [len(text)]
    return {
        start: sections_of(label)
        for (start, end, label), stop in zip(found, ends)
        if text[end:stop].strip(" \n\t,:") or not sections_of(label)
    }


def ours(text: str) -> dict[int, str]:
    from medllm_nb.structure.sections import find_sections

    return {
        text.rindex(s.heading, 0, s.start): s.name for s in find_sections(text) if s.heading and s.name != "signature"
    }


def table_regex(text: str) -> dict[int, str]:
    "The table's headings at the start of a line or behind a comma, in any case, with a colon or a line of their own."
    from medllm_nb.structure.headings import known_headings

    if not hasattr(table_regex, "pattern"):
        names = "|".join(re.escape(h) for h in sorted(known_headings(), key=len, reverse=True))
        table_regex.pattern = re.compile(rf"(?im)(?:^|(?<=,))[ \t]*(?P<label>{names})[ \t]*(?::|$)")
    return {m.start("label"): known_headings()[m["label"].lower()] for m in table_regex.pattern.finditer(text)}


def capitals(text: str) -> dict[int, str]:
    "Any label in capitals with a colon or a line of its own."
    from medllm_nb.structure.headings import heading_section

    labels = re.finditer(r"(?m)(?:^|(?<=[,.]))[ \t]*(?P<label>[A-Z][A-Z /&'-]{2,50}?)[ \t]*(?::|$)", text)
    return {m.start("label"): heading_section(m["label"]) or "other" for m in labels}


FIGURES = ("precision", "recall", "f1", "section", "f1_both")


def score(texts, golds, find) -> dict[str, float]:
    "Precision, recall and F1 of where headings stand, share of the right section among those, and F1 of both together."
    hit = named = found = gold = 0
    for text, places in zip(texts, golds):
        got = find(text)
        wanted = {p for p, names in places.items() if names}
        known = {p for p in got if p in places}  # a label that is not in the gold list counts neither way
        hit += len(wanted & known)
        named += sum(bool(places[p] & (got[p] if isinstance(got[p], set) else {got[p]})) for p in wanted & known)
        found += len(known)
        gold += len(wanted)
    f1 = lambda h: 2 * h / max(found + gold, 1)
    shares = (hit / max(found, 1), hit / max(gold, 1), f1(hit), named / max(hit, 1), f1(named))
    return dict(zip(FIGURES, shares))


def score_line(scores: dict[str, float]) -> str:
    "The scores as the columns of the table."
    return "".join(f"{value:>{width}.3f}" for value, width in zip(scores.values(), (10, 8, 8, 10, 10)))


def rewritten(text: str, places: dict[int, set[str]], how, rng: random.Random) -> tuple[str, dict[int, set[str]]]:
    "The text with its gold headings rewritten, and where they then stand."
    out, at, moved = "", 0, {}
    for start, names in sorted(places.items()):
        label = re.match(r"[A-Za-z /&'-]+", text[start:]).group()
        out += text[at:start]
        moved[len(out)] = names
        out += how(label, rng)
        at = start + len(label)
    return out + text[at:], moved


def damaged(label: str, rng: random.Random) -> str:
    exchanges = [(i, b) for i, c in enumerate(label) for a, b in zip("IOSBEG", "l058FC") if c == a]
    if not exchanges or len(label) < 6:
        return label
    i, b = rng.choice(exchanges)
    return label[:i] + b + label[i + 1 :]


MEDSPACY = {  # its sections in this project's, generously
    "past_medical_history": {"history"},
    "chief_complaint": {"history"},
    "history_of_present_illness": {"history"},
    "present_illness": {"history"},
    "sexual_and_social_history": {"history"},
    "social_history": {"history"},
    "family_history": {"history"},
    "hospital_course": {"history"},
    "reason_for_examination": {"history"},
    "surgical_history": {"history"},
    "review_of_systems": {"history"},
    "imaging": {"imaging", "findings"},
    "allergies": {"allergies"},
    "allergy": {"allergies"},
    "medications": {"medications"},
    "medication": {"medications"},
    "physical_exam": {"examination"},
    "labs_and_studies": {"labs", "imaging", "findings"},
    "observation_and_plan": {"impression", "recommendations"},
    "diagnoses": {"diagnosis"},
    "problem_list": {"diagnosis"},
    "patient_instructions": {"recommendations"},
    "patient_education": {"recommendations"},
    "education": {"recommendations"},
    "procedures": {"procedure"},
    "procedure": {"procedure"},
}


def medspacy_headings(python: str, texts: list[str]) -> list[dict[int, str]]:
    code = """
import json, sys, spacy
from medspacy.section_detection import Sectionizer

nlp = spacy.blank("en")
sectionizer, out = Sectionizer(nlp), []
for text in json.load(sys.stdin):
    doc = sectionizer(nlp(text))
    titled = [s for s in doc._.sections if s.title_span[1] > s.title_span[0]]
    out.append({str(doc[s.title_span[0]].idx): s.category for s in titled})
print(json.dumps(out))
"""
    done = subprocess.run([python, "-c", code], input=json.dumps(texts), capture_output=True, text=True, env={})
    if done.returncode:
        sys.exit(f"medspacy: {done.stderr[-800:]}")
    found = json.loads(done.stdout.splitlines()[-1])
    return [{int(at): MEDSPACY.get(name or "", {"other"}) for at, name in headings.items()} for headings in found]


def corpora():
    files = [DATA / "aci-bench" / f for f in ("train.csv", "valid.csv", "clinicalnlp_taskB_test1.csv")]
    yield "ACI-Bench", [r["note"] for f in files for r in csv.DictReader(f.open())], ALONE
    yield (
        "MTSamples",
        [json.loads(line)["transcription"] for line in (DATA / "mtsamples" / "mtsamples.jsonl").open()],
        INLINE,
    )


def gold_mentions(name: str) -> list[tuple[str, dict]]:
    "Text and row of each labelled mention of a file beside this one; stops where the corpus is another one."
    texts = {
        ("mtsamples", i): json.loads(line)["transcription"]
        for i, line in enumerate((DATA / "mtsamples" / "mtsamples.jsonl").open())
    }
    for path in (DATA / "aci-bench").glob("*.csv"):
        texts |= {(f"aci-bench/{path.stem}", i): r["note"] for i, r in enumerate(csv.DictReader(path.open()))}
    lines = (line for line in (Path(__file__).parent / name).open() if not line.startswith("#"))
    gold = []
    for r in csv.DictReader(lines):
        text, row = texts[r["dataset"], int(r["record"])], r | {"start": int(r["start"]), "end": int(r["end"])}
        if hashlib.sha1(text[row["start"] : row["end"]].encode()).hexdigest()[:10] != r["sha1"]:
            sys.exit(f"{name}, id {r['id']}: the corpus is another one")
        gold.append((text, row))
    return gold


def our_assertion(text: str, start: int, end: int) -> str:
    from medllm_nb.structure.assertion import assertions
    from medllm_nb.structure.sections import find_sections

    return assertions(text, [(start, end)], find_sections(text))[0]


NEGATION = re.compile(r"\b(?:no|not|without|denies|denied|negative for|absence of|never)\b(?:\W+\w+){0,5}\W*$")


def plain_negex(text: str, start: int, end: int) -> str:
    before = re.split(r"[.;:\n]", text[max(0, start - 120) : start])[-1].lower()
    return "negated" if NEGATION.search(before) else "present"


def score_assertion(gold: list[str], got: list[str]) -> dict[str, float]:
    "Print precision, recall and F1 of each class; the F1 of each and the accuracy."
    both, of_gold, of_got = Counter(g for g, h in zip(gold, got) if g == h), Counter(gold), Counter(got)
    figures = {}
    for kind in sorted(of_gold):
        precision, recall = both[kind] / max(of_got[kind], 1), both[kind] / of_gold[kind]
        figures[f"{kind}_f1"] = 2 * both[kind] / (of_got[kind] + of_gold[kind])
        print(f"    {kind:<40}{precision:>10.3f}{recall:>8.3f}{figures[f'{kind}_f1']:>8.3f}{of_gold[kind]:>10}")
    figures["accuracy"] = both.total() / len(gold)
    print(f"    accuracy {figures['accuracy']:.3f}, {len(gold)} mentions")
    return figures


def run_assertion() -> dict[str, dict]:
    "Assertion of this project and of a plain NegEx against the labels given by hand."
    gold = [(text, r["start"], r["end"], r["label"]) for text, r in gold_mentions("assertion_gold.csv")]
    print(f"\n{'assertion':<44}{'precision':>10}{'recall':>8}{'F1':>8}{'gold':>10}")
    figures = {}
    for name, say in {"this project": our_assertion, "plain NegEx": plain_negex}.items():
        print(f"  {name}")
        figures[name] = score_assertion([g[3] for g in gold], [say(*g[:3]) for g in gold])
    return figures


def run_concepts() -> dict[str, float]:
    "Of the labelled codes: those that still stand, by label, and what became of the others."
    from medllm_nb.structure.concepts import find_concepts

    gold, found, now = gold_mentions("concept_gold.csv"), {}, Counter()
    for text, r in gold:
        if text not in found:
            found[text] = {(m.start, m.end): m.code for m in find_concepts(text)}
        code = found[text].get((r["start"], r["end"]))
        became = "another code" if code else "no longer found"
        now[r["label"] if code == r["code"] else f"{r['label']} once, {became}"] += 1
    first, stand = Counter(r["label"] for _, r in gold), sum(now[k] for k in ("right", "general", "wrong"))
    figures = {
        "right when labelled": first["right"] / len(gold),
        "right or general when labelled": 1 - first["wrong"] / len(gold),
        "right now": now["right"] / stand,
        "stand": stand,
    }
    print(f"\nconcepts' codes, {len(gold)} mentions: {figures}\n  {dict(now)}")
    return figures


DAMAGES = {
    "as written": None,
    "headings in Title Case": lambda label, rng: label.title(),
    "a letter damaged": damaged,
}
FINDERS = {"this project": ours, "its table as a regular expression": table_regex, "any capitals": capitals}


def run_sections(python: str | None) -> dict[str, dict]:
    "Headings of both corpora, as written and damaged, found in each way."
    print(f"{'':<44}{'precision':>10}{'recall':>8}{'F1':>8}{'section':>10}{'F1 both':>10}")
    figures = {}
    for corpus, texts, pattern in corpora():
        plain = [gold_headings(t, pattern) for t in texts]
        for damage, how in DAMAGES.items():
            rng = random.Random(7)
            pairs = [rewritten(t, g, how, rng) if how else (t, g) for t, g in zip(texts, plain)]
            changed, golds = [p[0] for p in pairs], [p[1] for p in pairs]
            headings = sum(bool(n) for g in golds for n in g.values())
            print(f"{corpus}, {damage}: {headings:,} headings in {len(texts)} texts")
            finders = dict(FINDERS)
            if python:
                found = dict(zip(changed, medspacy_headings(python, changed)))
                finders["medspaCy 1.3.0, sectionizer"] = found.get
            for name, find in finders.items():
                figures[f"{corpus}, {damage}, {name}"] = scores = score(changed, golds, find)
                print(f"  {name:<42}{score_line(scores)}")
    return figures


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--medspacy", help="Python of an environment with medspacy 1.3.0")
    python = parser.parse_args().medspacy
    figures = {"sections": run_sections(python), "assertion": run_assertion(), "concepts": run_concepts()}
    print(json.dumps(figures))
