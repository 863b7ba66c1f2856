"The planner's border is one, its list of kept tensors is PyTorch's, the promise of profiles/h100-70b.yaml holds."

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from medllm_nb.model.footprint import (
    ALL_LINEAR,
    CONFIGS,
    Setting,
    layer_saved,
    read_config,
    read_sizes,
    traced_layer_bytes,
)
from medllm_nb.model.planner import (
    MEMORY_PARTS,
    grpo_setting,
    largest,
    peak_gib,
    phases,
    plan,
    profile_params,
    sft_setting,
)

ROOT = Path(__file__).resolve().parents[2]
CARD = 79.1  # GiB that PyTorch sees on a card of 80 GB

any_setting = st.builds(
    Setting,
    engine=st.sampled_from(["transformers", "unsloth"]),
    bits=st.sampled_from([4, 16]),
    rank=st.integers(1, 128),
    batch=st.integers(1, 16),
    length=st.integers(700, 20000),
    completion=st.integers(1, 600),
    method=st.sampled_from(["sft", "grpo"]),
    checkpointing=st.sampled_from(["none", "hf", "unsloth"]),
    loss=st.sampled_from(["full", "chunked", "fused"]),
    attention=st.sampled_from(["eager", "sdpa", "flash"]),
    padded=st.booleans(),
    packing=st.booleans(),
    accumulation=st.integers(1, 4),
    inference=st.sampled_from(["none", "transformers", "vllm", "vllm-copy"]),
    kv_gib=st.floats(0, 10),
    sleep=st.booleans(),
)


@given(
    any_setting, st.sampled_from(sorted(set(CONFIGS) - {"Mixtral-8x7B"})), st.sampled_from(["batch", "length", "rank"])
)
@settings(max_examples=60, deadline=None)
def test_more_never_takes_less(setting, model, field):
    more = setting.model_copy(update={field: getattr(setting, field) + 1})
    assert peak_gib(model, setting) <= peak_gib(model, more)
    for parts in phases(model, setting).values():
        assert set(parts) == set(MEMORY_PARTS) and all(size >= 0 for size in parts.values())


@given(any_setting, st.floats(8, 200), st.sampled_from(["batch", "length"]))
@settings(max_examples=40, deadline=None)
def test_the_largest_fits_and_one_more_does_not(setting, card, field):
    best = largest("Llama-3.1-8B", setting, card, field, limit=2**20)
    if best:
        assert peak_gib("Llama-3.1-8B", setting.model_copy(update={field: best})) <= card
    least = max(best, setting.completion if field == "length" and setting.method == "grpo" else 0)
    if least:
        assert peak_gib("Llama-3.1-8B", setting.model_copy(update={field: least + 1})) > card or best == 2**20 - 1


# more than one key-value head: a single one and a single row are repeated as a view, and the list counts more then
@given(
    kv=st.sampled_from([2, 4]),
    head=st.sampled_from([8, 16]),
    wide=st.integers(3, 90),
    rows=st.integers(1, 3),
    length=st.integers(4, 40),
    rank=st.integers(1, 5),
    targets=st.lists(st.sampled_from(ALL_LINEAR), min_size=1, unique=True),
    attention=st.sampled_from(["sdpa", "eager"]),
    bits=st.sampled_from([(32, 32), (16, 16), (16, 32)]),
    family=st.sampled_from(["llama", "qwen3"]),
)
@settings(max_examples=12, deadline=None)
def test_the_list_is_what_pytorch_keeps(kv, head, wide, rows, length, rank, targets, attention, bits, family):
    config = dict(
        model_type=family,
        hidden_size=4 * head,
        head_dim=head,
        intermediate_size=wide,
        num_attention_heads=4,
        num_key_value_heads=kv,
        vocab_size=50,
    )
    setting = Setting(
        engine="transformers",
        device="cpu",
        checkpointing="none",
        bits=bits[0],
        adapter_bits=bits[1],
        rank=rank,
        batch=rows,
        length=length,
        target_modules=tuple(targets),
        attention=attention,
    )
    assert sum(layer_saved(read_sizes(config | {"num_hidden_layers": 2}), setting).values()) == traced_layer_bytes(
        config, setting
    )


def test_h100_70b_fits_with_room_to_spare():
    params = profile_params("h100-70b", ROOT)
    assert params["model"]["name"].endswith("Llama-3.3-70B-Instruct")  # what is planned is what the profile names
    sft = plan("Llama-3.3-70B", sft_setting(params), CARD)
    grpo = plan("Llama-3.3-70B", grpo_setting(params, "Llama-3.3-70B", CARD), CARD)
    assert sft.fits and sft.left > 20 and grpo.fits and grpo.left > 15
    assert sft.longest > params["sft"]["max_length"]
    assert sft.largest_batch > params["sft"]["per_device_train_batch_size"]
    assert not plan("Llama-3.3-70B", sft_setting(params, bits=16), CARD).fits  # so the 4 bits are needed
    text = (ROOT / "profiles" / "h100-70b.yaml").read_text()
    said = [float(x) for x in re.findall(r"peak +([\d.]+) GiB", text)]
    assert said == [round(sft.peak, 1), round(grpo.peak, 1)], (
        "the comment in profiles/h100-70b.yaml says other figures than the planner"
    )


@pytest.mark.parametrize(
    "field, more",
    [
        pytest.param("per_device_train_batch_size", 32, id="batch"),
        pytest.param("max_completion_length", 60000, id="completion"),
        pytest.param("vllm_gpu_memory_utilization", 0.95, id="vLLM's share"),
    ],
)
def test_the_plan_of_grpo_reads_the_profile(field, more):
    params = profile_params("h100-70b", ROOT)
    params["grpo"][field] = more
    assert not plan("Llama-3.3-70B", grpo_setting(params, "Llama-3.3-70B", CARD), CARD).fits


@pytest.mark.parametrize(
    "share, rows",
    [
        pytest.param(None, 4, id="the profile's share"),
        pytest.param(0.5, 0, id="Unsloth's default share"),
    ],
)
def test_vllm_has_a_cache_by_unsloths_own_estimate(share, rows):
    "Completions of full length that fit at a time, with the profile's share of the card and with Unsloth's default."
    import unsloth  # noqa: F401  before its zoo
    import unsloth_zoo.vllm_utils as vllm

    params = profile_params("h100-70b", ROOT)
    grpo, read = params["grpo"], vllm.get_mem_info
    vllm.get_mem_info = lambda: (CARD * 2**30, CARD * 2**30)
    try:
        found = vllm.approximate_vllm_memory_usage(
            read_config("Llama-3.3-70B"),
            load_in_4bit=True,
            max_lora_rank=params["sft"]["lora_r"],
            max_seq_length=grpo["max_prompt_length"] + grpo["max_completion_length"],
            gpu_memory_utilization=share or grpo["vllm_gpu_memory_utilization"],
        )
    finally:
        vllm.get_mem_info = read
    assert found[1] == rows


def test_config_from_a_folder_and_bad_ones(tmp_path):
    (tmp_path / "config.json").write_text(
        json.dumps(CONFIGS["SmolLM2-135M"] | {"architectures": ["LlamaForCausalLM"], "transformers_version": "4.1"})
    )
    assert read_sizes(tmp_path) == read_sizes(tmp_path / "config.json") == read_sizes("SmolLM2-135M")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ValueError, match="no model_type"):
        read_sizes(tmp_path)
    with pytest.raises(ValueError, match="no linear layer is called c_attn"):
        peak_gib("SmolLM2-135M", Setting(target_modules=("c_attn",)))


@pytest.mark.slow
def test_measured_peak_is_near_the_planned():
    run = subprocess.run(
        [sys.executable, "bench/planner.py", "--only", "8"], cwd=ROOT, capture_output=True, text=True, timeout=900
    )
    assert run.returncode == 0, run.stderr[-2000:]
    assert json.loads(run.stdout.splitlines()[-1])["within 10%"] == 1, run.stdout
