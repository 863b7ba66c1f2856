"The command `medllm`: help everywhere, quick, and the messages and exit codes that scripts rely on."

import json
import os
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

import pytest
from conftest import KEY, ROOT
from typer.main import get_command
from typer.testing import CliRunner

from medllm_nb.operate.cli import app

PASSWORD = "correct horse battery"
HEAVY = ("torch", "transformers", "pandas", "spacy", "sqlalchemy", "medllm_nb.core.records")


def commands(command=None, path=()):
    "Every command and group, as the words that call it."
    command = command or get_command(app)
    yield path
    for name, sub in getattr(command, "commands", {}).items():
        yield from commands(sub, (*path, name))


COMMANDS = list(commands())
LEAVES = [c for c in COMMANDS if not any(other[: len(c)] == c and other != c for other in COMMANDS)]


@pytest.fixture
def project(tmp_path, monkeypatch):
    "A project's folder with nothing in it but its parameters."
    (tmp_path / "params.yaml").write_text("serve: {store: store/medllm.db}\nsft: {max_steps: 140}\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MEDLLM_KEY", KEY)
    monkeypatch.delenv("MEDLLM_PASSWORD", raising=False)
    return tmp_path


def medllm(*words, code=0, input=None, **env):
    "What a command prints; it must end with this exit code."
    result = CliRunner().invoke(app, [str(w) for w in words], prog_name="medllm", input=input, env=env)
    assert result.exit_code == code, (words, result.exit_code, result.output, result.exception)
    return result.output


def test_it_is_the_only_script_of_the_package():
    settings = ConfigParser(delimiters=["="], interpolation=None)
    settings.read(ROOT / "settings.ini")
    assert settings["DEFAULT"]["console_scripts"].split() == ["medllm=medllm_nb.operate.cli:main"]


def test_these_are_the_commands():
    commands = "doctor key profile plan tables scores model retrain page serve store user accept".split()
    phi = ["why-phi", "review-phi", "phi-list", "annotations"]
    assert {c[0] for c in COMMANDS if c} == {*commands, *phi}


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: "-".join(words) or "medllm")
def test_every_command_has_help(words):
    assert "Usage: medllm" in medllm(*words, "--help")


@pytest.mark.parametrize("words", LEAVES, ids="-".join)
def test_every_command_shows_an_example(words):
    assert f"medllm {' '.join(words)}" in medllm(*words, "--help").split("Example", 1)[1]


@pytest.mark.parametrize("words", [(), ("store",), ("user", "add")], ids=lambda words: "-".join(words) or "medllm")
def test_help_imports_nothing_heavy(words):
    code = (
        "import sys\nfrom medllm_nb.operate.cli import main\nsys.argv[1:] = [*WORDS, '--help']\n"
        "try: main()\nexcept SystemExit: print([m for m in HEAVY if m in sys.modules])"
    )
    code = code.replace("WORDS", repr(words)).replace("HEAVY", repr(HEAVY))
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_command_that_is_none_is_a_usage_error():
    assert "No such command" in medllm("monitor", code=2)


def test_a_bug_shows_no_values_of_variables(tmp_path):
    "A traceback with local variables would print patients' texts."
    (tmp_path / "params.yaml").write_text("monitor: [")
    done = subprocess.run(
        [sys.executable, "-m", "medllm_nb.operate.cli", "retrain", "propose"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT), "SECRET": "O'Connell"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1 and "locals" not in done.stderr and "O'Connell" not in done.stderr


# The machine and its knobs


def test_doctor_says_what_is_here(project):
    assert "Python" in medllm("doctor") and "Cores" in medllm("doctor")


def test_key_makes_a_key_once_and_notes_its_fingerprint(project):
    made = medllm("key", MEDLLM_KEY="")
    assert ".secrets/key" in made and (project / ".secrets" / "fingerprint").is_file()
    secret = (project / ".secrets" / "key").read_text()
    assert medllm("key", MEDLLM_KEY="") == made and (project / ".secrets" / "key").read_text() == secret
    assert "key: MEDLLM_KEY, fingerprint" in medllm("key")


def test_profile_lays_values_over_params(project):
    (project / "profiles").mkdir()
    (project / "profiles" / "short.yaml").write_text("sft: {max_steps: 3}\n")
    assert medllm("profile", "short") == "sft.max_steps: 140 -> 3\n"
    assert "nothing to change" in medllm("profile", "short")
    assert "there are short" in medllm("profile", "long", code=1)
    assert "there are short" in medllm("profile", code=1)


# The evaluated model and its versions


def test_scores_before_and_after_a_gate(project):
    assert medllm("scores") == "no evaluation yet: run `make`\n"
    (project / "artifacts" / "metrics").mkdir(parents=True)
    gate = {"verdict": "not worse", "summary": "sft is not worse than base."}
    (project / "artifacts" / "metrics" / "gate.json").write_text(json.dumps(gate))
    assert medllm("scores").splitlines()[-1] == gate["summary"]


def test_accept_names_the_stage_that_is_missing(project):
    output = medllm("accept", code=1)
    assert output.startswith("medllm accept: ") and "dvc repro evaluate" in output


def test_model_without_a_subcommand_lists(project):
    assert medllm("model") == medllm("model", "list") == "no version yet: run `medllm model register` after `make`\n"


def test_versions_are_registered_promoted_and_rolled_back(project):
    adapter = project / "artifacts" / "sft" / "adapter"
    assert "dvc repro sft" in medllm("model", "register", code=1)
    adapter.mkdir(parents=True)
    (adapter / "adapter_config.json").write_text("{}")
    (adapter.parent / "training.json").write_text(json.dumps({"params": {}, "base": {"name": "pypi:base"}}))
    for content in (b"first", b"second"):
        (adapter / "adapter_model.safetensors").write_bytes(content)
        medllm("model", "register", "sft")
    assert medllm("model", "promote", "v1") == "none -> v1\n"
    assert medllm("model", "promote", "v2", "more", "accurate") == "v1 -> v2\n"
    assert medllm("model", "rollback", "invents", "drugs") == "v2 -> v1\n"
    assert "v1 was the first to serve" in medllm("model", "rollback", code=1)
    assert "there are v1, v2" in medllm("model", "promote", "v7", code=1)
    history = (project / "artifacts" / "registry" / "CHANGELOG.md").read_text()
    assert ": more accurate" in history and ": invents drugs" in history


# The store and its users


def test_the_store_is_checked_backed_up_and_restored(project):
    pytest.importorskip("sqlcipher3", reason="the extra `serve` is not installed")
    store = ("--store", project / "medllm.db")
    assert medllm("store", "check", *store) == "audit trail: 0 rows, whole\n"
    assert medllm("store", "backup", project / "copy.db", *store) == f"written: {project / 'copy.db'}\n"
    assert "medllm store: " in medllm("store", "restore", project / "none.db", *store, code=1)
    assert medllm("store", "restore", project / "copy.db", *store).startswith("restored: ")
    assert medllm("store", "expire", 365, *store).startswith("deleted: ")


def test_a_new_key_takes_the_old_ones_place(project):
    pytest.importorskip("sqlcipher3", reason="the extra `serve` is not installed")
    store, key = ("--store", project / "medllm.db"), project / "new-key"
    medllm("store", "check", *store)
    assert medllm("store", "new-key", key) == f"key file: {key}\n"
    assert f"now put {key} in the place" in medllm("store", "rotate", key, *store)
    assert "another one" in medllm("store", "check", *store, code=1)
    assert "whole" in medllm("store", "check", *store, MEDLLM_KEY="", MEDLLM_KEY_FILE=str(key))


@pytest.mark.parametrize(
    "words", [("backup",), ("restore",), ("rotate",), ("new-key",), ("expire",), ("expire", "soon")]
)
def test_the_store_wants_a_file_or_a_number(project, words):
    medllm("store", *words, code=2)


def test_users_are_made_listed_and_changed(project):
    pytest.importorskip("argon2", reason="the extra `serve` is not installed")
    store = ("--store", project / "users.db")
    given = dict(MEDLLM_PASSWORD=PASSWORD)
    made = medllm("user", "add", "ada", "--role", "admin", "--role", "clinician", *store, **given)
    assert made.split() == ["ada", "admin,", "clinician"]
    assert "exists already" in medllm("user", "add", "ada", "--role", "admin", *store, code=1, **given)
    assert "no user nobody" in medllm("user", "change", "nobody", "--off", *store, code=1)
    assert "(off)" in medllm("user", "change", "ada", "--off", *store)
    assert "(off)" not in medllm("user", "change", "ada", "--on", "--role", "reviewer", *store)
    assert medllm("user", "list", *store).split() == ["ada", "reviewer"]


def test_a_password_comes_through_a_pipe_and_must_be_long(project):
    pytest.importorskip("argon2", reason="the extra `serve` is not installed")
    store = ("--store", project / "users.db")
    assert "rita" in medllm("user", "add", "rita", "--role", "reviewer", *store, input=PASSWORD + "\n")
    assert "medllm user: " in medllm("user", "add", "joe", "--role", "reviewer", *store, input="short\n", code=1)


def test_a_role_that_is_none_is_a_usage_error(project):
    pytest.importorskip("argon2", reason="the extra `serve` is not installed")
    assert "choose from clinician, reviewer, admin" in medllm("user", "add", "ada", "--role", "nurse", code=2)
    assert not Path("store").exists(), "nothing is opened before the arguments are right"


def test_a_wrong_knob_ends_the_gateway_with_one_line(project):
    pytest.importorskip("fastapi", reason="the extra `serve` is not installed")
    (project / "params.yaml").write_text("serve: {prot: 8000}\n")
    output = medllm("serve", code=1)
    assert output.startswith("medllm serve: ") and "serve.prot" in output and len(output.splitlines()) == 1


def test_why_phi_tells_what_was_kept_and_dropped(project):
    (project / "letter.txt").write_text(
        "Seen by Dr. Mary Graves for chest pain on 3/14/2024. Started Mounjaro and Wegovy today, pH 7.21/68/55/27/88%. "
        "The heart is normal in size and the lungs are clear. No pleural effusion and no pneumothorax is seen today.\n"
    )
    lines = medllm("why-phi", "letter.txt").splitlines()
    kept = [line for line in lines if " kept " in line]
    assert any("Mary Graves" in line for line in kept) and any("3/14/2024" in line for line in kept)
    assert not any("7.21" in line or "Wegovy" in line for line in kept)


def test_why_phi_names_a_file_that_is_not_there(project):
    assert "nowhere.txt" in medllm("why-phi", "nowhere.txt", code=1)
