"Labeled reports there and back in each format, whatever characters and line ends they hold."

import json
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medllm_nb.core import PHI_ENTITIES, Span
from medllm_nb.deidentify.annotations import (
    ANNOTATION_FORMATS,
    AnnotatedText,
    from_brat,
    from_i2b2,
    from_label_studio,
    read_labeled,
    to_brat,
    to_i2b2,
    to_label_studio,
    write_labeled,
)

WORDS = st.sampled_from(
    ["Zoë", "Müller", "\U0001f600", "Ngu\u0302\u0303", "李", "O'Connell", "3/4", "<b>", "&", "]]>", '"', "T1"]
)
BLANKS = st.sampled_from([" ", "\n", "\r\n", "  ", "\t", "\n\n", "\u00a0"])


@st.composite
def documents(draw):
    "A text of words and blanks, some runs of words labeled; an age is one over 89."
    text, spans = "", []
    for _ in range(draw(st.integers(1, 8))):
        start = len(text)
        text += draw(st.just("".join(draw(st.lists(st.tuples(WORDS, BLANKS).map("".join), min_size=0, max_size=2)))))
        text += draw(WORDS)
        if draw(st.booleans()):
            kind = draw(st.sampled_from([e for e in PHI_ENTITIES if e != "AGE"]))
            spans.append(Span(start=start, end=len(text), entity=kind))
        text += draw(BLANKS)
    return AnnotatedText("r1", text, spans)


THERE_AND_BACK = {
    "brat": lambda d: from_brat(d.text, to_brat(d.text, d.spans), Counter()),
    "label-studio": lambda d: from_label_studio(to_label_studio([d]), Counter())[0].spans,
    "i2b2": lambda d: from_i2b2(to_i2b2(d.text, d.spans).encode(), Counter())[1],
}


@pytest.mark.parametrize("form", THERE_AND_BACK)
@settings(deadline=None)
@given(documents())
def test_labels_come_back_where_they_were(form, document):
    assert THERE_AND_BACK[form](document) == document.spans


@settings(deadline=None)
@given(documents())
def test_i2b2_keeps_the_text(document):
    assert from_i2b2(to_i2b2(document.text, document.spans).encode(), Counter())[0] == document.text


@pytest.mark.parametrize("form", ANNOTATION_FORMATS)
def test_files_keep_line_ends(form, tmp_path):
    document = AnnotatedText("r1", "A\r\nZoë\nB", [Span(start=3, end=6, entity="PERSON")])
    write_labeled(tmp_path, [document], form)
    assert read_labeled(tmp_path, form) == ([document], Counter())


MOVED_XML = '<a><TEXT>A Zoë</TEXT><TAGS><NAME id="P0" start="1" end="4" text="Zoë" TYPE="DOCTOR"/></TAGS></a>'
MOVED_LABEL = {"type": "labels", "value": {"start": 1, "end": 4, "text": "Zoë", "labels": ["PERSON"]}}
MOVED_TASK = json.dumps([{"data": {"text": "A Zoë"}, "annotations": [{"result": [MOVED_LABEL]}]}])


@pytest.mark.parametrize(
    ("form", "name", "content"),
    [
        ("brat", "r1.ann", "T1\tPERSON 1 4\tZoë\n"),
        ("i2b2", "r1.xml", MOVED_XML),
        ("label-studio", "t.json", MOVED_TASK),
        ("i2b2", "r1.xml", "no XML"),
        ("label-studio", "t.json", '{"tasks": 1}'),
    ],
    ids=["brat", "i2b2", "label-studio", "no XML", "no tasks"],
)
def test_a_label_on_another_word_is_refused_with_the_files_name(form, name, content, tmp_path):
    (tmp_path / "r1.txt").write_text("A Zoë")
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=name):
        read_labeled(tmp_path, form)


def test_what_is_no_identifier_by_safe_harbor_is_left_out_and_counted():
    text = "Zoë, nurse, 94, from Ohio; son 30; Mercy"
    tags = [
        ("NAME", "PATIENT", "Zoë"),
        ("PROFESSION", "PROFESSION", "nurse"),
        ("AGE", "AGE", "94"),
        ("AGE", "AGE", "30"),
        ("LOCATION", "STATE", "Ohio"),
        ("LOCATION", "HOSPITAL", "Mercy"),
    ]
    lines = [
        f'<{e} id="P{i}" start="{text.index(v)}" end="{text.index(v) + len(v)}" text="{v}" TYPE="{t}" comment=""/>'
        for i, (e, t, v) in enumerate(tags)
    ]
    left_out = Counter()
    content = f"<deIdi2b2><TEXT><![CDATA[{text}]]></TEXT><TAGS>{''.join(lines)}</TAGS></deIdi2b2>"
    spans = from_i2b2(content.encode(), left_out)[1]
    assert [(text[s.start : s.end], s.entity) for s in spans] == [
        ("Zoë", "PERSON"),
        ("94", "AGE"),
        ("Mercy", "ORGANIZATION"),
    ]
    assert left_out == {"PROFESSION": 1, "STATE": 1, "AGE under 90": 1}


def test_a_canceled_annotation_of_label_studio_does_not_count():
    (task,) = json.loads(to_label_studio([AnnotatedText("r1", "Zoë", [Span(start=0, end=3, entity="PERSON")])]))
    task["annotations"].append({"was_cancelled": True, "result": []})
    assert len(from_label_studio(json.dumps([task]), Counter())[0].spans) == 1
