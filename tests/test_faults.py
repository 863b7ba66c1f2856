"What a fault leaves behind: model servers and gateways that are killed, a disk that fills up, a store that is locked, TLS. Traffic goes to loopback only."
import concurrent.futures
import datetime
import ipaddress
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time

import httpx
import pytest
import sqlalchemy as sa
from conftest import KEY, ROOT

from medllm_nb import access, audit, store
from medllm_nb.database import open_store
from medllm_nb.serve import ServeParams, create_app, running
from medllm_nb.upstream import Pool, Scripted

PASSWORD = "correct horse battery"
LETTER = "Patient: O'CONNELL, Margaret   MRN: 00451234\nLABORATORY: Potassium 6.9 mmol/L (3.5-5.1)\nFINDINGS: Pale conjunctivae."
WORDS = 30
MODEL = f"""
import asyncio, json, sys
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse
app = FastAPI()
@app.get("/v1/models")
def models(): return {{"object": "list", "data": [{{"id": sys.argv[2], "object": "model", "created": 0, "owned_by": "test"}}]}}
@app.post("/v1/chat/completions")
async def chat(request: Request):
    asked = (await request.json())["messages"][-1]["content"].split()[-1]
    async def events():
        for word in [asked, *["word"] * {WORDS - 2}, "end"]:
            await asyncio.sleep(0.1)
            yield "data: " + json.dumps({{"id": "x", "object": "chat.completion.chunk", "created": 0, "model": sys.argv[2], "choices": [{{"index": 0, "delta": {{"content": word + " "}}, "finish_reason": None}}]}}) + "\\n\\n"
        yield "data: [DONE]\\n\\n"
    return StreamingResponse(events(), media_type="text/event-stream")
uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="error")
"""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_until(true, seconds=600):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.25)


def answers_at(url):
    try: return httpx.get(url, timeout=30).status_code == 200
    except httpx.TransportError: return False


def model_server(port, name):
    "A process that speaks OpenAI's chat API: it repeats the last word it is asked, then writes on for three seconds."
    process = subprocess.Popen([sys.executable, "-c", MODEL, str(port), name], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_until(lambda: answers_at(f"http://127.0.0.1:{port}/v1/models"))
    return process


class Running:
    "`medllm-serve` as a process of its own, in a project folder of its own, with a user Ada."
    def __init__(self, folder, *upstreams):
        self.place, self.port = str(folder / "medllm.db"), free_port()
        (folder / "params.yaml").write_text(json.dumps({"serve": {"port": self.port, "store": self.place, "upstreams": [f"http://127.0.0.1:{p}/v1" for p in upstreams], "concurrency": 8}}))
        db = open_store(self.place)
        access.add_user(db, "ada", PASSWORD, ["clinician"])
        db.close()
        env = os.environ | {"MEDLLM_KEY": KEY, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
        self.log = open(folder / "log", "w+")
        self.process = subprocess.Popen([sys.executable, "-c", "from medllm_nb.serve import serve_cli; serve_cli()"], cwd=folder, env=env, stdout=self.log, stderr=subprocess.STDOUT)
        self.address = f"http://127.0.0.1:{self.port}"
        wait_until(lambda: answers_at(f"{self.address}/readyz") or self.process.poll() is not None)
        assert self.process.poll() is None, self.told()
        token = httpx.post(f"{self.address}/v1/token", json={"username": "ada", "password": PASSWORD}, timeout=300).raise_for_status().json()["access_token"]
        self.headers = {"authorization": f"Bearer {token}"}

    def ask(self, mark): return httpx.post(f"{self.address}/v1/tasks/abnormal_labs", json={"text": f"{LETTER} Case {mark}"}, headers=self.headers, timeout=300)

    def told(self):
        self.log.seek(0)
        return self.log.read()

    def kept(self, replies):
        "Everything that was acknowledged is in the store, and the audit trail is whole. The gateway must have ended."
        db = open_store(self.place)
        kept = {a.id: a for a in store.answers(db, phi=True)}
        assert all(kept[r["id"]].text == r["text"] for r in replies) and {r["submission_id"] for r in replies} <= {s.id for s in store.submissions(db)}
        assert audit.check(db).whole and {r["object"] for r in audit.rows(db, 1000) if r["action"] == "answer"} == set(kept)
        db.close()


def whole(reply, mark): return reply.status_code == 200 and mark in reply.json()["text"] and reply.json()["text"].endswith("end")


MARKS = "anemia asthma bronchitis colitis dermatitis eczema".split()


def test_a_killed_model_server_is_replaced_and_a_stopped_gateway_ends_what_it_began(tmp_path):
    ports = free_port(), free_port()
    models = [model_server(p, f"model-{i}") for i, p in enumerate(ports)]
    gateway, acknowledged = None, []
    try:
        gateway = Running(tmp_path, *ports)
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            # one of two servers dies in the middle of six answers: the other gives them all
            replies = [pool.submit(gateway.ask, m) for m in MARKS]
            busy = lambda: httpx.get(f"{gateway.address}/readyz").status_code  # noqa: E731
            wait_until(lambda: sum(f.running() for f in replies) == 6 and busy() == 200)
            time.sleep(1.5)
            models[0].kill(); models[0].wait()
            for m, f in zip(MARKS, replies):
                assert whole(f.result(), m), (m, f.result().text[:300])
                acknowledged.append(f.result().json())
            assert {a["model_version"] for a in acknowledged[-6:]} <= {"model-0", "model-1"} and "model-1" in {a["model_version"] for a in acknowledged}

            # a stream cannot start over: it says that it broke off
            body = {"messages": [{"role": "user", "content": "potassium"}], "stream": True}
            with httpx.stream("POST", f"{gateway.address}/v1/chat/completions", json=body, headers=gateway.headers, timeout=300) as stream:
                lines = stream.iter_lines()
                wait_until(lambda: "potassium" in next(lines))
                models[1].kill(); models[1].wait()
                rest = "\n".join(lines)
            assert "broke off" in rest and "[DONE]" not in rest

            # none is left: said at once, with a time to come again; and found again when it is back
            refused = gateway.ask("none")
            assert refused.status_code == 503 and int(refused.headers["retry-after"]) > 0 and "no model server is up" in refused.json()["detail"]
            assert httpx.get(f"{gateway.address}/readyz").status_code == 503 and answers_at(f"{gateway.address}/healthz")
            models[1] = model_server(ports[1], "model-2")
            wait_until(lambda: answers_at(f"{gateway.address}/readyz"), 60)

            # SIGTERM in the middle of answers: they end, nobody new is let in, nothing of it stays running
            replies = [pool.submit(gateway.ask, m) for m in MARKS[:4]]
            wait_until(lambda: all(f.running() for f in replies))
            time.sleep(1.5)
            gateway.process.send_signal(signal.SIGTERM)
            time.sleep(0.5)
            with pytest.raises(httpx.TransportError): httpx.get(f"{gateway.address}/healthz")
            for m, f in zip(MARKS, replies):
                assert whole(f.result(), m), (m, f.result().text[:300])
                acknowledged.append(f.result().json())
        assert gateway.process.wait(60) == 0 and '"stop"' in gateway.told()
        gateway.kept(acknowledged)
        assert "Connell" not in gateway.told() and "00451234" not in gateway.told()
    finally:
        for p in [*models, *([gateway.process] if gateway else [])]: p.kill(); p.wait()


def test_sigkill_in_the_middle_of_answers_loses_nothing_acknowledged(tmp_path):
    port = free_port()
    model, gateway, acknowledged = model_server(port, "model"), None, []
    try:
        gateway = Running(tmp_path, port)
        def ask(i):
            try: reply = gateway.ask(f"number {i}")
            except httpx.TransportError: return
            if reply.status_code == 200: acknowledged.append(reply.json())
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            waiting = [pool.submit(ask, i) for i in range(12)]
            wait_until(lambda: len(acknowledged) >= 3)
            gateway.process.send_signal(signal.SIGKILL)
            concurrent.futures.wait(waiting)
        gateway.process.wait()
        assert len(acknowledged) >= 3
        gateway.kept(acknowledged)
    finally:
        for p in [model, *([gateway.process] if gateway else [])]: p.kill(); p.wait()


@pytest.fixture
def small(tmp_path):
    "A gateway in this process, its store, and Ada's client."
    db = open_store(str(tmp_path / "medllm.db"))
    access.add_user(db, "ada", PASSWORD, ["clinician"])
    params = ServeParams(port=free_port())
    with running(create_app(params, db, Pool([Scripted(lambda m: "Potassium 6.9 mmol/L: high.")])), params) as address, httpx.Client(base_url=address, timeout=300) as client:
        client.headers["authorization"] = "Bearer " + client.post("/v1/token", json={"username": "ada", "password": PASSWORD}).raise_for_status().json()["access_token"]
        yield client, db
    db.close()


def test_a_full_disk_is_told_and_the_gateway_goes_on_when_there_is_space(small):
    client, db = small
    first = client.post("/v1/tasks/abnormal_labs", json={"text": LETTER}).raise_for_status().json()
    with db.engine.connect() as c: pages = c.exec_driver_sql("PRAGMA page_count").scalar()
    room = {"pages": pages + 10}
    @sa.event.listens_for(db.engine, "checkout")
    def limit(connection, record, proxy): connection.execute(f"PRAGMA max_page_count = {room['pages']}")
    large = LETTER + "\nNo lymphadenopathy seen." * 800
    refused = [r for r in (client.post("/v1/submissions", json={"text": large}) for _ in range(8)) if r.status_code != 201]
    assert refused and {r.status_code for r in refused} == {507} and "free some space" in refused[0].json()["detail"] and "Connell" not in refused[0].text
    assert client.get(f"/v1/answers/{first['id']}").json()["text"] == first["text"], "what was kept is read on"
    kept = len(client.get("/v1/submissions").json()["items"])
    room["pages"] = pages + 10_000
    assert client.post("/v1/submissions", json={"text": large}).status_code == 201
    assert len(store.submissions(db)) == kept + 1 and audit.check(db).whole


def test_a_locked_store_is_told_with_a_time_to_come_again(small, monkeypatch):
    client, db = small
    monkeypatch.setattr("medllm_nb.database.BUSY_S", 1)
    db.engine.dispose()  # connections to come wait a second
    client.get("/v1/submissions").raise_for_status()
    with db.writing() as session:
        session.execute(sa.text("UPDATE users SET failures = 0"))
        refused = client.post("/v1/submissions", json={"text": LETTER})
        assert client.get("/v1/submissions").status_code == 200, "readers read on"
    assert refused.status_code == 503 and int(refused.headers["retry-after"]) > 0 and "Connell" not in refused.text
    assert client.post("/v1/tasks/abnormal_labs", json={"text": LETTER}).status_code == 200
    assert len(store.submissions(db)) == 1 and audit.check(db).whole, "the refused one left nothing behind"


def self_signed(folder):
    "A certificate for 127.0.0.1, and its key, as PEM files."
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "medllm test")])
    today = datetime.datetime.now(datetime.UTC)
    made = (x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(x509.random_serial_number())
            .not_valid_before(today - datetime.timedelta(days=1)).not_valid_after(today + datetime.timedelta(days=2))
            .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), True).sign(key, hashes.SHA256()))
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    return str(folder / "cert.pem"), str(folder / "key.pem")


def test_with_a_certificate_everything_is_tls(tmp_path):
    certificate, key = self_signed(tmp_path)
    db = open_store(str(tmp_path / "medllm.db"))
    access.add_user(db, "ada", PASSWORD, ["clinician"])
    params = ServeParams(port=free_port(), certificate=certificate, certificate_key=key)
    with running(create_app(params, db, Pool([Scripted(lambda m: "high")])), params) as address:
        assert address.startswith("https://")
        trusting = ssl.create_default_context(cafile=certificate)
        reply = httpx.post(f"{address}/v1/token", json={"username": "ada", "password": PASSWORD}, verify=trusting, timeout=300)
        assert reply.status_code == 200 and "max-age" in reply.headers["strict-transport-security"]
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"): httpx.get(f"{address}/healthz")
        with pytest.raises(httpx.TransportError): httpx.get(address.replace("https", "http") + "/healthz")
        old = ssl.create_default_context(cafile=certificate)
        old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
        with pytest.raises(httpx.ConnectError): httpx.get(f"{address}/healthz", verify=old)
    db.close()


def test_beyond_this_machine_only_with_a_certificate(tmp_path):
    (tmp_path / "params.yaml").write_text(json.dumps({"serve": {"host": "0.0.0.0", "port": free_port()}}))
    done = subprocess.run([sys.executable, "-c", "from medllm_nb.serve import serve_cli; serve_cli()"], cwd=tmp_path, env=os.environ | {"MEDLLM_KEY": KEY, "PYTHONPATH": str(ROOT)},
                          capture_output=True, text=True, timeout=300)
    assert done.returncode == 1 and "serve.certificate" in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "store").exists(), "refused before anything is opened"
