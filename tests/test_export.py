"Export end to end on a tiny model: merged into 16 bits whatever the base was trained in, every form checked, a changed template refused."
import json
import math

import pytest
import torch

from medllm_nb.core import Example, read_records, write_json, write_records
from medllm_nb.export import ExportParams, check_merge, load_exported, run_export
from medllm_nb.llamacpp import CONVERTER, gguf_fields
from medllm_nb.merge import ExportError, mend_tokenizer
from medllm_nb.model import ModelParams, run_model, template_hash
from medllm_nb.sft import run_sft
from medllm_nb.train import SftParams, demo_examples

SMALL = dict(max_new_tokens=6, batch_size=4, max_per_task=4)
needs_converter = pytest.mark.skipif(not CONVERTER.is_file(), reason="the converter to GGUF is not installed")


def make_project(root, tiny_model, in_4bit):
    "A project whose adapter has random values, so that it changes the model."
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM
    (root / "params.yaml").write_text("sft: {rank: 4}\n")
    write_records(root / "artifacts" / "split" / "test", demo_examples(), Example)
    facts = run_model(ModelParams(name=str(tiny_model), load_in_4bit=in_4bit), root)
    torch.manual_seed(1)
    config = LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj", "down_proj"], task_type="CAUSAL_LM")
    adapted = get_peft_model(AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.bfloat16), config)
    for name, p in adapted.named_parameters():
        if "lora_B" in name: p.data = 0.3 * torch.randn_like(p)
    adapted.save_pretrained(root / "artifacts" / "sft" / "adapter")
    write_json(root / "artifacts" / "sft" / "training.json", {"params": {"rank": 4}, "base": facts})
    write_json(root / "artifacts" / "metrics" / "sft.json", {"steps": 3})
    return root


@pytest.fixture(scope="module")
def exported(tmp_path_factory, tiny_model):
    root = make_project(tmp_path_factory.mktemp("export"), tiny_model, in_4bit=False)
    return root, run_export(ExportParams(gguf=CONVERTER.is_file(), **SMALL), root), tiny_model


def test_merged_model_is_the_adapter_on_its_base(exported):
    root, scores, tiny = exported
    assert abs(scores["merge_perplexity_change"]) < 0.01 and scores["examples"] == 4
    model, tokenizer = load_exported(root / "artifacts" / "export")
    assert model.dtype == torch.bfloat16 and not hasattr(model.config, "quantization_config")
    from peft import PeftModel
    from transformers import AutoModelForCausalLM
    base = AutoModelForCausalLM.from_pretrained(tiny, dtype=torch.float32).eval()
    ids = torch.tensor([tokenizer.encode("Potassium 5.9 mmol/L is high")])
    with torch.no_grad():
        plain = base(ids).logits
        adapted = PeftModel.from_pretrained(base, str(root / "artifacts" / "sft" / "adapter")).eval()(ids).logits
        merged = model.float()(ids).logits
    assert (merged - adapted).abs().max() < 0.1 * (adapted - plain).abs().max(), "the merge lost the adapter"


def test_run_json_and_card_tell_the_run(exported):
    root, _, tiny = exported
    folder = root / "artifacts" / "export"
    run = json.loads((folder / "run.json").read_text())
    assert run["params"] == {"sft": {"rank": 4}} and run["packages"]["torch"] and run["hardware"]["Cores"]
    assert set(run["files"]) == {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()} - {"run.json"}
    card = (folder / "README.md").read_text()
    assert card.startswith("---\nlanguage: en") and "| rank | 4 |" in card and "| merged |" in card
    assert "No metrics were found of: ingest, deidentify, instruct, split" in card
    assert str(tiny) == json.loads((folder / "adapter" / "adapter_config.json").read_text())["base_model_name_or_path"]


@needs_converter
def test_gguf_files_carry_template_and_weights(exported):
    root, scores, _ = exported
    folder = root / "artifacts" / "export"
    _, tokenizer = load_exported(folder)
    for kind in ("f16", "q8_0"):
        fields = gguf_fields(folder / "gguf" / f"model-{kind}.gguf")
        assert fields["chat_template"] == tokenizer.chat_template and fields["eos_token"] == tokenizer.eos_token
    assert scores["gguf_f16_perplexity"] == pytest.approx(scores["merged_perplexity"], rel=1e-4)
    assert scores["gguf_q8_0_perplexity"] == pytest.approx(scores["merged_perplexity"], rel=0.05)
    assert scores["gguf_f16_same_answers"] >= scores["merged_same_answers"] - 0.3
    text = (folder / "gguf" / "Modelfile").read_text()
    assert text.startswith("FROM ./model-q8_0.gguf\nTEMPLATE") and 'PARAMETER stop "<|im_end|>"' in text
    assert not mend_tokenizer(folder / "merged"), "llama.cpp would take this tokenizer for another kind"


def test_a_changed_template_is_refused(exported, tmp_path):
    import shutil
    root, _, _ = exported
    copy = tmp_path / "export"
    shutil.copytree(root / "artifacts" / "export", copy, ignore=shutil.ignore_patterns("*.gguf"))
    load_exported(copy)
    template = copy / "merged" / "chat_template.jinja"
    template.write_text(template.read_text().replace("assistant\n", "assistant: "))
    with pytest.raises(ExportError, match="not the one that was trained with"): load_exported(copy)
    (copy / "run.json").unlink()
    with pytest.raises(ExportError, match="no whole export"): load_exported(copy)


def test_an_adapter_of_another_template_is_refused(exported, tmp_path):
    import shutil
    root, _, _ = exported
    shutil.copytree(root / "artifacts", tmp_path / "artifacts", ignore=shutil.ignore_patterns("export"))
    path = tmp_path / "artifacts" / "sft" / "training.json"
    training = json.loads(path.read_text())
    write_json(path, training | {"base": training["base"] | {"template_sha256": "0" * 64}})
    with pytest.raises(ExportError, match="another chat template"): run_export(ExportParams(gguf=False, **SMALL), tmp_path)
    assert not (tmp_path / "artifacts" / "export").exists()
    path.unlink()
    with pytest.raises(FileNotFoundError, match="dvc repro sft"): run_export(ExportParams(gguf=False, **SMALL), tmp_path)


def test_a_qlora_adapter_goes_into_the_16_bit_base(tmp_path, tiny_model):
    root = make_project(tmp_path, tiny_model, in_4bit=True)
    scores = run_export(ExportParams(gguf=False, **SMALL), root)
    model, _ = load_exported(root / "artifacts" / "export")
    assert not hasattr(model.config, "quantization_config") and {p.dtype for p in model.parameters()} == {torch.bfloat16}
    assert abs(scores["merge_perplexity_change"]) < 0.01 and "trained_4bit_perplexity" in scores
    assert scores["trained_4bit_perplexity"] != scores["merged_perplexity"]
    assert "QLoRA on the 4-bit base" in (root / "artifacts" / "export" / "README.md").read_text()


def test_an_unknown_quantisation_says_what_is_missing(exported, tmp_path, monkeypatch):
    import medllm_nb.llamacpp as llamacpp
    root, _, _ = exported
    monkeypatch.setattr(llamacpp, "quantizer", lambda: None)
    with pytest.raises(ExportError, match="needs llama-quantize"): llamacpp.quantize_gguf(root, root, tmp_path / "x.gguf", "q4_k_m")
    monkeypatch.setattr(llamacpp, "CONVERTER", tmp_path / "none.py")
    with pytest.raises(ExportError, match="the converter to GGUF is not installed"): llamacpp.write_gguf(root, tmp_path / "x.gguf")
    with pytest.raises(ExportError, match="more than export.max_perplexity_change"): check_merge(4.0, 5.0, 0.02)


def test_a_qlora_adapter_goes_into_the_16_bit_base_and_is_scored_again(tmp_path, tiny_model):
    "Trained for real on the 4-bit base; what comes out is 16 bits and still knows what was learnt."
    (tmp_path / "params.yaml").write_text("{}\n")
    for split in ("train", "validation", "test"): write_records(tmp_path / "artifacts" / "split" / split, demo_examples(), Example)
    assert run_model(ModelParams(name=str(tiny_model), load_in_4bit=True), tmp_path)["load_in_4bit"]
    trained = run_sft(SftParams(max_steps=20, eval_steps=10, batch_size=4, max_seq_length=128, learning_rate=2e-2), tmp_path)
    assert trained["best_eval_loss"] < trained["first_eval_loss"] - 0.05
    scores = run_export(ExportParams(gguf=False, **SMALL), tmp_path)
    assert scores["trained_4bit_perplexity"] < math.exp(trained["first_eval_loss"])
    assert abs(scores["merge_perplexity_change"]) < 0.02
    assert abs(math.log(scores["merged_perplexity"]) - math.log(scores["trained_4bit_perplexity"])) < 0.5, "what was learnt on 4 bits is lost on 16"
    assert not hasattr(load_exported(tmp_path / "artifacts" / "export")[0].config, "quantization_config")
    assert "QLoRA on the 4-bit base" in (tmp_path / "artifacts" / "export" / "README.md").read_text()
