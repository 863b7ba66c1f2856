"A batch changes no answer, rows that end leave it; where transformers lacks a part, its own `generate` writes."

import random
import sys

import pytest
import torch

from medllm_nb.model import cpu_decode
from medllm_nb.model.generation import LocalBackend, decode, generate, logit_gap


@pytest.fixture(scope="module")
def local(tiny_model):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32).eval()
    return LocalBackend(model, AutoTokenizer.from_pretrained(tiny_model))


def test_prompts_of_any_length_are_answered_as_alone(local):
    "Left padding, a common beginning that is read once, and several samples change nothing."
    rng = random.Random(7)
    words = [[rng.randrange(100, 40000) for _ in range(rng.choice([1, 2, 7, 30, 90]))] for _ in range(12)]
    for prompts in (words, [[1, 4093, 198] + w for w in words], [words[0]] * 3):
        with torch.inference_mode():
            together = decode(local.model, prompts, -1, 2, 12)
            alone = [decode(local.model, [p], -1, 2, 12)[0] for p in prompts]
            twice = decode(local.model, prompts, -1, 2, 12, samples=2)
        for p, a, b in zip(prompts, together, alone):
            assert logit_gap(local.model, p, a, b) < 1e-3
        assert twice[::2] == twice[1::2] and len(twice) == 2 * len(prompts)


@pytest.mark.parametrize("family", ["Mistral", "Gemma3"])
def test_a_window_that_slides_over_a_common_beginning(family):
    "A model of two layers whose window is shorter than what its prompts share."
    import transformers

    config = {"Mistral": "MistralConfig", "Gemma3": "Gemma3TextConfig"}[family]
    torch.manual_seed(0)
    model = getattr(transformers, f"{family}ForCausalLM")(
        getattr(transformers, config)(
            vocab_size=300,
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            head_dim=8,
            max_position_embeddings=512,
            sliding_window=16,
        )
    ).eval()
    for weights in model.parameters():
        weights.data *= 3  # far from ties
    rng = random.Random(7)
    prompts = [[*range(3, 33), *(rng.randrange(3, 300) for _ in range(n))] for n in (1, 2, 7, 30, 60, 7)]
    with torch.inference_mode():
        together = decode(model, prompts, -1, 2, 24)
        alone = [
            model.generate(torch.tensor([p]), max_new_tokens=24, do_sample=False, eos_token_id=None, pad_token_id=2)[
                0, len(p) :
            ].tolist()
            for p in prompts
        ]
    assert together == alone


def test_rows_that_end_early_leave_and_the_rest_go_on(local):
    prompts = [[100 * i + k for k in range(3 + i)] for i in range(1, 11)]
    with torch.inference_mode():
        whole = decode(local.model, prompts, -1, 2, 20)
        counts = {t: sum(t in w for w in whole) for w in whole for t in w}
        end = max((t for t, n in counts.items() if n < len(whole)), key=counts.get)
        cut = decode(local.model, prompts, end, 2, 20)
    assert cut == [w[: w.index(end) + 1] if end in w else w for w in whole]


class Counted:
    "A function that counts its calls."

    def __init__(self, function):
        self.function, self.calls = function, 0

    def __call__(self, *args, **kwargs):
        self.calls += 1
        return self.function(*args, **kwargs)


@pytest.fixture
def fresh_parts():
    "What transformers has is looked up again, before and after."
    cpu_decode.transformers_parts.cache_clear()
    yield
    cpu_decode.transformers_parts.cache_clear()


@pytest.mark.parametrize(
    "module",
    [
        pytest.param("transformers.cache_utils", id="cache layers"),
        pytest.param("transformers.integrations.sdpa_attention", id="attention"),
        pytest.param("transformers.masking_utils", id="masks"),
    ],
)
def test_without_a_part_of_transformers_its_own_generate_writes(module, local, monkeypatch, fresh_parts):
    "Another release may lack a private part: slower, the same text."
    chats = [[{"role": "user", "content": f"Sodium {i} mmol/L?" * (1 + i % 3)}] for i in range(4)]
    expected = generate(chats, local, 8)
    cpu_decode.transformers_parts.cache_clear()
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, module, None)  # its import fails
        assert cpu_decode.transformers_parts() is None and not cpu_decode.can_decode_rows(local.model)
    own = Counted(local.model.generate)
    monkeypatch.setattr(local.model, "generate", own)
    written = generate(chats, local, 8)
    assert own.calls and [c.ids for c in written] == [c.ids for c in expected]


def test_with_all_parts_the_own_decode_writes(local, monkeypatch, fresh_parts):
    own = Counted(local.model.generate)
    monkeypatch.setattr(local.model, "generate", own)
    assert cpu_decode.can_decode_rows(local.model)
    assert generate([[{"role": "user", "content": "Sodium?"}]], local, 4) and not own.calls
