"""Signing in through a hospital's provider, on loopback.

A real OpenID Connect provider process: oidc-provider-mock, built on Authlib's provider.
"""

import os

import httpx
import pytest
from serving import PASSWORD, PATIENCE_S, oidc_provider, patient_params

from medllm_nb.serve import answering, api_auth, audit_trail, auth
from medllm_nb.serve.database import open_store
from medllm_nb.serve.api import create_app, serve_in_thread
from medllm_nb.serve.backends import Pool, Scripted

pytest.importorskip("oidc_provider_mock")


@pytest.fixture(scope="module", autouse=True)
def cold():
    "Nobody sends a report here, so nothing is loaded for one."
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(answering, "warm_up", lambda: None)
        yield


@pytest.fixture(scope="module")
def provider():
    with oidc_provider(("s-ada", "ada", "ward-7"), ("s-eve", "eve", "visitors")) as url:
        yield url


@pytest.fixture(scope="module")
def gateway(provider, tmp_path_factory):
    db = open_store(str(tmp_path_factory.mktemp("oidc") / "medllm.db"))
    auth.add_user(db, "ada", PASSWORD, ["admin"])  # a local user of the same name
    os.environ["MEDLLM_OIDC_SECRET"] = "of the client, any with this provider"
    params = patient_params(oidc_issuer=provider, oidc_client_id="medllm", oidc_groups={"ward-7": "clinician"})
    with serve_in_thread(create_app(params, db, Pool([Scripted(lambda m: "x")])), params) as address:
        yield address, db
    db.close()


def sign_in(address, sub):
    "The whole round, as a browser walks it: to the provider, consent there, and back with the code."
    browser = httpx.Client(follow_redirects=False, timeout=PATIENCE_S)
    there = browser.get(f"{address}/v1/oidc/login").headers["location"]
    assert "code_challenge_method=S256" in there and "nonce=" in there and "state=" in there
    back = browser.post(there, data={"sub": sub}).headers["location"]
    assert back.startswith(f"{address}/v1/oidc/callback")
    return browser, back


def test_the_whole_round_gives_a_token_with_the_groups_role(gateway):
    address, db = gateway
    browser, back = sign_in(address, "s-ada")
    reply = browser.get(back).raise_for_status().json()
    assert reply["user"]["roles"] == ["clinician"] and reply["user"]["name"].startswith("ada."), (
        "never the local user of that name"
    )
    me = httpx.get(
        f"{address}/v1/me", headers={"authorization": f"Bearer {reply['access_token']}"}, timeout=PATIENCE_S
    ).json()
    assert me["name"] == reply["user"]["name"] and "admin" not in me["scopes"]


def test_without_a_group_that_counts_one_stays_outside(gateway):
    address, db = gateway
    browser, back = sign_in(address, "s-eve")
    reply = browser.get(back)
    assert reply.status_code == 401 and "no group" in reply.json()["detail"]
    assert audit_trail.rows(db)[0]["detail"]["reason"] == "no group"


def test_a_stolen_or_repeated_code_is_worth_nothing(gateway):
    address, db = gateway
    browser, back = sign_in(address, "s-ada")
    assert httpx.get(back, timeout=PATIENCE_S).status_code == 401, "in another browser: no state"
    assert browser.get(back.replace("state=", "state=x")).status_code == 401
    browser, back = sign_in(address, "s-ada")
    assert browser.get(back).status_code == 200 and browser.get(back).status_code == 401


def test_who_came_from_the_page_goes_back_there_with_a_ticket_for_one_token(provider, tmp_path, monkeypatch):
    db = open_store(str(tmp_path / "medllm.db"))
    assert api_auth.TICKET_S == 60
    monkeypatch.setattr(api_auth, "TICKET_S", PATIENCE_S)  # a minute may be short where much else runs
    os.environ["MEDLLM_OIDC_SECRET"] = "of the client, any with this provider"
    params = patient_params(
        oidc_issuer=provider,
        oidc_client_id="medllm",
        oidc_groups={"ward-7": "clinician"},
        page_url="http://127.0.0.1:8501/",
    )
    with serve_in_thread(create_app(params, db, Pool([Scripted(lambda m: "x")])), params) as address:
        browser, back = sign_in(address, "s-ada")
        reply = browser.get(back)
        assert (reply.status_code, reply.headers["location"]) == (303, "http://127.0.0.1:8501/")
        assert all(
            w in reply.headers["set-cookie"]
            for w in ("medllm_ticket=", "HttpOnly", "SameSite=strict", f"Max-Age={PATIENCE_S}")
        )
        ticket = reply.cookies["medllm_ticket"]
        assert ticket not in reply.headers["location"] + reply.text
        redeem = lambda t: httpx.post(f"{address}/v1/oidc/token", json={"ticket": t}, timeout=PATIENCE_S)  # noqa: E731
        token = redeem(ticket)
        assert token.status_code == 200 and token.json()["user"]["roles"] == ["clinician"]
        assert [redeem(t).status_code for t in (ticket, "guess", "")] == [401, 401, 401], "good once"
        browser, back = sign_in(address, "s-eve")
        refused = browser.get(back)
        assert refused.headers[
            "location"
        ] == "http://127.0.0.1:8501/?refused=1" and "medllm_ticket" not in refused.headers.get("set-cookie", "")
    db.close()
