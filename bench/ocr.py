"""Character error rate and throughput of this project's OCR, on pages of an unseen seed.

    python bench/ocr.py                # error by kind of page, then pages a second with 2 processes
    python bench/ocr.py --pages 2      # fewer pages of each kind
    python bench/ocr.py --variants     # what the preparation would be with other steps, one at a time

The alternative is plain `pytesseract.image_to_string`, in the loop that people write: one image after the other.
Kinds: `scan` and `photo` are the sample's own. `small`, `noisy`, `tilted`, `sideways` and `inverted` are its pages made
worse, `columns` is prose set in two columns, and `boxed` a table
of labs drawn with rules. All texts are synthetic. The last line is JSON: the figures by name.
"""

import argparse
import io
import json
import multiprocessing
import os
import textwrap
import time
from concurrent.futures import ProcessPoolExecutor
from random import Random

import cv2
import numpy as np
import pandas as pd
import pypdfium2
import pytesseract
from PIL import Image, ImageDraw, ImageFont

from medllm_nb.ingest import ocr
from medllm_nb.sample.corpus import make_corpus
from medllm_nb.sample.render import page_images, pdf_bytes
from medllm_nb.sample.scans import photo_bytes, scan_image, rotate_image
from medllm_nb.ingest.parameters import IngestParams
from medllm_nb.ingest.accuracy import character_error_rate
from medllm_nb.ingest.ocr import ocr_page

DEGRADED = ("photo", "small", "noisy", "tilted", "sideways", "inverted", "columns", "boxed")


def noisy(page, rng):
    "A scan at 150 dots an inch with strong grain and specks."
    noise = np.random.default_rng(rng.getrandbits(32))
    gray = np.asarray(page).astype(float) + noise.normal(0, 35, page.size[::-1])
    speck = noise.random(gray.shape)
    gray[speck < 0.01], gray[speck > 0.99] = 0, 255
    return Image.fromarray(gray.clip(0, 255).astype("uint8"))


def columns(text):
    "A page with the words of a text in two columns, the first half on the left; image and reading order."
    words = " ".join(text.split()).split()
    halves = [textwrap.wrap(" ".join(part), 34) for part in (words[: len(words) // 2], words[len(words) // 2 :])]
    page = Image.new("L", (1240, 120 + 34 * max(map(len, halves))), 255)
    for left, lines in zip((60, 660), halves):
        for i, line in enumerate(lines):
            ImageDraw.Draw(page).text((left, 50 + 34 * i), line, fill=10, font=ImageFont.load_default(27))
    return page, " ".join(words)


def boxed(rng):
    "A table of labs with random values drawn with rules; image and its rows."
    tests = ("Sodium", "Potassium", "Chloride", "Urea", "Creatinine", "Calcium", "Albumin", "Ferritin")
    rows = [(test, f"{rng.uniform(1, 300):.1f}", rng.choice(("mmol/L", "mg/dL"))) for test in tests]
    page, lefts = Image.new("L", (1240, 120 + 70 * len(rows)), 255), (60, 500, 800, 1100)
    pen = ImageDraw.Draw(page)
    for n in range(len(rows) + 1):
        pen.line((lefts[0], 50 + 70 * n, lefts[-1], 50 + 70 * n), fill=0, width=3)
    for left in lefts:
        pen.line((left, 50, left, 50 + 70 * len(rows)), fill=0, width=3)
    for n, row in enumerate(rows):
        for left, cell in zip(lefts, row):
            pen.text((left + 15, 67 + 70 * n), cell, fill=10, font=ImageFont.load_default(30))
    return page, " ".join(cell for row in rows for cell in row)


def make_pages(each, seed):
    "`(kind, image, truth)`; `each` pages of each kind."
    golds = [g for g in make_corpus(seed, patients=60) if g.format in ("txt", "docx", "pdf", "scan-pdf", "image")]
    golds = [g for g in golds if len(pypdfium2.PdfDocument(pdf_bytes(g, Random(1)))) == 1]
    golds = golds[: 9 * each]
    pages = []
    for i, gold in enumerate(golds):
        rng = Random(f"{seed}/{i}")
        draw = lambda dpi: scan_image(page_images(pdf_bytes(gold, rng), dpi)[0], rng).convert("L")
        kind, truth = ("scan", *DEGRADED)[i % 9], gold.text
        if kind == "scan":
            image = draw(rng.choice((170, 200)))
        elif kind == "photo":
            image = Image.open(io.BytesIO(photo_bytes(gold, rng)[0])).convert("L")
        elif kind == "small":
            image = draw(100)
        elif kind == "noisy":
            image = noisy(draw(150), rng)
        elif kind == "tilted":
            image = Image.fromarray(
                rotate_image(np.asarray(draw(170)), rng.choice((-1, 1)) * rng.uniform(1.5, 3.5), 255)
            )
        elif kind == "boxed":
            image, truth = boxed(rng)
        elif kind == "columns":
            image, truth = columns(gold.text)
        else:
            image = draw(170).rotate({"sideways": rng.choice((90, 270)), "inverted": 180}[kind], expand=True)
        pages.append((kind, image, truth))
    return pages


def plain(image):
    return pytesseract.image_to_string(image)


def ours(image):
    return ocr_page(image, IngestParams()).text.replace(" | ", " ")  # the bars between cells are ours


def error_table(pages, readers):
    "Mean character error rate by kind of page, a column a reader."
    rows = [
        {"kind": kind} | {name: character_error_rate(read(image), truth) for name, read in readers.items()}
        for kind, image, truth in pages
    ]
    table = pd.DataFrame(rows)
    means = table.groupby("kind").mean()
    means.loc["all degraded"] = table[table.kind.isin(DEGRADED)].drop(columns="kind").mean()
    upright = table.kind.isin(set(DEGRADED) - {"sideways", "inverted"})
    means.loc["degraded, upright"] = table[upright].drop(columns="kind").mean()
    means["pages"] = table.kind.value_counts()
    return means


def throughput(images, runs):
    "Seconds of the plain loop and of 2 processes of ours, turn by turn."
    times = {"plain loop": [], "ours, 2 processes": []}
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        list(pool.map(ours, images[:2]))  # the processes are started before the clock
        for _ in range(runs):
            start = time.perf_counter()
            os.environ.pop("OMP_THREAD_LIMIT", None)  # Tesseract's own default
            for image in images:
                plain(image)
            times["plain loop"].append(time.perf_counter() - start)
            start = time.perf_counter()
            list(pool.map(ours, images))
            times["ours, 2 processes"].append(time.perf_counter() - start)
    best = {name: min(seconds) for name, seconds in times.items()}
    return pd.DataFrame(
        {
            "seconds": best,
            "pages/s": {n: len(images) / s for n, s in best.items()},
            "times the plain loop": {n: best["plain loop"] / s for n, s in best.items()},
        }
    )


def variants():
    "Readers whose preparation differs in one step from ours."

    def with_step(**steps):
        def read(image):
            originals = {name: getattr(ocr, name) for name in steps}
            for name, step in steps.items():
                setattr(ocr, name, step)
            try:
                return ours(image)
            finally:
                for name, step in originals.items():
                    setattr(ocr, name, step)

        return read

    prepare = ocr.prepare_image
    otsu = lambda image, height: cv2.threshold(prepare(image, height), 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)[1]
    return {
        "ours": ours,
        "no median": with_step(remove_specks=lambda gray: gray),
        "always median": with_step(remove_specks=lambda g: cv2.medianBlur(g, 3)),
        "non-local means": with_step(remove_specks=lambda g: cv2.fastNlMeansDenoising(g, None, 25, 5, 15)),
        "otsu": with_step(prepare_image=otsu),
        "dirt kept": with_step(SPECK_BELOW=0),
        "no even light": with_step(flatten_illumination=lambda gray: gray),
        "no deskew": with_step(skew_angle=lambda gray: 0.0),
        "no columns": with_step(find_columns=lambda page: None),
        "no turning": with_step(likely_turns=lambda image: []),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pages", type=int, default=5, help="pages of each kind")
    parser.add_argument("--seed", type=int, default=4242)
    parser.add_argument("--runs", type=int, default=1, help="timed runs, the best of which counts")
    parser.add_argument("--variants", action="store_true")
    options = parser.parse_args()
    pages = make_pages(options.pages, options.seed)
    readers = variants() if options.variants else {"plain": plain, "ours": ours}
    table = error_table(pages, readers)
    if not options.variants:
        table["ours lower by"] = (1 - table["ours"] / table["plain"]).map("{:.0%}".format)
    print("character error rate\n", table.round(4).to_string(), sep="")
    figures = {f"error {name}": round(table.loc["all degraded", name], 4) for name in readers}
    if not options.variants:
        scans = [image for kind, image, _ in pages if kind in ("scan", "photo")]
        times = throughput(scans, options.runs)
        print(f"\nthroughput on {len(scans)} scans and photographs\n", times.round(2).to_string(), sep="")
        figures["times the plain loop"] = round(times.loc["ours, 2 processes", "times the plain loop"], 2)
    print(json.dumps(figures))
