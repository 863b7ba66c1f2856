"Give the site's first page a table of contents: the notebooks in pipeline order."
import sys
from pathlib import Path

import nbformat
from nbformat.v4 import new_markdown_cell

folder = Path(sys.argv[1])
pages = sorted(p.stem for p in folder.glob("*.ipynb") if p.stem != "index")
path = folder / "index.ipynb"
nb = nbformat.read(path, as_version=4)
nb.cells.append(new_markdown_cell("```{toctree}\n:caption: Notebooks, in pipeline order\n:maxdepth: 1\n\n" + "\n".join(pages) + "\n```"))
nbformat.write(nb, path)
