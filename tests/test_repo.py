"The repository keeps its own rules: notebooks clean and exported, parameters declared and documented, data flowing forward."
import ast
import filecmp
import gc
import os
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import nbformat
import pytest
import yaml
from conftest import ROOT

from medllm_nb.core import StageParams, apply_profile, load_params

BIN = Path(sys.executable).parent
NOTEBOOKS = sorted((ROOT / "nbs").glob("*.ipynb"))
STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
PARAMS = yaml.safe_load((ROOT / "params.yaml").read_text())
PROFILES = sorted(p.stem for p in (ROOT / "profiles").glob("*.yaml"))


@pytest.fixture(scope="module", autouse=True)
def no_collection_while_parsing():
    "A browser's greenlets, collected while `ast` builds a tree, upset Python 3.11's count of its depth (SystemError)."
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def run(*command, cwd):
    env = os.environ | {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


def notebook_of(stage):
    return re.search(r"papermill (nbs/\S+\.ipynb)", STAGES[stage]["cmd"]).group(1)


def code_of(path):
    cells = [c.source for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"]
    return "\n".join(line for source in cells for line in source.splitlines() if not line.startswith(("%", "!")))


def own_imports(path):
    "Modules of this package that a notebook imports."
    modules = set()
    for node in ast.walk(ast.parse(code_of(path))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("medllm_nb"):
            modules |= {node.module.split(".")[1]} if "." in node.module else {a.name for a in node.names}
        if isinstance(node, ast.Import): modules |= {a.name.split(".")[1] for a in node.names if a.name.startswith("medllm_nb.")}
    return modules


def module_of(path):
    return Path(path).stem.split("_", 1)[-1]


def reachable(module, seen=None):
    "A module and all of this package that it imports, directly or not."
    seen = set() if seen is None else seen
    if module in seen: return seen
    seen.add(module)
    for other in own_imports(next(n for n in NOTEBOOKS if module_of(n) == module)): reachable(other, seen)
    return seen


def test_notebooks_are_clean_and_modules_and_readme_in_step(copy_of_repo):
    run("nbstripout", "--keep-id", *(f"nbs/{n.name}" for n in NOTEBOOKS), cwd=copy_of_repo)
    run("nbdev_clean", cwd=copy_of_repo)
    run("nbdev_export", cwd=copy_of_repo)
    run("jupyter", "nbconvert", "--to", "markdown", "--log-level", "WARN", "--output-dir", ".", "--output", "README", "nbs/index.ipynb", cwd=copy_of_repo)
    unlike = [n.name for n in NOTEBOOKS if not filecmp.cmp(n, copy_of_repo / "nbs" / n.name, shallow=False)]
    assert not unlike, f"not clean: {unlike}; run `make clean-notebooks`"
    modules = {p.name for p in (ROOT / "medllm_nb").glob("*.py")} | {p.name for p in (copy_of_repo / "medllm_nb").glob("*.py")}
    apart = [m for m in modules if not (ROOT / "medllm_nb" / m).exists() or not filecmp.cmp(ROOT / "medllm_nb" / m, copy_of_repo / "medllm_nb" / m, shallow=False)]
    assert not apart, f"modules out of step with their notebooks: {apart}; run `make clean-notebooks`"
    assert (ROOT / "README.md").read_text() == (copy_of_repo / "README.md").read_text(), "README.md is out of step with nbs/index.ipynb; run `make readme`"


def test_no_function_has_the_name_of_a_section_of_params():
    "Papermill sets every section as a variable in a stage's notebook; a function of that name is then gone, unless it is imported again."
    for path in sorted((ROOT / "medllm_nb").glob("*.py")):
        named = {n.name for n in ast.parse(path.read_text()).body if isinstance(n, ast.FunctionDef | ast.ClassDef)} & set(PARAMS)
        if not named: continue
        notebook = next(p for p in NOTEBOOKS if p.stem.split("_", 1)[-1] == path.stem)
        assert all(f"from medllm_nb.{path.stem} import {n}" in code_of(notebook) for n in named), (path.name, named)


@pytest.mark.parametrize("stage", STAGES)
def test_stage_has_one_parameters_cell_that_takes_its_sections(stage):
    cells = nbformat.read(ROOT / notebook_of(stage), as_version=4).cells
    tagged = [c for c in cells if "parameters" in c.metadata.get("tags", [])]
    assert len(tagged) == 1, "papermill would run the stage on its defaults"
    assert re.findall(r"^(\w+) = None\b", tagged[0].source, re.M) == STAGES[stage]["params"]
    assert STAGES[stage]["params"] == (["deidentify"] if stage == "privacy" else [stage])
    assert tagged[0].source.startswith("#| eval: false")


@pytest.mark.parametrize("stage", STAGES)
def test_stage_declares_what_it_imports_and_reads(stage):
    notebook, deps = notebook_of(stage), set(STAGES[stage]["deps"])
    modules = reachable(module_of(notebook)) - {module_of(notebook)}
    wanted = {notebook} | {f"medllm_nb/{m}.py" for m in modules}
    assert wanted <= deps, f"dvc.yaml, stage {stage}: deps lack {sorted(wanted - deps)}"
    made = {o if isinstance(o, str) else next(iter(o)) for s in STAGES.values() for k in ("outs", "metrics", "plots") for o in s.get(k, [])}
    read = set(re.findall(r"artifacts(?:\" / \"|/)(\w+)", code_of(ROOT / notebook))) - {"metrics", "plots", stage}
    missing = {f"artifacts/{r}" for r in read if f"artifacts/{r}" in made} - deps
    assert not missing, f"dvc.yaml, stage {stage}: reads {sorted(missing)} without saying so"
    if re.search(r"load_key\(\"", code_of(ROOT / notebook)): assert ".secrets/fingerprint" in deps, f"dvc.yaml, stage {stage}: another key would not rerun it"


def test_export_waits_for_the_leak_audit_and_the_audit_for_all_that_is_written_before_it():
    before = [s for s in STAGES if s not in ("privacy", "export")]
    written = {o if isinstance(o, str) else next(iter(o)) for s in before for k in ("outs", "metrics", "plots") for o in STAGES[s].get(k, [])}
    searched, read = set(STAGES["privacy"]["deps"]), {d.replace("${export.stage}", PARAMS["export"]["stage"]) for d in STAGES["export"]["deps"]}
    assert written | {notebook_of(s) for s in before} <= searched
    assert "artifacts/metrics/privacy.json" in read, "`dvc repro export` would export despite a leak"
    assert {d for d in read if d.startswith("artifacts/")} - {"artifacts/metrics/privacy.json"} <= searched, "the card would quote what was not searched"


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda p: p.stem)
def test_no_notebook_imports_a_later_one(notebook):
    numbers = {module_of(n): n.stem.split("_")[0] for n in NOTEBOOKS}
    if notebook.stem == "index": return
    later = [m for m in own_imports(notebook) - {module_of(notebook)} if numbers[m] > notebook.stem.split("_")[0]]
    assert not later


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda p: p.stem)
def test_notebook_has_small_cells(notebook):
    cells = nbformat.read(notebook, as_version=4).cells
    long = [i for i, c in enumerate(cells) if c.cell_type == "code" and c.source.count("\n") > 47]
    assert not long, f"code cells of over 48 lines: {long}"


@pytest.mark.parametrize("profile", PROFILES)
def test_profile_is_valid_and_laptop_takes_it_back(profile, tmp_path):
    for name in ("params.yaml", *(f"profiles/{p}.yaml" for p in PROFILES)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    apply_profile("laptop", tmp_path)
    laptop = (tmp_path / "params.yaml").read_bytes()
    apply_profile(profile, tmp_path)
    for stage, section in yaml.safe_load((tmp_path / "params.yaml").read_text()).items():
        module = import_module(f"medllm_nb.{stage}")
        cls = next(v for v in vars(module).values() if isinstance(v, type) and issubclass(v, StageParams) and v.__name__.lower() == f"{stage}params")
        load_params(cls, stage, section)
    apply_profile("laptop", tmp_path)
    assert (tmp_path / "params.yaml").read_bytes() == laptop, f"profiles/laptop.yaml lacks a key that {profile}.yaml sets"


def test_params_are_the_laptop_profile_and_each_knob_is_explained():
    text = (ROOT / "params.yaml").read_text()
    laptop = yaml.safe_load((ROOT / "profiles" / "laptop.yaml").read_text())
    unlike = [f"{s}.{k}" for s, section in laptop.items() for k, v in section.items() if PARAMS[s][k] != v]
    assert not unlike, f"params.yaml is not on the laptop profile: {unlike}"
    lines = text.splitlines()
    bare = [line.strip() for i, line in enumerate(lines) if re.match(r"  \w+:", line) and "#" not in line and not lines[i - 1].strip().startswith("#")]
    assert not bare, f"knobs without a comment: {bare}"


def test_every_default_in_code_is_the_one_in_params_yaml():
    for stage, section in PARAMS.items():
        module = import_module(f"medllm_nb.{stage}")
        cls = next(v for v in vars(module).values() if isinstance(v, type) and issubclass(v, StageParams) and v.__name__.lower() == f"{stage}params")
        assert cls().model_dump() == cls(**section).model_dump(), f"{cls.__name__}'s defaults differ from params.yaml"
        assert set(section) == set(cls.model_fields), f"params.yaml, section {stage}, does not list every knob"


def test_lock_pins_every_requirement_with_a_hash():
    from configparser import ConfigParser
    parser = ConfigParser(delimiters=["="], interpolation=None)
    parser.read(ROOT / "settings.ini")
    fold = lambda name: re.sub(r"[-_.]+", "-", re.split(r"[<>=\[]", name)[0]).lower()
    wanted = {fold(r) for key in ("requirements", "dev_requirements") for r in parser["DEFAULT"][key].split()}
    blocks = re.split(r"\n(?=[a-z0-9])", (ROOT / "requirements" / "lock.txt").read_text())
    pinned = {fold(b.split("==")[0]): "--hash=sha256:" in b for b in blocks if "==" in b.split("\n")[0]}
    assert not wanted - set(pinned), f"not locked: {sorted(wanted - set(pinned))}; run `make lock`"
    assert all(pinned.values())
