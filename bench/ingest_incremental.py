"""How much is read again when reports are added: N files are in the cache, 10 are added, and OCR's calls are counted.

    python bench/ingest_incremental.py              # 300 files, of which 30 are scans
    python bench/ingest_incremental.py --files 1000 --added 10

One process, so that the calls can be counted where they are made. A folder of N files is written, read once, and read
again after the new files have come; the alternative is the same second run without the cache. Then all of it again with
the same files in one ZIP, which is another file once ten are added to it: only its pages can be known. The last line
is JSON: the figures by name.
"""

import argparse
import json
import shutil
import tempfile
import time
import zipfile
from pathlib import Path

import pandas as pd
from PIL import Image, ImageDraw, ImageFont

from medllm_nb.ingest import IngestParams, gather, ocr
from medllm_nb.ingest.folder import read_cached

LINES = [
    "Patient: Doe, Jane",
    "MRN: {number:08d}",
    "Potassium 5.{digit} mmol/L (3.5-5.1) HIGH",
    "Impression: mild hyperkalemia, repeat in two days.",
]


def write_file(folder, number, scan):
    "A synthetic report of four lines, as text or as a scanned page."
    lines = [line.format(number=number, digit=number % 10) for line in LINES]
    if not scan:
        return (folder / f"{number}.txt").write_text("\n".join(lines))
    image = Image.new("L", (1000, 330), 255)
    for i, line in enumerate(lines):
        ImageDraw.Draw(image).text((40, 40 + 60 * i), line, fill=0, font=ImageFont.load_default(32))
    image.save(folder / f"{number}.png")


def count_run(folder, cache):
    "One pass over the folder: files, those that were read anew, pages that went through OCR, seconds."
    calls, read = [], ocr.ocr_page
    ocr.ocr_page = lambda *given: calls.append(1) or read(*given)
    start = time.perf_counter()
    try:
        stream = [
            (p, *read_cached(p, p.name, IngestParams(max_members=10**6), cache, bytes(32)))
            for p in sorted(folder.iterdir())
        ]
        reports, _, hits = gather(stream, folder)
    finally:
        ocr.ocr_page = read
    return {
        "files": len(stream),
        "reports": len(reports),
        "read anew": len(stream) - hits,
        "pages through OCR": len(calls),
        "seconds": time.perf_counter() - start,
    }


def pack(folder, place):
    "All files of a folder in one ZIP, which lies alone in another folder."
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    with zipfile.ZipFile(place / "all.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.iterdir()):
            archive.write(path, path.name)
    return place


def compare(place, files, added, packed):
    "The four runs over files that lie open, or are packed into one ZIP."
    folder, cache = place / "reports", place / "cache"
    folder.mkdir(parents=True)
    cache.mkdir()
    run = lambda: count_run(pack(folder, place / "packed") if packed else folder, cache)
    for number in range(files):
        write_file(folder, number, scan=number % 10 == 0)
    rows = {"first run": run()}
    for number in range(added):
        write_file(folder, files + number, scan=True)
    rows |= {f"{added} added": run(), "nothing added": run()}
    shutil.rmtree(cache)
    cache.mkdir()
    table = pd.DataFrame(rows | {"without the cache": run()}).T
    return table.assign(**{"times the last": table["seconds"] / table["seconds"].iloc[-1]})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=300, help="already in the cache; each tenth is a scan")
    parser.add_argument("--added", type=int, default=10, help="files that come afterwards, all of them scans")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as d:
        figures = {}
        for name, packed in (("open files", False), ("one ZIP", True)):
            table = compare(Path(d) / name, options.files, options.added, packed).round(3)
            print(f"{name}\n{table.to_string()}\n")
            added = table.loc[f"{options.added} added"]
            figures[f"{name}, pages through OCR"] = int(added["pages through OCR"])
            figures[f"{name}, share of the time without the cache"] = float(added["times the last"])
        print(json.dumps(figures))
