"Random results in many layouts: each is read back exactly, or not at all. Never is a value given to another test."

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from medllm_nb.core import lab_tests
from medllm_nb.structure import lab_tables, read_labs

often = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
TESTS = sorted(lab_tests())
OTHER_TESTS = ["RBC", "HDL cholesterol", "Magnesium, RBC", "Total protein", "Anion gap", "Amylase", "Troponin T"]


@st.composite
def panels(draw):
    "Two to six tests with a plausible value now and before, each with its unit and a range."
    names = draw(st.lists(st.sampled_from(TESTS), min_size=2, max_size=6, unique=True))
    panel = []
    for name in names:
        test = lab_tests()[name]
        low, high = lab_tables().plausible.get(name, {test.unit: (1, 40)}).get(test.unit, (1, 40))
        numbers = st.floats(max(low, 1), min(high, 900)).map(lambda x: round(x, 1))
        now, before = draw(numbers), draw(numbers)
        panel.append((name, now, before, test.unit, round(now * 0.5, 1), round(now * 0.5 + 10, 1)))
    return panel


def across(panel, divider):
    "Tests as columns, a row a date."
    cells = lambda first, values: divider.join([first, *values])
    return "\n".join(
        [
            cells("Date", [name for name, *_ in panel]),
            cells("03/15/2024", [str(p[1]) for p in panel]),
            cells("02/14/2024", [str(p[2]) for p in panel]),
        ]
    )


def beside(panel, divider, newest_first):
    "Dates as columns, a row a test."
    dates = ("03/15/2024", "02/14/2024")
    pick = lambda pair: pair if newest_first else pair[::-1]
    rows = [divider.join(["Test", *pick(dates), "Units"])]
    return "\n".join(rows + [divider.join([p[0], *map(str, pick(p[1:3])), p[3] or " "]) for p in panel])


def apart(panel, divider):
    "Names, then values, then units."
    columns = [[str(p[i]) for p in panel] for i in (0, 1, 3)]
    return divider.join("\n".join(column) for column in columns if all(column))


def by_row(template):
    return lambda panel: "\n".join(template.format(n=p[0], v=p[1], b=p[2], u=p[3], l=p[4], h=p[5]) for p in panel)


LAYOUTS = {
    "tests across, pipes": lambda p: across(p, " | "),
    "tests across, tabs": lambda p: across(p, "\t"),
    "tests across, blanks": lambda p: across(p, "    "),
    "tests across, one blank": lambda p: across(p, " "),
    "dates across, pipes": lambda p: beside(p, " | ", True),
    "dates across, oldest first": lambda p: beside(p, "\t", False),
    "dates across, one blank": lambda p: beside(p, " ", True),
    "names, then values": lambda p: apart(p, "\n"),
    "names, then values in cells": lambda p: apart(p, " | "),
    "LabCorp": by_row("{n} 01 {v} {u} {l}-{h}"),
    "LabCorp with the former": by_row("{n} 01 {v} {b} 02/14/2024 {u} {l}-{h}"),
    "Quest": by_row("{n} {v} {l}-{h} {u}"),
    "range first": by_row("{n} | {l} - {h} | {v} | {u}"),
    "Epic": by_row("{n} {v} (A) {l} - {h} {u}"),
    "three lines": by_row("{n}\n{v}\nReference Range: {l}-{h} {u}"),
    "trend": by_row("{n} {b} -> {v} {u}"),
    "MIMIC": lambda p: "___ 09:30AM BLOOD " + " ".join(f"{n.replace(' ', '')}-{v}*" for n, v, *_ in p),
    "prose": lambda p: "Labs showed " + ", ".join(f"{n} of {v} {u}" for n, v, _, u, *_ in p) + ".",
}
ALL_READ = {
    k
    for k in LAYOUTS
    if k not in ("MIMIC", "tests across, one blank", "names, then values in cells", "names, then values")
}


@pytest.mark.parametrize("layout", LAYOUTS)
@often
@given(panels())
def test_a_value_is_its_own_tests_or_none(layout, panel):
    text = LAYOUTS[layout](panel)
    now, before = read_labs(text)
    current, former = {(p[0], p[1]) for p in panel}, {(p[0], p[2]) for p in panel}
    assert {(l.name, l.value) for l in now} <= current, text
    assert {(l.name, l.value) for l in before} <= former, text
    if layout in ALL_READ:
        assert {l.name for l in now} == {p[0] for p in panel}, text


@pytest.mark.parametrize("layout", ["tests across, pipes", "dates across, pipes", "names, then values", "LabCorp"])
@often
@given(panels(), st.sampled_from(OTHER_TESTS), st.integers(0, 6))
def test_a_test_that_is_not_known_shifts_no_value(layout, panel, other, place):
    unknown = (other, 7.7, 8.8, "mg/dL", 1.0, 9.0)
    text = LAYOUTS[layout]([*panel[:place], unknown, *panel[place:]])
    assert {(l.name, l.value) for l in read_labs(text).current} <= {(p[0], p[1]) for p in panel}, text


@pytest.mark.parametrize(
    "layout", ["tests across, pipes", "tests across, one blank", "dates across, one blank", "names, then values"]
)
@often
@given(panels(), st.data())
def test_a_missing_value_shifts_no_other(layout, panel, data):
    missing = data.draw(st.integers(0, len(panel) - 1))
    holed = [(*p[:1], "", *p[2:]) if i == missing else p for i, p in enumerate(panel)]
    text = LAYOUTS[layout](holed)
    assert {(l.name, l.value) for l in read_labs(text).current} <= {(p[0], p[1]) for p in panel}, text
