"Training does what its knobs say: what is learned, how batches add up, what is packed, what is refused at once."

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import varied

from medllm_nb.core import Example, write_records
from medllm_nb.model.base_model import ModelError, load_model
from medllm_nb.model.model import ModelParams, run_model
from medllm_nb.train.packing import check_packing, packed_and_alone, probe_memory
from medllm_nb.train.sft import run_sft
from medllm_nb.train.tokens import demo_examples, token_dataset, tokenize_example
from medllm_nb.train.trainer import SftParams, add_adapter, build_trainer, read_base, training_rows

SMALL = dict(max_length=256, eval_examples=4, eval_steps=50, early_stopping_patience=99)


def trainer_for(tiny_model, tmp_path, examples, **fields):
    params = SftParams(**SMALL | fields)
    model, tokenizer = load_model(str(tiny_model), dtype="float32")
    data, _ = token_dataset(examples, tokenizer, params.max_length)
    torch.manual_seed(params.seed)
    return build_trainer(add_adapter(model, params), tokenizer, data, data, params, tmp_path)


def adapter_of(trainer):
    return {n: p.detach().clone() for n, p in trainer.model.named_parameters() if p.requires_grad}


def test_loss_is_taken_on_the_answers_tokens_and_no_others(tiny_model, tmp_path):
    "Against the rendered text: a token counts if and only if its characters lie in the answer or its end of turn."
    trainer, examples = trainer_for(tiny_model, tmp_path, varied()), varied()
    tokenizer, seen = trainer.processing_class, set()
    for batch in trainer.get_train_dataloader():
        for ids, labels in zip(batch["input_ids"], batch["labels"]):
            seen.add((tuple(ids[ids != tokenizer.pad_token_id].tolist()), tuple(labels[labels != -100].tolist())))
    expected = set()
    for e in examples:
        turns = [m.model_dump() for m in e.prompt]
        start = len(tokenizer.apply_chat_template(turns, add_generation_prompt=True, tokenize=False))
        text = tokenizer.apply_chat_template(turns + [m.model_dump() for m in e.completion], tokenize=False)
        end = start + len(e.completion[0].content) + len(tokenizer.eos_token)
        encoded = tokenizer(text[:end], add_special_tokens=False, return_offsets_mapping=True)
        learned = [i for i, (a, b) in zip(encoded["input_ids"], encoded["offset_mapping"]) if a >= start]
        expected.add((tuple(i for i in encoded["input_ids"] if i != tokenizer.pad_token_id), tuple(learned)))
    assert seen == expected


def test_accumulated_batches_learn_what_one_big_batch_does(tiny_model, tmp_path):
    ends, losses = [], []
    for batch, accumulation in ((4, 1), (1, 4), (2, 2)):
        trainer = trainer_for(
            tiny_model,
            tmp_path / f"{batch}",
            varied(4),
            per_device_train_batch_size=batch,
            gradient_accumulation_steps=accumulation,
            max_steps=3,
        )
        trainer.train()
        ends.append(adapter_of(trainer))
        losses.append([h["loss"] for h in trainer.state.log_history if "loss" in h])
    for other, curve in zip(ends[1:], losses[1:]):
        np.testing.assert_allclose(curve, losses[0], rtol=1e-4)
        for name in ends[0]:
            torch.testing.assert_close(other[name], ends[0][name], rtol=1e-3, atol=2e-5)


def test_packed_examples_do_not_see_each_other(tiny_model, tmp_path):
    trainer = trainer_for(tiny_model, tmp_path, varied(), packing=True, max_steps=2)
    rows = trainer.train_dataset
    assert (
        len(rows)
        == training_rows(token_dataset(varied(), trainer.processing_class, 256)[0], SftParams(**SMALL, packing=True))
        < 12
    )
    packed, alone = packed_and_alone(trainer)
    assert packed == pytest.approx(alone, rel=1e-4)
    batch = trainer.data_collator([rows[i] for i in range(len(rows))])
    whole = trainer.compute_loss(trainer.model, dict(batch), num_items_in_batch=1)
    one_by_one = 0
    for row in rows:
        at = np.cumsum([0, *row["seq_lengths"]])
        for a, b in zip(at, at[1:]):
            single = trainer.data_collator(
                [{"input_ids": row["input_ids"][a:b], "labels": row["labels"][a:b], "seq_lengths": [int(b - a)]}]
            )
            one_by_one += trainer.compute_loss(trainer.model, single, num_items_in_batch=1).item()
    assert whole.item() == pytest.approx(one_by_one, rel=1e-4)
    trainer.train()
    assert trainer.state.global_step == 2


def test_an_attention_that_ignores_the_borders_is_refused(tiny_model, tmp_path):
    trainer = trainer_for(tiny_model, tmp_path, varied(), packing=True)
    collate = trainer.data_collator

    def borderless(rows):
        batch = collate(rows)
        return batch | {"position_ids": torch.arange(batch["input_ids"].shape[1])[None]}

    trainer.data_collator = borderless
    with pytest.raises(RuntimeError, match="sft.packing to false"):
        check_packing(trainer, tolerance=1e-4)


@pytest.mark.parametrize(
    "knob",
    [
        pytest.param({"use_dora": True}, id="DoRA"),
        pytest.param({"use_rslora": True}, id="rsLoRA"),
        pytest.param({"lora_dropout": 0.1}, id="dropout"),
        pytest.param({"neftune_noise_alpha": 5.0}, id="NEFTune"),
        pytest.param({"gradient_checkpointing": True}, id="gradient checkpointing"),
        pytest.param({"packing": True}, id="packing"),
    ],
)
def test_each_knob_trains_and_is_saved(knob, tiny_model, tmp_path):
    trainer = trainer_for(tiny_model, tmp_path, demo_examples(), max_steps=12, learning_rate=1e-2, **knob)
    trainer.train()
    losses = [h["eval_loss"] for h in trainer.state.log_history if "eval_loss" in h]
    assert losses[-1] < losses[0]
    trainer.model.save_pretrained(tmp_path / "adapter")
    config = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert (config["use_dora"], config["use_rslora"], config["lora_dropout"]) == (
        knob.get("use_dora", False),
        knob.get("use_rslora", False),
        knob.get("lora_dropout", 0),
    )


def test_early_stopping_keeps_the_best_checkpoint(tiny_model, tmp_path):
    trainer = trainer_for(
        tiny_model, tmp_path, demo_examples(), max_steps=60, eval_steps=2, learning_rate=0.3, early_stopping_patience=2
    )
    trainer.eval_dataset = trainer_for(tiny_model, tmp_path, varied(4)).train_dataset
    trainer.train()
    losses = [h["eval_loss"] for h in trainer.state.log_history if "eval_loss" in h]
    assert trainer.state.global_step < 60
    assert trainer.evaluate()["eval_loss"] == pytest.approx(min(losses[1:]), rel=1e-3)


def test_longest_examples_go_first_and_a_run_that_does_not_fit_names_the_knobs(project, tiny_model):
    params = SftParams(**SMALL, max_steps=2, per_device_train_batch_size=4)
    metrics = run_sft(params, project)
    tokenizer = load_model(str(tiny_model))[1]
    longest = sorted(len(tokenize_example(e, tokenizer)["input_ids"]) for e in varied(8))
    assert metrics["probe_tokens"] == 4 * longest[-1] and metrics["probe_gib"] > 0
    trainer = trainer_for(tiny_model, project, varied(8), per_device_train_batch_size=4)
    with pytest.raises(MemoryError, match="sft.per_device_train_batch_size"):
        probe_memory(trainer, free=2**10)
    assert all(p.grad is None for p in trainer.model.parameters())


def test_memory_that_runs_out_in_the_step_names_the_knobs(tiny_model, tmp_path):
    trainer = trainer_for(tiny_model, tmp_path, varied(4))

    def hungry(*args, **kwargs):
        return torch.empty(2**50)

    trainer.compute_loss = hungry
    with pytest.raises(MemoryError, match="gradient_checkpointing"):
        probe_memory(trainer)


TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SPOILT = {
    "does not append": TEMPLATE.replace("{% for", "{{ messages | length }}{% for"),
    "never learn to stop": TEMPLATE.replace("<|im_end|>", ""),
    "add_bos_token": "{{ bos_token }}{{ bos_token }}" + TEMPLATE,
    "empty answer": "{% for m in messages %}{% if m.role != 'assistant' %}{{ m.content }}{% endif %}{% endfor %}",
}


@pytest.mark.parametrize("message", SPOILT)
def test_template_that_would_spoil_the_run_is_refused(message, tiny_model):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    tokenizer.bos_token = "<|endoftext|>"
    tokenizer.chat_template = TEMPLATE
    assert tokenize_example(demo_examples()[0], tokenizer)["completion_mask"][-1] == 1
    tokenizer.chat_template = SPOILT[message]
    with pytest.raises(ModelError, match=message):
        tokenize_example(demo_examples()[0], tokenizer)


def test_empty_split_and_long_examples_are_named(project):
    with pytest.raises(ValueError, match="e[0-9]+ \\([0-9]+\\).*sft.max_length"):
        run_sft(SftParams(**SMALL | {"max_length": 64}, too_long="error"), project)
    write_records(project / "artifacts" / "split" / "train", [], Example)
    with pytest.raises(ValueError, match="without examples"):
        run_sft(SftParams(**SMALL), project)


def test_another_chat_template_than_the_models_is_refused(project):
    path = project / "artifacts" / "model" / "model.json"
    facts = json.loads(path.read_text())
    path.write_text(json.dumps(facts | {"template_sha256": "0" * 64}))
    with pytest.raises(ModelError, match="not the one that was trained with"):
        run_sft(SftParams(**SMALL), project)


def test_weights_that_changed_since_the_model_stage_are_refused(tiny_model, tmp_path):
    import shutil
    from transformers import AutoModelForCausalLM

    base = tmp_path / "base"
    shutil.copytree(tiny_model, base)
    facts = run_model(ModelParams(name=str(base)), tmp_path)
    assert read_base(tmp_path)[2] == facts
    model = AutoModelForCausalLM.from_pretrained(base, dtype="auto")
    with torch.no_grad():
        next(model.parameters())[0, 0] += 1
    model.save_pretrained(base)
    with pytest.raises(ModelError, match="weights of .* changed since the model stage"):
        read_base(tmp_path)


@pytest.mark.parametrize(
    "scheduler, falling", [("cosine", lambda done: 0.5 * (1 + np.cos(np.pi * done))), ("linear", lambda done: 1 - done)]
)
def test_learning_rate_warms_up_and_then_follows_the_schedule(scheduler, falling, tiny_model, tmp_path):
    trainer = trainer_for(
        tiny_model, tmp_path, varied(4), max_steps=10, warmup_ratio=0.4, lr_scheduler_type=scheduler, learning_rate=2e-3
    )
    trainer.train()
    rates = {h["step"]: h["learning_rate"] for h in trainer.state.log_history if "learning_rate" in h}
    wanted = {step: 2e-3 * ((step - 1) / 4 if step <= 4 else falling((step - 5) / 6)) for step in range(1, 11)}
    assert rates == pytest.approx(wanted, rel=1e-4)


def test_a_seed_gives_one_order_of_the_data_and_one_start(tiny_model, tmp_path):
    def begun(seed):
        trainer = trainer_for(tiny_model, tmp_path, varied(), seed=seed)
        return [batch["input_ids"].tolist() for batch in trainer.get_train_dataloader()], adapter_of(trainer)

    (order, start), (same_order, same_start), (other_order, other_start) = begun(7), begun(7), begun(8)
    assert order == same_order and all(torch.equal(start[n], same_start[n]) for n in start)
    assert order != other_order and any(not torch.equal(start[n], other_start[n]) for n in start)


@pytest.mark.parametrize(
    "tracker, wanted", [("tensorboard", "events.out.tfevents*"), ("dvclive", "metrics.json"), ("wandb", "run-*.wandb")]
)
def test_curves_go_to_the_tracker_that_was_asked_for(tracker, wanted, project, monkeypatch):
    "dvclive and wandb come with the extra `track`, which is not in the lock: skipped where they are absent."
    pytest.importorskip(tracker)
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_DIR", "")
    run_sft(SftParams(**SMALL, max_steps=2, report_to=tracker), project)
    assert list((project / "artifacts" / ".cache" / "sft").rglob(wanted))
    assert not (project / "dvc.yaml").exists(), "the tracker wrote into the pipeline"
    assert not (Path.cwd() / "wandb").exists(), "the tracker wrote into the working directory"
