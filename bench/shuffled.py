"""Is a model that was made worse on purpose called worse?

Fine-tuned on the run's own examples, but each with the answer to another question of its task.

    python bench/shuffled.py --root <a finished run> [--out artifacts/bench-shuffled]

The run's fine-tuned model is accepted in a copy of its artifacts; there the same stages train, evaluate and judge the
other one, with the run's own parameters. The run itself stays as it is. About six minutes on 2 cores.
"""

import argparse
import json
import os
import random
import shutil
from pathlib import Path


def shuffled(examples, seed: int):
    "The examples with the completions of each task dealt out anew."
    by_task = {}
    for i, e in enumerate(examples):
        by_task.setdefault(e.task, []).append(i)
    moved, rng = list(examples), random.Random(seed)
    for places in by_task.values():
        for i, j in zip(places, rng.sample(places, len(places))):
            moved[i] = examples[i].model_copy(update={"completion": examples[j].completion})
    return moved


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, required=True, help="a project in which `make` has run")
    parser.add_argument("--out", type=Path, default=Path("artifacts/bench-shuffled"))
    args = parser.parse_args()
    root, out = args.root.resolve(), args.out.resolve()
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    os.chdir(root)

    from medllm_nb.core import Example, load_params, read_records, atomic_folder, write_records
    from medllm_nb.evaluate.evaluate import run_evaluate
    from medllm_nb.evaluate.models import EvaluateParams
    from medllm_nb.evaluate.metrics import SCORES
    from medllm_nb.release.gate import GateParams, run_gate
    from medllm_nb.release.regression_gate import accept
    from medllm_nb.train.trainer import SftParams
    from medllm_nb.train.sft import run_sft

    shutil.copy(root / "params.yaml", out)
    for name in ("model", "split", "structure", "evaluate"):
        shutil.copytree(root / "artifacts" / name, out / "artifacts" / name, copy_function=os.link)
    print(accept("sft", root=out).split(" is now")[0], "is the accepted model of the copy")
    for split in ("train", "validation"):
        examples = read_records(out / "artifacts/split" / split, Example)
        with atomic_folder(out / "artifacts/split" / split) as aside:
            write_records(aside, shuffled(examples, 7), Example)

    sft = load_params(SftParams, "sft").model_copy(update={"tuned": False})
    run_sft(sft, out)
    run_evaluate(load_params(EvaluateParams, "evaluate").model_copy(update={"models": ["sft"]}), out)
    verdict = run_gate(load_params(GateParams, "gate").model_copy(update={"model": "sft", "stop": False}), out)
    print(verdict["summary"])
    changes = {row["score"]: row["change"] for row in verdict["rows"] if row["where"] == "all"}
    print(f"{'':<44}{'change':>9}")
    for score, change in changes.items():
        print(f"{SCORES[score].label:<44}{change:>+9.3f}")
    print(json.dumps({"called worse": int(verdict["verdict"] == "worse")} | changes))


if __name__ == "__main__":
    main()
