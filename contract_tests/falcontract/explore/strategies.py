"""Hypothesis strategies for inputs: valid by the published schema, or with one error."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final

from hypothesis import strategies as st

from falcontract.model.models import ALL, MODELS, Field, Model
from falcontract.steps import VEO2

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

VIDEO: Final = MODELS[VEO2]
NO_MODELS: Final = ("fal-ai/veo2/no-such-path", f"{VEO2}/more")
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


def valid_inputs(model: Model = VIDEO) -> SearchStrategy[dict[str, Any]]:
    """Inputs that the schema accepts. They ask for few different files, which a target can keep."""
    required: dict[str, SearchStrategy[Any]] = {name: st.just(value) for name, value in model.valid.items()}
    prompt = model.fields.get("prompt", Field())
    if prompt.required and prompt.shortest is None:
        required["prompt"] = ANY_TEXT
    optional = {name: _values(model, field) for name, field in model.fields.items() if name not in required}
    return st.fixed_dictionaries(required, optional={k: v for k, v in optional.items() if v is not None})


def _values(model: Model, field: Field) -> SearchStrategy[Any] | None:
    values = [*(field.choices if model is VIDEO else ())]
    values += [bound for bound in (field.least, field.most) if bound is not None]
    return st.sampled_from(values) if values else None


def invalid_inputs(model: Model = VIDEO) -> SearchStrategy[dict[str, Any]]:
    """Inputs with exactly one error: a missing field, a wrong type, a wrong value, a number out of bounds."""
    required = [name for name, field in model.fields.items() if field.required]
    texts = [name for name in required if model.fields[name].kind == "string"]
    choices = [name for name, field in model.fields.items() if field.choices and field.kind == "string"]
    bounded = [name for name, field in model.fields.items() if field.most is not None]
    kinds: list[SearchStrategy[dict[str, Any]]] = []
    if required:
        kinds.append(st.builds(_without, valid_inputs(model), st.sampled_from(required)))
    if texts:
        kinds.append(st.builds(_with, valid_inputs(model), st.sampled_from(texts), NOT_TEXT))
    if choices:
        kinds.append(st.sampled_from(choices).flatmap(lambda name: _wrong_value(model, name)))
    if bounded:
        kinds.append(st.sampled_from(bounded).flatmap(lambda name: _too_much(model, name)))
    return st.one_of(kinds)


def _wrong_value(model: Model, name: str) -> SearchStrategy[dict[str, Any]]:
    field = model.fields[name]
    values = ANY_JSON.filter(
        lambda value: value not in field.choices and not (value is None and field.takes_null)
    )
    return st.builds(_with, valid_inputs(model), st.just(name), values)


def _too_much(model: Model, name: str) -> SearchStrategy[dict[str, Any]]:
    most = int(model.fields[name].most or 0)
    return st.builds(_with, valid_inputs(model), st.just(name), st.integers(most + 1, 2**31))


def endpoints() -> SearchStrategy[str]:
    """Endpoints for a program: half of them the video model's."""
    return st.sampled_from([*[VEO2] * len(ALL), *MODELS])


@cache
def submissions(endpoint: str) -> SearchStrategy[tuple[str, Any]]:
    """An endpoint with inputs, and sometimes a path without a model."""
    return st.sampled_from([*[endpoint] * 6, *NO_MODELS]).flatmap(_submission)


@cache
def _submission(endpoint: str) -> SearchStrategy[tuple[str, Any]]:
    model = MODELS.get(endpoint, VIDEO)
    given = valid_inputs(model) | st.just(model.valid) | invalid_inputs(model)
    return st.tuples(st.just(endpoint), given)


def _without(given: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in given.items() if key != name}


def _with(given: dict[str, Any], name: str, value: Any) -> dict[str, Any]:
    return given | {name: value}
