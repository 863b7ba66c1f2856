"The monitor as a stage: what it writes, with and without reports, and its figures."

import json

import pandas as pd
import pytest

pytest.importorskip("sqlcipher3", reason="the extra `serve` is not installed")

from medllm_nb.core import StructuredReport, write_records
from medllm_nb.operate.drift import MonitorParams, drift_table, plot_drift
from medllm_nb.operate.monitor import run_monitor
from medllm_nb.operate.usage import plot_use
from medllm_nb.sample.corpus import make_corpus
from medllm_nb.serve.database import open_store


@pytest.fixture
def project(tmp_path):
    (tmp_path / "params.yaml").write_text("{}\n")
    same = ("report_id", "format", "specialty", "text", "sections", "labs")
    reports = [
        StructuredReport(patient_key=g.patient_id, **{name: getattr(g, name) for name in same})
        for g in make_corpus(seed=3, patients=4, reports=1)
    ]
    write_records(tmp_path / "artifacts/structure/reports", reports, StructuredReport)
    return tmp_path


def test_a_service_that_nobody_used_raises_no_alert(project):
    db = open_store(str(project / "store.db"))
    result = run_monitor(MonitorParams(), project, db)
    db.close()
    assert (result["reports"], result["answers"], result["drifted"], result["alerts"]) == (0, 0, [], [])
    written = json.loads((project / "artifacts/metrics/monitor.json").read_text())
    assert set(written) == set(result) and written["rates"]["judged"]["n"] == 0
    assert {p.name for p in (project / "artifacts/monitor").iterdir()} == {"inputs.csv", "outputs.csv", "use.csv"}


def test_figures_name_what_they_show():
    formats = [pd.Series(["txt"] * 40 + ["scan"] * 10), pd.Series(["txt"] * 10 + ["scan"] * 40)]
    drift = plot_drift(drift_table({"format": formats[0]}, {"format": formats[1]}))
    assert [t.get_text() for t in drift.axes[0].get_yticklabels()] == ["format"]
    days = pd.to_datetime(["2026-11-01", "2026-11-01", "2026-11-02"])
    use = plot_use(pd.DataFrame({"at": days, "action": ["accept", "edit", "accept"]}))
    assert {t.get_text() for t in use.axes[0].get_legend().get_texts()} == {"accept", "edit"}


def test_figures_of_the_day_and_of_the_forms():
    from medllm_nb.operate.clinical_day import plot_day
    from medllm_nb.release.forms import plot_forms

    rows = [("morning", "summary", 2.0, "override", 0.2), ("afternoon", "summary", 1.0, "accept", 0.9)]
    day = plot_day(pd.DataFrame(rows, columns=["half", "task", "seconds", "action", "score"]))
    assert [ax.get_title() for ax in day.axes] == ["Waiting", "What clinicians did", "Right, by task"]
    forms = plot_forms(pd.DataFrame([{"form": "merged", "perplexity": 3.8, "same_answers": 1.0, "mib": 256.6}]))
    assert forms.axes[2].get_xlabel() == "size, MiB"
