"""Dates: found whole, read to the right day, moved whole in their own form; clinical values are none."""

import time
from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medllm_nb.deidentify import find_dates, find_phi, parse_date, possible_days, same_date, shift_date
from medllm_nb.deidentify.dates import date_table, day_of, date_faults, iso_value
from medllm_nb.deidentify.reports import replace_phi
from medllm_nb.deidentify.surrogates import keyed_random

KEY = b"t" * 32
MONTHS = "January February March April May June July August September October November December".split()
ORDINALS = date_table().ordinals
GERMAN = [names[0] for names in date_table().months["German"]]
FRENCH = [names[0] for names in date_table().months["French"]]
NUMERALS = date_table().numerals
nth = lambda n: f"{n}{'th' if n in (11, 12, 13) else {1: 'st', 2: 'nd', 3: 'rd'}.get(n % 10, 'th')}"
FORMS = {  # each way to write a day with its year
    "slashes": lambda d: f"{d:%m/%d/%Y}",
    "slashes without zeros": lambda d: f"{d.month}/{d.day}/{d.year}",
    "slashes, short year": lambda d: f"{d:%m/%d/%y}",
    "dashes": lambda d: f"{d:%m-%d-%Y}",
    "dots, day first": lambda d: f"{d:%d.%m.%Y}",
    "ISO": lambda d: f"{d:%Y-%m-%d}",
    "ISO with a time": lambda d: f"{d:%Y-%m-%d}T09:30:00Z",
    "year first, slashes": lambda d: f"{d.year}/{d.month}/{d.day}",
    "month in words": lambda d: f"{MONTHS[d.month - 1]} {d.day}, {d.year}",
    "month in words, ordinal": lambda d: f"{MONTHS[d.month - 1]} {nth(d.day)}, {d.year}",
    "with its weekday": lambda d: f"{d:%A}, {MONTHS[d.month - 1]} {d.day}, {d.year}",
    "day first": lambda d: f"{d.day} {MONTHS[d.month - 1]} {d.year}",
    "of": lambda d: f"the {nth(d.day)} of {MONTHS[d.month - 1]}, {d.year}",
    "all in words": lambda d: f"the {ORDINALS[d.day - 1]} of {MONTHS[d.month - 1]}, {d.year}",
    "dashes and a short month": lambda d: f"{d.day:02}-{MONTHS[d.month - 1][:3]}-{d.year}",
    "run together": lambda d: f"{d.day:02}{MONTHS[d.month - 1][:3].upper()}{d.year}",
    "run together, short year": lambda d: f"{d.day:02}{MONTHS[d.month - 1][:3].upper()}{d:%y}",
    "stamp": lambda d: f"{d:%Y%m%d}093000",
    "German": lambda d: f"{d.day}. {GERMAN[d.month - 1]} {d.year}",
    "French": lambda d: f"{d.day} {FRENCH[d.month - 1]} {d.year}",
    "Roman": lambda d: f"{d.day}/{NUMERALS[d.month - 1]}/{d.year}",
    "Chinese": lambda d: f"{d.year}年{d.month}月{d.day}日",
    "ISO week": lambda d: "{}-W{:02}-{}".format(*d.isocalendar()),
}
DAYS = st.dates(date(1971, 1, 1), date(2035, 1, 1))


def test_the_examples_of_the_table_hold():
    assert date_faults() == []


@pytest.mark.parametrize("form", FORMS)
@settings(max_examples=25, deadline=None)
@given(day=DAYS, days=st.integers(-365, -30))
def test_a_date_is_found_whole_read_and_moved_in_its_form(form, day, days):
    written = FORMS[form](day)
    text = f"Seen on {written} with fever."
    (found,) = find_dates(text)
    assert (found.written, day in possible_days(found)) == (written, True)
    first = "day first" in form
    moved = shift_date(written, days, first)
    assert moved == FORMS[form](day + timedelta(days)) or same_date(moved, FORMS[form](day + timedelta(days)))
    assert parse_date(moved).form == found.form
    assert day_of(parse_date(moved, first)) == day + timedelta(days)


@settings(max_examples=60, deadline=None)
@given(day=DAYS, length=st.integers(1, 20), days=st.integers(-365, -30), day_first=st.booleans())
def test_both_ends_of_a_range_move(day, length, days, day_first):
    last = day + timedelta(length)
    if last.month != day.month:
        return
    month = MONTHS[day.month - 1]
    written = f"{day.day}-{last.day} {month} {day.year}" if day_first else f"{month} {day.day}-{last.day}, {day.year}"
    moved = shift_date(written, days)
    a, b = day + timedelta(days), last + timedelta(days)
    name = lambda d: MONTHS[d.month - 1]
    one_month = a.month == b.month
    wanted = {
        True: f"{a.day}-{b.day} {name(b)} {b.year}" if one_month else f"{a.day} {name(a)}-{b.day} {name(b)} {b.year}",
        False: f"{name(a)} {a.day}-{b.day}, {b.year}"
        if one_month
        else f"{name(a)} {a.day}-{name(b)} {b.day}, {b.year}",
    }[day_first]
    assert moved == wanted or a.year != b.year and str(a.year) in moved and str(b.year) in moved


@pytest.mark.parametrize(
    ("written", "moved"),
    [
        pytest.param("third of July", "nineteenth of May", id="words"),
        pytest.param("the 2nd of March last year", "the 17th of January last year", id="last year"),
        pytest.param("the fourth of July weekend", "the twentieth of May weekend", id="weekend"),
        pytest.param("January tenth two thousand and nine", "November twenty-sixth two thousand and eight", id="year"),
        pytest.param("Sunday the 3rd", "Thursday the 18th", id="weekday and day"),
        pytest.param("Tuesday, March 12", "Saturday, January 27", id="weekday with its date"),
        pytest.param("Wed", "Sun", id="weekday alone"),
        pytest.param("March 2024", "February 2024", id="month and year"),
        pytest.param("last July", "last June", id="month"),
        pytest.param("CHRISTMAS", "November 10", id="holiday"),
        pytest.param("Valentine's Day 2023", "December 31, 2022", id="holiday with its year"),
        pytest.param("week 11 of 2024", "week 05 of 2024", id="week"),
        pytest.param("2024-074", "2024-029", id="day of the year"),
        pytest.param("令和6年3月14日", "令和6年1月29日", id="era"),
        pytest.param("令和元年5月10日", "平成31年3月26日", id="another era"),
        pytest.param("3/14 0630", "1/29 0630", id="time stays"),
        pytest.param("March 1er", None, id="no form"),
    ],
)
def test_no_date_is_half_moved(written, moved):
    assert shift_date(written, -45) == moved


def test_months_and_quarters_keep_their_distance():
    months = [shift_date(f"{m} 2023", -45) for m in MONTHS]
    assert len(set(months)) == 12
    quarters = [shift_date(f"Q{n} 2023", -100) for n in (1, 2, 3, 4)]
    assert quarters == ["Q4 2022", "Q1 2023", "Q2 2023", "Q3 2023"]


def test_dates_with_and_without_a_year_of_a_report_move_by_the_same_days():
    text = "Seen on 3/14, 3/15 and March 20; discharged on March 28, 2024. Next visit on the 2nd of April."
    moved = replace_phi(text, find_phi([text])[0], "p1", KEY)[0]
    days = -keyed_random(KEY, "p1", "days").randint(30, 365)
    wanted = [date(2024, *d) + timedelta(days) for d in ((3, 14), (3, 15), (3, 20), (3, 28), (4, 2))]
    assert [(d.month, d.day) for d in find_dates(moved)] == [(d.month, d.day) for d in wanted]


NO_DATES = """
32 3/7 weeks gestation, 38 4/7 weeks|at 24 2/7 week gestation|Give 1/2 NS at 75 mL/h|3/4 tab daily
Percocet 5/325 q6h|Disc bulge L4/5, C5-6, T11/12, S1|ABI 0.9/1.1|CN 2-12 intact|11/12 nodes positive
3/17 cores positive|HR 60-72|12-14 Fr|Seen by 3 of 5/6 consultants|on 1/4 strength Dakin|Scored 12/20 on admission
pain 10/10 since surgery|strength 5/5|until 10/10 pain|from 9/12 at baseline|reflexes 2/4|murmur 2/6 on exam
BP 120/80, 110/70 on admission|visual acuity 20/40|GCS 14/15|MMSE 28/30|version 3.14.24|v1.2.10|software 10.12.21
lot 3-14-24A|pH 7.21/68/55/27/88%|O2 2-3 L|Apgars 8/9|titer 1:320|1.5 x 2.0 x 3.1 cm|ICD 250.00
grade 2/3 chondromalacia|doses 2/3 given|injection 2/3 of series|POD 3, day 14|cycle 3/6 of FOLFOX|teeth 3-14
Hepatitis B vaccine 2/3|seen 2/3 times|CT 3-4 mm nodule|echo 2-3 mm|MAR 3 doses held|OCT 2 shows edema|SEP 20 msec
Dec 20 mg|may 3 to 5 times|march in place|he may 2 times|every Monday|Mondays|Sat 98% on RA
the third toe; on the 5th toe|on the 3rd of three tries|the second of two stents|first of all|had a fall in 2023
""".strip().replace("\n", "|")


@pytest.mark.parametrize("text", NO_DATES.split("|"))
def test_a_clinical_value_is_no_date(text):
    assert [d.written for d in find_dates(text)] == []


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("Cough since 9/11.", id="event"),
        pytest.param("Cleared rubble after the 9/11 attacks.", id="attack"),
        pytest.param("Isolated since COVID.", id="pandemic"),
        pytest.param("Form HS-12 (Rev. 03/2020)", id="revision of a form"),
        pytest.param("Version: 03/14/2020", id="version of a form"),
        pytest.param("by the 2019 ACC/AHA guideline", id="guideline"),
        pytest.param("per the May 2020 guidelines", id="month of a guideline"),
        pytest.param("Christmas disease", id="disease"),
        pytest.param("born in 1950, MI in 2019", id="years"),
    ],
)
def test_what_dates_no_patient_stays(text):
    assert find_dates(text) == []


@st.composite
def clinical_values(draw):
    n = lambda a, b: draw(st.integers(a, b))
    return draw(
        st.sampled_from(
            [
                f"BP {n(80, 220)}/{n(40, 120)}",
                f"Percocet {n(1, 20)}/{n(325, 650)}",
                f"{n(20, 42)} {n(1, 6)}/7 weeks",
                f"L{n(1, 5)}/{n(1, 5)}",
                f"C{n(2, 7)}-{n(2, 7)}",
                f"{n(1, 3)}/{n(2, 4)} tab daily",
                f"strength {n(0, 5)}/5",
                f"{n(1, 10)}/10 pain",
                f"{n(1, 12)}/{n(13, 31)} nodes positive",
                f"lot {n(1, 12)}.{n(1, 31)}.{n(10, 99)}.{n(1, 9)}",
                f"HR {n(50, 70)}-{n(71, 120)}",
                f"Na {n(120, 150)}, K {n(2, 6)}.{n(0, 9)}",
                f"pH 7.{n(10, 50)}/{n(30, 90)}/{n(40, 99)}/{n(12, 40)}",
                f"{n(1, 12)}-{n(13, 30)} mg",
            ]
        )
    )


@settings(max_examples=300, deadline=None)
@given(clinical_values())
def test_no_drawn_clinical_value_is_a_date(value):
    assert find_dates(f"Exam: {value}, stable.") == []


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        ("03/14/2024", "14 March 2024", True),
        ("03/14/24", "March 14, 1924", True),
        ("2024-W11-4", "2024-03-14", True),
        ("O3/l4/2O24", "03/14/2024", True),
        ("14. März 2024", "14 mars 2024", True),
        ("March 14", "3/14", True),
        ("Thanksgiving 2023", "November 23, 2023", True),
        ("March 14", "March 15", False),
        ("March 2024", "March 14, 2024", False),
        ("potassium", "potassium", False),
    ],
)
def test_dates_are_compared_by_their_day(a, b, same):
    assert same_date(a, b) is same


def test_what_a_date_says_is_told_as_iso():
    text = "CT 2024-03-14, 3/14/24, March 2024, in week 11 of 2024; FY24 Q2; seen on the 14th."
    assert [iso_value(d) for d in find_dates(text)] == [
        "2024-03-14", "2024-03-14", "2024-03", "2024-W11", "2024-Q2", "---14",
    ]  # fmt: skip


RUNS = [
    " ",
    "\n",
    " \n",
    "\t",
    "1",
    "12/",
    "1-",
    "3.",
    "0 ",
    "O",
    "l/",
    "a",
    "A",
    "March ",
    "the ",
    "on ",
    "第",
    "'",
    ", ",
]


@pytest.mark.parametrize("unit", [pytest.param(u, id=repr(u)) for u in RUNS])
@pytest.mark.parametrize("audited", [False, True])
def test_time_grows_with_the_length_of_a_run_and_not_with_its_square(unit, audited):
    "Ten times the length takes about ten times as long; the quadratic takes a hundred times."

    def seconds(length: int) -> float:
        text = "Seen March" + unit * length + "x"
        best = 9.9
        for _ in range(3):
            start = time.perf_counter()
            find_dates(text, audited=audited)
            best = min(best, time.perf_counter() - start)
        return best

    find_dates("warm", audited=audited)
    assert seconds(20_000) < 40 * max(seconds(2_000), 1e-4)
