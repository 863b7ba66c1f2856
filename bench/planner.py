"""Is the memory planner right? Peak memory of real training steps on this machine's CPU against the planner's
prediction, and its error.

    python bench/planner.py            # all settings, 5 to 15 minutes on 2 cores
    python bench/planner.py --only 0 3 # some of them

Measured: the peak of the process's resident memory (VmHWM, which counts every page that was touched: weights,
activations, and the scratch memory of matrix kernels, which PyTorch's own allocator statistics would miss) less
what the process held before the model was built. Each setting runs in a fresh child process, forked once the
libraries are imported and before any of their threads exist; the child trains a tiny model first, so that threads
and kernels are there when the baseline is taken. glibc is told to give freed memory back (MALLOC_*_THRESHOLD_), or
the peak would be that of its caches.
"""

import argparse
import gc
import json
import os
import statistics
import sys
import warnings

LIMITS = {
    "MALLOC_MMAP_THRESHOLD_": "65536",
    "MALLOC_TRIM_THRESHOLD_": "65536",
    "MALLOC_ARENA_MAX": "1",
    "UNSLOTH_DISABLE_STATISTICS": "1",
}
if any(os.environ.get(k) != v for k, v in LIMITS.items()):
    os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | LIMITS)
warnings.filterwarnings("ignore")

import torch  # noqa: E402
import torch.utils.checkpoint  # noqa: E402
import transformers.models.llama.modeling_llama  # noqa: E402, F401
import peft  # noqa: E402, F401
from trl.trainer.utils import selective_log_softmax  # noqa: E402

from medllm_nb.model.footprint import CONFIGS, GIB, Setting, tiny_model  # noqa: E402
from medllm_nb.model.planner import peak_gib, phases  # noqa: E402

MIB = 2**20
LLAMA = dict(
    model_type="llama",
    hidden_size=512,
    intermediate_size=1408,
    num_hidden_layers=8,
    num_attention_heads=8,
    num_key_value_heads=4,
    vocab_size=8000,
    tie_word_embeddings=False,
)
DEEP = LLAMA | dict(num_hidden_layers=16, vocab_size=1000)
WIDE = LLAMA | dict(hidden_size=768, intermediate_size=3072, num_hidden_layers=4, vocab_size=2000)
SMOL = CONFIGS["SmolLM2-135M"]
# label, configuration, setting; all with plain transformers and PEFT, which is what Unsloth runs on a CPU too
CASES = [
    ("Llama 32M, float32", LLAMA, dict(bits=32, batch=4, length=512)),
    ("Llama 32M, float32, checkpoints", LLAMA, dict(bits=32, batch=4, length=768, checkpointing="hf")),
    ("Llama 32M, float32, eager", LLAMA, dict(bits=32, batch=4, length=512, attention="eager")),
    ("Llama 32M, bf16", LLAMA, dict(bits=16, adapter_bits=16, batch=4, length=768)),
    ("Llama 32M, bf16, float32 adapters", LLAMA, dict(bits=16, batch=4, length=512)),
    (
        "Llama 32M, bf16, padded, checkpoints",
        LLAMA,
        dict(bits=16, adapter_bits=16, batch=2, length=2048, padded=True, checkpointing="hf"),
    ),
    (
        "deep, float32, checkpoints, fused loss",
        DEEP,
        dict(bits=32, batch=4, length=1024, checkpointing="hf", loss="fused", loss_chunk=256),
    ),
    ("wide, float32, checkpoints", WIDE, dict(bits=32, batch=2, length=2048, checkpointing="hf")),
    ("wide, float32, accumulation, rank 64", WIDE, dict(bits=32, batch=2, length=512, rank=64, accumulation=2)),
    ("SmolLM2, bf16, as sft on a laptop", SMOL, dict(bits=16, batch=4, length=320)),
    ("SmolLM2, float32, checkpoints", SMOL, dict(bits=32, batch=2, length=512, checkpointing="hf")),
    (
        "SmolLM2, float32, attention adapters only",
        SMOL,
        dict(bits=32, batch=1, length=512, target_modules=("q_proj", "v_proj")),
    ),
    (
        "GRPO, Llama 32M, 8 completions",
        LLAMA,
        dict(bits=32, method="grpo", batch=8, group=8, length=320, completion=48, inference="transformers"),
    ),
]


def resident(field: str) -> int:
    "A field of /proc/self/status in bytes."
    with open("/proc/self/status") as f:
        return next(int(line.split()[1]) * 1024 for line in f if line.startswith(field + ":"))


def sft_loss(model, ids, setting: Setting):
    "Cross-entropy on all tokens, the head and the loss in recomputed pieces if `setting.loss` says so."
    if setting.loss == "full":
        mask = torch.ones_like(ids)
        if setting.padded:
            mask[0, -1] = 0
        return model(input_ids=ids, attention_mask=mask, labels=ids, use_cache=False).loss
    inner = model.get_base_model()
    hidden = inner.model(input_ids=ids, use_cache=False).last_hidden_state.flatten(0, 1)

    def piece(rows, labels):
        return torch.nn.functional.cross_entropy(inner.lm_head(rows).float(), labels, reduction="sum")

    pieces = zip(hidden.split(setting.loss_chunk), ids.flatten().split(setting.loss_chunk))
    return (
        sum(torch.utils.checkpoint.checkpoint(piece, rows, labels, use_reentrant=False) for rows, labels in pieces)
        / ids.numel()
    )


def grpo_loss(model, ids, setting: Setting):
    "Policy-gradient loss on the completions, as TRL computes their log-probabilities; they are generated first."
    prompts = ids[:, : setting.length - setting.completion]
    with torch.no_grad():
        model.eval()
        done = model.generate(
            input_ids=prompts,
            attention_mask=torch.ones_like(prompts),
            max_new_tokens=setting.completion,
            min_new_tokens=setting.completion,
            do_sample=True,
            pad_token_id=0,
        )
        model.train()
    logits = model(input_ids=done, use_cache=False, logits_to_keep=setting.completion + 1).logits[:, :-1]
    advantages = torch.linspace(-1, 1, len(done))[:, None]
    return -(advantages * selective_log_softmax(logits, done[:, -setting.completion :])).mean()


def train(config: dict, setting: Setting, steps: int = 2) -> None:
    "A model built and trained for some steps; the optimiser's state is there from the second on."
    torch.manual_seed(0)
    model = tiny_model(config, setting)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad])
    loss_of = grpo_loss if setting.method == "grpo" else sft_loss
    for _ in range(steps):
        for _ in range(setting.accumulation):
            loss_of(
                model, torch.randint(1, model.config.vocab_size, (setting.batch, setting.length)), setting
            ).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)


def measure(config: dict, setting: Setting) -> int:
    "Peak bytes of `train` in a fresh child process."
    reader, writer = os.pipe()
    child = os.fork()
    if child:
        os.close(writer)
        with os.fdopen(reader) as f:
            answer = f.read()
        os.waitpid(child, 0)
        if not answer:
            raise RuntimeError("the training process died: see above")
        return int(answer)
    try:
        tiny = dict(
            hidden_size=64,
            intermediate_size=128,
            num_hidden_layers=1,
            num_attention_heads=2,
            num_key_value_heads=1,
            vocab_size=100,
        )
        train(
            {"model_type": "llama", **tiny}, setting.model_copy(update=dict(batch=2, length=24, completion=8, rank=2))
        )
        gc.collect()
        with open("/proc/self/clear_refs", "w") as f:
            f.write("5")  # resets VmHWM
        before = resident("VmRSS")
        train(config, setting)
        os.write(writer, str(resident("VmHWM") - before).encode())
    finally:
        os._exit(0)


def main() -> None:
    "Print the table; exit with 1 if the worst error is above 10%."
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", type=int, nargs="*", help="numbers of the settings to run")
    chosen, errors = parser.parse_args().only, []
    print(f"{'':3}{'setting':45}{'peak in':>11}{'predicted':>11}{'measured':>10}{'error':>8}   MiB")
    for i, (label, config, fields) in enumerate(CASES):
        if chosen and i not in chosen:
            continue
        setting = Setting(
            **dict(
                engine="transformers",
                device="cpu",
                checkpointing="none",
                loss="full",
                optimizer="adamw_torch",
                attention="sdpa",
            )
            | fields
        )
        measured = measure(config, setting)
        found = phases(config, setting)
        phase, predicted = max(found, key=lambda p: sum(found[p].values())), peak_gib(config, setting) * GIB
        errors.append(predicted / measured - 1)
        print(f"{i:<3}{label:45}{phase:>11}{predicted / MIB:11.0f}{measured / MIB:10.0f}{errors[-1]:+8.1%}", flush=True)
    worst, typical = max(map(abs, errors)), statistics.median(map(abs, errors))
    print(
        json.dumps(
            {
                "settings": len(errors),
                "within 10%": sum(abs(e) <= 0.1 for e in errors),
                "median error": round(typical, 3),
                "worst": round(worst, 3),
            }
        )
    )
    sys.exit(worst > 0.1)


if __name__ == "__main__":
    main()
