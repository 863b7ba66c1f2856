"medllm review-phi: read in a real browser by mouse and keyboard, brought back, and acting in the next run."

import json
import os
import shutil

import pytest
from conftest import KEY
from typer.testing import CliRunner

from medllm_nb.core import DeidReport, EngineParams, GoldReport, Report, load_key, read_records, write_records
from medllm_nb.deidentify import (
    DeidentifyParams,
    LocalLists,
    LocalWord,
    apply_lists,
    find_phi,
    load_lists,
    run_deidentify,
)
from medllm_nb.operate.cli import app
from medllm_nb.privacy import ReviewPhiParams, draw_sample, import_marks, miss_bound, run_score, write_phi_page
from medllm_nb.privacy.phi_review import PhiItem

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
TEXTS = (
    "Patient: O'CONNELL, Margaret\r\nSeen by Dr. Foley on 03/04/2024. \U0001f600 Daughter zorblatt came.",
    "Na 118. her son zorblatt called; Glimmerex 5 mg daily. </script><b>no markup</b>",
)
PARAMS = DeidentifyParams(compare_stock=False)


def report(i, text):
    return Report(report_id=f"r{i}", patient_id=f"p{i}", source="a.txt", format="txt", text=text)


@pytest.fixture
def root(tmp_path, monkeypatch):
    "A drawer of two reports through the stage deidentify."
    (tmp_path / "params.yaml").write_text("review_phi: {size: 0}\ndeidentify: {compare_stock: false}\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MEDLLM_KEY", KEY)
    reports = [report(i, text) for i, text in enumerate(TEXTS)]
    write_records(tmp_path / "artifacts/ingest/reports", reports, Report, load_key("phi-at-rest"))
    run_deidentify(PARAMS, tmp_path, EngineParams(workers=1))
    return tmp_path


def texts_of(root):
    return {r.report_id: r.text for r in read_records(root / "artifacts/deidentify/reports", DeidReport)}


def sample_of(root):
    (folder,) = (root / "artifacts/review_phi/samples").iterdir()
    return folder, read_records(folder / "items", PhiItem, load_key("phi-at-rest"))


def marks_file(root, missed=(), kind="PERSON", wrong=(), **other):
    "A file as the page saves it: each value where it stands first, in every text."
    folder, items = sample_of(root)
    rows = [
        {
            "code": i.code,
            "missed": [
                {"start": i.text.index(v), "end": i.text.index(v) + len(v), "kind": kind} for v in missed if v in i.text
            ],
            "wrong": [n for n, s in enumerate(i.found) if i.original[s.start : s.end] in wrong],
        }
        for i in items
    ]
    path = root / "marks.json"
    path.write_text(json.dumps({"fingerprint": folder.name, "saved": "2026-12-01", "texts": rows} | other))
    return path


def medllm(*words, code=0, input=None):
    result = CliRunner().invoke(app, [str(w) for w in words], prog_name="medllm", input=input)
    assert result.exit_code == code, (words, result.output, result.exception)
    return result.output


# The bound


@pytest.mark.parametrize("texts", [60, 200, 1000])
def test_without_a_miss_the_bound_is_a_little_below_the_rule_of_three(texts):
    assert 2.9 / texts < miss_bound(texts, 0) < 3 / texts


@pytest.mark.parametrize(("texts", "missed"), [(200, 1), (200, 7), (10, 9)])
def test_the_bound_is_exact(texts, missed):
    "At the bound so few or fewer texts with a miss have a probability of 5%."
    from scipy.stats import binom

    assert binom.cdf(missed, texts, miss_bound(texts, missed)) == pytest.approx(0.05)


def test_the_sample_has_every_stratum_in_proportion():
    shape = lambda i: dict(format="image", ocr_confidence=[60.0 + i % 40]) if i % 4 == 0 else dict(format="txt")
    reports = [DeidReport(report_id=str(i), patient_key="p", text="x", **shape(i)) for i in range(400)]
    drawn = draw_sample(reports, 100, seed=3)
    assert len({r.report_id for r in drawn}) == 100
    assert 24 <= sum(r.format == "image" for r in drawn) <= 26
    assert [r.report_id for r in drawn[:9]] != [r.report_id for r in draw_sample(reports, 100, seed=4)[:9]]


# Marks back


def test_marks_become_a_bound_gold_and_lists_that_act_in_the_next_run(root):
    page, texts = write_phi_page(ReviewPhiParams(), root)
    assert texts == 2 and "Margaret" not in page.read_text() and "<b>no" not in page.read_text()
    before = texts_of(root)
    assert "zorblatt" in before["r0"] and "zorblatt" in before["r1"]
    output = medllm("review-phi", "--import", marks_file(root, missed=["zorblatt"], wrong=["Dr. Foley"]), "--to-lists")
    assert "2 texts read, 2 missed" in output and "delete" in output and "zorblatt" not in output
    gold = read_records(sample_of(root)[0] / "gold", GoldReport, load_key("phi-at-rest"))
    labeled = {g.text[s.start : s.end] for g in gold for s in g.phi}
    assert "zorblatt" in labeled and "Dr. Foley" not in labeled
    assert run_score(PARAMS, root).set_index("entity").recall["PERSON"] == 1, "the lists act in the score"
    metrics = run_deidentify(PARAMS, root, EngineParams(workers=1))
    after = texts_of(root)
    assert not any("zorblatt" in t for t in after.values())
    assert "Dr. Foley" in after["r0"] and metrics["listed.never_over_certain"] == 1
    assert "Na 118" in after["r1"] and metrics["from_cache"] == 2, "what changed is the lists, not detection"


def test_nothing_on_disk_shows_what_was_marked(root):
    write_phi_page(ReviewPhiParams(), root)
    import_marks(marks_file(root, missed=["zorblatt"]), ReviewPhiParams(), root, True, PARAMS)
    page = root / "artifacts/review_phi/review-phi.html"
    clean = (root / "artifacts/deidentify/reports").rglob("*")
    shown = [p for p in root.rglob("*") if p.is_file() and b"zorblatt" in p.read_bytes()]
    assert set(shown) <= {page, *clean}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fingerprint": "0" * 16}, "sample that is not here"),
        ({"fingerprint": "../deidentify"}, "sample that is not here"),
        ({"texts": [{"code": "none", "missed": [], "wrong": []}]}, "not in the sample"),
        ({"texts": 5}, "was not saved by the page"),
    ],
    ids=["other sample", "path", "other text", "no marks"],
)
def test_marks_that_do_not_fit_are_refused(root, change, message):
    write_phi_page(ReviewPhiParams(), root)
    with pytest.raises(ValueError, match=message):
        import_marks(marks_file(root, **change), ReviewPhiParams(), root)


def test_a_mark_outside_of_its_text_is_refused(root):
    write_phi_page(ReviewPhiParams(), root)
    code = sample_of(root)[1][0].code
    rows = [{"code": code, "missed": [{"start": 0, "end": 9999, "kind": "PERSON"}], "wrong": []}]
    with pytest.raises(ValueError, match="outside of the text"):
        import_marks(marks_file(root, texts=rows), ReviewPhiParams(), root)


# The lists


@pytest.mark.parametrize(
    "written", ["Kaya Lindqvist", "KAYA LINDQVIST", "Lindqvist, Kaya", "Mrs. Lindqvist", "K. Lindqvist"]
)
def test_a_name_in_always_goes_in_all_forms(written):
    text = f"Lungs clear. {written} agrees."
    lists = LocalLists(always=(LocalWord(text="Kaya Lindqvist", entity="PERSON"),))
    covered = {i for s in apply_lists(text, [], lists).spans for i in range(s.start, s.end)}
    name = text.index(written) + (5 if written.startswith("Mrs") else 0)
    assert all(i in covered for i in range(name, text.index(" agrees")) if text[i].isalpha())


@pytest.mark.parametrize("text", ["Dr. Foley agrees.", "Seen by FOLEY, MD.", "Patient: Foley"])
def test_a_word_in_never_stays(text):
    spans = find_phi([text])[0]
    kept = apply_lists(text, spans, LocalLists(never=(LocalWord(text="foley"),))).spans
    assert not any("foley" in text[s.start : s.end].lower() for s in kept)


def test_lists_are_kept_by_the_command_and_hold_nothing_in_clear(root):
    assert "1 new" in medllm("phi-list", "add", "always", "--kind", "ORGANIZATION", input="Sunny Vale\n")
    assert "2 new" in medllm("phi-list", "add", "never", input="Mounjaro\nBiofreeze\n")
    assert "Sunny Vale\tORGANIZATION" in medllm("phi-list", "show")
    assert not any(b"Sunny" in p.read_bytes() for p in root.rglob("*.enc"))
    assert "other list" in medllm("phi-list", "add", "never", "sunny vale", code=1)
    assert "choose from" in medllm("phi-list", "add", "always", "Kaya", "--kind", "NAME", code=1)
    assert "choose always or never" in medllm("phi-list", "add", "sometimes", "Kaya", code=2)
    assert "1 removed" in medllm("phi-list", "remove", "never", "BIOFREEZE")
    assert [w.text for w in load_lists(PARAMS, root).never] == ["Mounjaro"]
    os.environ["MEDLLM_KEY"] = "another key, of more than thirty-two characters"
    assert "another one" in medllm("phi-list", "show", code=1)


# The page


@pytest.fixture
def browser():
    if not CHROMIUM:
        pytest.skip("no Chromium here: apt-get install chromium")
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install playwright")
    with sync_api.sync_playwright() as p:
        opened = p.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield opened
        opened.close()


@pytest.mark.browser
def test_a_reading_in_the_browser(root, browser):
    from playwright import sync_api

    path, _ = write_phi_page(ReviewPhiParams(), root)
    page = browser.new_context(accept_downloads=True).new_page()
    asked, errors = [], []
    page.on("request", lambda r: asked.append(r.url))
    page.on("pageerror", lambda e: errors.append(str(e)))
    page.on("dialog", lambda d: d.accept())
    progress = lambda text: sync_api.expect(page.locator("#progress")).to_contain_text(text, timeout=20_000)
    page.goto(path.as_uri())
    progress("0 of 2 read")
    for _ in range(2):
        has_emoji = "\U0001f600" in page.inner_text("#text")
        for _ in range(60):  # by keyboard alone: word after word, until the name is selected
            page.keyboard.press("ArrowRight")
            if page.evaluate("getSelection().toString()") == "zorblatt":
                break
        page.keyboard.press("1")
        if has_emoji:
            page.locator("#text mark.replaced").last.focus()
            page.keyboard.press("Enter")
        page.keyboard.press("d")
    progress("2 of 2 read · 2 missed · 1 wrongly replaced, kept in this browser")
    page.reload()
    progress("2 of 2 read · 2 missed · 1 wrongly replaced")
    with page.expect_download() as caught:
        page.keyboard.press("s")
    caught.value.save_as(root / "phi-marks.json")
    assert "zorblatt" not in (root / "phi-marks.json").read_text(), "the file tells places, not words"
    result = import_marks(root / "phi-marks.json", ReviewPhiParams(), root)
    assert (result["texts_read"], result["missed"], result["wrongly_replaced"]) == (2, 2, 1)
    gold = read_records(sample_of(root)[0] / "gold", GoldReport, load_key("phi-at-rest"))
    read = [g.text[s.start : s.end] for g in gold for s in g.phi if s.detector == "reader"]
    assert read == ["zorblatt", "zorblatt"], "offsets behind CRLF and a character of two units"
    assert all(u.startswith(("file:", "blob:")) for u in asked) and not errors, (asked, errors)


@pytest.mark.browser
def test_a_mouse_marks_a_word_and_the_page_fits_a_narrow_screen(root, browser):
    path, _ = write_phi_page(ReviewPhiParams(), root)
    page = browser.new_page(viewport={"width": 360, "height": 800})
    page.goto(path.as_uri())
    page.wait_for_selector("#text mark, #text")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "a narrow screen scrolls sideways"
    page.evaluate("select(item().text.indexOf('zorblatt') + 2, item().text.indexOf('zorblatt') + 5); offer()")
    page.click("#chooser button >> nth=4")
    assert page.inner_text("#text mark.missed") == "zorblatt", "half a word selected marks the whole"
    assert page.get_attribute("#text mark.missed", "data-kind") == "Hospital, employer"
    page.keyboard.press("u")
    assert page.locator("#text mark.missed").count() == 0


# Labels of other tools


@pytest.mark.parametrize("form", ["label-studio", "brat", "i2b2"])
def test_labels_go_out_and_come_back_as_gold(root, form, tmp_path):
    folder = tmp_path / "labels"
    assert "2 labeled reports" in medllm("annotations", "export", folder, "--format", form)
    assert "2 labeled reports stored" in medllm("annotations", "import", folder, "--format", form)
    assert run_score(PARAMS, root).set_index("entity").recall["all"] == 1
    assert "choose from" in medllm("annotations", "import", folder, "--format", "word", code=2)
