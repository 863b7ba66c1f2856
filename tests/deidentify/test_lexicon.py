"The word lists that are read from spaCy's files are what spaCy itself would give."

import subprocess
import sys

import pytest

from medllm_nb.core import DataFileError, parse_data
from medllm_nb.deidentify.lexicon import LEXICON, LexiconFile, dictionary, load_spacy, stop_words


def test_the_dictionary_is_the_lemmatizers_own():
    lookups = load_spacy().get_pipe("lemmatizer").lookups
    tables = [lookups.get_table(name).values() for name in ("lemma_index", "lemma_exc")]
    assert dictionary() == {word for kinds in tables for words in kinds for word in words}


def test_the_stop_words_are_spacys_own():
    from spacy.lang.en.stop_words import STOP_WORDS

    assert stop_words() == STOP_WORDS


def test_a_word_is_looked_up_without_spacy_and_torch():
    code = (
        "import sys; from medllm_nb.deidentify.lexicon import is_word, stop_words\n"
        "assert is_word('pneumonia') and not is_word('okonkwo') and 'the' in stop_words()\n"
        "print({'spacy', 'torch', 'transformers'} & set(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "set()"


def test_no_part_of_another_package_is_imported_with_the_model():
    code = (
        "import sys; from medllm_nb.deidentify.lexicon import load_spacy; load_spacy()\nprint('transformers' in "
        "sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"


@pytest.mark.parametrize(
    "fault, told",
    [
        pytest.param(("\ndrugs:", "\ndrgus:"), r"line \d+, drgus", id="misspelt key"),
        pytest.param(("\nunits: >-", "\nunits: 3\nextra: >-"), r"units: .*words between commas", id="no words"),
    ],
)
def test_a_fault_in_the_lexicon_is_told_with_its_line(fault, told):
    with pytest.raises(DataFileError, match=told):
        parse_data(LEXICON.read_text().replace(*fault), LexiconFile, LEXICON.name)
