"""Inputs for Hypothesis, derived from the model's published schema: good ones, and ones broken in one way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from hypothesis import strategies as st

from falcontract.published import ENUMS, REQUIRED
from falcontract.steps import PICTURE

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

ANY_TEXT: Final = st.text(st.characters(), max_size=20)  # lone surrogates included: JSON can say them
ANY_JSON: Final = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, width=32)
    | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ANY_TEXT, inner, max_size=3),
    max_leaves=5,
)


def good_inputs() -> SearchStrategy[dict[str, Any]]:
    """Inputs that the schema accepts; the picture is always a hosted one, taken on trust."""
    required = {"prompt": ANY_TEXT, "image_url": st.just(PICTURE)}
    optional = {name: st.sampled_from(values) for name, values in ENUMS.items()}
    return st.fixed_dictionaries(required, optional=optional)


def broken_inputs() -> SearchStrategy[dict[str, Any]]:
    """Inputs that are broken in exactly one field."""
    return st.one_of(_without_a_field(), _wrong_type(), _no_such_value())


def _without_a_field() -> SearchStrategy[dict[str, Any]]:
    return st.builds(
        lambda given, name: {key: value for key, value in given.items() if key != name},
        good_inputs(),
        st.sampled_from(REQUIRED),
    )


def _wrong_type() -> SearchStrategy[dict[str, Any]]:
    other = ANY_JSON.filter(lambda value: not isinstance(value, str))
    return st.builds(
        lambda given, name, value: given | {name: value}, good_inputs(), st.sampled_from(REQUIRED), other
    )


def _no_such_value() -> SearchStrategy[dict[str, Any]]:
    return st.sampled_from(list(ENUMS)).flatmap(
        lambda name: st.builds(
            lambda given, value: given | {name: value},
            good_inputs(),
            ANY_JSON.filter(lambda value: value not in ENUMS[name]),
        )
    )
