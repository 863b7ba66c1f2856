"A streamed answer turns back the same surrogates as a whole one, wherever the pieces are cut."

import pytest

pytest.importorskip("fastapi", reason="the extra `serve` is not installed")
from hypothesis import given, settings, strategies as st

from medllm_nb.serve.answering import StreamReidentifier, substitute

NUMBERS = st.text("19", min_size=5, max_size=6)
SURROGATES = st.from_regex(r"[aB19]([aB19 -]{0,5}[aB19])?", fullmatch=True) | NUMBERS


@settings(deadline=None)
@given(st.dictionaries(SURROGATES, st.just("#"), max_size=4), st.text("aB19 -_.", max_size=30), st.integers(1, 5))
def test_pieces_give_what_the_whole_gives(table, text, size):
    stream = StreamReidentifier(table)
    assert "".join(stream.feed(text[i : i + size]) for i in range(0, len(text), size)) + stream.end() == substitute(
        text, table
    )


@given(NUMBERS, st.sampled_from(("MRN{}", "MRN {}.", "({})", "{}A")))
def test_a_number_is_turned_back_wherever_it_stands_and_never_out_of_a_longer_one(number, form):
    assert substitute(form.format(number), {number: "#"}) == form.format("#")
    assert substitute(form.format("2" + number), {number: "#"}) == form.format("2" + number)
