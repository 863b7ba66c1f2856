"The evaluate stage on a tiny model: who is evaluated, what is left behind, and what a wrong name says."

import json

import pandas as pd
import pytest

from medllm_nb.core import DataFileError, Example, Message, StructuredReport, read_records, write_records
from medllm_nb.evaluate.evaluate import run_evaluate
from medllm_nb.evaluate.faithfulness import entailment_judge
from medllm_nb.evaluate.metrics import Answer, read_contributions
from medllm_nb.evaluate.models import EvaluateParams
from medllm_nb.evaluate.summary import scores_table
from medllm_nb.model.model import ModelParams, run_model


def report(i):
    return StructuredReport(
        report_id=f"r{i}",
        patient_key=f"p{i // 2}",
        format="pdf",
        specialty="laboratory" if i % 2 else "radiology",
        ocr_confidence=[88.0] if i % 3 == 0 else [],
        text=f"A {40 + i}-year-old woman.\nPotassium 5.{i} mmol/L (3.5-5.1)\nDiagnosis: Gout",
    )


def example(i, task, answer):
    return Example(
        example_id=f"{task[0]}{i}",
        report_id=f"r{i}",
        patient_key=f"p{i // 2}",
        specialty="laboratory",
        task=task,
        prompt=[Message(role="user", content=f"What is it?\n\nReport:\nPotassium 5.{i} mmol/L (3.5-5.1)")],
        completion=[Message(role="assistant", content=answer)],
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory, tiny_model):
    "A project's root with a tiny base, two adapters that differ, and eight test examples of four patients."
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, set_seed

    root = tmp_path_factory.mktemp("run")
    (root / "params.yaml").write_text("")
    run_model(ModelParams(name=str(tiny_model)), root)
    for seed, stage in enumerate(("sft", "grpo")):
        set_seed(seed)
        get_peft_model(
            AutoModelForCausalLM.from_pretrained(tiny_model),
            LoraConfig(r=4, target_modules=["q_proj"], init_lora_weights=False),
        ).save_pretrained(root / "artifacts" / stage / "adapter")
    examples = [example(i, "abnormal_labs", f"Potassium 5.{i} mmol/L: high") for i in range(4)] + [
        example(i, "diagnosis", "Reasoning: Potassium 5.9.\nDiagnosis: Gout (ICD-10-CM M10.9)") for i in range(4, 8)
    ]
    write_records(root / "artifacts/split/test", examples, Example)
    write_records(root / "artifacts/structure/reports", [report(i) for i in range(8)], StructuredReport)
    return root


def test_three_models_are_evaluated_side_by_side(run):
    metrics = run_evaluate(EvaluateParams(models=["base", "sft", "grpo"], max_new_tokens=6, max_seq_length=256), run)
    assert json.loads((run / "artifacts/metrics/evaluate.json").read_text())["sft"] == metrics["sft"]
    assert len({metrics[m]["perplexity"] for m in metrics["models"]}) == 3, "two models are one"
    assert list(metrics["change"]) == ["sft - base", "grpo - base", "grpo - sft"]
    assert (metrics["examples"], metrics["patients"]) == (8, 4)
    answers = read_records(run / "artifacts/evaluate/answers", Answer)
    assert len(answers) == 24 and all(a.nll > 0 for a in answers)
    rows = read_contributions(run / "artifacts/evaluate")
    assert set(rows) == {"base", "sft", "grpo"} and len(rows["sft"]["perplexity"]) == 8
    slices = pd.read_csv(run / "artifacts/evaluate/slices.csv")
    assert {"scan", "text", "laboratory", "radiology", "female"} <= set(slices.slice)
    assert "grpo - base" in scores_table(metrics)


def test_one_model_alone_needs_no_other(run):
    metrics = run_evaluate(EvaluateParams(models=["base"], max_new_tokens=2, max_seq_length=256, max_per_task=1), run)
    assert metrics["change"] == {} and "base" in scores_table(metrics)


def test_a_stage_without_adapter_is_named_before_anything_runs(run):
    before = (run / "artifacts/metrics/evaluate.json").read_bytes()
    with pytest.raises(FileNotFoundError, match="evaluate.models names 'dpo'.*dvc repro dpo"):
        run_evaluate(EvaluateParams(models=["base", "dpo"]), run)
    assert (run / "artifacts/metrics/evaluate.json").read_bytes() == before


def test_a_typing_error_in_the_guidelines_is_named_before_anything_runs(run):
    rule = "- name: a\n  why: b\n  tasks: [summary]\n  severity: major\n  must_sya: [urgent]\n"
    (run / "mine.yaml").write_text(rule)
    with pytest.raises(DataFileError, match="mine.yaml, line 5, 0.must_sya"):
        run_evaluate(EvaluateParams(models=["base"], guidelines="mine.yaml"), run)


@pytest.mark.parametrize("favours", ["entailment", "neutral"])
def test_entailment_is_judged_by_a_classifier_on_this_machine(tmp_path, favours):
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

    words = Tokenizer(
        models.WordLevel({w: i for i, w in enumerate(["[PAD]", "[UNK]", "potassium", "is", "high"])}, "[UNK]")
    )
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=words, pad_token="[PAD]", unk_token="[UNK]").save_pretrained(tmp_path)
    labels = {"contradiction": 0, "entailment": 1, "neutral": 2}
    model = BertForSequenceClassification(
        BertConfig(
            vocab_size=5,
            hidden_size=8,
            num_hidden_layers=1,
            num_attention_heads=1,
            intermediate_size=8,
            label2id=labels,
            id2label={i: n for n, i in labels.items()},
        )
    )
    model.classifier.bias.data[labels[favours]] = 50.0
    model.save_pretrained(tmp_path)
    assert (
        entailment_judge(str(tmp_path))(["potassium is high", "potassium"], "potassium is high. " * 300)
        == [favours == "entailment"] * 2
    )


def test_a_model_that_judges_no_entailment_is_refused(tmp_path):
    with pytest.raises(ValueError, match="entailment_model.*does not load"):
        entailment_judge(str(tmp_path))
