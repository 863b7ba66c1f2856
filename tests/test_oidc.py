"Signing in through a hospital's provider: a real OpenID Connect provider process (oidc-provider-mock, built on Authlib's provider) on loopback."
import os
import socket
import subprocess
import sys
import time

import httpx
import pytest

from medllm_nb import access, audit
from medllm_nb.database import open_store
from medllm_nb.serve import ServeParams, create_app, running
from medllm_nb.upstream import Pool, Scripted

pytest.importorskip("oidc_provider_mock")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@pytest.fixture(scope="module")
def provider():
    port = free_port()
    process = subprocess.Popen([sys.executable, "-m", "oidc_provider_mock", "--port", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            try:
                if httpx.get(f"{url}/.well-known/openid-configuration").status_code == 200: break
            except httpx.TransportError: pass
            time.sleep(0.1)
        for sub, groups in (("s-ada", ["ward-7"]), ("s-eve", ["visitors"])):
            httpx.put(f"{url}/users/{sub}", json={"preferred_username": "ada", "groups": groups, "email": "ada@example.org"}).raise_for_status()
        yield url
    finally:
        process.terminate()
        process.wait()


@pytest.fixture(scope="module")
def gateway(provider, tmp_path_factory):
    db = open_store(str(tmp_path_factory.mktemp("oidc") / "medllm.db"))
    access.add_user(db, "ada", "correct horse battery", ["admin"])  # a local user of the same name
    os.environ["MEDLLM_OIDC_SECRET"] = "of the client, any with this provider"
    params = ServeParams(port=free_port(), oidc_issuer=provider, oidc_client_id="medllm", oidc_groups={"ward-7": "clinician"})
    with running(create_app(params, db, Pool([Scripted(lambda m: "x")])), params) as address: yield address, db
    db.close()


def sign_in(address, sub):
    "The whole round, as a browser walks it: to the provider, consent there, and back with the code."
    browser = httpx.Client(follow_redirects=False, timeout=60)
    there = browser.get(f"{address}/v1/oidc/login").headers["location"]
    assert "code_challenge_method=S256" in there and "nonce=" in there and "state=" in there
    back = browser.post(there, data={"sub": sub}).headers["location"]
    assert back.startswith(f"{address}/v1/oidc/callback")
    return browser, back


def test_the_whole_round_gives_a_token_with_the_groups_role(gateway):
    address, db = gateway
    browser, back = sign_in(address, "s-ada")
    reply = browser.get(back).raise_for_status().json()
    assert reply["user"]["roles"] == ["clinician"] and reply["user"]["name"].startswith("ada."), "never the local user of that name"
    me = httpx.get(f"{address}/v1/me", headers={"authorization": f"Bearer {reply['access_token']}"}).json()
    assert me["name"] == reply["user"]["name"] and "admin" not in me["scopes"]


def test_without_a_group_that_counts_one_stays_outside(gateway):
    address, db = gateway
    browser, back = sign_in(address, "s-eve")
    reply = browser.get(back)
    assert reply.status_code == 401 and "no group" in reply.json()["detail"]
    assert audit.rows(db)[0]["detail"]["reason"] == "no group"


def test_a_stolen_or_repeated_code_is_worth_nothing(gateway):
    address, db = gateway
    browser, back = sign_in(address, "s-ada")
    assert httpx.get(back).status_code == 401, "in another browser: no state"
    assert browser.get(back.replace("state=", "state=x")).status_code == 401
    browser, back = sign_in(address, "s-ada")
    assert browser.get(back).status_code == 200 and browser.get(back).status_code == 401


def test_who_came_from_the_page_goes_back_there_with_a_ticket_for_one_token(provider, tmp_path):
    db, port = open_store(str(tmp_path / "medllm.db")), free_port()
    os.environ["MEDLLM_OIDC_SECRET"] = "of the client, any with this provider"
    params = ServeParams(port=port, oidc_issuer=provider, oidc_client_id="medllm", oidc_groups={"ward-7": "clinician"}, page="http://127.0.0.1:8501/")
    with running(create_app(params, db, Pool([Scripted(lambda m: "x")])), params) as address:
        browser, back = sign_in(address, "s-ada")
        reply = browser.get(back)
        assert (reply.status_code, reply.headers["location"]) == (303, "http://127.0.0.1:8501/")
        assert all(w in reply.headers["set-cookie"] for w in ("medllm_ticket=", "HttpOnly", "SameSite=strict", "Max-Age=60"))
        ticket = reply.cookies["medllm_ticket"]
        assert ticket not in reply.headers["location"] + reply.text
        redeem = lambda t: httpx.post(f"{address}/v1/oidc/token", json={"ticket": t}, timeout=60)  # noqa: E731
        token = redeem(ticket)
        assert token.status_code == 200 and token.json()["user"]["roles"] == ["clinician"]
        assert [redeem(t).status_code for t in (ticket, "guess", "")] == [401, 401, 401], "good once"
        browser, back = sign_in(address, "s-eve")
        refused = browser.get(back)
        assert refused.headers["location"] == "http://127.0.0.1:8501/?refused=1" and "medllm_ticket" not in refused.headers.get("set-cookie", "")
    db.close()
