"What a report says in ward shorthand is never called unstated, and what it leaves open is not asked for."

import pytest
from instruct_reports import EVERYTHING, structured

from medllm_nb.instruct.drafts import NoExample
from medllm_nb.instruct.examples import make_example
from medllm_nb.instruct.questions import draft_not_stated, draft_question


@pytest.mark.parametrize(
    "sentence, never_asked",
    [
        ("NKDA.", "allergies"),
        ("20 cigarettes a day.", "a smoking history"),
        ("ETOH daily.", "alcohol use"),
        ("Two beers.", "alcohol use"),
        ("Brother had an MI.", "the family history"),
        ("On warfarin.", "the patient's medications"),
        ("Pressure 180/90.", "the blood pressure"),
        ("Blood sugar 180.", "the glucose"),
        ("Bicarb 18.", "the bicarbonate"),
        ("H/H 10/30.", "the hemoglobin"),
        ("Crea 1.2.", "the creatinine"),
        ("Lytes fine.", "the sodium"),
        ("Social history: unremarkable.", "alcohol use"),
        ("Labs were normal.", "the ferritin"),
    ],
    ids=lambda value: value,
)
def test_what_is_charted_in_shorthand_is_never_called_unstated(sentence, never_asked):
    text = f"HISTORY: Cough for days. {sentence}\nFINDINGS: Lungs are clear and the heart is normal."
    report = structured(text)
    asked = set()
    for n in range(80):  # another id asks for something else
        try:
            draft = draft_not_stated(report.model_copy(update={"report_id": f"s{n}"}), EVERYTHING)
            asked.add(draft.slots["topic"])
        except NoExample:
            pass
    assert asked and never_asked not in asked


@pytest.mark.parametrize(
    "topic, sentence",
    [
        pytest.param("allergies", "ALLERGIES: Penicillin.", id="allergies, a section"),
        pytest.param("allergies", "NKDA.", id="allergies, shorthand"),
        pytest.param(
            "the patient's medications", "MEDICATIONS: Calcium 600 mg daily, warfarin 5 mg.", id="medications"
        ),
        pytest.param("a smoking history", "He smokes a pack a day.", id="smoking"),
        pytest.param("the family history", "Her mother had a stroke.", id="family"),
        pytest.param("the blood pressure", "BP 150/90.", id="blood pressure"),
        pytest.param("alcohol use", "Denies alcohol.", id="alcohol"),
    ],
)
def test_each_topic_that_may_be_unstated_is_also_asked_where_it_stands(topic, sentence):
    text = f"HISTORY: Cough for days.\n{sentence}\nFINDINGS: Lungs are clear and the heart is normal."
    report = structured(text)
    answers = {}
    for n in range(40):
        named = report.model_copy(update={"report_id": f"s{n}"})
        example = make_example(named, "question", EVERYTHING)
        answers[draft_question(named, EVERYTHING).slots["topic"]] = example.completion[0].content
    assert list(answers) == [topic] and answers[topic].rstrip(".").endswith(sentence.split(": ")[-1].rstrip("."))


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param("He smokes. One pack lasts a week.", id="a second sentence may speak of it"),
        pytest.param("BP 150/90, later BP 130/80.", id="two values"),
        pytest.param("ALLERGIES: Latex.\nPLAN: Rest.\nALLERGIES: Penicillin.", id="two sections"),
        pytest.param("ALLERGIES: Not documented.", id="the section abstains"),
        pytest.param("PLAN: Stop smoking.", id="an advice"),
    ],
)
def test_a_topic_is_not_asked_where_the_report_leaves_it_open(lines):
    with pytest.raises(NoExample, match="nothing to ask for"):
        draft_question(structured(f"HISTORY: Cough for days.\n{lines}"), EVERYTHING)
