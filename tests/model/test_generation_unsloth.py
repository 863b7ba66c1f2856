"""Unsloth's forward for GPUs, which keeps its own cache: the same tokens as the plain model, and training as before.

Run as a script it patches transformers' Llama for good, hence a process of its own. What runs is Unsloth's own code of
unsloth/models/llama.py: its forward, cache, decode step and `generate`. Its Triton kernels (norm, rotary embedding) and
tables are replaced by the same sums in PyTorch.
"""

import functools
import importlib
import json
import subprocess
import sys
import types

import pytest


@pytest.mark.slow
def test_a_model_that_keeps_its_own_cache(tiny_model):
    run = subprocess.run([sys.executable, __file__, str(tiny_model)], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr[-2000:]
    found = json.loads(run.stdout.splitlines()[-1])
    assert not found["fills"] and found["plain fills"], "the case does not do what it is for"
    assert max(found["gaps"]) < 1e-3 and found["as alone"] > 3, found["gaps"]
    assert sum(a == b for a, b in zip(found["sampled"], found["plain sampled"])) >= 9, (
        "of twelve: a draw may fall on the border of two tokens"
    )
    assert found["ends"] and found["in training"] and found["checkpoints"], found


def replace_kernels(llama):
    "PyTorch in place of what only runs on a GPU."
    import torch

    def norm(layer, x, **kwargs):
        return (x.float() * torch.rsqrt(x.float().square().mean(-1, keepdim=True) + layer.variance_epsilon)).to(
            x.dtype
        ) * layer.weight

    def turned(x):
        return torch.cat([-x.chunk(2, -1)[1], x.chunk(2, -1)[0]], -1)

    def rotate(q, k, cos, sin, positions=None):
        cos, sin = (
            t[:, None]
            for t in (
                (cos[: q.shape[2]][None], sin[: q.shape[2]][None])
                if positions is None
                else (cos[positions.long()], sin[positions.long()])
            )
        )
        return q * cos + turned(q) * sin, k * cos + turned(k) * sin

    llama.fast_rms_layernorm, llama.fast_rope_embedding, llama.decode_rope_inplace = norm, rotate, lambda *args: False
    llama.per_layer_device = lambda layer: (torch.device("cpu"), 0)
    llama._LazyDeviceScratch = lambda count, make: [make(torch.device("cpu"))]


def rotary(config):
    "Tables of the rotary embedding with the methods that Unsloth's forward calls."
    import torch

    module, dim = torch.nn.Module(), config.hidden_size // config.num_attention_heads
    angles = torch.outer(
        torch.arange(config.max_position_embeddings).float(), 1e4 ** -(torch.arange(0, dim, 2).float() / dim)
    )
    tables = [table(torch.cat([angles, angles], -1)) for table in (torch.cos, torch.sin)]
    module.extend_rope_embedding, module.get_cached = lambda *args, **kwargs: None, lambda *args, **kwargs: tables
    return module


def through_unsloth(model):
    "The model as Unsloth's loader leaves one on a GPU."
    llama = importlib.import_module("unsloth.models.llama")
    replace_kernels(llama)
    llama.FastLlamaModel.pre_patch()
    model.model.rotary_emb = rotary(model.config)
    for layer in model.model.layers:
        layer.self_attn.rotary_emb = model.model.rotary_emb
    for module in model.modules():
        module.max_seq_length = model.config.max_position_embeddings
    model.for_training = functools.partial(llama.FastLlamaModel.for_training, model)
    model._old_generate = model.generate
    model.generate = types.MethodType(llama.unsloth_fast_generate, model)
    model._unsloth_gradient_checkpointing = True
    return model


def main(folder: str) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from medllm_nb.model.cpu_decode import fills_cache
    from medllm_nb.model.generation import LocalBackend, generate, logit_gap
    import unsloth  # noqa: F401

    model, tokenizer = (
        AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval(),
        AutoTokenizer.from_pretrained(folder),
    )
    for weights in model.parameters():
        weights.data *= 3  # far from ties
    chats = [[{"role": "user", "content": f"Sodium {i} mmol/L? " * (1 + i % 3)}] for i in range(6)]
    whole = generate(chats, LocalBackend(model, tokenizer), 20)
    tokenizer.eos_token = tokenizer.convert_ids_to_tokens(whole[0].ids[9])  # so that one at least ends early

    def ask(**k):
        return [c.ids for c in generate(chats, LocalBackend(model, tokenizer, 4), 20, **k)]

    def both():
        return [ask(), ask(samples=2, temperature=0.2, top_p=0.9)]

    plain = fills_cache(model), *both()
    model.gradient_checkpointing_enable()
    through_unsloth(model).train()
    found = both()
    restored = model.training and not hasattr(model, "_flag_for_generation"), bool(model.model.gradient_checkpointing)
    prompts = [
        tokenizer.apply_chat_template(c, add_generation_prompt=True, tokenize=True, return_dict=False) for c in chats
    ]
    print(
        json.dumps(
            {
                "plain fills": plain[0],
                "fills": fills_cache(model.eval()),
                "as alone": sum(a == b for a, b in zip(plain[1], found[0])),
                "gaps": [logit_gap(model, *row) for row in zip(prompts, plain[1], found[0])],
                "plain sampled": plain[2],
                "sampled": found[1],
                "ends": any(len(ids) < 20 for ids in found[0]),
                "in training": restored[0],
                "checkpoints": restored[1],
            }
        )
    )


if __name__ == "__main__":
    main(sys.argv[1])
