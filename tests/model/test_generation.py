"The same text from the model in this process, from the gateway and from a real server; the base without adapter."

import asyncio
import copy
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from medllm_nb.model.generation import LocalBackend, ServerBackend, ServerError, generate


@pytest.fixture(scope="module")
def local(tiny_model):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32).eval()
    return LocalBackend(model, AutoTokenizer.from_pretrained(tiny_model))


def test_an_empty_list_and_a_model_in_training(local):
    assert generate([], local) == []
    local.model.train()
    assert len(generate([[{"role": "user", "content": "hello"}]], local, 3)[0].ids) == 3
    assert local.model.training, "sampling left the model in another mode"
    local.model.eval()


def test_the_gateway_writes_what_generate_writes(local):
    "The model in the gateway's own process, asked by several at a time, greedy."
    from medllm_nb.serve.backends import LocalModel, Options, collect

    chats = [[{"role": "user", "content": f"Sodium {i} mmol/L?" * (1 + i % 3)}] for i in range(5)]
    import torch

    model, tokenizer = copy.deepcopy(local.model), local.tokenizer
    blank = torch.tensor(
        [*tokenizer.all_special_ids, *(i for i in range(len(tokenizer)) if not tokenizer.decode([i]).strip())]
    )
    model.get_output_embeddings().register_forward_hook(
        lambda module, given, logits: logits.index_fill(-1, blank, -1e9)
    )  # an untrained model repeats the prompt's last line break
    upstream = LocalModel(model, tokenizer, "v")

    async def ask():
        return await asyncio.gather(*(collect(upstream, c, Options(12)) for c in chats))

    answers = generate(chats, LocalBackend(model, tokenizer), 12)
    assert [(r.text, r.finish == "stop") for r in asyncio.run(ask())] == [
        (a.text, a.finished) for a in answers
    ] and any(a.text for a in answers)


def test_without_the_adapter_the_base_answers(local):
    import torch
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(0)
    lora = LoraConfig(r=4, target_modules=["o_proj", "down_proj"], task_type="CAUSAL_LM")
    model = get_peft_model(copy.deepcopy(local.model), lora).eval()
    for name, weights in model.named_parameters():
        if "lora_B" in name:
            weights.data = 10 * torch.randn(weights.shape)  # an untrained model repeats its last token otherwise
    chats = [[{"role": "user", "content": f"Sodium {i} mmol/L?"}] for i in range(4)]
    tuned = generate(chats, LocalBackend(model, local.tokenizer), 8)
    base = generate(chats, LocalBackend(model, local.tokenizer, adapter=False), 8)
    assert [c.ids for c in base] == [c.ids for c in generate(chats, local, 8)] != [c.ids for c in tuned]


def test_no_server_is_said_plainly():
    with pytest.raises(ServerError, match="cannot be reached"):
        import medllm_nb.model.generation as g
        import openai

        client = openai.OpenAI
        try:
            openai.OpenAI = lambda **k: client(**(k | {"max_retries": 0}))
            g.generate([[{"role": "user", "content": "x"}]], ServerBackend("http://127.0.0.1:9/v1", "m"))
        finally:
            openai.OpenAI = client


async def behind_the_gateway(url, chats, model):
    "What the gateway gets from a server that does not tell what it serves, so that the address names it."
    from medllm_nb.serve.backends import OpenAIServer, Options, Pool, ask_pool

    assert not await OpenAIServer(url).healthy()
    server = OpenAIServer(f"{url}#{model}")
    assert await server.healthy()
    replies = [await ask_pool(Pool([server]), c, Options(6)) for c in chats]
    assert {r.model_version for r in replies} == {model.name} and replies[0].confidence is None, (
        "it tells no probabilities"
    )
    return [r.text for r in replies]


@pytest.mark.slow
def test_a_real_server_answers_as_the_model_in_this_process(local, tiny_model, tmp_path):
    "`transformers serve`, greedy, on the loopback."
    pytest.importorskip("fastapi")
    pytest.importorskip("uvicorn")
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    log = (tmp_path / "log").open("w")
    server = subprocess.Popen(
        [
            Path(sys.executable).parent / "transformers",
            "serve",
            str(tiny_model),
            "--host",
            "127.0.0.1",
            "--port",
            str(port),
            "--device",
            "cpu",
            "--dtype",
            "float32",
        ],
        stdout=log,
        stderr=log,
        env=os.environ | {"HF_HUB_OFFLINE": "1"},
    )
    try:
        deadline = time.time() + 600
        while socket.socket().connect_ex(("127.0.0.1", port)):
            assert server.poll() is None and time.time() < deadline, (tmp_path / "log").read_text()[-2000:]
            time.sleep(0.5)
        chats = [[{"role": "user", "content": f"Sodium {i} mmol/L?"}] for i in range(5)]
        answers = generate(
            chats, ServerBackend(f"http://127.0.0.1:{port}/v1", str(tiny_model), concurrency=3), max_new_tokens=6
        )
        own = [a.text for a in generate(chats, local, max_new_tokens=6)]
        assert [a.text for a in answers] == own
        assert asyncio.run(behind_the_gateway(f"http://127.0.0.1:{port}/v1", chats, tiny_model)) == own
    finally:
        server.terminate()
        server.wait(120)
