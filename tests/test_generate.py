"A batch changes no answer, rows that end leave it, and a real server gives what the model in this process gives."
import asyncio
import copy
import os
import random
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from medllm_nb.generate import Local, Server, ServerError, decode, generate, tie_gap


@pytest.fixture(scope="module")
def local(tiny_model):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    model = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32).eval()
    return Local(model, AutoTokenizer.from_pretrained(tiny_model))


def test_prompts_of_any_length_are_answered_as_alone(local):
    "Left padding, a common beginning that is read once, and several samples change nothing."
    import torch
    rng = random.Random(7)
    words = [[rng.randrange(100, 40000) for _ in range(rng.choice([1, 2, 7, 30, 90]))] for _ in range(12)]
    for prompts in (words, [[1, 4093, 198] + w for w in words], [words[0]] * 3):
        with torch.inference_mode():
            together = decode(local.model, prompts, -1, 2, 12)
            alone = [decode(local.model, [p], -1, 2, 12)[0] for p in prompts]
            twice = decode(local.model, prompts, -1, 2, 12, samples=2)
        for p, a, b in zip(prompts, together, alone): assert tie_gap(local.model, p, a, b) < 1e-3
        assert twice[::2] == twice[1::2] and len(twice) == 2 * len(prompts)


@pytest.mark.parametrize("family", ["Mistral", "Gemma3"])
def test_a_window_that_slides_over_a_common_beginning(family):
    "A model of two layers whose window is shorter than what its prompts share."
    import torch
    import transformers
    config = {"Mistral": "MistralConfig", "Gemma3": "Gemma3TextConfig"}[family]
    torch.manual_seed(0)
    model = getattr(transformers, f"{family}ForCausalLM")(getattr(transformers, config)(vocab_size=300, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
                                                          num_key_value_heads=2, head_dim=8, max_position_embeddings=512, sliding_window=16)).eval()
    for weights in model.parameters(): weights.data *= 3  # far from ties
    rng = random.Random(7)
    prompts = [[*range(3, 33), *(rng.randrange(3, 300) for _ in range(n))] for n in (1, 2, 7, 30, 60, 7)]
    with torch.inference_mode():
        together = decode(model, prompts, -1, 2, 24)
        alone = [model.generate(torch.tensor([p]), max_new_tokens=24, do_sample=False, eos_token_id=None, pad_token_id=2)[0, len(p) :].tolist() for p in prompts]
    assert together == alone


def test_rows_that_end_early_leave_and_the_rest_go_on(local):
    import torch
    prompts = [[100 * i + k for k in range(3 + i)] for i in range(1, 11)]
    with torch.inference_mode():
        whole = decode(local.model, prompts, -1, 2, 20)
        counts = {t: sum(t in w for w in whole) for w in whole for t in w}
        end = max((t for t, n in counts.items() if n < len(whole)), key=counts.get)
        cut = decode(local.model, prompts, end, 2, 20)
    assert cut == [w[: w.index(end) + 1] if end in w else w for w in whole]


def test_an_empty_list_and_a_model_in_training(local):
    assert generate([], local) == []
    local.model.train()
    assert len(generate([[{"role": "user", "content": "hello"}]], local, 3)[0].ids) == 3
    assert local.model.training, "sampling left the model in another mode"
    local.model.eval()


def test_the_gateway_writes_what_generate_writes(local):
    "The model in the gateway's own process, asked by several at a time, greedy."
    from medllm_nb.upstream import LocalModel, Options, collect
    chats = [[{"role": "user", "content": f"Sodium {i} mmol/L?" * (1 + i % 3)}] for i in range(5)]
    import torch
    model, tokenizer = copy.deepcopy(local.model), local.tokenizer
    blank = torch.tensor([*tokenizer.all_special_ids, *(i for i in range(len(tokenizer)) if not tokenizer.decode([i]).strip())])
    model.get_output_embeddings().register_forward_hook(lambda module, given, logits: logits.index_fill(-1, blank, -1e9))  # an untrained model repeats the prompt's last line break
    upstream = LocalModel(model, tokenizer, "v")
    async def ask(): return await asyncio.gather(*(collect(upstream, c, Options(12)) for c in chats))
    answers = generate(chats, Local(model, tokenizer), 12)
    assert [(r.text, r.finish == "stop") for r in asyncio.run(ask())] == [(a.text, a.finished) for a in answers] and any(a.text for a in answers)


def test_no_server_is_said_plainly():
    with pytest.raises(ServerError, match="cannot be reached"):
        import medllm_nb.generate as g
        import openai
        client = openai.OpenAI
        try:
            openai.OpenAI = lambda **k: client(**(k | {"max_retries": 0}))
            g.generate([[{"role": "user", "content": "x"}]], Server("http://127.0.0.1:9/v1", "m"))
        finally: openai.OpenAI = client


async def behind_the_gateway(url, chats, model):
    "What the gateway gets from a server that does not tell what it serves, so that the address names it."
    from medllm_nb.upstream import OpenAIServer, Options, Pool, ask_pool
    assert not await OpenAIServer(url).healthy()
    server = OpenAIServer(f"{url}#{model}")
    assert await server.healthy()
    replies = [await ask_pool(Pool([server]), c, Options(6)) for c in chats]
    assert {r.model_version for r in replies} == {model.name} and replies[0].confidence is None, "it tells no probabilities"
    return [r.text for r in replies]


def test_a_real_server_answers_as_the_model_in_this_process(local, tiny_model, tmp_path):
    "`transformers serve`, greedy, on the loopback."
    pytest.importorskip("fastapi"); pytest.importorskip("uvicorn")
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    log = (tmp_path / "log").open("w")
    server = subprocess.Popen([Path(sys.executable).parent / "transformers", "serve", str(tiny_model), "--host", "127.0.0.1", "--port", str(port), "--device", "cpu", "--dtype", "float32"],
                              stdout=log, stderr=log, env=os.environ | {"HF_HUB_OFFLINE": "1"})
    try:
        deadline = time.time() + 180
        while socket.socket().connect_ex(("127.0.0.1", port)):
            assert server.poll() is None and time.time() < deadline, (tmp_path / "log").read_text()[-2000:]
            time.sleep(0.5)
        chats = [[{"role": "user", "content": f"Sodium {i} mmol/L?"}] for i in range(5)]
        answers = generate(chats, Server(f"http://127.0.0.1:{port}/v1", str(tiny_model), concurrency=3), max_new_tokens=6)
        own = [a.text for a in generate(chats, local, max_new_tokens=6)]
        assert [a.text for a in answers] == own
        assert asyncio.run(behind_the_gateway(f"http://127.0.0.1:{port}/v1", chats, tiny_model)) == own
    finally:
        server.terminate()
        server.wait(20)
