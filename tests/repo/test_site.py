"The site shows a notebook's tables as tables."

import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

ROOT = Path(__file__).resolve().parents[2]


def test_a_table_in_an_output_is_a_table(tmp_path):
    source, site = tmp_path / "source", tmp_path / "site"
    source.mkdir()
    for name in ("conf.py", "wrap.css"):
        shutil.copy(ROOT / "site" / name, source)
    shown = new_output(
        "display_data",
        data={"text/markdown": "| score | sft |\n|:--|:--|\n| F1 | **0.55** |", "text/plain": "<Markdown>"},
    )
    notebook = new_notebook(
        cells=[new_markdown_cell("# Scores"), new_code_cell("display(table)", outputs=[shown])],
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}},
    )
    nbformat.write(notebook, source / "index.ipynb")
    subprocess.run([sys.executable, "-m", "sphinx", "-q", "-b", "html", source, site], check=True)
    page = (site / "index.html").read_text()
    assert "<table" in page and "<strong>0.55</strong>" in page and "| score" not in page
