"""How many terms the index holds, in how much memory, and how fast it finds them, beside the plain ways.

    python bench/concepts.py [naive reports, default 2]

The same names, in the same plain form, searched three ways: the project's automaton (with and without correction of
words, and as part of `find_concepts`, with sections and assertion), spaCy's PhraseMatcher, and a loop that looks for
each name in turn. Reports are MTSamples from ../shared/data; the first half warms the caches of words and is not timed.
Rates are by this process's CPU seconds, the best of three passes over the second half, each in a fork of the warmed
process, so that no pass has seen its reports before. The last line is the figures as JSON.
"""

import gc
import json
import resource
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

MTSAMPLES = Path(__file__).resolve().parents[2] / "shared" / "data" / "mtsamples" / "mtsamples.jsonl"


def memory() -> float:
    "Largest memory of this process so far, MiB."
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def rate(function, texts, warm=()) -> tuple[float, int]:
    "Texts a CPU second, the best of three forks, and things found."
    for t in warm:
        function(t)
    gc.freeze()  # or a collection in the fork would copy the whole index
    out = []
    for _ in range(3):
        with ProcessPoolExecutor(1, get_context("fork"), _take, (function, texts)) as pool:
            out.append(pool.submit(one_pass).result())
    return max(out)


def _take(function, texts):
    one_pass.given = function, texts


def one_pass() -> tuple[float, int]:
    function, texts = one_pass.given
    start = time.process_time()
    found = sum(len(function(t)) for t in texts)
    return len(texts) / (time.process_time() - start), found


def load():
    texts = [json.loads(line)["transcription"] for line in MTSAMPLES.open()]
    return texts[: len(texts) // 2], texts[len(texts) // 2 :]


def index_names(index) -> list[str]:
    return [name.strip() for name in index.automaton.keys()]


def ours() -> dict[str, float]:
    from medllm_nb.structure.concepts import find_concepts
    from medllm_nb.structure.terms import find_terms, plain_word, term_index
    import medllm_nb.structure.terms as terms

    before, start = memory(), time.perf_counter()
    index = term_index()
    built, size = time.perf_counter() - start, memory() - before
    print(f"{index.terms:,} names of ICD-10-CM and made of it: built in {built:.1f} s, {size:,.0f} MiB")
    warm, texts = load()
    chars = sum(map(len, texts)) / len(texts)
    print(
        f"{len(texts)} reports of {chars:,.0f} characters, one core\n\n{'':<44}{'reports/s':>10}{'found':>8}{'MiB':>8}"
    )
    figures = {"names": index.terms, "seconds to build": built, "MiB": size}

    def row(name, rated):
        print(f"{name:<44}{rated[0]:>10,.1f}{rated[1]:>8}{memory():>8,.0f}")
        figures[f"{name}, reports/s"] = rated[0]

    row("find_concepts: sections, terms, assertion", rate(find_concepts, texts, warm))
    row("find_terms: terms alone, words corrected", rate(partial(find_terms, index=index), texts, warm))
    corrected = terms.index_word
    terms.index_word = lambda word, index: plain_word(word)
    row("find_terms: terms alone, words as written", rate(partial(find_terms, index=index), texts, warm))
    terms.index_word = corrected
    return figures


def phrase_matcher() -> dict[str, float]:
    import spacy
    from spacy.matcher import PhraseMatcher
    from medllm_nb.structure.terms import plain_text, term_index

    index = term_index()
    nlp = spacy.blank("en")
    before, start = memory(), time.perf_counter()
    matcher = PhraseMatcher(nlp.vocab)
    for name in index_names(index):
        matcher.add(name, [nlp.make_doc(name)])
    built = time.perf_counter() - start
    warm, texts = load()
    r = rate(lambda t: matcher(nlp.make_doc(plain_text(t, index)[0])), texts, warm)
    name = f"spaCy PhraseMatcher (built in {built:.0f} s)"
    print(f"{name:<44}{r[0]:>10,.1f}{r[1]:>8}{memory() - before:>8,.0f}  (all overlapping, memory beside the index)")
    return {"spaCy PhraseMatcher, reports/s": r[0]}


def in_turn(flat: str, names: list[str]) -> list[str]:
    return [name for name in names if name in flat]


def naive(n: int) -> dict[str, float]:
    from medllm_nb.structure.terms import plain_text, term_index

    index = term_index()
    names = [f" {name} " for name in index_names(index)]
    _, texts = load()
    r = rate(lambda t: in_turn(plain_text(t, index)[0], names), [t[:3000] for t in texts[:n]])
    print(f"{'each name in turn':<44}{r[0]:>10,.3f}{r[1]:>8}  (of {n} reports, all overlapping matches)")
    return {"each name in turn, reports/s": r[0]}


def in_own_process(way: str, n: str) -> dict[str, float]:
    "One of the plain ways, in a process with memory of its own; its figures."
    command = [sys.executable, __file__, way, n]
    lines = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    print(*lines[:-1], sep="\n")
    return json.loads(lines[-1])


if __name__ == "__main__":
    if len(sys.argv) > 2:
        print(json.dumps(naive(int(sys.argv[2])) if sys.argv[1] == "naive" else phrase_matcher()))
    else:
        figures = ours()
        sys.stdout.flush()
        n = sys.argv[1] if len(sys.argv) > 1 else "2"
        print(json.dumps(figures | in_own_process("phrases", n) | in_own_process("naive", n)))
