from __future__ import annotations

from fnmatch import fnmatchcase

import hypothesis.strategies as st
import pytest
from hypothesis import given

from falmock.protocol.patterns import LONGEST, matches

texts = st.text(st.sampled_from("ab/*?[]!-"), max_size=8)


@given(texts, texts)
def test_patterns_are_those_of_file_names(value: str, pattern: str) -> None:
    assert matches(value, pattern) == fnmatchcase(value, pattern)


def test_a_pattern_of_the_longest_length_is_taken() -> None:
    assert matches("a" * LONGEST, "a" * LONGEST)


def test_a_longer_pattern_is_refused() -> None:
    with pytest.raises(ValueError, match="at most"):
        matches("a", "a" * (LONGEST + 1))
