"""Inputs for Hypothesis, derived from the model's published schema: good ones, and ones broken in one way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from hypothesis import strategies as st

from falcontract.published import ENUMS, REQUIRED
from falcontract.steps import IMAGE_URL

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

ANY_TEXT: Final = st.text(st.characters(), max_size=20)  # lone surrogates included: JSON can say them
SCALAR: Final = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False, width=32)
)


def _containers(inner: SearchStrategy[Any]) -> SearchStrategy[Any]:
    pairs = st.lists(st.tuples(ANY_TEXT, inner), max_size=3)
    return st.lists(inner, max_size=3) | pairs.map(dict)  # nothing is drawn in vain, which would be costly


ANY_JSON: Final = st.recursive(SCALAR | ANY_TEXT, _containers, max_leaves=5)
NO_TEXT: Final = SCALAR | _containers(ANY_JSON)


def good_inputs() -> SearchStrategy[dict[str, Any]]:
    """Inputs that the schema accepts; the picture is always a hosted one, taken on trust."""
    required = {"prompt": ANY_TEXT, "image_url": st.just(IMAGE_URL)}
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
    return st.builds(
        lambda given, name, value: given | {name: value}, good_inputs(), st.sampled_from(REQUIRED), NO_TEXT
    )


def _no_such_value() -> SearchStrategy[dict[str, Any]]:
    return st.sampled_from(list(ENUMS)).flatmap(
        lambda name: st.builds(
            lambda given, value: given | {name: value},
            good_inputs(),
            ANY_JSON.filter(lambda value: value not in ENUMS[name]),
        )
    )
