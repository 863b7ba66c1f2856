"The stage, and what importing the package costs."

import ast
import json
import re
import subprocess
import sys

import pytest

from medllm_nb import structure
from medllm_nb.core import DeidReport, GoldReport, StructuredReport, load_key, read_records, write_records
from medllm_nb.sample.letter import LETTER
from medllm_nb.structure import StructureParams, run_structure, structure_report

LETTER_REPORT = DeidReport(report_id="letter", patient_key="k", format="txt", text=LETTER)


@pytest.mark.parametrize("with_gold", [pytest.param(True, id="with gold"), pytest.param(False, id="without gold")])
def test_the_stage_writes_reports_metrics_and_a_table(tmp_path, with_gold):
    report = structure_report(LETTER_REPORT)
    write_records(tmp_path / "artifacts/deidentify/reports", [LETTER_REPORT], DeidReport)
    if with_gold:
        labels = {"sections": report.sections, "labs": report.labs[:2], "diagnoses": report.diagnoses}
        origin = {"patient_id": "p", "source": "s", "format": "txt", "specialty": "other"}
        gold = GoldReport(report_id="letter", text="", **origin, **labels)
        write_records(tmp_path / "artifacts/ingest/gold", [gold], GoldReport, load_key("phi-at-rest"))
    metrics = run_structure(StructureParams(), tmp_path)
    assert read_records(tmp_path / "artifacts/structure/reports", StructuredReport) == [report]
    assert json.loads((tmp_path / "artifacts/metrics/structure.json").read_text()) == metrics
    header = (tmp_path / "artifacts/plots/structure_formats.csv").read_text().splitlines()[0]
    assert header.startswith("format,scored,section_precision" if with_gold else "format")
    assert metrics["labs_per_report"] == 4
    assert metrics.get("lab_precision") == (0.5 if with_gold else None)


def test_a_typo_in_a_data_file_stops_the_stage_before_it_reads(tmp_path, monkeypatch):
    def broken():
        raise ValueError("labs.yaml, line 3")

    monkeypatch.setattr("medllm_nb.structure.structure.check_tables", broken)
    with pytest.raises(ValueError, match="labs.yaml, line 3"):
        run_structure(StructureParams(), tmp_path)  # which holds no artifact to read


def test_importing_every_module_loads_neither_models_nor_tables():
    "torch and spaCy take seconds, and so do ICD-10-CM's tables and the list of drugs, which are read at first use."
    script = """
import importlib, pkgutil, sys
import medllm_nb.structure as package
for module in pkgutil.iter_modules(package.__path__):
    importlib.import_module(f"medllm_nb.structure.{module.name}")
print(*sys.modules)
"""
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    heavy = {"torch", "spacy", "transformers", "pandas", "matplotlib", "simple_icd_10_cm", "wordfreq", "ray"}
    assert not (heavy | {"drug_named_entity_recognition"}) & set(loaded)


PUBLIC = ("find_sections", "find_labs", "find_diagnoses", "find_concepts", "structure_report")


@pytest.mark.parametrize("name", PUBLIC)
def test_the_example_of_a_docstring_is_true(name):
    lines = [line.strip() for line in getattr(structure, name).__doc__.splitlines() if line.startswith("        ")]
    names = {"DeidReport": DeidReport, **{n: getattr(structure, n) for n in PUBLIC}}
    exec("\n".join(lines[:-1]), names)
    code, expected = re.fullmatch(r"(.+?)  # (.+)", lines[-1]).groups()
    assert eval(code, names) == ast.literal_eval(expected)
