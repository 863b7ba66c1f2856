"""Run a bench and keep the figures of its last line, with the machine, the commit, the date and the command.

    python bench/record.py deidentify [the bench's own arguments]

The figures go to bench/results/NAME.json; `make results` makes RESULTS.md of them.
"""

import json
import subprocess
import sys
from datetime import date
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "bench" / "results"


def machine() -> str:
    "Processor and cores of this machine."
    import os

    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next(
        (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown processor"
    )
    return f"{len(os.sched_getaffinity(0))} cores of {model}"


def commit() -> str:
    "The commit that is checked out, with a plus where files differ from it."
    git = ["git", "-C", str(ROOT)]
    head = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    changed = subprocess.run([*git, "status", "--porcelain", "-uno"], capture_output=True, text=True).stdout.strip()
    return head + ("+" if changed else "")


def save(name: str, command: str, figures: dict) -> Path:
    "Keep figures with where they come from; the file."
    path = RESULTS / f"{name}.json"
    path.parent.mkdir(exist_ok=True)
    source = {"command": command, "commit": commit(), "date": str(date.today()), "machine": machine()}
    path.write_text(json.dumps(source | {"figures": figures}, indent=1) + "\n", encoding="utf-8")
    return path


def main(name: str, *arguments: str) -> None:
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "bench" / f"{name}.py"), *arguments], stdout=subprocess.PIPE, text=True
    )
    last = ""
    for line in process.stdout:
        print(line, end="", flush=True)
        last = line.strip() or last
    if process.wait():
        sys.exit(f"bench/{name}.py failed: nothing is kept")
    command = " ".join(["python", f"bench/{name}.py", *arguments])
    print("kept in", save(name, command, json.loads(last)).relative_to(ROOT))


if __name__ == "__main__":
    main(*sys.argv[1:])
