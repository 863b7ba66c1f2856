"""What the service's tests share: ports, waiting, models that wait for a word, an OpenID Connect provider.

Nothing here sleeps for a time and hopes: every wait is for a fact, with ten minutes' patience. A busy machine makes a
test slower and never red.
"""

import asyncio
import itertools
import os
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import httpx

from medllm_nb.serve.backends import Scripted
from medllm_nb.serve.gateway import ServeParams

PATIENCE_S = 600
PORTS = itertools.count(os.getpid() * 37 % 12_000)


def free_port() -> int:
    "A free port below those that the system gives to outgoing connections; no two processes of the tests begin at one."
    for number in PORTS:
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", 20_000 + number % 12_000))
            except OSError:
                continue
            return s.getsockname()[1]


def wait_until(true, what: str, process: subprocess.Popen | None = None) -> None:
    "Wait for a fact; an error that says what did not come, or that the process which should bring it has ended."
    end = time.monotonic() + PATIENCE_S
    while not true():
        assert process is None or process.poll() is None, f"{what}: its process has ended ({process.returncode})"
        assert time.monotonic() < end, f"waited in vain: {what}"
        time.sleep(0.05)


def answers_at(url: str, status: int = 200) -> bool:
    "Whether an address answers so."
    try:
        return httpx.get(url, timeout=PATIENCE_S).status_code == status
    except httpx.TransportError:
        return False


@contextmanager
def process_at(command: list[str], url: str, **more):
    "A process of its own that answers at an address, as long as the block lasts."
    process = subprocess.Popen(command, **({"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL} | more))
    try:
        wait_until(lambda: answers_at(url), url, process)
        yield process
    finally:
        process.kill()
        process.wait()


@contextmanager
def oidc_provider(*users: tuple[str, str, str]):
    "A real OpenID Connect provider (oidc-provider-mock, built on Authlib) with users (sub, name, group)."
    url = f"http://127.0.0.1:{free_port()}"
    command = [sys.executable, "-m", "oidc_provider_mock", "--port", url.rpartition(":")[2]]
    with process_at(command, f"{url}/.well-known/openid-configuration"):
        for sub, name, group in users:
            claims = {"preferred_username": name, "groups": [group], "email": f"{name}@example.org"}
            httpx.put(f"{url}/users/{sub}", json=claims, timeout=PATIENCE_S).raise_for_status()
        yield url


class Held(Scripted):
    "A model that begins when asked and writes when let go; `begun` counts what it was asked, `left` whose reader went."

    def __init__(self, answer, **more):
        super().__init__(answer, **more)
        self.go, self.begun, self.left = threading.Event(), 0, 0

    async def stream(self, messages, options):
        self.begun += 1
        try:
            while not self.go.is_set():
                await asyncio.sleep(0.01)
            async for piece in super().stream(messages, options):
                yield piece
        except (GeneratorExit, asyncio.CancelledError):
            self.left += 1
            raise


PASSWORD = "correct horse battery"
LETTER = (
    "Patient: O'CONNELL, Margaret   MRN: 00451234\n"
    "LABORATORY: Potassium 6.9 mmol/L (3.5-5.1)\n"
    "FINDINGS: Pale conjunctivae."
)


def patient_params(**more) -> ServeParams:
    "Parameters under which nothing runs out of time or turns, on a free port."
    slow = dict(port=0, requests_per_minute=100_000, sign_ins_per_minute=10_000, token_minutes=600)
    return ServeParams(**slow | {"answer_timeout_s": PATIENCE_S} | more)


def sign_in(address: str, name: str, **more) -> httpx.Client:
    "A client signed in as a user."
    credentials = {"username": name, "password": PASSWORD}
    reply = httpx.post(f"{address}/v1/token", json=credentials, timeout=PATIENCE_S, **more).raise_for_status()
    headers = {"authorization": f"Bearer {reply.json()['access_token']}"}
    return httpx.Client(base_url=address, headers=headers, timeout=PATIENCE_S, **more)
