"""Every library notebook runs from top to bottom, and shows what it keeps in git.

One test a folder: its notebooks share a process, so that models and word lists are loaded once. A notebook alone:
`python site/outputs.py --check nbs/04_structure/labs.ipynb`.
"""

import os
import subprocess
import sys

import pytest
from conftest import ROOT

FOLDERS = sorted(p.name for p in (ROOT / "nbs").iterdir() if p.is_dir() and p.name[:2].isdigit())


@pytest.mark.slow
@pytest.mark.parametrize("folder", [*FOLDERS, "index.ipynb"])
def test_library_notebooks_run_and_show_what_they_keep(folder, tmp_path):
    place = ROOT / "nbs" / folder
    notebooks = sorted(map(str, place.glob("*.ipynb"))) if place.is_dir() else [str(place)]
    command = [sys.executable, str(ROOT / "site" / "outputs.py"), "--check", *notebooks]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
