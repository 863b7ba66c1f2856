"""What a fault leaves behind, on loopback: killed model servers and gateways, a full disk, a locked store, TLS.

A gateway here is a process of its own, forked from this one, which has loaded what the first report needs: that takes
half a minute and is paid once. A model server writes the first word of an answer and the rest when it is told to. So
what dies dies in the middle of its work, however busy the machine is.
"""

import concurrent.futures
import datetime
import ipaddress
import json
import multiprocessing
import os
import signal
import ssl
import subprocess
import sys

import httpx
import pytest
import sqlalchemy as sa
from conftest import KEY, ROOT
from serving import LETTER, PASSWORD, PATIENCE_S, answers_at, free_port, patient_params, sign_in, wait_until

from medllm_nb.serve import answering, audit_trail, auth, store
from medllm_nb.operate.cli import serve_command
from medllm_nb.serve.api import create_app, serve_in_thread
from medllm_nb.serve.backends import Pool, Scripted
from medllm_nb.serve.database import open_store

pytestmark = pytest.mark.slow
MODEL = """
import asyncio, json, sys
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse

port, name = int(sys.argv[1]), sys.argv[2]
app, permits, under_way = FastAPI(), asyncio.Semaphore(0), set()

@app.get("/v1/models")
async def models():
    return {"object": "list", "data": [{"id": name, "object": "model", "created": 0, "owned_by": "test"}]}

@app.get("/under-way")
async def count():
    return len(under_way)

@app.post("/finish/{n}")
async def finish(n: int):
    for _ in range(n):
        permits.release()

def event(word):
    choice = {"index": 0, "delta": {"content": word + " "}, "finish_reason": None}
    piece = {"id": "x", "object": "chat.completion.chunk", "created": 0, "model": name, "choices": [choice]}
    return f"data: {json.dumps(piece)}\\n\\n"

@app.post("/v1/chat/completions")
async def chat(request: Request):
    mark = (await request.json())["messages"][-1]["content"].split()[-1]

    async def events():
        yield event(mark)
        under_way.add(request)
        try:
            await permits.acquire()
        finally:
            under_way.discard(request)
        for word in ("word", "end"):
            yield event(word)
        yield "data: [DONE]\\n\\n"

    return StreamingResponse(events(), media_type="text/event-stream")

uvicorn.run(app, host="127.0.0.1", port=port, log_level="error")
"""


class ModelServer:
    "A process that speaks OpenAI's chat API: it repeats the last word it is asked, and finishes when it is told to."

    def __init__(self, name, port=None):
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        command = [sys.executable, "-c", MODEL, str(self.port), name]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(lambda: answers_at(f"{self.url}/v1/models"), name, self.process)

    def under_way(self):
        "How many answers it has begun and not finished."
        return httpx.get(f"{self.url}/under-way", timeout=PATIENCE_S).json()

    def finish(self, number):
        "Let it finish so many answers."
        httpx.post(f"{self.url}/finish/{number}", timeout=PATIENCE_S).raise_for_status()

    def kill(self):
        self.process.kill()
        self.process.wait()


def run_gateway(folder):
    "What `medllm serve` does, in a folder of its own and with its output in a file there."
    os.chdir(folder)
    for stream in (1, 2):
        os.dup2(os.open("log", os.O_CREAT | os.O_WRONLY | os.O_APPEND), stream)
    sys.stdout, sys.stderr = (open(n, "w", buffering=1, closefd=False) for n in (1, 2))
    serve_command()


class Running:
    "`medllm serve` as a process of its own, in a project folder of its own, with a user Ada."

    def __init__(self, folder, *models):
        self.place, self.log = str(folder / "medllm.db"), folder / "log"
        params = patient_params(
            port=free_port(), store=self.place, upstreams=[f"{m.url}/v1" for m in models], concurrency=8
        )
        (folder / "params.yaml").write_text(json.dumps({"serve": params.model_dump()}))
        db = open_store(self.place)
        auth.add_user(db, "ada", PASSWORD, ["clinician"])
        db.close()
        self.process = multiprocessing.get_context("fork").Process(target=run_gateway, args=(folder,))
        self.process.start()
        self.address = f"http://127.0.0.1:{params.port}"
        wait_until(lambda: answers_at(f"{self.address}/readyz") or not self.process.is_alive(), "the gateway is ready")
        assert self.process.is_alive(), self.told()
        self.client = sign_in(self.address, "ada")

    def ask(self, mark):
        return self.client.post("/v1/tasks/abnormal_labs", json={"text": f"{LETTER} Case {mark}"})

    def told(self):
        return self.log.read_text()

    def kept(self, replies):
        "Everything that was acknowledged is in the store, and the audit trail is whole. The gateway must have ended."
        db = open_store(self.place)
        answers = {a.id: a for a in store.answers(db, phi=True)}
        assert all(answers[r["id"]].text == r["text"] for r in replies)
        assert {r["submission_id"] for r in replies} <= {s.id for s in store.submissions(db)}
        assert audit_trail.check(db).whole
        assert {r["object"] for r in audit_trail.rows(db, 1000) if r["action"] == "answer"} == set(answers)
        db.close()


@pytest.fixture(scope="module")
def warm():
    "This process has loaded what the first report needs, and every gateway forked from it."
    answering.warm_up()


@pytest.fixture
def processes():
    "Model servers and gateways of a test; those that still run at its end are killed."
    started = []
    yield started
    for one in started:
        one.process.kill()
        one.process.join() if hasattr(one.process, "join") else one.process.wait()


def whole(reply, mark):
    return reply.status_code == 200 and mark in reply.json()["text"] and reply.json()["text"].endswith("end")


MARKS = "anemia asthma bronchitis colitis dermatitis eczema".split()


def test_a_killed_model_server_is_replaced_and_a_stopped_gateway_ends_what_it_began(tmp_path, warm, processes):
    first, second = ModelServer("model-0"), ModelServer("model-1")
    processes += [first, second]
    gateway, acknowledged = Running(tmp_path, first, second), []
    processes.append(gateway)

    def all_whole(replies):
        for mark, future in zip(MARKS, replies):
            assert whole(future.result(), mark), (mark, future.result().text[:300])
            acknowledged.append(future.result().json())

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        # one of two servers dies in the middle of six answers: the other gives them all
        replies = [pool.submit(gateway.ask, m) for m in MARKS]
        wait_until(lambda: first.under_way() + second.under_way() == 6, "six answers are begun")
        assert first.under_way() > 0, "both servers are asked"
        first.kill()
        wait_until(lambda: second.under_way() == 6, "the other server has them all")
        second.finish(6)
        all_whole(replies)
        assert {a["model_version"] for a in acknowledged} == {"model-1"}

        # a stream cannot start over: it says that it broke off
        body = {"messages": [{"role": "user", "content": "potassium"}], "stream": True}
        with gateway.client.stream("POST", "/v1/chat/completions", json=body) as stream:
            lines = stream.iter_lines()
            assert any("potassium" in line for line in lines)
            second.kill()
            rest = "\n".join(lines)
        assert "broke off" in rest and "[DONE]" not in rest

        # none is left: said at once, with a time to come again; and found again when it is back
        refused = gateway.ask("none")
        assert refused.status_code == 503 and int(refused.headers["retry-after"]) > 0
        assert "no model server is up" in refused.json()["detail"]
        assert answers_at(f"{gateway.address}/readyz", 503) and answers_at(f"{gateway.address}/healthz")
        third = ModelServer("model-2", second.port)
        processes.append(third)
        wait_until(lambda: answers_at(f"{gateway.address}/readyz"), "the server is found again")

        # SIGTERM in the middle of answers: they end, nobody new is let in, nothing of it stays running
        replies = [pool.submit(gateway.ask, m) for m in MARKS[:4]]
        wait_until(lambda: third.under_way() == 4, "four answers are begun")
        os.kill(gateway.process.pid, signal.SIGTERM)
        wait_until(lambda: not answers_at(f"{gateway.address}/healthz"), "nobody new is let in")
        third.finish(4)
        all_whole(replies)
    gateway.process.join(PATIENCE_S)
    assert gateway.process.exitcode == 0 and '"stop"' in gateway.told()
    gateway.kept(acknowledged)
    assert "Connell" not in gateway.told() and "00451234" not in gateway.told()


def test_sigkill_in_the_middle_of_answers_loses_nothing_acknowledged(tmp_path, warm, processes):
    model = ModelServer("model")
    processes.append(model)
    gateway, acknowledged = Running(tmp_path, model), []
    processes.append(gateway)

    def ask(i):
        try:
            reply = gateway.ask(f"number {i}")
        except httpx.TransportError:
            return
        assert reply.status_code == 200
        acknowledged.append(reply.json())

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(ask, i) for i in range(12)]
        model.finish(3)
        wait_until(lambda: len(acknowledged) == 3 and model.under_way() == 4, "three are answered, four begun")
        os.kill(gateway.process.pid, signal.SIGKILL)
        for future in asked:
            future.result()
    gateway.process.join(PATIENCE_S)
    assert len(acknowledged) == 3
    gateway.kept(acknowledged)


@pytest.fixture
def small(tmp_path, warm):
    "A gateway in this process, its store, and Ada's client."
    db = open_store(str(tmp_path / "medllm.db"))
    auth.add_user(db, "ada", PASSWORD, ["clinician"])
    params, model = patient_params(), Scripted(lambda m: "Potassium 6.9 mmol/L: high.")
    with serve_in_thread(create_app(params, db, Pool([model])), params) as address, sign_in(address, "ada") as client:
        yield client, db
    db.close()


def test_a_full_disk_is_told_and_the_gateway_goes_on_when_there_is_space(small):
    client, db = small
    first = client.post("/v1/tasks/abnormal_labs", json={"text": LETTER}).raise_for_status().json()
    with db.engine.connect() as c:
        pages = c.exec_driver_sql("PRAGMA page_count").scalar()
    room = {"pages": pages + 10}

    @sa.event.listens_for(db.engine, "checkout")
    def limit(connection, record, proxy):
        connection.execute(f"PRAGMA max_page_count = {room['pages']}")

    large = LETTER + "\nNo lymphadenopathy seen." * 800
    replies = [client.post("/v1/submissions", json={"text": large}) for _ in range(8)]
    refused = [r for r in replies if r.status_code != 201]
    assert {r.status_code for r in refused} == {507}
    assert "free some space" in refused[0].json()["detail"] and "Connell" not in refused[0].text
    assert client.get(f"/v1/answers/{first['id']}").json()["text"] == first["text"], "what was kept is read on"
    kept = len(client.get("/v1/submissions").json()["items"])
    room["pages"] = pages + 10_000
    assert client.post("/v1/submissions", json={"text": large}).status_code == 201
    assert len(store.submissions(db)) == kept + 1 and audit_trail.check(db).whole


def test_a_locked_store_is_told_with_a_time_to_come_again(small, monkeypatch):
    client, db = small
    monkeypatch.setattr("medllm_nb.serve.database.BUSY_S", 1)
    db.engine.dispose()  # connections to come wait a second
    client.get("/v1/submissions").raise_for_status()
    with db.writing() as session:
        session.execute(sa.text("UPDATE users SET failures = 0"))
        refused = client.post("/v1/submissions", json={"text": LETTER})
        assert client.get("/v1/submissions").status_code == 200, "readers read on"
    assert refused.status_code == 503 and int(refused.headers["retry-after"]) > 0 and "Connell" not in refused.text
    assert client.post("/v1/tasks/abnormal_labs", json={"text": LETTER}).status_code == 200
    assert len(store.submissions(db)) == 1 and audit_trail.check(db).whole, "the refused one left nothing behind"


def self_signed(folder):
    "A certificate for 127.0.0.1, and its key, as PEM files."
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key, name = (
        ec.generate_private_key(ec.SECP256R1()),
        x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "medllm test")]),
    )
    today = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(today - datetime.timedelta(days=1))
        .not_valid_after(today + datetime.timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return str(folder / "cert.pem"), str(folder / "key.pem")


def test_with_a_certificate_everything_is_tls(tmp_path, warm):
    certificate, key = self_signed(tmp_path)
    db = open_store(str(tmp_path / "medllm.db"))
    auth.add_user(db, "ada", PASSWORD, ["clinician"])
    params = patient_params(certificate=certificate, certificate_key=key)
    with serve_in_thread(create_app(params, db, Pool([Scripted(lambda m: "high")])), params) as address:
        assert address.startswith("https://")
        trusting = ssl.create_default_context(cafile=certificate)
        with sign_in(address, "ada", verify=trusting) as client:
            assert "max-age" in client.get("/v1/me").raise_for_status().headers["strict-transport-security"]
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            httpx.get(f"{address}/healthz", timeout=PATIENCE_S)
        with pytest.raises(httpx.TransportError):
            httpx.get(address.replace("https", "http") + "/healthz", timeout=PATIENCE_S)
        old = ssl.create_default_context(cafile=certificate)
        old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{address}/healthz", verify=old, timeout=PATIENCE_S)
    db.close()


def test_beyond_this_machine_only_with_a_certificate(tmp_path):
    (tmp_path / "params.yaml").write_text(json.dumps({"serve": {"host": "0.0.0.0", "port": free_port()}}))
    done = subprocess.run(
        [sys.executable, "-c", "from medllm_nb.operate.cli import serve_command; serve_command()"],
        cwd=tmp_path,
        env=os.environ | {"MEDLLM_KEY": KEY, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 1 and "serve.certificate" in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "store").exists(), "refused before anything is opened"
