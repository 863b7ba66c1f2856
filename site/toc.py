"Give the site's first page a table of contents: the notebooks in pipeline order."
import re
import sys
from pathlib import Path

import nbformat
from nbformat.v4 import new_markdown_cell

folder = Path(sys.argv[1])
pages = {p.stem: nbformat.read(p, as_version=4) for p in folder.glob("*.ipynb") if p.stem != "index"}
page_of = {name.split("_", 1)[1]: name for name in pages}


def imports(name):
    "The pages of the same number that a page imports."
    code = "\n".join(c.source for c in pages[name].cells if c.cell_type == "code")
    modules = re.findall(r"^(?:from|import) medllm_nb\.(\w+)", code, re.M)
    return {page_of[m] for m in modules if m in page_of and page_of[m] != name and page_of[m].split("_")[0] == name.split("_")[0]}


def depth(name):
    "How many pages of its number must be read before it."
    return max((1 + depth(other) for other in imports(name)), default=0)


order = sorted(pages, key=lambda name: (name.split("_")[0], depth(name), name))
path = folder / "index.ipynb"
nb = nbformat.read(path, as_version=4)
nb.cells.append(new_markdown_cell("```{toctree}\n:caption: Notebooks, in pipeline order\n:maxdepth: 1\n\n" + "\n".join(order) + "\n```"))
nbformat.write(nb, path)
