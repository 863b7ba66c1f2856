"""How much is read again when reports are added: N files are in the cache, 10 are added, and OCR's calls are counted.

    python bench/ingest_incremental.py              # 300 files, of which 30 are scans
    python bench/ingest_incremental.py --files 1000 --added 10

One process, so that the calls can be counted where they are made. A folder of N files is written, read once, and read
again after the new files have come; the alternative is the same second run without the cache.
"""
import argparse
import os
import shutil
import tempfile
import time
from pathlib import Path

import pandas as pd
from PIL import Image, ImageDraw, ImageFont

from medllm_nb import formats
from medllm_nb.ingest import IngestParams, gather, read_cached

LINES = ["Patient: Doe, Jane", "MRN: {number:08d}", "Potassium 5.{digit} mmol/L (3.5-5.1) HIGH", "Impression: mild hyperkalemia, repeat in two days."]


def write_file(folder, number, scan):
    "A synthetic report of four lines, as text or as a scanned page."
    lines = [line.format(number=number, digit=number % 10) for line in LINES]
    if not scan: return (folder / f"{number}.txt").write_text("\n".join(lines))
    image = Image.new("L", (1000, 330), 255)
    for i, line in enumerate(lines): ImageDraw.Draw(image).text((40, 40 + 60 * i), line, fill=0, font=ImageFont.load_default(32))
    image.save(folder / f"{number}.png")


def count_run(folder, cache):
    "One pass over the folder: files, those that were read anew, pages that went through OCR, seconds."
    calls, read = [], formats.ocr_page
    formats.ocr_page = lambda *given: calls.append(1) or read(*given)
    start = time.perf_counter()
    try:
        stream = [(p, *read_cached(p, p.name, IngestParams(), cache, bytes(32))) for p in sorted(folder.iterdir())]
        reports, _, hits = gather(stream, folder)
    finally: formats.ocr_page = read
    return {"files": len(stream), "reports": len(reports), "read anew": len(stream) - hits, "pages through OCR": len(calls), "seconds": time.perf_counter() - start}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=300, help="already in the cache; each tenth is a scan")
    parser.add_argument("--added", type=int, default=10, help="files that come afterwards, all of them scans")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as d:
        folder, cache = Path(d) / "reports", Path(d) / "cache"
        folder.mkdir(), cache.mkdir()
        for number in range(options.files): write_file(folder, number, scan=number % 10 == 0)
        rows = {"first run": count_run(folder, cache)}
        for number in range(options.added): write_file(folder, options.files + number, scan=True)
        rows[f"{options.added} added"] = count_run(folder, cache)
        rows["nothing added"] = count_run(folder, cache)
        shutil.rmtree(cache)
        os.mkdir(cache)
        rows["without the cache"] = count_run(folder, cache)
    table = pd.DataFrame(rows).T
    table["times the last"] = table["seconds"] / table["seconds"].iloc[-1]
    print(table.round(3).to_string())
