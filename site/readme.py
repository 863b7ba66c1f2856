"""README.md from nbs/index.ipynb, without its hidden cells.

python site/readme.py
"""

from pathlib import Path

import nbformat
from nbconvert import MarkdownExporter

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    notebook = nbformat.read(ROOT / "nbs" / "index.ipynb", as_version=4)
    notebook.cells = [c for c in notebook.cells if not c.source.startswith("#| hide")]
    notebook.metadata["language_info"] = {"name": "python"}
    text, _ = MarkdownExporter().from_notebook_node(notebook)
    lines = [line.rstrip() for line in text.replace("](img/", "](nbs/img/").splitlines()]
    spaced = [line for i, line in enumerate(lines) if line or (i and lines[i - 1])]
    (ROOT / "README.md").write_text("\n".join(spaced).strip() + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
