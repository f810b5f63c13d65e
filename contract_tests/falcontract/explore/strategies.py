"""Hypothesis strategies for inputs: valid by the published schema, or with one error."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from hypothesis import strategies as st

from falcontract.model.published import ENUMS, REQUIRED
from falcontract.steps import IMAGE_URL

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

ANY_TEXT: Final = st.text(st.characters(), max_size=20)  # with lone surrogates, which JSON can express
SCALAR: Final = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False, width=32)
)


def _containers(inner: SearchStrategy[Any]) -> SearchStrategy[Any]:
    pairs = st.lists(st.tuples(ANY_TEXT, inner), max_size=3)
    return st.lists(inner, max_size=3) | pairs.map(dict)  # st.dictionaries rejects duplicates, which is slow


ANY_JSON: Final = st.recursive(SCALAR | ANY_TEXT, _containers, max_leaves=5)
NOT_TEXT: Final = SCALAR | _containers(ANY_JSON)


def valid_inputs() -> SearchStrategy[dict[str, Any]]:
    """Inputs that the schema accepts."""
    required = {"prompt": ANY_TEXT, "image_url": st.just(IMAGE_URL)}
    optional = {name: st.sampled_from(values) for name, values in ENUMS.items()}
    return st.fixed_dictionaries(required, optional=optional)


def invalid_inputs() -> SearchStrategy[dict[str, Any]]:
    """Inputs with exactly one error: a missing field, a wrong type, or a wrong value."""
    field = st.sampled_from(REQUIRED)
    missing = st.builds(_without, valid_inputs(), field)
    wrong_type = st.builds(_with, valid_inputs(), field, NOT_TEXT)
    wrong_value = st.sampled_from(list(ENUMS)).flatmap(_wrong_value)
    return st.one_of(missing, wrong_type, wrong_value)


def _wrong_value(name: str) -> SearchStrategy[dict[str, Any]]:
    values = ANY_JSON.filter(lambda value: value not in ENUMS[name])
    return st.builds(_with, valid_inputs(), st.just(name), values)


def _without(given: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in given.items() if key != name}


def _with(given: dict[str, Any], name: str, value: Any) -> dict[str, Any]:
    return given | {name: value}
