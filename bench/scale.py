"""Rates of the per-report stages on one core, and what ten million reports would take.

    python bench/scale.py [--reports 24] [--million 10]

Measured on the sample's files, one process, one thread; extrapolated in proportion, since no stage that works report by
report looks at another report. Every row is work of one report, which the stages' engine may spread (`bench/scale.py`
itself runs it in one process). Linking patients and finding near-duplicates compare reports with each other: they are
measured apart, in one process each, on made reports of two sizes. The last line is one of JSON: the figures by name.
"""

import argparse
import json
import os
import re
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from random import Random

os.environ.update(OMP_THREAD_LIMIT="1", OMP_NUM_THREADS="1")

import pandas as pd
from faker import Faker

from medllm_nb.core import Report, StructuredReport, load_key, project_root, read_records
from medllm_nb.deidentify.reports import deidentify
from medllm_nb.deidentify.detect import find_phi
from medllm_nb.instruct.examples import make_examples
from medllm_nb.instruct.near_duplicates import near_pairs
from medllm_nb.structure.reports import structure_report
from medllm_nb.ingest.folder import find_files
from medllm_nb.ingest.patients import link_patients
from medllm_nb.ingest.reading import read_reports
from medllm_nb.structure.terms import drug_names


def timed(function, items):
    """(results, wall seconds an item).

    What a process loads once is loaded before, on every eighth item; these are not timed, so that no cache of words has
    seen a timed one.
    """
    warm = {i: function(items[i]) for i in range(0, len(items), 8)}
    others = [i for i in range(len(items)) if i not in warm]
    start = time.perf_counter()
    timed_results = {i: function(items[i]) for i in others}
    seconds = time.perf_counter() - start
    results = warm | timed_results
    return [results[i] for i in range(len(items))], seconds / max(1, len(others))


def folder_size(path: Path) -> int:
    return sum(p.stat().st_size for p in path.rglob("*") if p.is_file())


def peak_kib() -> int:
    """The most memory that this process has held; `ru_maxrss` would be its parent's."""
    return int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1])


def compared(what: str, texts: list[str], n: int) -> tuple[float, float]:
    """(milliseconds, KiB) a report of one comparison of n reports.

    Their words are those of the given texts in random order; each patient has two reports.
    """
    draw, words = Random(1), [w for t in texts for w in t.split()]
    length = len(words) // len(texts)
    body = {f"{i:08d}": " ".join(draw.choices(words, k=length)) for i in range(n)}
    Faker.seed(1)
    fake = Faker("en_US")  # names as frequent as in the country
    names = [fake.name() for _ in range(n // 2 + 1)]
    header = "Patient: {}\nMRN: {:08d}\nDate of birth: {:02d}/{:02d}/{}\n\n"
    born = [(draw.randint(1, 12), draw.randint(1, 28), draw.randint(1930, 2005)) for _ in names]
    reports = [
        Report(
            report_id=key,
            patient_id="",
            source=f"{key}.txt",
            format="txt",
            text=header.format(names[i // 2], i // 2, *born[i // 2]) + t,
        )
        for i, (key, t) in enumerate(body.items())
    ]
    before, start = peak_kib(), time.perf_counter()
    if what == "near-duplicates":
        near_pairs(body, 0.8)
    else:
        link_patients(reports)
    seconds = time.perf_counter() - start
    return 1000 * seconds / n, (peak_kib() - before) / n


def apart(*task):
    """`compared` in a process of its own, whose memory nothing else has touched."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(compared, *task).result()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reports", type=int, default=24, help="files of each kind to measure on")
    parser.add_argument("--million", type=float, default=10, help="millions of reports to extrapolate to")
    args = parser.parse_args()
    root, key = project_root(), load_key("surrogates")
    files = find_files(root / "data")
    scans = [f for f in files if f.suffix.lower() in (".png", ".tiff", ".tif", ".jpg")][: args.reports]
    texts = [f for f in files if f.suffix.lower() in (".txt", ".docx", ".pdf")][: args.reports]

    from_scans, scan_s = timed(read_reports, scans)
    from_texts, text_s = timed(read_reports, texts)
    reports = [r for found in from_texts + from_scans for r in found]
    half = len(reports) // 2
    (first, second), batch_s = timed(lambda found: find_phi([r.text for r in found]), [reports[:half], reports[half:]])
    spans, phi_s = first + second, batch_s / (len(reports) - half)
    clean, replace_s = timed(lambda pair: deidentify(pair[0], pair[1], key=key), list(zip(reports, spans)))
    structured, structure_s = timed(structure_report, clean)
    drug_names()  # which only some reports ask for
    _, instruct_s = timed(make_examples, structured)

    total = args.million * 1e6
    rows = {
        "ingest, a scanned page (OCR)": scan_s,
        "ingest, a text file": text_s,
        "deidentify, find": phi_s,
        "deidentify, replace": replace_s,
        "structure": structure_s,
        "instruct": instruct_s,
    }
    table = pd.DataFrame(
        {
            "reports a second and core": {k: 1 / s for k, s in rows.items()},
            "core hours": {k: s * total / 3600 for k, s in rows.items()},
        }
    )
    for cores in (16, 256, 2048):
        table[f"hours on {cores} cores"] = table["core hours"] / cores
    print(
        f"{len(reports)} reports measured; {args.million:g} million extrapolated, as if all were scans and as if all "
        "were text files\n"
    )
    print(table.round(1).to_string())
    figures = {f"{name}, reports a second and core": round(1 / seconds, 2) for name, seconds in rows.items()}
    print("\nDisk, from the artifacts of the last run:")
    counted = {
        "ingest": "ingest",
        "ingest's cache": ".cache/ingest",
        "deidentify": "deidentify",
        "structure": "structure",
        "instruct": "instruct",
    }
    n = len(read_records(root / "artifacts/structure/reports", StructuredReport))
    for label, folder in counted.items():
        path = root / "artifacts" / folder
        if path.is_dir():
            kib = folder_size(path) / n / 1024
            figures[f"{label}, KiB a report"] = round(kib, 1)
            print(f"  {label:16} {kib:8.1f} KiB a report {kib * total / 1024**3:8.2f} TiB")
    print("\nWhat compares reports with each other, in one process that holds all of them:")
    for what in ("near-duplicates", "linking patients"):
        for n in (2000, 8000):
            ms, kib = apart(what, [r.text for r in clean], n)
            figures |= {f"{what} of {n}, ms a report": round(ms, 2), f"{what} of {n}, KiB a report": round(kib, 1)}
            hours, gib = ms / 3.6e6 * total, kib * total / 1024**2
            each = f"{ms:7.2f} ms and {kib:6.1f} KiB each"
            print(f"  {what:16} {n:6} reports {each}; in proportion {hours:8.0f} hours and {gib:6.0f} GiB")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
