"params.yaml lists and explains every value, and agrees with code and profiles; the lock pins all."

import re
from configparser import ConfigParser
from importlib import import_module

import pytest
import yaml
from conftest import ROOT

from medllm_nb.core import apply_profile, load_params

PARAMS = yaml.safe_load((ROOT / "params.yaml").read_text())
PROFILES = sorted(p.stem for p in (ROOT / "profiles").glob("*.yaml"))


def params_class(section):
    "The class of a section: its name in capitals and Params, wherever in the package it stands."
    for path in sorted((ROOT / "medllm_nb").rglob("*.py")):
        for name in re.findall(r"(?m)^class (\w+)Params\(", path.read_text()):
            if name.lower() == section.replace("_", ""):
                module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
                return getattr(import_module(module), f"{name}Params")
    raise AssertionError(f"no class for section {section}")


@pytest.mark.parametrize("profile", PROFILES)
def test_profile_is_valid_and_laptop_takes_it_back(profile, tmp_path):
    for name in ("params.yaml", *(f"profiles/{p}.yaml" for p in PROFILES)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    apply_profile("laptop", tmp_path)
    laptop = (tmp_path / "params.yaml").read_bytes()
    apply_profile(profile, tmp_path)
    for section, values in yaml.safe_load((tmp_path / "params.yaml").read_text()).items():
        load_params(params_class(section), section, values)
    apply_profile("laptop", tmp_path)
    assert (tmp_path / "params.yaml").read_bytes() == laptop, (
        f"profiles/laptop.yaml lacks a key that {profile}.yaml sets"
    )


def test_params_are_the_laptop_profile_and_each_one_is_explained():
    laptop = yaml.safe_load((ROOT / "profiles" / "laptop.yaml").read_text())
    unlike = [f"{s}.{k}" for s, section in laptop.items() for k, v in section.items() if PARAMS[s][k] != v]
    assert not unlike, f"params.yaml is not on the laptop profile: {unlike}"
    lines = (ROOT / "params.yaml").read_text().splitlines()
    explained = lambda i: "#" in lines[i] or lines[i - 1].strip().startswith("#")
    bare = [line.strip() for i, line in enumerate(lines) if re.match(r"  \w+:", line) and not explained(i)]
    assert not bare, f"parameters without a comment: {bare}"


@pytest.mark.parametrize("section", PARAMS)
def test_every_default_in_code_is_the_one_in_params_yaml(section):
    cls = params_class(section)
    assert cls().model_dump() == cls(**PARAMS[section]).model_dump(), (
        f"{cls.__name__}'s defaults differ from params.yaml"
    )
    assert set(PARAMS[section]) == set(cls.model_fields), (
        f"params.yaml, section {section}, does not list every parameter"
    )


@pytest.mark.parametrize("name", ["lora_r", "lora_alpha", "lora_dropout", "use_rslora", "use_dora", "target_modules"])
def test_the_adapter_has_pefts_names(name):
    assert name in PARAMS["sft"]


def test_the_trainer_has_trls_names():
    "A recipe written for TRL can be pasted; what is not TRL's is named."
    import dataclasses

    from trl import GRPOConfig, SFTConfig

    ours = {
        "sft": {
            "too_long",
            "warmup_ratio",
            "eval_examples",
            "probe",
            "accelerate",
            "tuned",
            "early_stopping_patience",
            "target_modules",
        },
        "grpo": {
            "tasks",
            "prompts_per_step",
            "max_prompt_length",
            "eval_examples",
            "patience",
            "max_drop",
            "accelerate",
        },
    }
    adapter = {"lora_r", "lora_alpha", "lora_dropout", "use_rslora", "use_dora"}
    for section, config in (("sft", SFTConfig), ("grpo", GRPOConfig)):
        known = {f.name for f in dataclasses.fields(config)} | ours[section] | adapter
        assert set(PARAMS[section]) <= known, set(PARAMS[section]) - known


def test_lock_pins_every_requirement_with_a_hash():
    parser = ConfigParser(delimiters=["="], interpolation=None)
    parser.read(ROOT / "settings.ini")
    fold = lambda name: re.sub(r"[-_.]+", "-", re.split(r"[<>=\[]", name)[0]).lower()
    wanted = {fold(r) for key in ("requirements", "dev_requirements") for r in parser["DEFAULT"][key].split()}
    blocks = re.split(r"\n(?=[a-z0-9])", (ROOT / "requirements" / "lock.txt").read_text())
    pinned = {fold(b.split("==")[0]): "--hash=sha256:" in b for b in blocks if "==" in b.split("\n")[0]}
    assert not wanted - set(pinned), f"not locked: {sorted(wanted - set(pinned))}; run `make lock`"
    assert all(pinned.values())
