"""Words that several pages and messages share."""

import pytest

from reproduce.text import listed


@pytest.mark.parametrize(
    ("words", "text"),
    [([], ""), (["A"], "A"), (("A", "B"), "A and B"), (["A", "B", "C"], "A, B and C")],
)
def test_a_list_reads_as_a_sentence_does(words, text):
    assert listed(words) == text
