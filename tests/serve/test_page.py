"""The clinician's page in a real browser against the real gateway.

By mouse, by keyboard alone, on a narrow screen, read by axe, and speaking with nobody else.
"""

import asyncio
import base64
import io
import json
import os
import re
import shutil
import threading
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="the extra `serve` is not installed")
pytest.importorskip("playwright", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium")
if not CHROMIUM:
    pytest.skip("no Chromium: sudo apt-get install chromium", allow_module_level=True)

from axe_playwright_python.sync_playwright import Axe  # noqa: E402
from playwright.sync_api import expect, sync_playwright  # noqa: E402
from serving import PATIENCE_S, free_port, oidc_provider, process_at  # noqa: E402

from medllm_nb.operate.clinical_day import PASSWORD, service  # noqa: E402
from medllm_nb.serve import api_auth  # noqa: E402
from medllm_nb.serve.backends import Scripted  # noqa: E402
from medllm_nb.serve.page import DISCLAIMER, PageParams, page_command  # noqa: E402

pytestmark = [pytest.mark.browser, pytest.mark.slow]
ARGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run "
    "--disable-background-networking --disable-component-update --disable-sync"
).split()
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

WRITTEN = threading.Event()  # until then, the model is still writing its answer to a question


def answers(messages):
    "A model that knows one letter."
    if "diagnosis" in messages[-1]["content"][:120]:
        return "Reasoning: Potassium 6.9 mmol/L; ECG with peaked T waves.\nDiagnosis: Hyperkalemia (E87.5)"
    return "Potassium 6.9 mmol/L: high\nSodium 131 mmol/L: low\nCreatinine 2.1 mg/dL: high"


class Knowing(Scripted):
    "The model of these tests; to one question it writes its answer when the test says so."

    async def stream(self, messages, options):
        while "Why so high?" in messages[-1]["content"] and not WRITTEN.is_set():
            await asyncio.sleep(0.02)
        async for piece in super().stream(messages, options):
            yield piece


ALERT = {
    "what": "input drifted: words, 231 to 402",
    "value": 0.4,
    "threshold": 0.2,
    "do": "look at reports of this kind and at how they are read; add some to data/ and train again",
}
RATE = {"n": 40, "rate": 0.25, "low": 0.14, "high": 0.4}
MONITOR = {
    "days": 30,
    "until": "2026-11-24T09:00:00+00:00",
    "reports": 41,
    "answers": 44,
    "wording": None,
    "drifted": ["words"],
    "alerts": [ALERT],
    "rates": {k: RATE for k in ("accept", "edit", "override", "flag_wrong", "flag_dangerous", "breach", "judged")},
}


@pytest.fixture(scope="module")
def hospital():
    "A real OpenID Connect provider, in which Noor is of ward 7."
    with oidc_provider(("s-noor", "noor", "ward-7"), ("s-eve", "eve", "visitors")) as url:
        yield url


@pytest.fixture(scope="module")
def gateway(tmp_path_factory, hospital):
    "A gateway with a scripted model, the page's port and the folder of both; nothing in it runs out of time."
    folder, page_port = tmp_path_factory.mktemp("page"), free_port()
    (folder / "artifacts/metrics").mkdir(parents=True)
    (folder / "artifacts/metrics/monitor.json").write_text(json.dumps(MONITOR))
    os.environ["MEDLLM_OIDC_SECRET"] = "of the client, any with this provider"
    users = {name: ["clinician"] for name in ("ada", "bob", "cleo", "dan")} | {"rita": ["reviewer", "admin"]}
    params = dict(
        oidc_issuer=hospital,
        oidc_client_id="medllm",
        oidc_groups={"ward-7": "clinician"},
        page_url=f"http://127.0.0.1:{page_port}/",
        token_minutes=600,
        answer_timeout_s=PATIENCE_S,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(api_auth, "TICKET_S", PATIENCE_S)
        with service(folder, lambda: [Knowing(answers, version="v2")], users, 0, **params) as (client, _):
            yield client, page_port, folder


@pytest.fixture(scope="module")
def address(gateway):
    "The page's address."
    client, port, folder = gateway
    base = str(client.base_url).rstrip("/")
    section = {"gateway": base, "sign_in": f"{base}/v1/oidc/login", "timeout_s": PATIENCE_S}
    (folder / "params.yaml").write_text(json.dumps({"page": section}))
    with process_at(page_command(PageParams(port=port)), f"http://127.0.0.1:{port}/_stcore/health", cwd=folder):
        yield f"http://127.0.0.1:{port}"


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as p:
        chromium = p.chromium.launch(executable_path=CHROMIUM, args=ARGS, timeout=1000 * PATIENCE_S)
        yield chromium
        chromium.close()


@pytest.fixture
def visit(browser, address):
    "A fresh visit; at its end it has asked no other host for anything, and no script of a report has run."
    page, elsewhere, alerts = patient(browser.new_page(viewport={"width": 1280, "height": 900})), [], []
    ours = (address, address.replace("http", "ws"), "data:", "blob:")
    page.on("request", lambda r: None if r.url.startswith(ours) else elsewhere.append(r.url))
    page.on("dialog", lambda d: (alerts.append(d.message), d.dismiss()))
    page.goto(address)
    expect(button(page, "Sign in")).to_be_visible()
    settled(page)
    yield page
    page.close()
    assert not elsewhere and not alerts, (elsewhere, alerts)


def patient(page):
    "A page whose steps wait ten minutes before they fail."
    page.set_default_timeout(1000 * PATIENCE_S)
    expect.set_options(timeout=1000 * PATIENCE_S)
    return page


# --- steps. Each does one thing, waits for what only that can bring, and then until Streamlit has run the page to its
# end: while it reruns, what the last view left stands beside what the next one shows, and a button may be there twice.

SETTLED = """() => {
  const app = document.querySelector('[data-testid="stApp"]');
  const moves = a => a.playState === 'running' && a.effect.getComputedTiming().endTime !== Infinity;
  return app !== null
    && app.dataset.testScriptState === 'notRunning' && app.dataset.testConnectionState === 'CONNECTED'
    && !document.querySelector('[data-stale="true"], [data-testid="stSpinner"], [data-testid="stSkeleton"]')
    && !document.getAnimations().some(moves);
}"""


def settled(page):
    "Streamlit is idle, nothing of the run before is left on the page, and nothing moves."
    page.wait_for_function(SETTLED)


def button(page, name):
    'A button of the page by its whole name; not the arrow of a list, which Streamlit calls "Open" too.'
    buttons = page.locator('[data-testid="stButton"], [data-testid="stFormSubmitButton"]')
    return buttons.get_by_role("button", name=name, exact=True)


def press(page, name, then):
    "A click on a button, and what comes of it."
    button(page, name).click()
    expect(then).to_be_visible()
    settled(page)


def pick(page, group, words, then=None):
    "A click on an option of a group, and what comes of it (the option is chosen, where it changes nothing else)."
    options = page.get_by_role("radiogroup", name=group, exact=True)
    options.get_by_text(words).click()
    if then:
        expect(then).to_be_visible()
    else:
        expect(options.get_by_role("radio", name=words)).to_be_checked()
    settled(page)


def go_to(page, view):
    "Another view of the page."
    pick(page, "View", whole(view), heading(page, view))


def choose(page, label, words, then=None):
    "An option of a list, found by typing its whole name or the beginning of it."
    box = page.get_by_role("combobox", name=label, exact=True)
    box.click()
    page.keyboard.type(words)
    page.get_by_role("listbox").get_by_role("option", name=begins(words)).click()
    expect(box).to_have_value(begins(words))
    if then:
        expect(then).to_be_visible()
    settled(page)


def ask(page, task, model="v2"):
    "Ask for an answer, and see that it is this task's."
    press(page, "Ask", page.get_by_text(f"{task}. Model {model}"))


def judge(page, action, text, then):
    "Open the form below the answer, fill it in and send it."
    page.get_by_text("Edit, override or flag", exact=True).click()
    pick(page, "What is it?", begins(action))
    if text:
        page.get_by_role("textbox", name="The answer as it should be", exact=True).fill(text)
    press(page, "Send", page.get_by_text(then))


def whole(words):
    return re.compile(f"^{re.escape(words)}$")


def begins(words):
    return re.compile(f"^{re.escape(words)}")


def heading(page, name):
    return page.get_by_role("heading", name=name, exact=True)


def region(page, name):
    return page.get_by_role("region", name=name, exact=True)


def field(page, name):
    return page.get_by_role("textbox", name=name, exact=True)


def look(page, name):
    "No serious fault of accessibility on the page as it stands; a picture where one is asked for."
    settled(page)
    violations = [v for v in Axe().run(page).response["violations"] if v["impact"] in ("serious", "critical")]
    faults = [f"{v['id']}: {v['nodes'][0]['html'][:120]}" for v in violations]
    assert not faults, (name, faults)
    if SHOTS:
        page.screenshot(path=Path(SHOTS) / f"page-{name}.png", full_page=True)


def sign_in(page, name, then, password=PASSWORD):
    "By keyboard alone, and what comes of it."
    field(page, "User name").fill("")
    field(page, "Password").fill("")
    field(page, "User name").click()
    page.keyboard.type(name)
    page.keyboard.press("Tab")
    page.keyboard.type(password)
    page.keyboard.press("Enter")
    expect(then).to_be_visible()
    settled(page)


def read_report(page, text, words):
    "Paste a report and have it read; the region that shows it."
    field(page, "Paste a report").fill(text)
    report = region(page, "The report, as sent")
    press(page, "Read report", report.get_by_text(words))
    return report


# --- the visits


def test_a_clinician_reads_asks_checks_and_overrides(visit):
    page = visit
    expect(page.get_by_text(DISCLAIMER)).to_be_visible()
    sign_in(page, "ada", page.get_by_role("alert").get_by_text("Wrong name or password"), "a wrong password")
    look(page, "sign-in")
    sign_in(page, "ada", field(page, "Paste a report"))
    field(page, "Paste a report").fill(LETTER)
    look(page, "new")
    report = read_report(page, LETTER, "O'CONNELL, Margaret")
    seen = region(page, "The report, as the model sees it")
    pick(page, "Show the report", "As the model sees it", seen)
    expect(seen).to_contain_text("Potassium 6.9")
    assert "CONNELL" not in seen.inner_text().upper() and "00451234" not in seen.inner_text()
    expect(seen.locator("mark.surrogate").nth(3)).to_be_visible()
    look(page, "deidentified")
    pick(page, "Show the report", "As sent", report)

    choose(page, "What do you want to know?", "List the abnormal labs")
    ask(page, "List the abnormal labs")
    expect(region(page, "The answer")).to_contain_text("Sodium 131 mmol/L: low")
    expect(report.locator("mark.evidence.low")).to_contain_text("131")
    expect(page.locator("table tr")).to_have_count(4)  # a head and three labs; hemoglobin is normal
    expect(page.get_by_text("confidence")).to_be_visible()
    expect(page.get_by_text(DISCLAIMER)).to_be_visible()
    look(page, "answer")

    page.get_by_text("Edit, override or flag", exact=True).click()
    pick(page, "What is it?", "Flag as dangerous")
    field(page, "Why? (for the reviewer)").fill("Mrs. O'Connell's potassium must be called")
    press(page, "Send", page.get_by_text("Flagged as dangerous by ada"))
    page.set_viewport_size({"width": 375, "height": 800})
    look(page, "narrow")
    assert page.evaluate("document.documentElement.scrollWidth") <= 375, "a narrow screen scrolls sideways"
    page.set_viewport_size({"width": 1280, "height": 900})
    go_to(page, "History")
    expect(page.get_by_text(re.compile(r"^1\. 20.*, 1 answer$"))).to_be_visible()
    look(page, "history")
    press(page, "Open", heading(page, "Report"))
    expect(region(page, "The answer")).to_contain_text("Potassium 6.9")
    expect(page.get_by_text("Queue", exact=True)).to_have_count(0)


def flag(client, name):
    "A clinician's flag on an answer about Mrs. O'Connell, sent without the page."
    token = client.post("/v1/token", json={"username": name, "password": PASSWORD}).raise_for_status().json()
    said = {"headers": {"authorization": f"Bearer {token['access_token']}"}}
    answer = client.post("/v1/tasks/abnormal_labs", json={"text": LETTER}, **said).raise_for_status().json()
    body = {"action": "flag_dangerous", "reason": "Mrs. O'Connell's potassium must be called"}
    client.post(f"/v1/answers/{answer['id']}/feedback", json=body, **said).raise_for_status()


def test_a_reviewer_judges_without_the_patients_name_and_an_admin_sees_the_trail(visit, gateway):
    page = visit
    flag(gateway[0], "dan")
    sign_in(page, "rita", field(page, "Paste a report"))
    go_to(page, "Queue")
    expect(heading(page, "1 to review").or_(heading(page, "2 to review"))).to_be_visible()
    waiting = int(page.get_by_role("heading", level=2).inner_text().split()[0])
    expect(region(page, "The report as the model saw it")).to_contain_text("Potassium 6.9")
    assert "connell" not in page.locator("body").inner_text().lower()
    look(page, "queue")
    for left in range(waiting - 1, -1, -1):  # the first visit's flag, where it has run, and Dan's
        field(page, "Comment").fill("agreed")
        after = heading(page, f"{left} to review") if left else page.get_by_text("Nothing waits for a review.")
        press(page, "Save", after)
    go_to(page, "Admin")
    expect(page.get_by_text("each chained to the one before")).to_be_visible()
    cell = lambda words: page.get_by_role("cell", name=words, exact=True)  # noqa: E731
    expect(cell(ALERT["what"])).to_be_visible()
    expect(cell("25% (14% to 40%)")).to_have_count(len(MONITOR["rates"]))
    expect(region(page, "Use").get_by_role("cell", name="List the abnormal labs")).to_be_visible()
    look(page, "admin")
    press(page, "Sign out rita", field(page, "Password"))


def pdf(text):
    from reportlab.pdfgen.canvas import Canvas

    out = io.BytesIO()
    canvas = Canvas(out)
    canvas.setFont("Helvetica", 9)
    for i, line in enumerate(text.splitlines()):
        canvas.drawString(60, 780 - 18 * i, line)
    canvas.save()
    return out.getvalue()


DATA_TRANSFER = """([name, content, kind]) => {
  const transfer = new DataTransfer();
  const bytes = Uint8Array.from(atob(content), c => c.charCodeAt(0));
  transfer.items.add(new File([bytes], name, {type: kind}));
  return transfer;
}"""


def drop(page, name, content, kind):
    "A file let go over the page's field, as from a file manager."
    transfer = page.evaluate_handle(DATA_TRANSFER, [name, base64.b64encode(content).decode(), kind])
    for event in ("dragenter", "dragover", "drop"):
        page.get_by_test_id("stFileUploaderDropzone").dispatch_event(event, {"dataTransfer": transfer})


def test_a_dropped_pdf_is_answered_and_every_judgement_is_kept(visit):
    page = visit
    sign_in(page, "bob", field(page, "Paste a report"))
    drop(page, "O'Connell.pdf", pdf(LETTER), "application/pdf")
    expect(page.get_by_text("O'Connell.pdf", exact=True)).to_be_visible()
    look(page, "dropped")
    press(page, "Read report", region(page, "The report, as sent").get_by_text("Potassium 6.9"))
    for task, action, words in (
        ("List the abnormal labs", None, "Accepted by bob"),
        ("Propose a diagnosis", "Edit: mostly right", "Edited by bob"),
        ("Summarise the key findings", "Flag as wrong", "Flagged as wrong by bob"),
        ("Recommend next steps", "Override: I decide", "Overridden by bob"),
    ):
        choose(page, "What do you want to know?", task)
        ask(page, task)
        if action is None:
            press(page, "Accept this answer", page.get_by_text(words))
        else:
            judge(page, action, "Hyperkalemia, to be called now", words)
    page.get_by_text("Edit, override or flag", exact=True).scroll_into_view_if_needed()
    expect(page.get_by_text(DISCLAIMER)).to_be_in_viewport()
    look(page, "overridden")
    go_to(page, "History")
    expect(page.get_by_text(re.compile(r"^1\. 20.*, 4 answers$"))).to_be_visible()


def test_answers_and_reports_that_look_alike_are_told_apart(visit):
    page, answer = visit, region(visit, "The answer")
    chosen = page.get_by_role("combobox", name="Answers on this report", exact=True)
    sign_in(page, "cleo", field(page, "Paste a report"))
    for potassium in ("6.9", "3.1"):
        read_report(page, LETTER.replace("6.9", potassium), f"Potassium {potassium}")
        ask(page, "Summarise the key findings")
        judge(page, "Flag as wrong", "Call the ward", "Flagged as wrong by cleo")
        button(page, "Ask").click()
        expect(chosen).to_have_value(begins("2. "))  # only now is it the second that is judged
        settled(page)
        judge(page, "Override: I decide", "Call the ward", "Overridden by cleo")
        choose(page, "Answers on this report", "1. ", page.get_by_text("Flagged as wrong by cleo"))
        press(page, "New report", field(page, "Paste a report"))
    for number, potassium in ((1, "3.1"), (2, "6.9")):  # newest first
        go_to(page, "History")
        pick(page, "Your reports", begins(f"{number}. 20"))
        press(page, "Open", heading(page, "Report"))
        expect(region(page, "The report, as sent")).to_contain_text(f"Potassium {potassium}")

    choose(page, "What do you want to know?", "Ask a question", field(page, "Your question"))
    field(page, "Your question").fill("Why so high?")
    page.keyboard.press("Enter")
    expect(answer).to_be_visible()
    settled(page)
    button(page, "Ask").click()
    expect(page.get_by_test_id("stSpinner").get_by_text("writing an answer")).to_be_visible()
    expect(answer).to_have_count(0)  # the answer before is not there to be judged in its place
    expect(button(page, "Accept this answer")).to_have_count(0)
    WRITTEN.set()
    expect(page.get_by_text("Ask a question. Model v2")).to_be_visible()


def tab_to(page, target, most=60):
    "Press Tab until a control has the focus: whoever has no mouse gets there too."
    for _ in range(most):
        if target.evaluate("e => e === document.activeElement || e.contains(document.activeElement)"):
            return
        page.keyboard.press("Tab")
    raise AssertionError("the keyboard does not get there")


def by_key(page, control, key="Enter", then=None):
    "Reach a control by Tab, press a key, and see what comes of it."
    expect(control).to_be_visible()
    tab_to(page, control)
    page.keyboard.press(key)
    if then:
        expect(then).to_be_visible()
    settled(page)


def test_on_a_narrow_screen_and_by_keyboard_alone(visit):
    page = visit
    page.set_viewport_size({"width": 400, "height": 800})

    def fits(name):
        look(page, f"narrow-{name}")
        assert page.evaluate("document.documentElement.scrollWidth") <= 400, f"{name} scrolls sideways"

    settled(page)
    tab_to(page, field(page, "User name"))
    page.keyboard.type("rita")
    tab_to(page, field(page, "Password"))
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    expect(field(page, "Paste a report")).to_be_visible()
    settled(page)
    tab_to(page, field(page, "Paste a report"))
    page.keyboard.insert_text(LETTER)
    fits("new")
    by_key(page, button(page, "Read report"), then=region(page, "The report, as sent"))
    by_key(page, page.get_by_role("combobox", name="What do you want to know?", exact=True), "Tab")
    by_key(page, button(page, "Ask"), then=region(page, "The answer"))
    fits("answer")
    expect(page.get_by_text(DISCLAIMER)).to_be_in_viewport()
    by_key(page, button(page, "Accept this answer"), then=page.get_by_text("Accepted by rita"))
    for view in ("History", "Queue", "Admin"):
        by_key(page, page.get_by_role("radiogroup", name="View", exact=True), "ArrowRight", heading(page, view))
        fits(view.lower())
    by_key(page, button(page, "Sign out rita"), then=field(page, "Password"))


@pytest.mark.parametrize("sub, let_in", [("s-noor", True), ("s-eve", False)], ids=["noor", "eve"])
def test_the_hospitals_sign_in_leads_back_to_the_page(browser, address, sub, let_in):
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.route("**://cdn.jsdelivr.net/**", lambda r: r.abort())  # the provider's own style
    page = patient(context.new_page())
    page.goto(address)
    page.get_by_role("link", name="Sign in with the hospital's account", exact=True).click()
    page.wait_for_url("**/oauth2/authorize**")
    page.get_by_placeholder("sub", exact=True).fill(sub)
    page.get_by_role("button", name="Authorize", exact=True).click()
    page.wait_for_url(f"{address}/**")
    if let_in:
        expect(field(page, "Paste a report")).to_be_visible()
        expect(button(page, "Sign out noor")).to_be_visible()
    else:
        expect(page.get_by_text("did not let you in")).to_be_visible()
    settled(page)
    assert len(context.pages) == 1
    assert "ticket" not in page.url and "medllm_ticket" not in page.evaluate("document.cookie")
    context.close()
