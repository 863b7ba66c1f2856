"The pipeline reruns what an edit touches and nothing else, and the leak audit stands before the export."

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from conftest import ROOT

BIN = Path(sys.executable).parent
FILES = {name: yaml.safe_load((ROOT / name).read_text()) for name in ("dvc.yaml", "service/dvc.yaml")}
STAGES = FILES["dvc.yaml"]["stages"]
PAPERMILL = [
    (f, s) for f, content in FILES.items() for s, stage in content["stages"].items() if "${run}" in stage["cmd"]
]
PARAMS = yaml.safe_load((ROOT / "params.yaml").read_text())


def stage_of(file, name):
    return FILES[file]["stages"][name]


def notebook_of(stage):
    return re.search(r"nbs/\S+\.ipynb", stage["cmd"]).group()


def written_by(stage):
    made = [o for kind in ("outs", "metrics", "plots") for o in stage.get(kind, [])]
    return {o if isinstance(o, str) else next(iter(o)) for o in made}


def resolved(stage):
    "A stage's deps with the values of params.yaml filled in."
    fill = lambda m: str(PARAMS[m.group(1)][m.group(2)])
    return {re.sub(r"\$\{(\w+)\.(\w+)\}", fill, d) for d in stage["deps"]}


def code_of(notebook):
    cells = json.loads((ROOT / notebook).read_text())["cells"]
    lines = [line for c in cells if c["cell_type"] == "code" for line in "".join(c["source"]).splitlines()]
    return "\n".join(line for line in lines if not line.startswith(("%", "!")))


def imports_of(code, package=None):
    "The modules of the project that a code imports, as package.module; package alone where a package is imported from."
    found = set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom):
            base = (node.module or "").removeprefix("medllm_nb").strip(".")
            if node.level == 1:
                base = f"{package}.{base}".strip(".")
            elif not node.level and not (node.module or "").startswith("medllm_nb"):
                continue
            found |= {base} if "." in base else {f"{base}.{a.name}".strip(".") for a in node.names}
        if isinstance(node, ast.Import):
            found |= {a.name.removeprefix("medllm_nb.") for a in node.names if a.name.startswith("medllm_nb.")}
    return found


def module_path(name):
    "The file of package.module; None for a name that a package offers."
    path = ROOT / "medllm_nb" / (name.replace(".", "/") + ".py")
    return path if path.is_file() else None


def offered_by(package, name):
    "The module of a package that offers a name."
    text = (ROOT / "medllm_nb" / package / "__init__.py").read_text()
    table = next(
        ast.literal_eval(k.value)
        for n in ast.walk(ast.parse(text))
        if isinstance(n, ast.Call)
        for k in n.keywords
        if k.arg == "submod_attrs"
    )
    return next((f"{package}.{module}" for module, names in table.items() if name in names), None)


def reached(code, seen=None, package=None):
    "All modules of the project that a code imports, directly or not."
    seen = set() if seen is None else seen
    for name in imports_of(code, package):
        owner, _, what = name.partition(".")
        full = name if module_path(name) else offered_by(owner, what) if what else None
        if full and full not in seen:
            seen.add(full)
            reached(module_path(full).read_text(), seen, full.split(".")[0])
    return seen


@pytest.mark.parametrize(("file", "name"), PAPERMILL)
def test_a_stage_has_one_parameters_cell_that_takes_its_sections(file, name):
    stage = stage_of(file, name)
    cells = json.loads((ROOT / notebook_of(stage)).read_text())["cells"]
    tagged = ["".join(c["source"]) for c in cells if "parameters" in c["metadata"].get("tags", [])]
    assert len(tagged) == 1, "papermill would run the stage on its defaults"
    assert re.findall(r"^(\w+) = None\b", tagged[0], re.M) == stage["params"]
    assert stage["params"][0] == ("deidentify" if name == "privacy" else name)
    assert tagged[0].startswith("#| eval: false")


@pytest.mark.parametrize(("file", "name"), PAPERMILL)
def test_no_name_of_a_stage_notebook_is_a_section_of_params(file, name):
    "Papermill sets each section as a variable: a function of that name would be gone."
    tree = ast.parse(code_of(notebook_of(stage_of(file, name))))
    imported = {a.asname or a.name for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) for a in n.names}
    defined = {n.name for n in tree.body if isinstance(n, ast.FunctionDef | ast.ClassDef)}
    assert not (imported | defined) & set(PARAMS)


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_depends_on_the_packages_and_artifacts_that_it_reads(name):
    stage, deps = STAGES[name], resolved(STAGES[name])
    code = code_of(notebook_of(stage))
    modules = reached(code)
    wanted = {notebook_of(stage)} | {f"medllm_nb/{m.split('.')[0]}" for m in modules}
    assert wanted <= deps, f"dvc.yaml, stage {name}: deps lack {sorted(wanted - deps)}"
    own = {m for m in modules if m.split(".")[-1] == name} | {m for m in imports_of(code) if module_path(m)}
    text = code + "".join(module_path(m).read_text() for m in own if m.startswith(notebook_of(stage).split("/")[1][3:]))
    made = set().union(*(written_by(s) for s in STAGES.values()))
    read = {f"artifacts/{r}" for r in re.findall(r"artifacts(?:\" / \"|/)(\w+)", text)} & made - written_by(stage)
    assert read <= deps | {f"artifacts/{name}"}, (
        f"dvc.yaml, stage {name}: reads {sorted(read - deps)} without saying so"
    )
    if 'load_key("' in text:
        assert ".secrets/fingerprint" in deps, f"dvc.yaml, stage {name}: another key would not rerun it"


DATA_FILES = sorted(
    p.relative_to(ROOT) for p in (ROOT / "medllm_nb").glob("*/data/*") if p.suffix in (".yaml", ".html")
)


@pytest.mark.parametrize("path", DATA_FILES, ids=str)
def test_every_data_file_is_a_dependency_of_the_stages_that_read_it(path):
    package = path.parts[1]
    readers = {name for name, stage in STAGES.items() if f"medllm_nb/{package}" in stage["deps"]}
    assert readers or package in ("sample", "serve", "operate")
    for name, stage in STAGES.items():
        modules = [module_path(m) for m in reached(code_of(notebook_of(stage)))]
        if any(path.name in m.read_text() for m in modules):
            covered = {str(path), f"medllm_nb/{package}"} & set(stage["deps"])
            assert covered, f"dvc.yaml, stage {name} reads {path} and does not depend on it"


@pytest.mark.parametrize(
    ("section", "key"),
    [
        ("ingest", "data_dir"),
        ("structure", "snomed"),
        ("instruct", "instructions"),
        ("instruct", "feedback"),
        ("sft", "accelerate"),
        ("grpo", "accelerate"),
        ("evaluate", "guidelines"),
    ],
)
def test_a_file_that_params_name_is_a_dependency(section, key):
    assert f"${{{section}.{key}}}" in STAGES[section]["deps"]
    assert key == "data_dir" or (ROOT / PARAMS[section][key]).exists(), "DVC refuses a dependency that is not there"


def test_export_waits_for_the_leak_audit_and_the_audit_for_all_that_is_written_before_it():
    before = [s for s in STAGES if s not in ("privacy", "export")]
    written = set().union(*(written_by(STAGES[s]) for s in before))
    searched, read = resolved(STAGES["privacy"]), resolved(STAGES["export"])
    assert written | {notebook_of(STAGES[s]) for s in before} <= searched
    assert "artifacts/metrics/privacy.json" in read, "`dvc repro export` would export despite a leak"
    quoted = {d for d in read if d.startswith("artifacts/")} - {"artifacts/metrics/privacy.json"}
    assert quoted <= searched, "the card would quote what was not searched"


def test_the_file_is_one_a_person_can_keep():
    assert (ROOT / "dvc.yaml").read_text().count("\n") < 200
    deps = [d for stage in STAGES.values() for d in stage["deps"] if d.startswith("medllm_nb/")]
    modules = {d for d in deps if d.endswith(".py")}
    assert not modules, "deps are folders"
    assert FILES["dvc.yaml"]["artifacts"]["model"]["type"] == "model"


# What an edit does


def hashes(root):
    "The hash of each dependency that is there, by stage, as DVC computes it."
    script = """
import json, sys
from dvc.repo import Repo
repo = Repo(".")
found = {}
for stage in repo.index.stages:
    if not getattr(stage, "name", None): continue
    deps = {d.def_path: d for d in stage.deps if getattr(d, "def_path", None) and d.exists}
    made = ("artifacts", "params.yaml")
    found[stage.name] = {path: str(d.get_hash()) for path, d in deps.items() if not path.startswith(made)}
print("HASHES" + json.dumps(found))
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.split("HASHES")[1])


def edit_cell(path, kind, change):
    "Change the first cell of a kind for which `change` gives another text."
    notebook = json.loads(path.read_text())
    for cell in notebook["cells"]:
        if cell["cell_type"] == kind and (new := change("".join(cell["source"]))) != "".join(cell["source"]):
            cell["source"] = new.splitlines(keepends=True)
            break
    else:
        raise AssertionError(f"nothing to change in {path.name}")
    path.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n")


def downstream(stages):
    "Stages and all that read what they write."
    found = set(stages)
    while True:
        made = set().union(*(written_by(STAGES[s]) for s in found))
        more = {s for s in STAGES if made & resolved(STAGES[s])} - found
        if not more:
            return found
        found |= more


@pytest.mark.slow
def test_prose_reruns_nothing_and_a_function_reruns_its_stage_and_what_follows(copy_of_repo):
    export = lambda: subprocess.run([BIN / "nbdev_export"], cwd=copy_of_repo, check=True, capture_output=True)
    notebook = copy_of_repo / "nbs/04_structure/labs.ipynb"
    before = hashes(copy_of_repo)
    edit_cell(notebook, "markdown", lambda text: text + "\n\nA sentence more.")
    export()
    assert hashes(copy_of_repo) == before, "prose reran a stage"
    edit_cell(notebook, "code", lambda text: re.sub(r"(?m)^def (\w+)\(", r"def \1_else(", text, count=1))
    export()
    after = hashes(copy_of_repo)
    touched = {name for name in STAGES if after[name] != before[name]}
    users = {name for name, stage in STAGES.items() if "medllm_nb/structure" in stage["deps"]}
    assert touched == users and "structure" in users and not {"ingest", "deidentify", "model"} & users
    assert {"instruct", "split", "sft", "evaluate", "export"} <= downstream(touched)
    assert not {"ingest", "deidentify", "model"} & downstream(touched)


@pytest.mark.slow
def test_an_edited_data_file_reruns_the_stages_that_read_it(copy_of_repo):
    before = hashes(copy_of_repo)
    path = copy_of_repo / "medllm_nb/instruct/data/topics.yaml"
    path.write_text(path.read_text() + "\n# a remark\n")
    after = hashes(copy_of_repo)
    touched = {name for name in STAGES if after[name] != before[name]}
    assert {"instruct", "split"} <= touched and not {"ingest", "deidentify", "structure", "model"} & touched
