"""Mutants of the entries of error lists."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from falcontract.mutation.internals import errors, model_errors
from falcontract.mutation.patching import Patch, change_error, planted

if TYPE_CHECKING:
    from collections.abc import Callable


def _change_entry(patch: Patch, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the entry of a model's error; `change` may return a new one."""

    def changed(error: Any) -> None:
        (entry,) = error.body["detail"]
        error.body["detail"] = [change(entry) or entry]

    change_error(patch, model_errors.ModelError, changed)


def _change_invalid(patch: Patch, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the entries of validation errors; `change` may return a new one."""

    def changed(error: Any) -> None:
        error.body["detail"] = [change(entry) or entry for entry in error.body["detail"]]

    change_error(patch, errors.InvalidBody, changed)


def links_have_a_slash(patch: Patch) -> None:
    """The link of a model's error is the documented one, not the live one."""
    _change_entry(patch, lambda entry: entry.update(url=entry["url"].replace("errors#", "errors/#")))


def model_errors_have_no_link(patch: Patch) -> None:
    """A model's error has no link."""
    _change_entry(patch, lambda entry: {k: v for k, v in entry.items() if k != "url"})


def model_errors_begin_with_the_type(patch: Patch) -> None:
    """The members of a model's error are in pydantic's order."""
    _change_entry(patch, lambda entry: {"type": entry["type"], **entry})


def model_errors_have_no_facts(patch: Patch) -> None:
    """A model's error has no ctx."""
    _change_entry(patch, lambda entry: {k: v for k, v in entry.items() if k != "ctx"})


@planted(_change_entry)
def facts_are_texts(entry: dict[str, Any]) -> dict[str, Any] | None:
    """The numbers in ctx are texts."""
    if "ctx" not in entry:
        return None
    return entry | {"ctx": {k: str(v) if isinstance(v, int | float) else v for k, v in entry["ctx"].items()}}


@planted(_change_entry)
def texts_state_no_facts(entry: dict[str, Any]) -> None:
    """The text of a model's error has no numbers."""
    for value in entry.get("ctx", {}).values():
        entry["msg"] = entry["msg"].replace(str(value), "N")


def model_errors_have_short_texts(patch: Patch) -> None:
    """The texts of model errors are the documented short ones."""
    _change_entry(patch, lambda entry: entry.update(msg=entry["type"].replace("_", " ").capitalize()))


def model_errors_have_no_echo(patch: Patch) -> None:
    """A model's error does not have the rejected input."""
    _change_entry(patch, lambda entry: {k: v for k, v in entry.items() if k != "input"})


@planted(_change_entry)
def echoes_have_no_defaults(entry: dict[str, Any]) -> None:
    """The echoed input is what was sent, without defaults."""
    if isinstance(entry.get("input"), dict):
        entry["input"].pop("duration", None)


@planted(_change_entry)
def refused_prompts_echo_the_prompt(entry: dict[str, Any]) -> None:
    """A refused prompt is echoed alone, without the rest of the input."""
    if entry["loc"] == ["body", "prompt"] and isinstance(entry.get("input"), dict):
        entry["input"] = entry["input"]["prompt"]


def model_errors_have_a_severity(patch: Patch) -> None:
    """A model's error has one more member."""
    _change_entry(patch, lambda entry: entry.update(severity="error"))


@planted(change_error, model_errors.ModelError)
def model_errors_are_400(error: Any) -> None:
    """The error of a model is a 400."""
    error.status = 400 if error.status == 422 else error.status


def validation_errors_have_a_link(patch: Patch) -> None:
    """A validation error has pydantic's link."""
    _change_invalid(patch, lambda entry: entry.update(url="https://errors.pydantic.dev/2/v/missing"))


def validation_errors_have_no_facts(patch: Patch) -> None:
    """A validation error has no ctx."""
    _change_invalid(patch, lambda entry: {k: v for k, v in entry.items() if k != "ctx"})


def validation_errors_begin_with_the_place(patch: Patch) -> None:
    """The members of a validation error are in the order of a model's error."""
    _change_invalid(patch, lambda entry: {"loc": entry["loc"], **entry})


def missing_fields_have_the_old_text(patch: Patch) -> None:
    """A missing field has the text of pydantic 1."""
    _change_invalid(patch, lambda entry: entry.update(msg=entry["msg"].replace("Field", "field")))


def missing_fields_echo_nothing(patch: Patch) -> None:
    """A missing field echoes null in place of the whole input."""
    _change_invalid(patch, lambda entry: entry.update(input=None) if entry["type"] == "missing" else None)


@planted(_change_invalid)
def literals_are_in_another_order(entry: dict[str, Any]) -> None:
    """The values that a text lists are sorted backwards."""
    if entry["type"] == "literal_error":
        entry["msg"] = (
            entry["msg"].replace("'5s', '6s'", "'6s', '5s'").replace("'16:9' or '9:16'", "'9:16' or '16:9'")
        )
