from __future__ import annotations

from fnmatch import fnmatchcase

import hypothesis.strategies as st
import pytest
from hypothesis import given

from falmock.protocol.patterns import LONGEST, matches

texts = st.text(st.sampled_from("ab/*?[]!-"), max_size=8)


@given(texts, texts)
def test_patterns_match_like_file_name_patterns(value: str, pattern: str) -> None:
    assert matches(value, pattern) == fnmatchcase(value, pattern)


def test_pattern_of_the_maximum_length_is_accepted() -> None:
    assert matches("a" * LONGEST, "a" * LONGEST)


def test_pattern_over_the_maximum_length_is_refused() -> None:
    with pytest.raises(ValueError, match="at most"):
        matches("a", "a" * (LONGEST + 1))
