"The house keeps its rules: packages in the order of the data, two kinds of notebooks, one meaning a name, short lines."

import ast
import importlib.util
import json
import os
import re
import subprocess
import sys
import venv
from collections import defaultdict
from pathlib import Path

import pytest
from conftest import ROOT

import medllm_nb

BIN = Path(sys.executable).parent
NOTEBOOKS = sorted(p for p in (ROOT / "nbs").rglob("*.ipynb") if ".ipynb_checkpoints" not in p.parts)
MODULES = sorted(
    p for p in (ROOT / "medllm_nb").rglob("*.py") if "migrations" not in p.parts and p.name != "_modidx.py"
)

spec = importlib.util.spec_from_file_location("outputs", ROOT / "site" / "outputs.py")
outputs = importlib.util.module_from_spec(spec)
spec.loader.exec_module(outputs)


def cells_of(path):
    return json.loads(path.read_text(encoding="utf-8"))["cells"]


def source(cell):
    return "".join(cell["source"])


def is_stage(path):
    return outputs.is_stage({"cells": cells_of(path)})


def name_of(path):
    return str(path.relative_to(ROOT / "nbs"))


LIBRARY = [p for p in NOTEBOOKS if not is_stage(p)]
STAGE = [p for p in NOTEBOOKS if is_stage(p)]


def run(*command, cwd=ROOT, **more):
    env = os.environ | {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"} | more
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


# Packages and names


def imported_packages(path):
    "The packages of the project that a module imports anywhere."
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level == 2:
            found |= {(node.module or "").split(".")[0]} - {""} or {a.name for a in node.names}
        if isinstance(node, ast.ImportFrom) and not node.level and (node.module or "").startswith("medllm_nb"):
            found |= {node.module.split(".")[1]} if "." in node.module else {a.name for a in node.names}
        if isinstance(node, ast.Import):
            found |= {a.name.split(".")[1] for a in node.names if a.name.startswith("medllm_nb.")}
    return found


@pytest.mark.parametrize("package", medllm_nb.PACKAGES)
def test_a_package_imports_only_those_before_it(package):
    order = {name: place for place, name in enumerate(medllm_nb.PACKAGES)}
    for path in (ROOT / "medllm_nb" / package).glob("*.py"):
        later = sorted(p for p in imported_packages(path) if order[p] > order[package])
        assert not later, f"{path.name} imports {later}"


def test_packages_are_the_folders():
    assert [p.name[3:] for p in sorted((ROOT / "nbs").glob("[0-9][0-9]_*"))] == list(medllm_nb.PACKAGES)
    packages = {p.parent.name for p in (ROOT / "medllm_nb").glob("*/__init__.py")} - {"migrations"}
    assert packages == set(medllm_nb.PACKAGES)


def test_a_public_name_has_one_meaning():
    places = defaultdict(list)
    for path in MODULES:
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not node.name.startswith(
                "_"
            ):
                places[node.name].append(str(path.relative_to(ROOT / "medllm_nb")))
    # main is what `python -m` and `accelerate launch -m` call
    twice = {name: where for name, where in places.items() if len(where) > 1 and name != "main"}
    assert not twice


BRITISH = re.compile(
    r"(?i)colour|tumour|behaviour|licence|centre|neighbour|memoris|organis(?!m)|summaris|recognis|normalis|labell"
)


def test_identifiers_are_american():
    found = set()
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            name = getattr(node, "name", None) or getattr(node, "arg", None) or getattr(node, "id", None)
            if isinstance(name, str) and BRITISH.search(name):
                found.add(f"{path.name}: {name}")
    assert not found


PUBLIC = {
    "ingest": ["read_report", "read_content"],
    "deidentify": ["find_phi", "deidentify"],
    "structure": ["find_sections", "find_labs", "find_diagnoses", "find_concepts", "structure_report"],
    "instruct": ["make_examples"],
    "model": ["load_model", "generate"],
    "evaluate": ["same_diagnosis"],
    "grpo": ["reward"],
}


@pytest.mark.parametrize(("package", "name"), [(p, n) for p, names in PUBLIC.items() for n in names])
def test_the_public_functions_are_there_and_documented(package, name):
    function = getattr(getattr(medllm_nb, package), name)
    assert callable(function) and function.__doc__
    bare = set(function.__code__.co_varnames[: function.__code__.co_argcount]) - set(function.__annotations__)
    assert not bare and "return" in function.__annotations__, (
        f"{package}.{name}: no type for {bare or 'what it returns'}"
    )


def test_every_name_that_a_package_offers_is_there():
    for package in medllm_nb.PACKAGES:
        module = getattr(medllm_nb, package)
        for name in dir(module):
            getattr(module, name)


# Notebooks


def test_notebooks_are_clean_and_modules_and_readme_in_step(copy_of_repo):
    run("nbdev_clean", cwd=copy_of_repo)
    run("ruff", "format", "--quiet", "nbs", cwd=copy_of_repo)
    run("nbdev_export", cwd=copy_of_repo)
    run(sys.executable, "site/readme.py", cwd=copy_of_repo)
    made = [*(copy_of_repo / "nbs").rglob("*.ipynb"), *(copy_of_repo / "medllm_nb").rglob("*.py")]
    unlike = [
        p.relative_to(copy_of_repo) for p in made if (ROOT / p.relative_to(copy_of_repo)).read_bytes() != p.read_bytes()
    ]
    assert not unlike, f"out of step: {[str(p) for p in unlike]}; run `make clean-notebooks`"
    readme = (copy_of_repo / "README.md").read_text()
    assert (ROOT / "README.md").read_text() == readme, (
        "README.md is out of step with nbs/index.ipynb; run `make readme`"
    )


@pytest.mark.parametrize("notebook", STAGE, ids=name_of)
def test_a_stage_notebook_is_short_and_tests_nothing(notebook):
    cells = cells_of(notebook)
    assert len(cells) <= 20
    code = "\n".join(source(c) for c in cells if c["cell_type"] == "code")
    assert not re.search(r"(?m)^\s*(assert|test_eq|test_fail|test_close)\b", code)
    assert not any(c.get("outputs") for c in cells), "a stage's outputs are made by `make`, and stay out of git"


@pytest.mark.parametrize("notebook", LIBRARY, ids=name_of)
def test_a_library_notebook_promises_and_shows(notebook):
    cells = cells_of(notebook)
    assert re.match(r"# \S+", source(cells[0]))
    if notebook.name == "index.ipynb":
        return
    assert re.search(r"(?m)^> \S.+", source(cells[0])), "no one-line promise below the title"
    assert any(c.get("outputs") for c in cells), "no example with its output"
    assert not outputs.unstable({"cells": cells})


EXCEPTIONS = {line.split("#")[0].strip() for line in (ROOT / "tests/repo/long_cells.txt").read_text().splitlines()} - {
    ""
}


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=name_of)
def test_cells_can_be_read(notebook):
    "At most 40 lines a cell; the exceptions are listed, and a line that is no longer needed is struck out."
    sizes = {
        f"{name_of(notebook)}:{i}": source(c).count("\n") + 1
        for i, c in enumerate(cells_of(notebook))
        if c["cell_type"] == "code"
    }
    allowed = {e.split(":")[0]: int(e.split(":")[1]) for e in EXCEPTIONS}.get(name_of(notebook), 0)
    long = [place for place, size in sizes.items() if size > 40]
    assert len(long) <= allowed, f"cells of over 40 lines: {long}"
    assert len(long) == allowed, f"only {len(long)} cells are over 40 lines now: say so in tests/repo/long_cells.txt"


def test_lines_and_statements_are_as_agreed():
    run("ruff", "check", "--quiet", ".")
    run("ruff", "format", "--check", "--quiet", ".")


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text().split()) <= 900


# The wheel


def test_the_wheel_holds_every_package_and_data_file(tmp_path, copy_of_repo):
    "Installed into an empty environment that borrows the dependencies alone."
    run(
        sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path / "dist"), cwd=copy_of_repo
    )
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    venv.create(tmp_path / "env", with_pip=False)
    python = next((tmp_path / "env" / "bin").glob("python3"))
    site = Path(run(str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
    run(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(site), str(wheel))
    borrowed = importlib.util.find_spec("pydantic").submodule_search_locations[0]
    script = f"""
import sys
sys.path.append({str(Path(borrowed).parent)!r})
import importlib, pkgutil, medllm_nb
assert medllm_nb.__file__.startswith({str(site)!r}), medllm_nb.__file__
for package in medllm_nb.PACKAGES:
    module = importlib.import_module(f"medllm_nb.{{package}}")
    for m in pkgutil.iter_modules(module.__path__):
        if m.name not in ("streamlit_app", "migrations"):
            importlib.import_module(f"medllm_nb.{{package}}.{{m.name}}")
print("imported")
"""
    assert "imported" in run(str(python), "-c", script, cwd=site.parent, PYTHONPATH="")
    data = {p.relative_to(ROOT) for p in (ROOT / "medllm_nb").rglob("*") if "data" in p.parts and p.is_file()}
    assert data and all((site / p).is_file() for p in data if p.suffix != ".pyc")
