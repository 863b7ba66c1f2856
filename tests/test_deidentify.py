"Nobody is recognisable in what de-identification leaves, and medicine survives it."
import json
import socket
from datetime import date, timedelta

import pytest
from conftest import SHARED
from hypothesis import given, settings, strategies as st

from medllm_nb.core import Report, Span
from medllm_nb.deidentify import deidentify, find_phi, find_phi_stock, replace_phi, score_phi
from medllm_nb.surrogates import patient_key, shift_date, surrogate

KEY = b"t" * 32


def report(text, patient="p1"): return Report(report_id="r", patient_id=patient, source="x.txt", format="txt", text=text)


LAYOUTS = {
    "header": "Patient: {last}, {first}\nMRN: {mrn}\nDOB: {dob}\n\nHISTORY: {first} {last} came back. Mrs. {last} is well.",
    "columns": "Name: {first} {last}    DOB: {dob}    MRN {mrn}\nFINDINGS\nNo change.",
    "letter": "Dear Dr. {last},\nthank you for seeing your patient on {dob}.\nSincerely,\n{first} {last}, MD",
    "relative": "HISTORY: Lives with her husband, {first} {last}. Seen on {dob}. Chart no. {mrn}.",
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("first, last", [("Margaret", "O'Connell"), ("Jean-Luc", "Smith-Jones"), ("Rose", "Parkinson"), ("Grace", "Young")])
def test_planted_phi_does_not_survive(layout, first, last):
    text = LAYOUTS[layout].format(first=first, last=last, mrn="00451234", dob="03/14/1950")
    clean = deidentify(report(text), key=KEY).text
    for value in (first, last, "00451234", "03/14/1950"): assert value not in clean


def test_eponyms_drugs_and_labs_survive():
    text = ("Parkinson disease, Hashimoto thyroiditis and Graves disease are excluded. A Foley catheter drains. Murphy sign negative, Wells score 3.\n"
            "Metformin 500 mg twice daily. Potassium 5.9 mmol/L (3.5-5.1), BP 120/80.")
    assert deidentify(report(text), key=KEY).text == text


def test_no_connection_is_opened(monkeypatch):
    def refuse(*args, **kwargs): raise AssertionError("a connection was opened")
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    deidentify(report("Mail m.stone@northside.org, web https://northside.org, Dr. Stone"), key=KEY)
    find_phi_stock(["Mail m.stone@northside.org"])


@settings(max_examples=50, deadline=None)
@given(start=st.dates(date(1930, 1, 1), date(2025, 1, 1)), days=st.integers(0, 3000), form=st.sampled_from(["%m/%d/%Y", "%Y-%m-%d", "%d.%m.%Y", "%B %d, %Y", "%d-%b-%Y"]))
def test_intervals_between_dates_are_kept(start, days, form):
    from datetime import datetime
    moved = [datetime.strptime(surrogate(d.strftime(form), "DATE_TIME", "p1", KEY), form).date() for d in (start, start + timedelta(days))]
    assert (moved[1] - moved[0]).days == days and moved[0] != start
    assert shift_date(shift_date(start.strftime(form), -77), 77) == start.strftime(form)


@settings(max_examples=40, deadline=None)
@given(words=st.lists(st.sampled_from(["Margaret O'Connell", "00451234", "03/14/1950", "no effusion", "St. Mary's Hospital", "x"]), min_size=1, max_size=8),
       mode=st.sampled_from(["surrogate", "tag", "mask"]))
def test_replaced_spans_lie_on_the_surrogates(words, mode):
    kinds = {"Margaret O'Connell": "PERSON", "00451234": "MEDICAL_RECORD_NUMBER", "03/14/1950": "DATE_TIME", "St. Mary's Hospital": "ORGANIZATION"}
    text, spans = "", []
    for w in words:
        if w in kinds: spans.append(Span(start=len(text), end=len(text) + len(w), entity=kinds[w]))
        text += w + "\n"
    new, replaced = replace_phi(text, spans, "p1", KEY, mode)
    rest = new
    for s in reversed(replaced): rest = rest[: s.start] + "\0" + rest[s.end :]
    kept = text
    for s in reversed(spans): kept = kept[: s.start] + "\0" + kept[s.end :]
    assert rest == kept, "text that is no PHI changed, or a span lies beside its surrogate"


def test_surrogates_are_one_person_a_patient_and_another_for_another():
    names = ["Margaret O'Connell", "Mrs. O'Connell", "O'CONNELL, Margaret"]
    one = [surrogate(n, "PERSON", "p1", KEY) for n in names]
    last = one[0].split()[-1]
    assert one[1] == f"Mrs. {last}" and one[2].startswith(last.upper())
    assert surrogate(names[0], "PERSON", "p2", KEY) != one[0]
    assert surrogate(names[0], "PERSON", "p1", b"u" * 32) != one[0]
    assert patient_key(KEY, "p1") != patient_key(b"u" * 32, "p1")


def test_text_that_nobody_here_wrote():
    "General text, not clinical: more is found than by stock Presidio, numbers and names alike, and less of it is nothing."
    path = SHARED / "presidio-research" / "synth_dataset_v2_even.json"
    if not path.exists(): pytest.skip("no ../shared/data")
    rows = json.loads(path.read_text())[:250]
    texts = [r["full_text"] for r in rows]
    spans = lambda r: [Span(start=s["start_position"], end=s["end_position"], entity=s["entity_type"]) for s in r["spans"]]
    of = lambda kinds: [[s for s in spans(r) if s.entity in kinds] for r in rows]
    everything = [spans(r) for r in rows]
    ours, stock = find_phi(texts), find_phi_stock(texts)
    for kinds in ({"PHONE_NUMBER", "EMAIL_ADDRESS", "CREDIT_CARD", "US_SSN", "IP_ADDRESS", "DOMAIN_NAME"}, {"PERSON", "STREET_ADDRESS", "ORGANIZATION"}):
        assert score_phi(texts, of(kinds), ours).loc["all", "recall"] > max(0.97, score_phi(texts, of(kinds), stock).loc["all", "recall"])
    assert score_phi(texts, everything, ours).loc["all", "precision"] > score_phi(texts, everything, stock).loc["all", "precision"]


def test_accounts_and_codes_of_many_countries_are_found():
    "Whatever the country: its bank account, in either case, and its postal code behind a label."
    from faker import Faker
    from medllm_nb.rules import address_rules, apply_rules, labelled_number_rules
    for locale in ("en_GB", "de_DE", "fr_FR", "it_IT", "es_ES", "nl_NL", "pl_PL", "pt_BR", "sv_SE", "cs_CZ", "en_CA", "da_DK"):
        fake = Faker(locale)
        fake.seed_instance(7)
        for account in (fake.iban(), fake.iban().lower()):
            assert account in [covered(s, f"paid from {account} on") for s in apply_rules(f"paid from {account} on", labelled_number_rules())], (locale, account)
        text = f"ZIP: {fake.postcode()}"
        assert text[5:] in [covered(s, text) for s in apply_rules(text, address_rules())], (locale, text)


def covered(span, text): return text[span.start : span.end]
