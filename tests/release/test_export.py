"Export end to end on a tiny model: merged into 16 bits, every form checked, a changed template refused."

import json
import math

import pytest
import torch

from medllm_nb.core import Example, write_json, write_records
from medllm_nb.model.generation import generate_answers
from medllm_nb.release.export import run_export
from medllm_nb.release.forms import ExportParams, check_merge, load_exported, same_share
from medllm_nb.release.gguf import CONVERTER, gguf_fields, llama_cpp_answers, llama_cpp_fault, quantize_gguf, write_gguf
from medllm_nb.release.merge import ExportError, repair_tokenizer
from medllm_nb.model.model import ModelParams, run_model
from medllm_nb.train.sft import run_sft
from medllm_nb.train.trainer import SftParams
from medllm_nb.train.tokens import demo_examples

SMALL = dict(max_new_tokens=6, batch_size=4, max_per_task=4)
needs_converter = pytest.mark.skipif(not CONVERTER.is_file(), reason="the converter to GGUF is not installed")
needs_llama_cpp = pytest.mark.skipif(
    not CONVERTER.is_file() or bool(llama_cpp_fault()), reason="llama.cpp cannot be loaded here"
)


def make_project(root, tiny_model, in_4bit):
    "A project whose adapter has random values, so that it changes the model."
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    (root / "params.yaml").write_text("sft: {rank: 4}\n")
    (root / "dvc.lock").write_text("schema: '2.0'\nstages: {sft: {cmd: train}}\n")
    write_records(root / "artifacts" / "split" / "test", demo_examples(), Example)
    facts = run_model(ModelParams(name=str(tiny_model), load_in_4bit=in_4bit), root)
    torch.manual_seed(1)
    config = LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj", "down_proj"], task_type="CAUSAL_LM")
    adapted = get_peft_model(AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.bfloat16), config)
    for name, p in adapted.named_parameters():
        if "lora_B" in name:
            p.data = 0.3 * torch.randn_like(p)
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
    assert run["dvc_lock"] == {"schema": "2.0", "stages": {"sft": {"cmd": "train"}}}, (
        "what local changes made of the lock is lost"
    )
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
    assert not repair_tokenizer(folder / "merged"), "llama.cpp would take this tokenizer for another kind"


@needs_llama_cpp
def test_llama_cpp_answers_as_the_trained_model_does(exported):
    "The real library on the exported files: its greedy answers against those of transformers."
    root, scores, _ = exported
    gguf = root / "artifacts" / "export" / "gguf"
    assert scores["llama_cpp"] == 1 and {"gguf_f16_llama_cpp_same_answers", "gguf_q8_0_llama_cpp_same_answers"} <= set(
        scores
    )
    model, tokenizer = load_exported(gguf.parent)
    trained = generate_answers(model.float(), tokenizer, demo_examples(), 4, 6)
    assert llama_cpp_answers(gguf / "model-f16.gguf", tokenizer, demo_examples(), 6) == trained
    assert same_share(llama_cpp_answers(gguf / "model-q8_0.gguf", tokenizer, demo_examples(), 6), trained) >= 0.5
    tokenizer.add_tokens(["mmol/L"])
    with pytest.raises(ExportError, match="other tokens than training"):
        llama_cpp_answers(gguf / "model-q8_0.gguf", tokenizer, demo_examples(), 2)


@needs_llama_cpp
def test_a_file_of_four_bits_is_loaded_and_answers(tiny_model, tmp_path):
    "Rows of 256, so that the weights really are K-quants."
    from gguf import GGUFReader
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM, set_seed

    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    set_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=256,
            intermediate_size=256,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=4,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
            tie_word_embeddings=True,
            initializer_range=0.1,
        )
    ).bfloat16()
    model.save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    repair_tokenizer(tmp_path / "model")
    f16 = write_gguf(tmp_path / "model", tmp_path / "f16.gguf")
    small = quantize_gguf(tmp_path / "model", f16, tmp_path / "q4_k_m.gguf", "q4_k_m")
    assert (
        "Q4_K" in {t.tensor_type.name for t in GGUFReader(str(small)).tensors}
        and small.stat().st_size < 0.6 * f16.stat().st_size
    )
    exact = generate_answers(model.float().eval(), tokenizer, demo_examples(), 4, 6)
    assert llama_cpp_answers(f16, tokenizer, demo_examples(), 6) == exact
    assert all(llama_cpp_answers(small, tokenizer, demo_examples(), 6))
    small.write_bytes(small.read_bytes()[: 2**20])
    with pytest.raises(ExportError, match="llama.cpp failed"):
        llama_cpp_answers(small, tokenizer, demo_examples(), 6)


@needs_llama_cpp
def test_where_llama_cpp_cannot_be_loaded_the_export_says_so(exported, tmp_path, monkeypatch):
    import shutil

    root, _, _ = exported
    shutil.copytree(root / "artifacts", tmp_path / "artifacts", ignore=shutil.ignore_patterns("export"))
    (tmp_path / "libllama.so").write_text("built for another machine")
    monkeypatch.setenv("IK_LLAMA_CPP_LIB_PATH", str(tmp_path / "libllama.so"))
    assert "loading llama.cpp failed" in llama_cpp_fault()
    scores = run_export(ExportParams(quantization="", **SMALL), tmp_path)
    assert scores["llama_cpp"] == 0 and not any("llama_cpp_same_answers" in key for key in scores)


def test_a_changed_template_is_refused(exported, tmp_path):
    import shutil

    root, _, _ = exported
    copy = tmp_path / "export"
    shutil.copytree(root / "artifacts" / "export", copy, ignore=shutil.ignore_patterns("*.gguf"))
    load_exported(copy)
    template = copy / "merged" / "chat_template.jinja"
    template.write_text(template.read_text().replace("assistant\n", "assistant: "))
    with pytest.raises(ExportError, match="not the one that was trained with"):
        load_exported(copy)
    (copy / "run.json").unlink()
    with pytest.raises(ExportError, match="no whole export"):
        load_exported(copy)


def test_an_adapter_of_another_template_or_other_weights_is_refused(exported, tmp_path):
    import shutil

    root, _, _ = exported
    shutil.copytree(root / "artifacts", tmp_path / "artifacts", ignore=shutil.ignore_patterns("export"))
    path = tmp_path / "artifacts" / "sft" / "training.json"
    training = json.loads(path.read_text())
    write_json(path, training | {"base": training["base"] | {"template_sha256": "0" * 64}})
    with pytest.raises(ExportError, match="another chat template"):
        run_export(ExportParams(gguf=False, **SMALL), tmp_path)
    write_json(path, training | {"base": training["base"] | {"weights_sha256": "0" * 64}})
    with pytest.raises(ExportError, match="trained on other weights"):
        run_export(ExportParams(gguf=False, **SMALL), tmp_path)
    assert not (tmp_path / "artifacts" / "export").exists()
    path.unlink()
    with pytest.raises(FileNotFoundError, match="dvc repro sft"):
        run_export(ExportParams(gguf=False, **SMALL), tmp_path)


def test_a_qlora_adapter_goes_into_the_16_bit_base(tmp_path, tiny_model):
    root = make_project(tmp_path, tiny_model, in_4bit=True)
    scores = run_export(ExportParams(gguf=False, **SMALL), root)
    model, _ = load_exported(root / "artifacts" / "export")
    assert not hasattr(model.config, "quantization_config") and {p.dtype for p in model.parameters()} == {
        torch.bfloat16
    }
    assert abs(scores["merge_perplexity_change"]) < 0.01 and "trained_4bit_perplexity" in scores
    assert scores["trained_4bit_perplexity"] != scores["merged_perplexity"]
    assert "QLoRA on the 4-bit base" in (root / "artifacts" / "export" / "README.md").read_text()


def test_an_unknown_quantisation_says_what_is_missing(exported, tmp_path, monkeypatch):
    from medllm_nb.release import gguf

    root, _, _ = exported
    monkeypatch.setattr(gguf, "quantizer", lambda: None)
    with pytest.raises(ExportError, match="needs llama-quantize"):
        gguf.quantize_gguf(root, root, tmp_path / "x.gguf", "q4_k_m")
    monkeypatch.setattr(gguf, "CONVERTER", tmp_path / "none.py")
    with pytest.raises(ExportError, match="the converter to GGUF is not installed"):
        gguf.write_gguf(root, tmp_path / "x.gguf")
    with pytest.raises(ExportError, match="more than export.max_perplexity_change"):
        check_merge(4.0, 5.0, 0.02)


def test_a_qlora_adapter_goes_into_the_16_bit_base_and_is_scored_again(tmp_path, tiny_model):
    "Trained for real on the 4-bit base; what comes out is 16 bits and still knows what was learnt."
    (tmp_path / "params.yaml").write_text("{}\n")
    for split in ("train", "validation", "test"):
        write_records(tmp_path / "artifacts" / "split" / split, demo_examples(), Example)
    assert run_model(ModelParams(name=str(tiny_model), load_in_4bit=True), tmp_path)["load_in_4bit"]
    trained = run_sft(
        SftParams(max_steps=20, eval_steps=10, per_device_train_batch_size=4, max_length=128, learning_rate=2e-2),
        tmp_path,
    )
    assert trained["best_eval_loss"] < trained["first_eval_loss"] - 0.05
    scores = run_export(ExportParams(gguf=False, **SMALL), tmp_path)
    assert scores["trained_4bit_perplexity"] < math.exp(trained["first_eval_loss"])
    assert abs(scores["merge_perplexity_change"]) < 0.02
    assert abs(math.log(scores["merged_perplexity"]) - math.log(scores["trained_4bit_perplexity"])) < 0.5, (
        "what was learnt on 4 bits is lost on 16"
    )
    assert not hasattr(load_exported(tmp_path / "artifacts" / "export")[0].config, "quantization_config")
    assert "QLoRA on the 4-bit base" in (tmp_path / "artifacts" / "export" / "README.md").read_text()
