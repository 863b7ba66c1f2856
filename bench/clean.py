"""Correction of spelling: how many slips it fixes and how many words it breaks.

    python bench/clean.py [pages of MTSamples to print badly and read by OCR, default 12]

Four texts: the sample's scans against their gold text; MTSamples as they are, where every change counts as broken;
MTSamples with slips put in at random; and MTSamples printed small, blurred and noisy, and read by Tesseract. Needs
../shared/data. The last line is the figures as JSON.
"""

import difflib
import json
import random
import re
import sys
from collections import Counter
from pathlib import Path

from medllm_nb.core import DeidReport, GoldReport, load_key, project_root, read_records
from medllm_nb.structure.spelling import CONFUSED, correct_spelling, find_misspellings, negations
from medllm_nb.structure.terms import drug_names

MTSAMPLES = Path(__file__).resolve().parents[2] / "shared" / "data" / "mtsamples" / "mtsamples.jsonl"
EDGES = ".,;:()[]{}'\"‘’“”|"


def compare(read: str, edits, gold: str, keep=()) -> Counter:
    "Fixed, broken and missed words of a text against what was printed, without the spans to keep; aligned by difflib."
    tokens = [(m.start(), m.group()) for m in re.finditer(r"\S+", read)]
    becomes = {e.start: e.becomes for e in edits}
    changed = [
        next(
            (word[: s - at] + b + word[s - at + len(b) :] for s, b in becomes.items() if at <= s < at + len(word)), None
        )
        for at, word in tokens
    ]
    counts = Counter(changes=len(edits))
    printed = gold.split()
    same = lambda a, b: a.strip(EDGES).lower() == b.strip(EDGES).lower()
    for op, i1, i2, j1, j2 in difflib.SequenceMatcher(
        None, [w for _, w in tokens], printed, autojunk=False
    ).get_opcodes():
        for i, j in zip(range(i1, i2), range(j1, j2)) if op in ("equal", "replace") and i2 - i1 == j2 - j1 else ():
            word, edited = tokens[i][1], changed[i]
            if any(a < tokens[i][0] + len(word) and tokens[i][0] < b for a, b in keep):
                continue
            wrong = not same(word, printed[j]) and word.strip(EDGES).isalpha() and len(word) > 4
            counts["wrong words"] += wrong
            if edited is None:
                continue
            edit = next(e for e in edits if tokens[i][0] <= e.start < tokens[i][0] + len(word))
            at = edit.start - tokens[i][0]
            corrected = word[:at] + edit.becomes + word[at + edit.end - edit.start :]
            counts["fixed"] += same(corrected, printed[j]) and not same(word, printed[j])
            counts["broken"] += same(word, printed[j])
    return counts


def sample_scans() -> Counter:
    root, total = project_root(), Counter()
    gold = {
        g.report_id: g.text for g in read_records(root / "artifacts/ingest/gold", GoldReport, load_key("phi-at-rest"))
    }
    for r in read_records(root / "artifacts/deidentify/reports", DeidReport):
        if r.format not in ("image", "scan-pdf") or r.report_id not in gold:
            continue
        keep = [(s.start, s.end) for s in r.replaced]
        total += compare(r.text, find_misspellings(r.text, keep), gold[r.report_id], keep)
    return total


def slipped(word: str, rng: random.Random) -> str:
    "A word with one slip of a scanner or a pen."
    exchanges = [(a, b) for b, a in CONFUSED[:6] if a in word]
    if exchanges and rng.random() < 0.5:
        a, b = rng.choice(exchanges)
        return word.replace(a, b, 1)
    i = rng.randrange(1, len(word) - 1)
    return rng.choice(
        [
            word[:i] + word[i + 1 :],
            word[:i] + word[i] + word[i:],
            word[:i] + word[i + 1] + word[i] + word[i + 2 :],
            word[:i] + rng.choice("abcdeilmnorstu") + word[i + 1 :],
        ]
    )


def put_in(texts: list[str], share: float = 0.02, seed: int = 7) -> Counter:
    "Slips put into ordinary words of small letters, and what became of them."
    rng, total = random.Random(seed), Counter()
    for text in texts:
        parts, truth, at, moved = [], {}, 0, 0
        for m in re.finditer(r"(?<![\w.@/-])[a-z]{6,}(?![\w@/-])", text):
            if m.group() in drug_names() or rng.random() > share:
                continue
            slip = slipped(m.group(), rng)
            if slip == m.group():
                continue
            parts += [text[at : m.start()], slip]
            truth[m.start() + moved] = m.group()
            moved += len(slip) - len(m.group())
            at = m.end()
        edits = {e.start: e.becomes for e in find_misspellings("".join(parts) + text[at:])}
        total["wrong words"] += len(truth)
        total["changes"] += len(edits)
        for start, word in truth.items():
            if start in edits:
                total["fixed" if edits[start] == word else "corrected wrongly"] += 1
        total["broken"] += sum(start not in truth for start in edits)
    return total


def badly_printed(text: str, seed: int):
    "A page of a text, small, blurred and noisy."
    import numpy as np
    from PIL import Image, ImageDraw, ImageFilter, ImageFont

    font = ImageFont.load_default(15)
    page = Image.new("L", (900, 1100), 250)
    ImageDraw.Draw(page).multiline_text((40, 40), text, font=font, fill=60, spacing=6)
    page = page.filter(ImageFilter.GaussianBlur(0.9)).rotate(0.4, fillcolor=250)
    noise = np.random.default_rng(seed).normal(0, 22, (1100, 900))
    return Image.fromarray((np.asarray(page, float) + noise).clip(0, 255).astype("uint8"))


def printed_and_read(texts: list[str]) -> Counter:
    import textwrap
    import pytesseract

    total = Counter()
    for i, text in enumerate(texts):
        gold = "\n".join(textwrap.wrap(text.replace(",", ", "), 100)[:38])
        read = pytesseract.image_to_string(badly_printed(gold, i))
        total += compare(read, find_misspellings(read), gold)
    return total


def untouchable(texts: list[str]) -> Counter:
    "Reports in which a number or negation changed, and edits from or to a drug: none, as it should be."
    total = Counter()
    for text in texts:
        after = correct_spelling(text).text
        for kind, pattern in {
            "numbers": r"\d[\d.,/:]*",
            "negations": r"\b(?:" + "|".join(negations()) + r")\b",
        }.items():
            total[kind] += re.findall(pattern, text.lower()) != re.findall(pattern, after.lower())
        for e in find_misspellings(text):
            total["drugs"] += bool({text[e.start : e.end].lower(), e.becomes.lower()} & drug_names())
    return total


if __name__ == "__main__":
    pages = int(sys.argv[1]) if len(sys.argv) > 1 else 12
    texts = [json.loads(line)["transcription"] for line in MTSAMPLES.open()]
    words = sum(len(t.split()) for t in texts)
    rows = {
        "sample's scans": sample_scans(),
        "MTSamples, slips put in": put_in(texts),
        f"{pages} bad pages, Tesseract": printed_and_read(texts[:pages]),
    }
    print(f"{'':<28}{'wrong words':>12}{'changed':>9}{'fixed':>7}{'broken':>8}{'fixed/wrong':>13}")
    figures = {}
    for name, c in rows.items():
        counts = {k: c[k] for k in ("wrong words", "changes", "fixed", "broken")}
        figures[name] = counts | {"fixed of wrong": c["fixed"] / max(c["wrong words"], 1)}
        columns = zip(figures[name].values(), ("12", "9", "7", "8", "13.0%"))
        print(f"{name:<28}" + "".join(f"{value:>{width}}" for value, width in columns))
    changed = Counter((t[e.start : e.end], e.becomes) for t in texts for e in find_misspellings(t))
    rate = 1e4 * changed.total() / words
    print(
        f"MTSamples as they are: {changed.total()} of {words:,} words changed ({rate:.1f} of 10,000), some of them "
        f"slips of the transcript:\n  " + ", ".join(f"{a} > {b}" for (a, b), _ in changed.most_common(40))
    )
    touched = dict(untouchable(texts))
    print("MTSamples, reports with a number or negation changed, edits of a drug:", touched)
    figures["MTSamples as they are"] = {"changed of 10,000 words": rate, **touched}
    print(json.dumps(figures))
