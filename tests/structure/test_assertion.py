"What a sentence asserts of a disease, on cases and on mentions labelled by hand."

import pytest
from conftest import ROOT
from public_texts import aci_bench, mtsamples

from medllm_nb.structure.concepts import find_concepts
from medllm_nb.structure.sections import find_sections


@pytest.mark.data
def test_assertion_agrees_with_labels_given_by_hand(monkeypatch):
    mtsamples(), aci_bench()  # skips where these are not at hand
    monkeypatch.syspath_prepend(ROOT / "bench")
    from structure_real import gold_mentions, our_assertion

    gold = [(text, r["start"], r["end"], r["label"]) for text, r in gold_mentions("assertion_gold.csv")]
    labels = [label for *_, label in gold]
    assert min(labels.count(kind) for kind in set(labels)) >= 15 and len(set(labels)) == 6
    assert sum(our_assertion(*place) == label for *place, label in gold) / len(gold) >= 0.9


def said_of(text):
    return {m.text.lower(): m.assertion for m in find_concepts(text, find_sections(text))}


@pytest.mark.parametrize(
    ("sentence", "disease", "wanted"),
    [
        pytest.param(
            "The patient is negative for pneumonia.",
            "pneumonia",
            "negated",
            id="The_patient_is_negative_for_pneumonia.",
        ),
        pytest.param(
            "Findings are negative for fracture.", "fracture", "negated", id="Findings_are_negative_for_fracture."
        ),
        pytest.param("She is free of asthma.", "asthma", "negated", id="She_is_free_of_asthma."),
        pytest.param("Lungs are free of pneumonia.", "pneumonia", "negated", id="Lungs_are_free_of_pneumonia."),
        pytest.param("Pneumonia is negative.", "pneumonia", "negated", id="Pneumonia_is_negative."),
        pytest.param("The skin is absent of rash.", "rash", "negated", id="The_skin_is_absent_of_rash."),
        pytest.param("Neg for DVT.", "dvt", "negated", id="Neg_for_DVT."),
        pytest.param("Unlikely pneumonia.", "pneumonia", "negated", id="Unlikely_pneumonia."),
        pytest.param(
            "This is unlikely to be pneumonia.", "pneumonia", "negated", id="This_is_unlikely_to_be_pneumonia."
        ),
        pytest.param("Low probability of pneumonia.", "pneumonia", "negated", id="Low_probability_of_pneumonia."),
        pytest.param("I doubt pneumonia.", "pneumonia", "uncertain", id="I_doubt_pneumonia."),
        pytest.param("No doubt pneumonia.", "pneumonia", "present", id="No_doubt_pneumonia."),
        pytest.param("She no longer has asthma.", "asthma", "historical", id="She_no_longer_has_asthma."),
        pytest.param("Pneumonia has cleared.", "pneumonia", "historical", id="Pneumonia_has_cleared."),
        pytest.param("No chest pain, fever present.", "fever", "present", id="No_chest_pain_fever_present."),
        pytest.param("No chest pain, fever present.", "chest pain", "negated", id="No_chest_pain_fever_present._2"),
        pytest.param(
            "No hypoglycemia, and neuropathy persists.",
            "neuropathy",
            "present",
            id="No_hypoglycemia_and_neuropathy_persists.",
        ),
        pytest.param("No cough, fever, or rash present.", "fever", "negated", id="No_cough_fever_or_rash_present."),
        pytest.param("No cough, fever, or rash present.", "rash", "negated", id="No_cough_fever_or_rash_present._2"),
        pytest.param("No cough, fever not present.", "fever", "negated", id="No_cough_fever_not_present."),
        pytest.param("No cough, fever at present.", "fever", "negated", id="No_cough_fever_at_present."),
        pytest.param(
            "Father with diabetes and patient has asthma.",
            "asthma",
            "present",
            id="Father_with_diabetes_and_patient_has_asthma.",
        ),
        pytest.param(
            "Father with diabetes and the patient has asthma.",
            "diabetes",
            "family",
            id="Father_with_diabetes_and_the_patient_has_asthma.",
        ),
        pytest.param("Father with diabetes and asthma.", "asthma", "family", id="Father_with_diabetes_and_asthma."),
    ],
)
def test_what_a_sentence_says_of_a_disease(sentence, disease, wanted):
    assert said_of(f"FINDINGS: {sentence}")[disease] == wanted
