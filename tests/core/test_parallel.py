"The engines give the same results, and a cluster that loses a machine loses no report."

import os
import stat
import threading
import time
from types import SimpleNamespace

import pytest
from PIL import Image, ImageDraw, ImageFont

from medllm_nb.core import DeidReport, Report, load_key, read_records, write_records
from medllm_nb.deidentify import DeidentifyParams, run_deidentify
from medllm_nb.core.parallel import EngineParams, map_items, start_ray
from medllm_nb.ingest.parameters import IngestParams
from medllm_nb.ingest.ingest import run_ingest
from medllm_nb.structure.reports import structure_report

TEXT = (
    "HISTORY: Weakness.\nLABS\nPotassium 6.{} mmol/L (3.5-5.1) H\n"
    "IMPRESSION: Potassium is high.\nDIAGNOSIS: Hyperkalemia (E87.5)"
)


def some_reports(n):
    return [DeidReport(report_id=f"r{i}", patient_key=f"p{i}", format="txt", text=TEXT.format(i)) for i in range(n)]


@pytest.fixture
def cluster():
    "A head and a second node, as processes here, one core each. A new one each time: on a used one Ray Data may wait."
    pytest.importorskip("ray")
    os.environ["RAY_agent_register_timeout_ms"] = "120000"
    import ray
    from ray.cluster_utils import Cluster

    for left in (2, 1, 0):
        try:
            nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
        except Exception as e:
            if not left or "timed out during startup" not in str(e):
                raise
        else:
            break
    second = nodes.add_node(num_cpus=1)
    nodes.wait_for_nodes()
    ray.init(address=nodes.address, log_to_driver=False, logging_level="ERROR")
    yield nodes, second
    ray.shutdown()
    nodes.shutdown()


def test_a_slow_first_start_is_tried_again_and_a_wrong_address_is_not(monkeypatch):
    ray, tries = pytest.importorskip("ray"), []

    def init(address, object_spilling_directory="", **knobs):
        tries.append(address)
        if address == "local":
            assert (
                object_spilling_directory.startswith("/dev/shm/")
                and stat.S_IMODE(os.stat(object_spilling_directory).st_mode) == 0o700
            ), "reports in clear where others may read"
        else:
            assert not object_spilling_directory
        if len(tries) < 3:
            raise Exception("The current node timed out during startup. This could happen because ...")

    monkeypatch.setattr(ray, "init", init)
    monkeypatch.setattr(ray, "is_initialized", lambda: len(tries) == 3)
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    start_ray("")
    assert tries == ["local"] * 3
    tries.clear()
    with pytest.raises(Exception, match="timed out"):
        start_ray("10.0.0.7:6379")
    assert len(tries) == 1


@pytest.mark.parametrize(
    "address, fits",
    [
        ("", True),
        ("auto", True),
        ("127.0.0.1:6379", True),
        ("localhost:6379", True),
        ("127.0.0.1:6380", False),
        ("10.0.0.7:6379", False),
    ],
)
def test_another_cluster_than_the_one_joined_is_refused(monkeypatch, address, fits):
    ray = pytest.importorskip("ray")
    monkeypatch.setattr(ray, "is_initialized", lambda: True)
    monkeypatch.setattr(ray, "get_runtime_context", lambda: SimpleNamespace(gcs_address="127.0.0.1:6379"))
    if fits:
        return start_ray(address)
    with pytest.raises(RuntimeError, match="ray.shutdown"):
        start_ray(address)


@pytest.mark.slow
def test_cluster_gives_the_same_bytes_as_one_machine(cluster):
    def structured(reports):  # in here, so that it travels to the nodes, which do not have this file
        return [structure_report(r) for r in reports]

    nodes, _ = cluster
    reports = some_reports(24)
    here = structured(reports)
    there = map_items(structured, reports, EngineParams(backend="ray", address=nodes.address), chunk=6)
    assert [r.model_dump_json() for r in here] == [r.model_dump_json() for r in there]


@pytest.mark.slow
def test_cluster_reads_the_same_bytes_as_one_machine(cluster, tmp_path):
    "Ingest, with a damaged file and a scan among the rest."
    nodes, _ = cluster
    folder = tmp_path / "data" / "reports"
    folder.mkdir(parents=True)
    for i in range(30):
        (folder / f"{i}.txt").write_text(TEXT.format(i) + f"\nMRN: {1000000 + i // 2}")
    (folder / "broken.pdf").write_bytes(b"%PDF-1.7\n1 0 obj")
    page = Image.new("L", (900, 300), 255)
    for i, line in enumerate(TEXT.format(7).splitlines()):
        ImageDraw.Draw(page).text((30, 20 + 50 * i), line, fill=0, font=ImageFont.load_default(26))
    page.save(folder / "scan.png")
    written = []
    for name, more in (("here", {}), ("there", {"backend": "ray", "address": nodes.address})):
        root = tmp_path / name
        root.mkdir()
        metrics = run_ingest(IngestParams(data_dir=str(tmp_path / "data")), root, EngineParams(**more))
        assert (metrics["reports"], metrics["quarantined"], metrics["from_cache"]) == (31, 1, 0)
        written.append(
            {
                str(p.relative_to(root)): p.read_bytes()
                for p in (root / "artifacts" / "ingest").rglob("*")
                if p.is_file()
            }
        )
    assert written[0] == written[1]


@pytest.mark.slow
def test_cluster_deidentifies_to_the_same_bytes_as_one_machine(cluster, tmp_path, monkeypatch):
    "Patients of two reports, of which one names what the other does not, in more steps than one."
    monkeypatch.setenv("MEDLLM_KEY", "k" * 32)
    nodes, _ = cluster
    texts = (
        "Patient: OKONKWO, Ada\nMRN: {n}\nSeen 14/03/2024.\n" + TEXT,
        "HISTORY: A. Okonkwo came back on 03/04/2024 with file {n}.\n" + TEXT,
    )
    reports = [
        Report(
            report_id=f"r{part}{i}",
            patient_id=f"p{i}",
            source="a.txt",
            format="txt",
            text=text.format(i % 10, n=4100000 + i),
        )
        for part, text in enumerate(texts)
        for i in range(24)
    ]
    written = []
    for name, more in (("here", {}), ("there", {"backend": "ray", "address": nodes.address})):
        root = tmp_path / name
        (root / "artifacts").mkdir(parents=True)
        write_records(root / "artifacts" / "ingest" / "reports", reports, Report, load_key("phi-at-rest"))
        metrics = run_deidentify(DeidentifyParams(compare_stock=False), root, EngineParams(**more))
        assert (metrics["reports"], metrics["withheld"], metrics["from_cache"]) == (48, 0, 0)
        written.append(
            {
                str(p.relative_to(root)): p.read_bytes()
                for p in (root / "artifacts" / "deidentify").rglob("*")
                if p.is_file()
            }
        )
    assert written[0] == written[1] and any(name.endswith(".parquet") for name in written[0])
    texts = [r.text for r in read_records(tmp_path / "there" / "artifacts" / "deidentify" / "reports", DeidReport)]
    assert len(texts) == 48 and not any("OKONKWO" in t.upper() for t in texts)


@pytest.mark.slow
def test_a_node_killed_mid_run_loses_nothing(cluster):
    "One stage stands for all: each uses `map_items` alone."
    import ray

    def slowly(items):
        time.sleep(0.4)
        return [i * i for i in items]

    nodes, second = cluster
    killed = threading.Timer(2.0, nodes.remove_node, args=(second,), kwargs={"allow_graceful": False})
    killed.start()
    assert map_items(slowly, list(range(60)), EngineParams(backend="ray", address=nodes.address), chunk=3) == [
        i * i for i in range(60)
    ]
    killed.join()
    assert sum(n["Alive"] for n in ray.nodes()) == 1, "the node was to die during the run"
