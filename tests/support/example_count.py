"""The number of examples of a property, which grows with the Hypothesis profile."""

from __future__ import annotations

from typing import Any, Final

from hypothesis import settings

USUAL: Final = 100  # examples of a property that does not ask for another number


def examples(few: int, **more: Any) -> settings:
    """Return settings for `few` examples, or as many times that as the profile has more than usual.

    Args:
        few: the number with the profile of `make test`.
        more: other settings.
    """
    return settings(max_examples=few * settings().max_examples // USUAL, **more)
