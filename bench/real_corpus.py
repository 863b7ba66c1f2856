"""Write the public clinical reports of ../shared/data as a folder of mixed formats, scans and photographs included.

    python bench/real_corpus.py --out data-real --n 150
    make profile NAME=real-reports && dvc repro

MTSamples (CC0) and ACI-Bench's notes (CC BY 4.0) are the texts; the file writers are the sample's own.
"""

import argparse
import csv
import json
import sys
from collections import Counter
from pathlib import Path
from random import Random

from medllm_nb.core import GoldReport
from medllm_nb.sample.render import docx_bytes, pdf_bytes
from medllm_nb.sample.scans import photo_bytes, scan_pdf_bytes

SHARES = {"txt": 30, "csv": 15, "json": 10, "docx": 15, "pdf": 15, "scan-pdf": 10, "image": 5}


def texts(shared: Path) -> list[tuple[str, str]]:
    "(specialty, text) of every clinical report there."
    mt, aci = shared / "mtsamples" / "mtsamples.jsonl", sorted((shared / "aci-bench").glob("*.csv"))
    if not mt.is_file() and not aci:
        sys.exit(f"no clinical reports in {shared}: pass --shared the folder that holds mtsamples/ and aci-bench/")
    found = []
    for line in mt.read_text().splitlines() if mt.is_file() else []:
        row = json.loads(line)
        found.append((row["medical_specialty"].strip(), row["transcription"]))
    for path in aci:
        with path.open(newline="") as f:
            found += [("", row["note"]) for row in csv.DictReader(f)]
    return [(s, t) for s, t in found if t and len(t) > 200]


def wrapped(text: str, width: int = 95) -> str:
    "Long lines broken as a printer would, so that pages hold them; Latin-1, which the PDF fonts can draw."
    import textwrap

    plain = text.translate(str.maketrans("‘’“”–—", "''\"\"--")).encode("latin-1", "replace").decode("latin-1")
    return "\n".join("\n".join(textwrap.wrap(line, width)) for line in plain.splitlines())


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--out", type=Path, default=Path("data-real"))
    options.add_argument("--shared", type=Path, default=Path(__file__).resolve().parents[2] / "shared" / "data")
    options.add_argument("--n", type=int, default=150, help="reports to write")
    options.add_argument("--seed", type=int, default=0)
    args = options.parse_args()
    rng = Random(args.seed)
    chosen = texts(args.shared)
    rng.shuffle(chosen)
    folder, tables, counts = args.out / "reports", {"csv": [], "json": []}, Counter()
    if folder.exists() and any(folder.iterdir()):
        sys.exit(f"{folder} is not empty: remove it, or choose another --out")
    folder.mkdir(parents=True, exist_ok=True)
    for i, (specialty, text) in enumerate(chosen[: args.n]):
        kind = rng.choices(list(SHARES), list(SHARES.values()))[0]
        if kind == "image" and len(text) > 2500:
            kind = "scan-pdf"  # a photograph is of one page
        counts[kind] += 1
        report = GoldReport(
            report_id=str(i), patient_id="", source="", format=kind, specialty="other", text=wrapped(text)
        )
        path = folder / f"report-{i:04d}"
        if kind in tables:
            tables[kind].append({"specialty": specialty, "transcription": text})
        elif kind == "txt":
            path.with_suffix(".txt").write_text(text)
        elif kind == "image":
            content, suffix = photo_bytes(report, rng)
            path.with_suffix(f".{suffix}").write_bytes(content)
        else:
            write, suffix = {
                "docx": (docx_bytes, ".docx"),
                "pdf": (pdf_bytes, ".pdf"),
                "scan-pdf": (scan_pdf_bytes, ".pdf"),
            }[kind]
            path.with_suffix(suffix).write_bytes(write(report, rng))
    with (folder / "export.csv").open("w", newline="") as f:
        table = csv.DictWriter(f, ["specialty", "transcription"])
        table.writeheader()
        table.writerows(tables["csv"])
    (folder / "export.json").write_text(json.dumps(tables["json"]))
    for kind, n in sorted(counts.items()):
        print(f"{kind:<10}{n:>5}")
    print(f"{'all':<10}{sum(counts.values()):>5}  in {folder}")
    print(json.dumps({"reports": sum(counts.values())} | dict(sorted(counts.items()))))


if __name__ == "__main__":
    main()
