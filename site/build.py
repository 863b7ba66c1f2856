"""Lay out the site's sources: README, docs, and every notebook in the folder it has in nbs/.

    python site/build.py FOLDER

Stage notebooks come as papermill executed them (reports/nbs), library notebooks with the outputs that they keep in
git. The navigation follows the folders; inside a folder the stage notebooks come first, then the library notebooks in
the order in which they must be read.
"""

import ast
import json
import re
import shutil
import sys
from pathlib import Path

from outputs import ROOT, is_stage

PAGES = ("own-reports", "commands", "serving", "larger-model", "reproducibility")


def code_of(notebook: dict) -> str:
    "All code of a notebook."
    return "\n".join("".join(c["source"]) for c in notebook["cells"] if c["cell_type"] == "code")


def promise_of(notebook: dict) -> str:
    "The one-line promise below a notebook's title; empty without one."
    found = re.search(r"(?m)^> (.+)$", "".join(notebook["cells"][0]["source"]))
    return found.group(1) if found else ""


def reading_order(notebooks: dict[str, dict]) -> list[str]:
    "The names of a folder's notebooks: stages first, then each library notebook behind those that it imports."
    exports = {n: re.search(r"(?m)^#\| default_exp (\S+)", code_of(nb)) for n, nb in notebooks.items()}
    name_of = {m.group(1): n for n, m in exports.items() if m}
    imports = {
        n: {name_of[m] for m in re.findall(r"medllm_nb\.(\w+\.\w+)", code_of(nb)) if m in name_of} - {n}
        for n, nb in notebooks.items()
    }

    def depth(name: str, above: tuple = ()) -> int:
        return max((1 + depth(n, (*above, name)) for n in imports[name] if n not in above), default=0)

    return sorted(notebooks, key=lambda n: (not is_stage(notebooks[n]), depth(n), n))


def tree(caption: str, entries: list[str]) -> str:
    "A table of contents."
    return f"```{{toctree}}\n:caption: {caption}\n:maxdepth: 1\n\n" + "\n".join(entries) + "\n```\n"


def package_promise(package: str) -> str:
    "The first line of a package's docstring."
    return ast.get_docstring(ast.parse((ROOT / "medllm_nb" / package / "__init__.py").read_text(encoding="utf-8")))


def place_folder(folder: Path, out: Path) -> str:
    "Copy a folder's notebooks and write its page, with a row for each in reading order; the page's name."
    notebooks = {p.stem: json.loads(p.read_text(encoding="utf-8")) for p in sorted(folder.glob("*.ipynb"))}
    (out / folder.name).mkdir(parents=True)
    names, rows = reading_order(notebooks), []
    for name in names:
        executed, stage = ROOT / "reports" / "nbs" / f"{name}.ipynb", is_stage(notebooks[name])
        source = executed if stage and executed.is_file() else folder / f"{name}.ipynb"
        shutil.copy(source, out / folder.name / f"{name}.ipynb")
        link = f"[{name}]({name}.ipynb)"
        rows.append(f"| {f'**{link}**' if stage else link} | {promise_of(notebooks[name])} |")
    package = folder.name[3:]
    head = f"# {package}\n\n{package_promise(package)}\n\nStage notebooks, which DVC runs, are set in bold.\n\n"
    table = "| notebook | what it is about |\n|---|---|\n" + "\n".join(rows)
    page = head + table + "\n\n" + tree("", names).replace(":caption: \n", ":hidden:\n")
    (out / folder.name / "index.md").write_text(page, encoding="utf-8")
    return f"{folder.name}/index"


def main(out: Path) -> None:
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    for name in ("conf.py", "wrap.css"):
        shutil.copy(ROOT / "site" / name, out)
    shutil.copytree(ROOT / "nbs" / "img", out / "img")
    shutil.copytree(ROOT / "docs", out / "docs")
    for name in ("RESULTS.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"):
        shutil.copy(ROOT / name, out)
    shutil.copy(ROOT / "nbs" / "index.ipynb", out)
    folders = sorted(p for p in (ROOT / "nbs").iterdir() if re.match(r"\d\d_", p.name))
    pages = [place_folder(folder, out) for folder in folders]
    records = sorted(p.stem for p in (ROOT / "docs" / "decisions").glob("0*.md"))
    (out / "docs" / "decisions" / "README.md").open("a").write("\n" + tree("Decisions", records))
    index = json.loads((out / "index.ipynb").read_text(encoding="utf-8"))
    guide = [*(f"docs/{p}" for p in PAGES), "RESULTS", "CONTRIBUTING", "CHANGELOG", "SECURITY", "docs/decisions/README"]
    toc = tree("Guide", guide) + "\n" + tree("Stages", pages)
    index["cells"].append({"cell_type": "markdown", "id": "contents", "metadata": {}, "source": toc})
    (out / "index.ipynb").write_text(json.dumps(index), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
