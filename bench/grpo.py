"""GRPO on top of SFT: does it raise the held-out score? Three seeds, patients that neither stage ever saw.

    python bench/grpo.py [--seeds 1 2 3] [--steps 20] [--patients 40] [--out artifacts/bench-grpo]
        [--param temperature=1.0 learning_rate=3e-4 ...]

From artifacts/sft of the laptop's run. The held-out reports are made by sample.sample's generator from a seed that
the sample does not use, read by the pipeline's own structure and instruct; training prompts are the training split's.
Each seed trains in a process of its own and is saved when it is done, so a run that is cut off goes on where it was,
and another number of patients scores the same adapters again. Scored is the adapter that the stage would hand on.
Scores: micro F1 of abnormal labs (greedy answers), and the mean correctness reward (a cut answer has none); 95%
intervals of the change from a bootstrap over patients, of one seed and of the mean over seeds.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from statistics import mean, stdev

HELD_OUT_SEED = 20261  # sample.sample's own is another


def held_out(patients: int, params, tokenizer):
    "Lab examples of patients made from another seed."
    from medllm_nb.core import DeidReport
    from medllm_nb.grpo.policy import pick_prompts
    from medllm_nb.instruct.examples import make_examples
    from medllm_nb.sample.corpus import make_corpus
    from medllm_nb.structure.reports import StructureParams, structure_report
    from medllm_nb.instruct.instructions import InstructParams

    examples = []
    for g in make_corpus(HELD_OUT_SEED, patients):
        report = structure_report(
            DeidReport(report_id=g.report_id, patient_key=g.patient_id, format="txt", text=g.text),
            StructureParams(concepts=False),
        )
        examples += [e for e in make_examples(report, InstructParams()) if e.task in params.tasks]
    return pick_prompts(examples, tokenizer, params)[0]


def answers_of(model, tokenizer, examples, params) -> list[dict]:
    "Per example: patient, true positives x 2 and claims + truths (F1's two sums), correctness."
    from medllm_nb.instruct.answers import parse_labs_answer
    from medllm_nb.model.generation import LocalBackend, generate
    from medllm_nb.grpo.correctness import correctness_reward
    from medllm_nb.grpo.rewards import report_in_prompt, text_of

    rows = []
    for e, a in zip(
        examples, generate([e.prompt for e in examples], LocalBackend(model, tokenizer), params.max_completion_length)
    ):
        found, truth = parse_labs_answer(a.text), parse_labs_answer(e.completion[0].content)
        shown = report_in_prompt(text_of([m.model_dump() for m in e.prompt]))
        rows.append(
            {
                "patient": e.patient_key,
                "hits": 2 * len(found & truth),
                "all": len(found) + len(truth),
                "cut": not a.finished,
                "correct": a.finished * correctness_reward(a.text, e.completion[0].content, e.task, shown),
            }
        )
    return rows


def scores(rows) -> tuple[float, float]:
    return sum(r["hits"] for r in rows) / max(1, sum(r["all"] for r in rows)), sum(r["correct"] for r in rows) / len(
        rows
    )


def interval(before, runs, n=2000) -> list[tuple[float, float]]:
    "95% intervals of the mean change over runs of both scores, patients resampled."
    import numpy as np

    patients = sorted({r["patient"] for r in before})
    sums = lambda rows: np.array(
        [
            [sum(r[k] for r in rows if r["patient"] == p) for k in ("hits", "all", "correct")]
            + [sum(r["patient"] == p for r in rows)]
            for p in patients
        ],
        float,
    )
    score = lambda s: np.array([s[0] / max(s[1], 1), s[2] / s[3]])
    b, each, rng = sums(before), [sums(rows) for rows in runs], np.random.default_rng(7)
    changes = []
    for _ in range(n):
        i = rng.integers(len(patients), size=len(patients))
        changes.append(np.mean([score(a[i].sum(0)) for a in each], axis=0) - score(b[i].sum(0)))
    return [tuple(np.percentile(change, [2.5, 97.5])) for change in zip(*changes)]


def kept(path: Path, make):
    "What the file holds, made first where it is missing."
    if not path.is_file():
        path.write_text(json.dumps(make()))
    return json.loads(path.read_text())


def one_seed(args, seed: int) -> None:
    "The seed's training and its log; SFT's and GRPO's answers on the held-out prompts."
    from peft import load_peft_weights, set_peft_model_state_dict

    from medllm_nb.core import Example, load_params, project_root, read_records
    from medllm_nb.grpo.policy import GrpoParams, load_policy, pick_prompts
    from medllm_nb.grpo.trainer import curves, train_grpo

    root, out = project_root(), Path(args.out)
    given = {k: json.loads(v) for k, v in (p.split("=", 1) for p in args.param)}
    params = load_params(GrpoParams, "grpo").model_copy(
        update={"max_steps": args.steps, "eval_steps": max(1, args.steps // 4), "seed": seed} | given
    )
    model, tokenizer, _ = load_policy(root, params)
    unseen = held_out(args.patients, params, tokenizer)
    kept(out / f"sft-{args.patients}.json", lambda: answers_of(model, tokenizer, unseen, params))

    def train():
        train, validation = (
            pick_prompts(read_records(root / "artifacts" / "split" / s, Example), tokenizer, params)[0]
            for s in ("train", "validation")
        )
        log, _, _ = train_grpo(
            model,
            tokenizer,
            train,
            sorted(validation, key=lambda e: e.example_id)[: params.eval_examples],
            params,
            out / f"seed-{seed}",
        )
        return {"seed": seed, "params": params.model_dump(), "log": curves(log)}

    kept(out / f"seed-{seed}.json", train)
    set_peft_model_state_dict(model, load_peft_weights(str(out / f"seed-{seed}" / "best")))
    kept(out / f"seed-{seed}-{args.patients}.json", lambda: answers_of(model, tokenizer, unseen, params))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--patients", type=int, default=40)
    parser.add_argument("--out", default="artifacts/bench-grpo")
    parser.add_argument("--param", nargs="*", default=[], help="knobs of section grpo, as KEY=JSON")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    if args.one is not None:
        one_seed(args, args.one)
        return
    for seed in args.seeds:
        if (out / f"seed-{seed}-{args.patients}.json").is_file():
            continue
        subprocess.run([sys.executable, __file__, *sys.argv[1:], "--one", str(seed)], check=True)
    report(args, out)


def report(args, out: Path) -> None:
    "Print the scores before and after, by seed and over all seeds; the figures as the last line."
    before = json.loads((out / f"sft-{args.patients}.json").read_text())
    patients = len({r["patient"] for r in before})
    print(f"{len(before)} prompts of {patients} patients never trained on; 95% intervals of the change over patients\n")
    head = f"{'':8} {'lab F1':>7} {'change':>24} {'correctness':>13} {'change':>24} {'cut':>5}"
    print(f"{head} {'reward, first and last fifth':>30}")
    f1, correctness = scores(before)
    print(f"{'SFT':8} {f1:7.3f} {'':24} {correctness:13.3f} {'':24} {sum(r['cut'] for r in before):5}")
    pooled = []
    for seed in args.seeds:
        run = json.loads((out / f"seed-{seed}.json").read_text())
        after = json.loads((out / f"seed-{seed}-{args.patients}.json").read_text())
        rewards = [r["value"] for r in run["log"] if r["name"] == "reward"]
        pooled.append(after)
        fifth = max(1, len(rewards) // 5)
        (fl, fh), (cl, ch) = interval(before, [after])
        show = lambda k, low, high: f"{scores(after)[k] - scores(before)[k]:+.3f} ({low:+.3f} to {high:+.3f})"
        f1, correctness = scores(after)
        print(
            f"{f'GRPO {seed}':8} {f1:7.3f} {show(0, fl, fh):>24} {correctness:13.3f} {show(1, cl, ch):>24}"
            f" {sum(r['cut'] for r in after):5}"
            f" {sum(rewards[:fifth]) / fifth:16.3f} -> {sum(rewards[-fifth:]) / fifth:.3f}"
        )
    figures = {"prompts": len(before), "patients": patients, "seeds": len(args.seeds)}
    for k, (name, (low, high)) in enumerate(zip(("lab F1", "correctness"), interval(before, pooled))):
        change = [scores(p)[k] - scores(before)[k] for p in pooled]
        print(
            f"{name}: mean change over seeds {mean(change):+.3f} ({low:+.3f} to {high:+.3f})"
            + (f", standard deviation {stdev(change):.3f}" if len(change) > 1 else "")
        )
        before_mean = scores(before)[k]
        figures |= {f"{name}, SFT": before_mean, f"{name}, GRPO": before_mean + mean(change)}
        figures |= {f"{name}, change": mean(change), f"{name}, low": low, f"{name}, high": high}
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
