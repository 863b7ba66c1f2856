"The review page in a real browser: rated by keyboard, kept over a reload, saved and read back, nothing sent anywhere."

import json
import shutil

import pytest

from medllm_nb.core import Example, StructuredReport, read_records, write_records
from medllm_nb.instruct.examples import read_jsonl
from medllm_nb.evaluate.metrics import Answer
from medllm_nb.evaluate.ratings import Rating, read_ratings
from medllm_nb.evaluate.review import run_review
from medllm_nb.evaluate.review_pages import RUBRIC, ReviewItem, ReviewParams, fingerprint
from medllm_nb.train.tokens import demo_examples

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
NASTY = "</script><img src=x onerror=alert(1)> \u2028 {{ 7*7 }} 'quoted' & \"more\""


@pytest.fixture
def root(tmp_path):
    "A finished run of four examples, answered by two models."
    (tmp_path / "params.yaml").write_text("")
    examples = [e.model_copy(update={"patient_key": f"p{i // 2}"}) for i, e in enumerate(demo_examples())]
    answers = [
        Answer(
            example_id=e.example_id,
            task=e.task,
            model=m,
            text=f"{m[0]} {NASTY} {e.example_id[-1]}",
            reference=e.completion[0].content,
            nll=1.0,
            tokens=1,
        )
        for e in examples
        for m in ("base", "tuned")
    ]
    reports = [
        StructuredReport(
            report_id=e.report_id,
            patient_key=e.patient_key,
            format="txt",
            specialty="laboratory",
            text=f"LABS: {e.prompt[0].content}\n{NASTY}",
        )
        for e in examples
    ]
    write_records(tmp_path / "artifacts/split/test", examples, Example)
    write_records(tmp_path / "artifacts/evaluate/answers", answers, Answer)
    write_records(tmp_path / "artifacts/structure/reports", reports, StructuredReport)
    return tmp_path


@pytest.fixture
def browser():
    if not CHROMIUM:
        pytest.skip("no Chromium here: apt-get install chromium")
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install playwright")
    with sync_api.sync_playwright() as p:
        opened = p.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield opened
        opened.close()


def ratings_file(root, reviewer, items, level, **more):
    rows = [{"code": i.code, "correct": level(i), "complete": level(i), "harmful": 0, "style": 1} | more for i in items]
    (root / "ratings").mkdir(exist_ok=True)
    (root / "ratings" / f"{reviewer}.json").write_text(
        json.dumps({"fingerprint": fingerprint(items), "reviewer": reviewer, "saved": "2026-01-01", "ratings": rows})
    )


def test_pages_are_the_same_bytes_again_and_ratings_become_scores_and_examples(root):
    assert run_review(ReviewParams(), root) == {
        "answers": 4,
        "ratings": 0,
        "reviewers": 0,
        "mended": 0,
        "mended_differently": 0,
    }
    page = (root / "artifacts/review/review-A.html").read_bytes()
    items = read_records(root / "artifacts/review/items", ReviewItem)
    better = lambda i: 2 if i.model == "tuned" else 0
    ratings_file(root, "A", items, better, edited="as A words it")
    ratings_file(root, "B", items, better, edited="as B words it")
    metrics = run_review(ReviewParams(), root)
    assert (root / "artifacts/review/review-A.html").read_bytes() == page, "ratings under way would be refused"
    level = {(s["model"], s["rubric"]): s["level"] for s in metrics["scores"]}
    assert level["tuned", "correct"] == 2 and level["base", "correct"] == 0
    assert metrics["agreement"]["correct"]["kappa"] == 1.0 and metrics["agreement"]["style"]["kappa"] is None
    fed_back = read_jsonl(root / "artifacts/review/feedback.jsonl")
    assert len(fed_back) == 2 == metrics["mended_differently"] and {e.completion[0].content for e in fed_back} == {
        "as A words it"
    }
    assert len(read_records(root / "artifacts/review/ratings", Rating)) == 8


@pytest.mark.browser
def test_a_review_in_the_browser(root, browser, tmp_path):
    from playwright import sync_api

    run_review(ReviewParams(), root)
    items = read_records(root / "artifacts/review/items", ReviewItem)
    context = browser.new_context(accept_downloads=True)
    page, asked, errors = context.new_page(), [], []
    page.on("request", lambda r: asked.append(r.url))
    page.on("pageerror", lambda e: errors.append(str(e)))
    page.on("dialog", lambda d: errors.append(d.message) if d.type == "alert" else d.accept())
    progress = lambda text: sync_api.expect(page.locator("#progress")).to_have_text(text, timeout=20_000)
    page.goto((root / "artifacts/review/review-A.html").as_uri())
    progress("0 of 4 rated")
    assert NASTY in page.inner_text("#answer") and "{{ 7*7 }}" in page.inner_text("#report")
    assert not {"base", "tuned"} & set(page.content().split()), "the page tells the model"
    for name in RUBRIC:  # by keyboard alone: to the first radio of the group, then to the last
        page.focus(f"input[name={name}][value='0']")
        page.keyboard.press("Space")
        page.keyboard.press("ArrowDown")
        page.keyboard.press("ArrowDown")
    page.focus("#copy")
    page.keyboard.press("Enter")
    page.fill("#edited", "Potassium 5.9: high")
    page.fill("#comment", "made up <b>")
    progress("1 of 4 rated, kept in this browser")
    page.reload()
    progress("1 of 4 rated")
    page.click("#open")
    for _ in range(2):
        for name in RUBRIC:
            page.check(f"input[name={name}][value='1']")
        page.click("#open")
    page.check("input[name=correct][value='0']")  # the last one only in part
    with page.expect_download() as caught:
        page.click("#save")
    assert caught.value.suggested_filename == "ratings-A.json" and "1 not rated in full" in page.inner_text("#message")
    (root / "ratings").mkdir()
    caught.value.save_as(root / "ratings" / "ratings-A.json")
    ratings = read_ratings(root / "ratings", items)
    assert len(ratings) == 3 and sorted(r.correct for r in ratings) == [1, 1, 2]
    first = next(r for r in ratings if r.edited)
    assert (first.edited, first.comment, first.harmful, first.reviewer) == (
        "Potassium 5.9: high",
        "made up <b>",
        2,
        "A",
    )
    assert all(u.startswith(("file:", "blob:")) for u in asked) and not errors, (asked, errors)


CONTRAST = """() => {
  const linear = v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const light = c => {
    const [r, g, b] = c.match(/[0-9.]+/g).slice(0, 3).map(v => linear(v / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const back = e => {
    for (; e; e = e.parentElement) {
      const c = getComputedStyle(e).backgroundColor;
      if (!c.endsWith(", 0)")) return c;
    }
    return "rgb(255, 255, 255)";
  };
  const hasText = e => [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
  const contrast = e => {
    const a = light(getComputedStyle(e).color), b = light(back(e));
    return [e.tagName, (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)];
  };
  const shown = [...document.querySelectorAll("body *")].filter(e => hasText(e) && e.getClientRects().length);
  return shown.map(contrast).filter(x => x[1] < 4.5); }"""


@pytest.mark.browser
def test_the_page_is_accessible(root, browser):
    from playwright import sync_api

    run_review(ReviewParams(), root)
    page = browser.new_page(viewport={"width": 360, "height": 800})
    page.goto((root / "artifacts/review/review-B.html").as_uri())
    sync_api.expect(page.locator("#progress")).to_have_text("0 of 4 rated", timeout=20_000)
    bare = page.evaluate("() => [...document.querySelectorAll('input, textarea')].filter(e => !e.labels.length).length")
    assert bare == 0 and page.evaluate("document.documentElement.lang") == "en"
    assert page.evaluate("() => [...document.querySelectorAll('fieldset')].every(f => f.querySelector('legend'))")
    assert page.evaluate(CONTRAST) == [], "text of less than WCAG AA's contrast"
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "a narrow screen scrolls sideways"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.click("#next")
    assert page.evaluate("document.activeElement.id") == "title", "a screen reader would not learn of the next answer"
