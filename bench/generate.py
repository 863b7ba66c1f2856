"""Tokens a second: `model.generate` one prompt at a time, the same in batches, and this project's `generate`.

    python bench/generate.py [--prompts 32] [--tokens 96] [--batch 32] [--root .]

Over prompts of the test split with the adapter of artifacts/sft, greedy, the longest answer `--tokens`. `cpu` is
the time that the processor worked, which other programs on the machine disturb less than the time on the clock.
Answers are compared token by token with one by one; where they part, the gap of the two best logits at the fork
tells a tie of the last bit (below 0.001) from a fault.
"""

import argparse
import json
import time


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=32)
    parser.add_argument("--tokens", type=int, default=96)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--root", default=".")
    args = parser.parse_args()
    from pathlib import Path

    from medllm_nb.core import Example, read_records
    from medllm_nb.model.generation import LocalBackend, generate, length_batches, logit_gap
    from medllm_nb.train.trainer import read_base

    root = Path(args.root)
    model, tokenizer, _ = read_base(root)
    import torch
    from peft import PeftModel

    model = PeftModel.from_pretrained(model, str(root / "artifacts" / "sft" / "adapter")).eval()
    examples = sorted(read_records(root / "artifacts" / "split" / "test", Example), key=lambda e: e.example_id)[
        : args.prompts
    ]
    chats = [[m.model_dump() for m in e.prompt] for e in examples]
    prompts = [
        tokenizer.apply_chat_template(c, add_generation_prompt=True, tokenize=True, return_dict=False) for c in chats
    ]
    end, pad = tokenizer.eos_token_id, tokenizer.pad_token_id
    whole = lambda row: row[: row.index(end) + 1] if end in row else row

    def by_generate(size):
        found = [None] * len(prompts)
        for batch in length_batches(list(map(len, prompts)), size):
            width = max(len(prompts[i]) for i in batch)
            ids = torch.tensor([[pad] * (width - len(prompts[i])) + prompts[i] for i in batch])
            mask = torch.tensor([[0] * (width - len(prompts[i])) + [1] * len(prompts[i]) for i in batch])
            with torch.inference_mode():
                out = model.generate(
                    input_ids=ids,
                    attention_mask=mask,
                    max_new_tokens=args.tokens,
                    do_sample=False,
                    pad_token_id=pad,
                    eos_token_id=end,
                )
            for i, row in zip(batch, out[:, width:].tolist()):
                found[i] = whole(row)
        return found

    ways = {
        "one by one, model.generate": lambda: by_generate(1),
        f"batches of {args.batch}, model.generate": lambda: by_generate(args.batch),
        f"generate, batches of {args.batch}": lambda: [
            c.ids for c in generate(chats, LocalBackend(model, tokenizer, args.batch), args.tokens)
        ],
    }
    with torch.inference_mode():
        model.generate(input_ids=torch.tensor(prompts[:1]), max_new_tokens=2, do_sample=False, pad_token_id=pad)
    mean = sum(map(len, prompts)) / len(prompts)
    print(f"{len(prompts)} prompts of {mean:.0f} tokens, {torch.get_num_threads()} threads, {model.dtype}\n")
    columns = f"{'tokens':>7} {'tokens/s':>9} {'ratio':>6} {'tokens/cpu s':>13} {'ratio':>6} {'equal':>7}"
    print(f"{'':38} {columns}  forks: gap of the logits")
    first, figures = None, {}
    for name, run in ways.items():
        clock, cpu = time.perf_counter(), time.process_time()
        found = run()
        clock, cpu = time.perf_counter() - clock, time.process_time() - cpu
        tokens = sum(map(len, found))
        first = first or (tokens / clock, tokens / cpu, found)
        forks = sorted(logit_gap(model, p, a, b) for p, a, b in zip(prompts, first[2], found) if a != b)
        speed = f"{tokens / clock:9.1f} {tokens / clock / first[0]:6.2f}"
        speed += f" {tokens / cpu:13.1f} {tokens / cpu / first[1]:6.2f}"
        equal = sum(a == b for a, b in zip(first[2], found))
        gaps = ", ".join(f"{g:.1e}" for g in forks) or "none"
        print(f"{name:38} {tokens:7} {speed} {equal}/{len(found)}  {gaps}", flush=True)
        figures[f"tokens a CPU second, {name}"] = round(tokens / cpu, 1)
        figures[f"answers equal to one by one, {name}"] = equal
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
