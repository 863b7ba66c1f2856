"""RESULTS.md and the README's short table, from artifacts/metrics and the last result of each bench.

    python site/results.py

Where the pipeline has run here, its metrics are kept as bench/results/pipeline.json first, so that the page can be made
again without it.
"""

import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "bench"))

from record import RESULTS, save  # noqa: E402  bench/ is no package

SHORT = (
    ("names, numbers and dates found in the sample's scans and files (recall)", "deidentify.recall"),
    ("identifiers found by the leak audit in what the stages wrote", "privacy.leaks"),
    ("laboratory results read from the sample (F1)", "structure.lab_f1"),
    ("answers on unseen patients: abnormal labs (F1), base", "evaluate.base.lab_f1"),
    ("the same, after supervised fine-tuning", "evaluate.sft.lab_f1"),
    ("answers on unseen patients: diagnosis right, base", "evaluate.base.diagnosis_accuracy"),
    ("the same, after supervised fine-tuning", "evaluate.sft.diagnosis_accuracy"),
)

MODELS = ("base", "sft", "grpo")  # that each have the same figures
LEFT_OUT = ("intervals", "change", "canaries")  # thousands of numbers: they stay in bench/results


def flatten(value, name: str = "") -> dict[str, float]:
    "The numbers of nested dictionaries by their dotted names."
    if isinstance(value, dict):
        return {
            k: v for key, inner in value.items() for k, v in flatten(inner, f"{name}.{key}" if name else key).items()
        }
    return {name: value} if isinstance(value, int | float) and not isinstance(value, bool) else {}


def keep_pipeline() -> None:
    "Keep the metrics of the pipeline's last run, where it has run here."
    paths = sorted((ROOT / "artifacts" / "metrics").glob("*.json"))
    if paths:
        save("pipeline", "make", flatten({p.stem: json.loads(p.read_text(encoding="utf-8")) for p in paths}))


def shown(value: float) -> str:
    "A number for a table: three significant decimals, whole numbers as they are."
    return f"{value:,}" if isinstance(value, int) else f"{value:,.3f}"


def grouped(figures: dict[str, float]) -> tuple[dict[str, float], dict[str, dict[str, float]]]:
    "Figures that stand alone, and those that each model of a stage has, by figure and model."
    alone, models = {}, {}
    for key, value in figures.items():
        stage, _, rest = key.partition(".")
        first, _, figure = rest.partition(".")
        if first in LEFT_OUT:
            continue
        if figure and first in MODELS:
            models.setdefault(f"{stage}.{figure}", {})[first] = value
        else:
            alone[key] = value
    return alone, models


def results_page(results: dict[str, dict]) -> str:
    "RESULTS.md."
    parts = ["# Results\n\nMade by `make results`. Each table says how it was made; nothing here is typed by hand.\n"]
    for name, result in results.items():
        parts.append(
            f"## {name}\n\n`{result['command']}`, commit {result['commit']}, {result['date']}, {result['machine']}\n"
        )
        alone, models = grouped(flatten(result["figures"]))
        rows = [f"| {key} | {shown(value)} |" for key, value in alone.items()]
        parts.append("| figure | value |\n|---|---:|\n" + "\n".join(rows) + "\n")
        if models:
            cells = lambda values: " | ".join(shown(values[m]) if m in values else "" for m in MODELS)
            rows = [f"| {key} | {cells(values)} |" for key, values in models.items()]
            head = f"| figure | {' | '.join(MODELS)} |\n|---|{'---:|' * len(MODELS)}\n"
            where = f"The intervals of each figure stand in bench/results/{name}.json."
            parts.append(head + "\n".join(rows) + f"\n\n{where}\n")
    return "\n".join(parts)


def short_table(results: dict[str, dict]) -> str:
    "The README's table: the pipeline's scores that a reader asks for first."
    run = results.get("pipeline")
    if not run:
        return "No run is kept yet: `make`, then `make results`."
    figures = flatten(run["figures"])
    rows = [f"| {label} | {shown(figures[key])} |" for label, key in SHORT if key in figures]
    where = f"commit {run['commit']}, {run['date']}, {run['machine']}"
    source = f"`{run['command']}` on the sample (this project's own), {where}."
    return "| figure | value |\n|---|---:|\n" + "\n".join(rows) + f"\n\n{source}"


def put_into_index(table: str) -> None:
    "Replace the table in nbs/index.ipynb, from which the README is made."
    path = ROOT / "nbs" / "index.ipynb"
    notebook = json.loads(path.read_text(encoding="utf-8"))
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        if "<!-- results -->" in source:
            block = f"<!-- results -->\n{table}\n<!-- /results -->"
            new = re.sub(r"(?s)<!-- results -->.*<!-- /results -->", lambda _: block, source)
            cell["source"] = new.splitlines(keepends=True)
    path.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def main() -> None:
    keep_pipeline()
    results = {p.stem: json.loads(p.read_text(encoding="utf-8")) for p in sorted(RESULTS.glob("*.json"))}
    (ROOT / "RESULTS.md").write_text(results_page(results), encoding="utf-8")
    put_into_index(short_table(results))
    print(f"RESULTS.md: {len(results)} sets of results")


if __name__ == "__main__":
    main()
