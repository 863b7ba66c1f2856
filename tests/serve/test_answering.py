"A streamed answer turns back the same surrogates as a whole one, wherever the pieces are cut."

import pytest

pytest.importorskip("fastapi", reason="the extra `serve` is not installed")
from hypothesis import given, settings, strategies as st

from medllm_nb.serve.answering import StreamReidentifier, pairs, substitute

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


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        pytest.param("on January 29, 2024", "on March 14, 2024", id="in words"),
        pytest.param("on 2024-01-29", "on 2024-03-14", id="ISO"),
        pytest.param("on 1/29/24", "on 3/14/24", id="short"),
        pytest.param("on 29 January", "on 14 March", id="no year"),
        pytest.param("strength 1/29", "strength 1/29", id="two figures are no date"),
        pytest.param("on January 30, 2024", "on January 30, 2024", id="another day"),
    ],
)
def test_a_date_is_turned_back_in_whatever_style_the_model_writes_it(said, meant):
    table = pairs(["03/14/2024"], ["01/29/2024"], ["DATE_TIME"])
    stream = StreamReidentifier(table)
    assert substitute(said, table) == meant
    assert "".join(map(stream.feed, said)) + stream.end() == meant


def test_a_style_in_which_two_dates_look_alike_is_not_turned_back():
    table = pairs(["03/14/2024", "03/14/1924"], ["01/29/2024", "02/03/2024"], ["DATE_TIME"] * 2)
    assert substitute("1/29/24 and February 3, 2024", table) == "3/14/24 and March 14, 1924"
    doubled = pairs(["03/14/2024", "March 15, 2024"], ["01/29/2024", "January 29, 2024"], ["DATE_TIME"] * 2)
    assert substitute("on 2024-01-29", doubled) == "on 2024-01-29"
