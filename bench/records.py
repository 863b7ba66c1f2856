"""Medications, allergies, vital signs and procedures on notes that nobody of this project wrote.

    python bench/records.py

The notes are ACI-Bench's and MTSamples' (../shared/data; nothing is scored where they are absent). records_gold.jsonl
has the labels: places in the text and values by note, never text. One annotator, who works on this project, read 55
notes drawn at random in full (44 of those with at least three words such as medication, allergy or blood pressure, 11
with lists of medications and allergies). The rules of structure.treatment were written by another, without them in
sight, and were not tuned on them.
In 70 further notes the lines that name a vital sign or an allergy were read, and these two kinds only. Choices:

- A medication is a drug by name that was, is or shall be taken or given, local anesthetics of operations included. Its
  record counts once a note; classes, antiseptics, fluids and what is only considered count neither way.
- An allergy is a substance in a list or a sentence of allergies, or that none is known.
- A vital sign is a measured number; a blood pressure is two.
- A procedure is a named operation, endoscopy, biopsy or intervention, once a note; imaging, anesthesia, the steps of
  an operation and what is only an option count neither way.

A field (dose, status ...) counts for the records of both lists. Beside the project's figures stand those of plain ways:
any word of the list of drugs, any label with a number behind it, any word of a surgical ending. A second table has the
sample, whose reports the generator labels. The last line is the figures as JSON.
"""

import csv
import hashlib
import json
import re
import sys
import time
from collections import Counter, defaultdict
from pathlib import Path

HERE = Path(__file__).resolve().parent
DATA = HERE.parents[1] / "shared" / "data"
KINDS = {"medications": "drug", "allergies": "substance", "vitals": "name", "procedures": "name"}
FIELDS = {
    "medications": ("dose", "strength", "route", "frequency", "as_needed", "status"),
    "allergies": ("reaction", "assertion"),
    "vitals": ("device",),
    "procedures": ("status", "date"),
}


def read_notes() -> dict[tuple[str, int], str]:
    "The texts of both corpora by data set and number."
    lines = (DATA / "mtsamples" / "mtsamples.jsonl").open()
    notes = {("mtsamples", i): json.loads(line)["transcription"] for i, line in enumerate(lines)}
    for path in (DATA / "aci-bench").glob("*.csv"):
        notes |= {(f"aci-bench/{path.stem}", i): row["note"] for i, row in enumerate(csv.DictReader(path.open()))}
    return notes


def read_gold() -> list[tuple[str, dict]]:
    "Text and labels of each note; stops where the corpus is another one."
    notes, gold = read_notes(), []
    for line in (HERE / "records_gold.jsonl").open():
        row = json.loads(line)
        text = notes[row["dataset"], row["record"]]
        if hashlib.sha1(text.encode()).hexdigest()[:10] != row["sha1"]:
            sys.exit(f"{row['dataset']} {row['record']}: the corpus is another one")
        gold.append((text, row))
    return gold


def plain(words: str) -> str:
    "Words as they are compared."
    return re.sub(r"[^a-z0-9.]+", " ", words.lower()).strip()


def gold_rows(text: str, labels: list[dict]) -> list[dict]:
    "The labels with the words of their places."
    return [{k: text[slice(*v)] if isinstance(v, list) else v for k, v in row.items()} for row in labels]


def same(kind: str, a: dict, b: dict) -> bool:
    "Whether two records name the same thing."
    if kind == "vitals":
        return (a["name"], a["value"]) == (b["name"], b["value"])
    one, two = plain(a[KINDS[kind]]), plain(b[KINDS[kind]])
    if kind == "medications":
        return one == two
    return one == two or f" {one} " in f" {two} " or f" {two} " in f" {one} "


def compare(kind: str, gold: list[dict], got: list[dict], tally: Counter, fields: dict) -> None:
    "Count what is found of a note's records, and the fields of those in both lists."
    sure = [g for g in gold if not g.get("optional")]
    names: list[dict] = []
    for record in got:  # a name once
        if not any(same(kind, record, n) for n in names):
            names.append(record)
    tally["gold"] += len(sure)
    tally["hit"] += sum(any(same(kind, g, r) for r in got) for g in sure)
    tally["got"] += sum(any(same(kind, r, g) for g in sure) or not any(same(kind, r, g) for g in gold) for r in names)
    tally["right"] += sum(any(same(kind, r, g) for g in sure) for r in names)
    for g in sure:
        mine = [r for r in got if same(kind, g, r)]
        if not mine:
            continue
        for field in FIELDS[kind]:
            if field in ("status", "assertion") and field not in g:
                continue
            wanted = {plain(o[field]) for o in sure if same(kind, o, g) and o.get(field)}
            found = {plain(r[field]) for r in mine if r.get(field)}
            if field == "status":
                found = {plain(mine[-1][field])} if wanted & found == set() else wanted & found
            counts = fields[field]
            counts["gold"] += len(wanted)
            counts["got"] += len(found)
            counts["hit"] += len(wanted & found)


def figures_of(tally: Counter, fields: dict) -> dict[str, float]:
    "Precision, recall and F1 of the records and of their fields."
    share = lambda a, b: round(a / b, 3) if b else 0.0
    precision, recall = share(tally["right"], tally["got"]), share(tally["hit"], tally["gold"])
    figures = {"precision": precision, "recall": recall, "f1": share(2 * precision * recall, precision + recall)}
    figures |= {"gold": tally["gold"], "found": tally["got"]}
    for name, counts in fields.items():
        if counts["gold"] >= 5:
            figures[f"{name} precision"] = share(counts["hit"], counts["got"])
            figures[f"{name} recall"] = share(counts["hit"], counts["gold"])
    return figures


def ours(text: str) -> dict[str, list[dict]]:
    from medllm_nb.structure import find_allergies, find_medications, find_procedures, find_sections, find_vitals

    sections = find_sections(text)
    finders = {"medications": find_medications, "allergies": find_allergies, "procedures": find_procedures}
    found = {kind: find(text, sections) for kind, find in finders.items()} | {"vitals": find_vitals(text)}
    return {kind: [record.model_dump() for record in records] for kind, records in found.items()}


PLAIN_DOSE = re.compile(r"(?i)\W{1,3}(?P<dose>\d[\d.]* ?(?:mg|mcg|g|units))\b")
PLAIN_VITAL = {
    "heart rate": r"(?:HR|heart rate|pulse)\D{0,6}(\d{2,3})",
    "respiratory rate": r"(?:RR|respirat\w+(?: rate)?)\D{0,6}(\d{2})",
    "temperature": r"temp\w*\D{0,6}(\d{2,3}(?:\.\d)?)",
    "oxygen saturation": r"sat\w*\D{0,6}(\d{2,3}) ?%",
    "weight": r"(?:weight|weighs)\D{0,6}(\d+(?:\.\d)?)",
}
PLAIN_PROCEDURE = re.compile(r"(?i)\b[a-z]+(?:ectomy|otomy|ostomy|plasty|oscopy)\b|\bbiopsy\b")


def plain_way(text: str) -> dict[str, list[dict]]:
    "What lists of words and one expression a kind find."
    from medllm_nb.structure.terms import drug_names

    found = defaultdict(list)
    for m in re.finditer(r"[A-Za-z][A-Za-z-]{3,}", text):
        if m.group().lower() in drug_names():
            dose = PLAIN_DOSE.match(text, m.end())
            found["medications"].append({"drug": m.group(), "dose": dose["dose"] if dose else "", "status": "active"})
    for m in re.finditer(r"(?i)(?:allergies\W+|allergic to )(?:to )?([a-z ]{3,30})", text):
        found["allergies"].append({"substance": m[1], "assertion": "negated" if "no" in m[1].lower() else "present"})
    for name, pattern in PLAIN_VITAL.items():
        found["vitals"] += [{"name": name, "value": float(m[1])} for m in re.finditer(f"(?i){pattern}", text)]
    for m in re.finditer(r"(?i)(?:BP|blood pressure)\D{0,6}(\d{2,3})/(\d{2,3})", text):
        pair = zip(("systolic", "diastolic"), m.groups())
        found["vitals"] += [{"name": f"{name} blood pressure", "value": float(value)} for name, value in pair]
    found["procedures"] = [{"name": m.group(), "status": "done"} for m in PLAIN_PROCEDURE.finditer(text)]
    return found


def score(gold: list[tuple[str, dict]], way, verbose: bool = False) -> dict[str, dict[str, float]]:
    "The figures of each kind of record."
    tallies, fields = {k: Counter() for k in KINDS}, {k: defaultdict(Counter) for k in KINDS}
    for text, labels in gold:
        found = way(text)
        for kind in KINDS:
            if kind in labels:
                rows = gold_rows(text, labels[kind])
                compare(kind, rows, found[kind], tallies[kind], fields[kind])
                if verbose:
                    tell(kind, labels, rows, found[kind])
    return {kind: figures_of(tallies[kind], fields[kind]) for kind in KINDS}


def tell(kind: str, labels: dict, gold: list[dict], got: list[dict]) -> None:
    "Print what is missed and what is too much; of no use without the texts."
    where = f"{labels['dataset']} {labels['record']}"
    for g in gold:
        if not g.get("optional") and not any(same(kind, g, r) for r in got):
            print(f"missed {where} {kind}: {g}")
    for r in got:
        mine = [g for g in gold if same(kind, g, r)]
        if not mine:
            print(f"extra  {where} {kind}: {r}")
        for field in FIELDS[kind]:
            wanted = {plain(g[field]) for g in mine if g.get(field)}
            if mine and plain(r.get(field) or "") not in (wanted or {""}) and not mine[0].get("optional"):
                print(f"field  {where} {kind} {r[KINDS[kind]]} {field}: {wanted} {r.get(field)!r}")


def speed(texts: list[str]) -> dict[str, float]:
    "Reports a CPU second of the whole structure stage, and the share of it that the four kinds take."
    from medllm_nb.core import DeidReport
    from medllm_nb.structure import structure_report

    reports = [DeidReport(report_id="1", patient_key="k", format="txt", text=text) for text in texts]
    structure_report(reports[0]), ours(texts[0])
    timed = lambda work, items: (time.process_time(), [work(i) for i in items], time.process_time())
    begin, _, end = timed(structure_report, reports)
    start, _, stop = timed(ours, texts)
    sections = _sections_time(texts)
    return {
        "reports a second": round(len(texts) / (end - begin), 1),
        "share of records": round((stop - start - sections) / (end - begin), 3),
    }


def _sections_time(texts: list[str]) -> float:
    "CPU seconds that the sections take, which the stage finds once for all."
    from medllm_nb.structure import find_sections

    start = time.process_time()
    for text in texts:
        find_sections(text)
    return time.process_time() - start


def print_table(figures: dict[str, dict[str, dict[str, float]]]) -> None:
    "The figures by kind and way."
    print(f"{'':<34}{'precision':>10}{'recall':>8}{'F1':>8}{'gold':>7}{'found':>7}")
    for way, kinds in figures.items():
        for kind, f in kinds.items():
            line = f"{f['precision']:>10.3f}{f['recall']:>8.3f}{f['f1']:>8.3f}{f['gold']:>7}{f['found']:>7}"
            print(f"{way + ', ' + kind:<34}{line}")
            pairs = [k[: -len(" precision")] for k in f if k.endswith(" precision")]
            for name in pairs:
                print(f"    {name:<30}{f[name + ' precision']:>10.3f}{f[name + ' recall']:>8.3f}")


if __name__ == "__main__":
    if not DATA.is_dir():
        print("skipped: ../shared/data is absent")
        print(json.dumps({}))
        sys.exit()
    gold = read_gold()
    ways = {"this project": ours, "plain": plain_way}
    figures = {name: score(gold, way, "-v" in sys.argv and way is ours) for name, way in ways.items()}
    print_table(figures)
    figures["speed"] = speed([text for text, _ in gold])
    print(figures["speed"])
    print(json.dumps(figures))
