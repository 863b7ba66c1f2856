"The public clinical reports of ../shared/data; a test that asks for them skips where they are absent."

import csv
import json

import pytest
from conftest import SHARED


def mtsamples():
    path = SHARED / "mtsamples/mtsamples.jsonl"
    return (
        [json.loads(line)["transcription"] for line in path.open()]
        if path.exists()
        else pytest.skip(f"{path} is not here")
    )


def aci_bench():
    paths = [SHARED / "aci-bench" / f for f in ("train.csv", "valid.csv", "clinicalnlp_taskB_test1.csv")]
    return (
        [r["note"] for p in paths for r in csv.DictReader(p.open())]
        if all(p.exists() for p in paths)
        else pytest.skip(f"{SHARED / 'aci-bench'} is not here")
    )
