"""Run library notebooks and keep what their examples show; or check that what is kept is what they show.

    python site/outputs.py [--check] [NOTEBOOK ...]     all library notebooks without a name

Stage notebooks are left alone: papermill runs them, on data that is not in the repository. Kept are results and printed
text, never progress bars, warnings or errors. What is kept must be the same on every machine: no path, no time, no
address in memory.
"""

import json
import os
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# What OCR reads and a model writes depends on the versions of Tesseract and on the processor.
OTHER_MACHINES_DIFFER = ("02_", "06_", "07_", "08_", "09_", "10_", "11_", "12_", "13_")
KINDS = ("text/markdown", "text/html", "text/plain", "image/png")
BANNER = re.compile(r"\W*Unsloth|[WI]\d{4} \d\d:\d\d:")  # what a machine has, and a library's log with its time
UNSTABLE = {
    "a path of one machine": re.compile(r"/(?:tmp|home|root|work|Users|var)/\w+"),
    "an address in memory": re.compile(r"\b0x[0-9a-f]{6,}\b"),
    "a duration": re.compile(r"\b\d+(?:\.\d+)? ?(?:it/s|s/it|seconds|ms)\b"),
    "a moment": re.compile(r"\b20\d\d-\d\d-\d\d[T ]\d\d:\d\d:\d\d"),
}


def is_stage(notebook: dict) -> bool:
    "Whether papermill runs this notebook: it has a parameters cell."
    return any("parameters" in c["metadata"].get("tags", []) for c in notebook["cells"])


def library_notebooks() -> list[Path]:
    "All notebooks with code that are no stage's."
    paths = sorted(p for p in (ROOT / "nbs").rglob("*.ipynb") if ".ipynb_checkpoints" not in p.parts)
    return [p for p in paths if not is_stage(json.loads(p.read_text(encoding="utf-8")))]


def lines(text: str | list[str]) -> list[str]:
    "Text as a notebook stores it."
    return ("".join(text)).splitlines(keepends=True)


def kept(output: dict) -> dict | None:
    "An output as it is kept; None for progress bars, warnings and objects that only name themselves."
    if output["output_type"] == "stream":
        printed = [line for line in lines(output["text"]) if not BANNER.match(line)]
        shown = output["name"] == "stdout" and any(line.strip() for line in printed)
        return {"name": "stdout", "output_type": "stream", "text": printed} if shown else None
    if output["output_type"] not in ("execute_result", "display_data"):
        return None
    data = {k: lines(v) if k != "image/png" else v.strip() for k, v in output["data"].items() if k in KINDS}
    if not data or any("<object" in line or "tqdm" in line for line in data.get("text/plain", [])):
        return None
    if "text/html" in data or "image/png" in data or "text/markdown" in data:
        data.pop("text/plain", None)
    count = {"execution_count": None} if output["output_type"] == "execute_result" else {}
    return {"data": data, **count, "metadata": {}, "output_type": output["output_type"]}


def run(path: Path) -> dict:
    "The notebook with the outputs of this run; the error of the first cell that fails."
    from execnb.nbio import nb2dict, read_nb
    from execnb.shell import CaptureShell

    os.environ["IN_TEST"] = "1"
    notebook, here = read_nb(path), os.getcwd()
    shell = CaptureShell(path)
    skipped = re.compile(r"^#\| *eval: *false", re.M)
    os.chdir(path.parent)
    try:
        shell.run_all(
            notebook, exc_stop=True, preproc=lambda c: c.cell_type != "code" or bool(skipped.search(c.source))
        )
    except Exception:
        raise RuntimeError(shell.prettytb(fname=path)) from None
    finally:
        os.chdir(here)
    return nb2dict(notebook)


def with_outputs(path: Path) -> dict:
    "The notebook as it stands, with the outputs of a run."
    stored, ran = json.loads(path.read_text(encoding="utf-8")), run(path)
    for cell, done in zip(stored["cells"], ran["cells"]):
        if cell["cell_type"] == "code":
            cell["execution_count"] = None
            hidden = "#| hide" in "".join(cell["source"]) or "#| eval: false" in "".join(cell["source"])
            outputs = [] if hidden else [kept(o) for o in done.get("outputs", [])]
            cell["outputs"] = [o for o in outputs if o]
    return stored


def unstable(notebook: dict) -> list[str]:
    "What in the outputs would differ on another machine or at another time."
    found = []
    for number, cell in enumerate(notebook["cells"]):
        text = json.dumps(
            [{k: v for k, v in o.get("data", o).items() if k != "image/png"} for o in cell.get("outputs", [])]
        )
        found += [f"cell {number}: {what}: {m.group()}" for what, p in UNSTABLE.items() for m in p.finditer(text)]
    return found


def shown(notebook: dict, exact: bool) -> list:
    "What each cell shows, pictures aside; without `exact` only whether it shows anything."
    cells = [c["outputs"] for c in notebook["cells"] if c["cell_type"] == "code"]
    if not exact:
        return [bool(outputs) for outputs in cells]
    return [[{k: v for k, v in o.get("data", o).items() if k != "image/png"} for o in outputs] for outputs in cells]


def main() -> None:
    check, names = "--check" in sys.argv, [a for a in sys.argv[1:] if not a.startswith("--")]
    wrong = 0
    for path in [Path(n).resolve() for n in names] or library_notebooks():
        made = with_outputs(path)
        problems = unstable(made)
        exact = not path.parent.name.startswith(OTHER_MACHINES_DIFFER)
        if check and shown(made, exact) != shown(json.loads(path.read_text(encoding="utf-8")), exact):
            problems.append("the outputs kept are not those of this run: python site/outputs.py")
        print(path.relative_to(ROOT), *(problems or ["ok"]), sep="\n  " if problems else " ")
        wrong += bool(problems)
        if not check:
            path.write_text(json.dumps(made, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    sys.exit(wrong)


if __name__ == "__main__":
    main()
