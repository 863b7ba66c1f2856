"The clinician's page in a real browser against the real gateway: by keyboard, on a narrow screen, read by axe, and speaking with nobody else."
import base64
import io
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest

pytest.importorskip("fastapi", reason="the extra `serve` is not installed")
pytest.importorskip("playwright", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium")
if not CHROMIUM: pytest.skip("no Chromium: sudo apt-get install chromium", allow_module_level=True)

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect, sync_playwright

from medllm_nb.page import STANDING_LINE, PageParams, page_command
from medllm_nb.upstream import Scripted
from medllm_nb.workflow import PASSWORD, service

ARGS = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync".split()
SHOTS = os.environ.get("MEDLLM_SCREENSHOTS")  # a folder, to keep pictures of the page
LETTER = """MERCY GENERAL HOSPITAL
Patient: O'CONNELL, Margaret   MRN: 00451234   DOB: 03/14/1950
HISTORY: Mrs. O'Connell has had palpitations since March 3, 2024. She takes spironolactone and ramipril.
LABORATORY:
Potassium 6.9 mmol/L (3.5-5.1)
Sodium 131 mmol/L (135-145)
Creatinine 2.1 mg/dL (0.6-1.3)
Hemoglobin 12.4 g/dL (12.0-16.0)
FINDINGS: ECG with peaked T waves. No pulmonary edema.
<img src=x onerror=alert(1)>"""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


WRITTEN = threading.Event()  # until then, the model is still writing its answer to a question


def answers(messages):
    "A model that knows one letter."
    if "Why so high?" in messages[-1]["content"]: WRITTEN.wait(100)
    if "diagnosis" in messages[-1]["content"][:120]: return "Reasoning: Potassium 6.9 mmol/L; ECG with peaked T waves.\nDiagnosis: Hyperkalemia (E87.5)"
    return "Potassium 6.9 mmol/L: high\nSodium 131 mmol/L: low\nCreatinine 2.1 mg/dL: high"


ALERT = {"what": "input drifted: words, 231 to 402", "value": 0.4, "threshold": 0.2, "do": "look at reports of this kind and at how they are read; add some to data/ and train again"}
RATE = {"n": 40, "rate": 0.25, "low": 0.14, "high": 0.4}
MONITOR = {"days": 30, "until": "2026-11-24T09:00:00+00:00", "reports": 41, "answers": 44, "wording": None, "drifted": ["words"], "alerts": [ALERT],
           "rates": {k: RATE for k in ("accept", "edit", "override", "flag_wrong", "flag_dangerous", "breach", "judged")}}


@pytest.fixture(scope="module")
def hospital():
    "A real OpenID Connect provider, in which Noor is of ward 7."
    port = free_port()
    process, url = subprocess.Popen([sys.executable, "-m", "oidc_provider_mock", "--port", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL), f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            try: httpx.get(f"{url}/.well-known/openid-configuration").raise_for_status(); break
            except httpx.HTTPError: time.sleep(0.2)
        for sub, groups in (("s-noor", ["ward-7"]), ("s-eve", ["visitors"])):
            httpx.put(f"{url}/users/{sub}", json={"preferred_username": sub[2:], "groups": groups, "email": f"{sub}@example.org"}).raise_for_status()
        yield url
    finally:
        process.terminate()
        process.wait()


@pytest.fixture(scope="module")
def address(tmp_path_factory, hospital):
    "The page's address, a gateway with a scripted model behind it."
    folder, port, page_port = tmp_path_factory.mktemp("page"), free_port(), free_port()
    (folder / "params.yaml").write_text(f"page:\n  gateway: http://127.0.0.1:{port}\n  sign_in: http://127.0.0.1:{port}/v1/oidc/login\n")
    (folder / "artifacts/metrics").mkdir(parents=True)
    (folder / "artifacts/metrics/monitor.json").write_text(json.dumps(MONITOR))
    os.environ["MEDLLM_OIDC_SECRET"] = "of the client, any with this provider"
    single = dict(oidc_issuer=hospital, oidc_client_id="medllm", oidc_groups={"ward-7": "clinician"}, page=f"http://127.0.0.1:{page_port}/")
    with service(folder, lambda: [Scripted(answers, version="v2")], {"ada": ["clinician"], "bob": ["clinician"], "cleo": ["clinician"], "rita": ["reviewer", "admin"]}, port, **single):
        page = subprocess.Popen(page_command(PageParams(port=page_port)), cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            for _ in range(240):
                try: httpx.get(f"http://127.0.0.1:{page_port}/_stcore/health"); break
                except httpx.HTTPError: time.sleep(0.5)
            yield f"http://127.0.0.1:{page_port}"
        finally:
            page.terminate()
            page.wait(20)


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as p:
        found = p.chromium.launch(executable_path=CHROMIUM, args=ARGS)
        yield found
        found.close()


@pytest.fixture
def visit(browser, address):
    "A fresh visit; at its end it has asked no other host for anything, and no script of a report has run."
    page, elsewhere, alerts = browser.new_page(viewport={"width": 1280, "height": 900}), [], []
    page.set_default_timeout(120_000)
    expect.set_options(timeout=120_000)
    page.on("request", lambda r: elsewhere.append(r.url) if not r.url.startswith((address, address.replace("http", "ws"), "data:", "blob:")) else None)
    page.on("dialog", lambda d: (alerts.append(d.message), d.dismiss()))
    page.goto(address)
    yield page
    page.close()
    assert not elsewhere and not alerts, (elsewhere, alerts)


def look(page, name):
    "No serious fault of accessibility on the page as it stands; a picture where one is asked for."
    page.wait_for_timeout(700)
    faults = [f"{v['id']}: {v['nodes'][0]['html'][:120]}" for v in Axe().run(page).response["violations"] if v["impact"] in ("serious", "critical")]
    assert not faults, (name, faults)
    if SHOTS: page.screenshot(path=Path(SHOTS) / f"page-{name}.png", full_page=True)


def only(locator):
    "The one element, once Streamlit has taken away what the last run of the page left."
    expect(locator).to_have_count(1)
    return locator


def sign_in(page, name, password=PASSWORD):
    "By keyboard alone."
    page.get_by_label("User name").click()
    page.keyboard.type(name)
    page.keyboard.press("Tab")
    page.keyboard.type(password)
    page.keyboard.press("Enter")


def choose(page, label, words):
    "An option of a list, found by typing."
    page.get_by_label(label).click()
    page.keyboard.type(words)
    page.keyboard.press("Enter")


def test_a_clinician_reads_asks_checks_and_overrides(visit):
    page = visit
    expect(page.get_by_text(STANDING_LINE)).to_be_visible()
    sign_in(page, "ada", "a wrong password")
    expect(page.get_by_role("alert").first).to_be_visible()
    look(page, "sign-in")
    page.get_by_label("Password", exact=True).fill("")
    page.get_by_label("User name").fill("")
    sign_in(page, "ada")
    page.get_by_label("Paste a report").fill(LETTER)
    look(page, "new")
    page.get_by_role("button", name="Read report").click()
    report = page.get_by_role("region", name="The report, as sent")
    expect(report).to_contain_text("O'CONNELL, Margaret")
    page.get_by_text("As the model sees it").click()
    seen = page.get_by_role("region", name="The report, as the model sees it")
    expect(seen).to_contain_text("Potassium 6.9")
    assert "CONNELL" not in seen.inner_text().upper() and "00451234" not in seen.inner_text()
    expect(seen.locator("mark.surrogate").nth(3)).to_be_visible()
    look(page, "deidentified")
    page.get_by_text("As sent").click()

    choose(page, "What do you want to know?", "abnormal")
    page.get_by_role("button", name="Ask", exact=True).click()
    expect(page.get_by_role("region", name="The answer")).to_contain_text("Sodium 131 mmol/L: low")
    expect(report.locator("mark.evidence.low")).to_contain_text("131")
    expect(page.locator("table tr")).to_have_count(4)  # a head and three labs; hemoglobin is normal
    expect(page.get_by_text("confidence")).to_be_visible()
    expect(page.get_by_text(STANDING_LINE)).to_be_visible()
    look(page, "answer")

    only(page.get_by_text("Edit, override or flag")).click()
    only(page.get_by_text("Flag as dangerous")).click()
    page.get_by_label("Why? (for the reviewer)").fill("Mrs. O'Connell's potassium must be called")
    only(page.get_by_role("button", name="Send")).click()
    expect(page.get_by_text("Flagged as dangerous by ada")).to_be_visible()
    page.set_viewport_size({"width": 375, "height": 800})
    look(page, "narrow")
    assert page.evaluate("document.documentElement.scrollWidth") <= 375, "a narrow screen scrolls sideways"
    page.set_viewport_size({"width": 1280, "height": 900})
    page.get_by_text("History", exact=True).click()
    expect(page.get_by_text("1 answer")).to_be_visible()
    look(page, "history")
    page.get_by_role("button", name="Open").click()
    expect(page.get_by_role("region", name="The answer")).to_contain_text("Potassium 6.9")
    expect(page.get_by_text("Queue", exact=True)).to_have_count(0)


def test_a_reviewer_judges_without_the_patients_name_and_an_admin_sees_the_trail(visit):
    page = visit
    sign_in(page, "rita")
    page.get_by_text("Queue", exact=True).click()
    expect(page.get_by_text("1 to review")).to_be_visible()
    expect(page.get_by_role("region", name="The report as the model saw it")).to_contain_text("Potassium 6.9")
    assert "connell" not in page.locator("body").inner_text().lower()
    look(page, "queue")
    page.get_by_label("Comment").fill("agreed")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Nothing waits for a review.")).to_be_visible()
    page.get_by_text("Admin", exact=True).click()
    expect(page.get_by_text("each chained to the one before")).to_be_visible()
    expect(page.locator("td", has_text=ALERT["what"])).to_be_visible()
    expect(page.locator("td", has_text="25% (14% to 40%)").first).to_be_visible()
    expect(page.locator("td", has_text="List the abnormal labs").first).to_be_visible()
    look(page, "admin")
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("Password", exact=True)).to_be_visible()


def pdf(text):
    from reportlab.pdfgen.canvas import Canvas
    out = io.BytesIO()
    canvas = Canvas(out)
    canvas.setFont("Helvetica", 9)
    for i, line in enumerate(text.splitlines()): canvas.drawString(60, 780 - 18 * i, line)
    canvas.save()
    return out.getvalue()


def drop(page, name, content, kind):
    "A file let go over the page's field, as from a file manager."
    held = page.evaluate_handle("""([name, content, kind]) => { const held = new DataTransfer();
        held.items.add(new File([Uint8Array.from(atob(content), c => c.charCodeAt(0))], name, {type: kind})); return held; }""", [name, base64.b64encode(content).decode(), kind])
    for event in ("dragenter", "dragover", "drop"): page.get_by_test_id("stFileUploaderDropzone").dispatch_event(event, {"dataTransfer": held})


def test_a_dropped_pdf_is_answered_and_every_judgement_is_kept(visit):
    page = visit
    sign_in(page, "bob")
    expect(page.get_by_label("Paste a report")).to_be_visible()
    drop(page, "O'Connell.pdf", pdf(LETTER), "application/pdf")
    expect(page.get_by_text("O'Connell.pdf")).to_be_visible()
    look(page, "dropped")
    page.get_by_role("button", name="Read report").click()
    expect(page.get_by_role("region", name="The report, as sent")).to_contain_text("Potassium 6.9")
    for task, action, words in (("List the abnormal labs", None, "Accepted by bob"), ("Propose a diagnosis", "Edit: mostly right", "Edited by bob"),
                                ("Summarise the key findings", "Flag as wrong", "Flagged as wrong by bob"), ("Recommend next steps", "Override: I decide", "Overridden by bob")):
        choose(page, "What do you want to know?", task)
        page.get_by_role("button", name="Ask", exact=True).click()
        expect(page.get_by_text(f"{task}. Model v2")).to_be_visible()
        if action is None: only(page.get_by_role("button", name="Accept this answer")).click()
        else:
            only(page.get_by_text("Edit, override or flag")).click()
            only(page.get_by_text(action)).click()
            only(page.get_by_label("The answer as it should be")).fill("Hyperkalemia, to be called now")
            only(page.get_by_role("button", name="Send")).click()
        expect(page.get_by_text(words)).to_be_visible()
    only(page.get_by_text("Edit, override or flag")).scroll_into_view_if_needed()
    expect(page.get_by_text(STANDING_LINE)).to_be_in_viewport()
    look(page, "overridden")
    page.get_by_text("History", exact=True).click()
    expect(page.get_by_text("4 answers")).to_be_visible()


def test_answers_and_reports_that_look_alike_are_told_apart(visit):
    page, answer = visit, visit.get_by_role("region", name="The answer")
    sign_in(page, "cleo")
    for potassium in ("6.9", "3.1"):
        page.get_by_label("Paste a report").fill(LETTER.replace("6.9", potassium))
        page.get_by_role("button", name="Read report").click()
        expect(page.get_by_role("region", name="The report, as sent").first).to_contain_text(f"Potassium {potassium}")
        for number, again in enumerate(("flagged as wrong", "overridden")):
            page.get_by_role("button", name="Ask", exact=True).click()
            if number: expect(page.get_by_label("Answers on this report").first).to_have_value(re.compile("^2. "))
            only(page.get_by_text("Edit, override or flag")).click()
            only(page.get_by_text("Flag as wrong" if again == "flagged as wrong" else "Override: I decide")).click()
            only(page.get_by_label("The answer as it should be")).fill("Call the ward")
            only(page.get_by_role("button", name="Send")).click()
            only(page.get_by_text(f"{again.capitalize()} by cleo"))
        choose(page, "Answers on this report", "1. ")
        only(page.get_by_text("Flagged as wrong by cleo"))
        page.get_by_role("button", name="New report").click()
    for number, potassium in ((1, "3.1"), (2, "6.9")):  # newest first
        page.get_by_text("History", exact=True).click()
        page.get_by_text(f"{number}. 20").click()
        page.get_by_role("button", name="Open", exact=True).click()
        expect(page.get_by_role("region", name="The report, as sent").first).to_contain_text(f"Potassium {potassium}")

    choose(page, "What do you want to know?", "Ask a question")
    page.get_by_label("Your question").fill("Why so high?")
    page.keyboard.press("Enter")
    only(answer)
    page.get_by_role("button", name="Ask", exact=True).click()
    only(page.get_by_text("writing an answer"))
    expect(answer).to_have_count(0)  # the answer before is not there to be judged in its place
    expect(page.get_by_role("button", name="Accept this answer")).to_have_count(0)
    WRITTEN.set()
    only(page.get_by_text("Ask a question. Model v2"))


def tab_to(page, target, most=60):
    "Press Tab until a control has the focus: whoever has no mouse gets there too."
    for _ in range(most):
        if target.evaluate("e => e === document.activeElement || e.contains(document.activeElement)"): return
        page.keyboard.press("Tab")
    raise AssertionError("the keyboard does not get there")


def test_on_a_narrow_screen_and_by_keyboard_alone(visit):
    page = visit
    page.set_viewport_size({"width": 400, "height": 800})
    def fits(name):
        look(page, f"narrow-{name}")
        assert page.evaluate("document.documentElement.scrollWidth") <= 400, f"{name} scrolls sideways"
    def press(button, key="Enter"):
        expect(button).to_be_visible()
        tab_to(page, button)
        page.keyboard.press(key)
    expect(page.get_by_label("User name")).to_be_visible()
    tab_to(page, page.get_by_label("User name")); page.keyboard.type("rita")
    tab_to(page, page.get_by_label("Password", exact=True)); page.keyboard.type(PASSWORD); page.keyboard.press("Enter")
    expect(page.get_by_label("Paste a report")).to_be_visible()
    tab_to(page, page.get_by_label("Paste a report")); page.keyboard.insert_text(LETTER)
    fits("new")
    press(page.get_by_role("button", name="Read report"))
    press(page.get_by_label("What do you want to know?"), "Tab")
    press(page.get_by_role("button", name="Ask", exact=True))
    expect(page.get_by_role("region", name="The answer")).to_be_visible()
    fits("answer")
    expect(page.get_by_text(STANDING_LINE)).to_be_in_viewport()
    press(page.get_by_role("button", name="Accept this answer"))
    expect(page.get_by_text("Accepted by rita")).to_be_visible()
    for view in ("History", "Queue", "Admin"):
        tab_to(page, page.get_by_role("radiogroup", name="View"))
        page.keyboard.press("ArrowRight")
        expect(page.get_by_role("heading", name=view, exact=True)).to_be_visible()
        page.wait_for_timeout(1500)
        fits(view.lower())
    press(page.get_by_role("button", name="Sign out"))
    expect(page.get_by_label("Password", exact=True)).to_be_visible()


@pytest.mark.parametrize("sub, let_in", [("s-noor", True), ("s-eve", False)])
def test_the_hospitals_sign_in_leads_back_to_the_page(browser, address, sub, let_in):
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.route("**://cdn.jsdelivr.net/**", lambda r: r.abort())  # the provider's own style
    page = context.new_page()
    page.set_default_timeout(120_000)
    page.goto(address)
    page.get_by_role("link", name="Sign in with the hospital's account").click()
    page.wait_for_url("**/oauth2/authorize**")
    page.locator("input[name=sub]").fill(sub)
    page.locator("button[type=submit], input[type=submit]").first.click()
    page.wait_for_url(f"{address}/**")
    if let_in:
        expect(page.get_by_label("Paste a report")).to_be_visible()
        expect(page.get_by_role("button", name="Sign out noor")).to_be_visible()
    else: expect(page.get_by_text("did not let you in")).to_be_visible()
    assert len(context.pages) == 1 and "ticket" not in page.url and "medllm_ticket" not in page.evaluate("document.cookie")
    context.close()
