"""Words that several pages and messages share."""

import pytest

from reproduce.text import listed, size


@pytest.mark.parametrize(
    ("words", "text"),
    [([], ""), (["A"], "A"), (("A", "B"), "A and B"), (["A", "B", "C"], "A, B and C")],
)
def test_a_list_reads_as_a_sentence_does(words, text):
    assert listed(words) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0.1 MB"), (12e6, "12.0 MB"), (999_949_999, "999.9 MB"), (999_950_000, "1.0 GB"), (3.44e9, "3.4 GB")],
)
def test_bytes_are_read_in_the_unit_that_they_round_to(count, text):
    assert size(count) == text
