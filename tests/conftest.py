"Shared by the tests: the repository's root, a copy of it to run in, and a model small enough to train in a test."

import os
import random
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared" / "data"
KEY = "a key for tests only, never for patients' reports"


LONGEST = (
    "test_pipeline.py",
    "test_notebooks.py",
    "test_parallel.py",
    "test_retrain.py",
    "test_memorization.py",
    "test_launch.py",
    "test_export.py",
    "test_grpo.py",
    "test_tune.py",
    "test_trainer.py",
    "test_sft.py",
    "test_page.py",
)


def pytest_collection_modifyitems(items):
    "The longest begin first, or a core waits at the end."
    items.sort(key=lambda item: LONGEST.index(item.path.name) if item.path.name in LONGEST else len(LONGEST))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    "A file's tests share a process, so that what it starts is started once; a folder of notebooks counts as a file."
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            return nodeid if "test_notebooks.py" in nodeid else nodeid.split("::")[0]

    return ByFile(config, log)


@pytest.fixture(scope="session", autouse=True)
def test_key():
    os.environ["MEDLLM_KEY"] = KEY


def copy_repo(folder):
    "A fresh checkout in `folder`: what git tracks or would track, nothing else."
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, check=True
    ).stdout
    for name in filter(None, listed.decode().split("\0")):
        if not (ROOT / name).is_file():
            continue
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, folder / name)
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    return folder


@pytest.fixture
def copy_of_repo(tmp_path):
    return copy_repo(tmp_path)


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory):
    "A folder with a random two-layer Llama and the real tokenizer and chat template."
    from medllm_nb.model.base_model import write_tiny_model

    # the conversion that the tokenizer comes from is shared with the notebooks and with every other process
    return write_tiny_model(tmp_path_factory.mktemp("tiny"), cache=ROOT / "artifacts" / ".cache" / "model")


def _example(i, turns, answer):
    from medllm_nb.core import Example, Message

    roles = ("user", "assistant")
    prompt = [Message(role="system", content="Answer from the report only.")] + [
        Message(role=roles[k % 2], content=t) for k, t in enumerate(turns)
    ]
    return Example(
        example_id=f"e{i}",
        report_id=f"r{i}",
        patient_key=f"p{i}",
        specialty="other",
        task="question",
        prompt=prompt,
        completion=[Message(role="assistant", content=answer)],
    )


def varied(n=12, seed=0):
    "Examples of very different lengths, some of several turns."
    chance = random.Random(seed)
    words = "potassium 5.9 mmol/L high sodium low chest pain no effusion LVEF 27% \u00b5g K+ \u2265 3".split()
    text = lambda k: " ".join(chance.choice(words) for _ in range(k))
    return [
        _example(i, [text(chance.randint(2, 24)) for _ in range(chance.choice((1, 1, 3)))], text(chance.randint(1, 15)))
        for i in range(n)
    ]


@pytest.fixture
def project(tmp_path, tiny_model):
    "A run that got as far as the model, with a small training and validation split."
    from medllm_nb.core import Example, write_records
    from medllm_nb.model.model import ModelParams, run_model

    (tmp_path / "params.yaml").write_text("{}\n")
    for split in ("train", "validation"):
        write_records(tmp_path / "artifacts" / "split" / split, varied(8), Example)
    run_model(ModelParams(name=str(tiny_model)), tmp_path)
    return tmp_path


@pytest.fixture
def postgres():
    "The URL of a PostgreSQL server of its own, on a socket in a folder."
    binaries = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not binaries:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    folder = Path(tempfile.mkdtemp(prefix="pg", dir="/tmp"))
    as_user = ["setpriv", "--reuid", "postgres", "--regid", "postgres", "--clear-groups"] if os.geteuid() == 0 else []
    if as_user:
        shutil.chown(folder, "postgres", "postgres")
    run = lambda *c: subprocess.run([*as_user, *c], check=True, capture_output=True, cwd=folder)
    run(str(binaries[-1] / "initdb"), "-D", f"{folder}/data", "-A", "trust", "-U", "medllm", "--no-sync")
    run(
        str(binaries[-1] / "pg_ctl"),
        "-D",
        f"{folder}/data",
        "-w",
        "-l",
        f"{folder}/log",
        "-o",
        f"-c listen_addresses='' -k {folder} -c fsync=off",
        "start",
    )
    try:
        yield f"postgresql+psycopg://medllm@/postgres?host={folder}"
    finally:
        run(str(binaries[-1] / "pg_ctl"), "-D", f"{folder}/data", "-m", "immediate", "stop")
        shutil.rmtree(folder, ignore_errors=True)
