"""Mutants of unusual and large inputs."""

from __future__ import annotations

import json
from typing import Any

from falcontract.mutation.internals import errors, images, runner, validation
from falcontract.mutation.patching import Patch, change_input, change_settings, planted, replaces


def unknown_fields_are_refused(patch: Patch) -> None:
    """An unknown field makes the input invalid."""
    known = {"prompt", "image_url", "aspect_ratio", "duration", "seed"}
    change_input(patch, lambda given: given if set(given) <= known else given | {"prompt": None})


@replaces(errors, "_json")
def lone_surrogates_break_the_json(original: Any, body: object, encoder: Any) -> bytes:
    """A body with a lone surrogate is cut off."""
    try:
        json.dumps(body, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return b'{"detail":'
    return bytes(original(body, encoder))


@replaces(validation, "_echo")
def echoes_are_cut(original: Any, value: Any) -> Any:
    """An echoed text is cut after 1,000 characters."""
    return value[:1000] if isinstance(value, str) else original(value)


@planted(change_input)
def nul_ends_a_prompt(given: Any) -> Any:
    """A prompt ends at the first NUL."""
    prompt = given.get("prompt")
    return given | {"prompt": prompt.partition("\0")[0]} if isinstance(prompt, str) else given


@planted(change_input)
def long_prompts_are_refused(given: Any) -> Any:
    """A prompt of more than 20,000 characters counts as missing."""
    is_long = len(str(given.get("prompt"))) > 20_000
    return {k: v for k, v in given.items() if not (is_long and k == "prompt")}


def body_limit_is_one_byte_less(patch: Patch) -> None:
    """A body of exactly the limit is refused."""
    change_settings(patch, lambda settings: {"max_body": settings.max_body - 1})


def bodies_have_no_limit(patch: Patch) -> None:
    """A body may have any size."""
    change_settings(patch, lambda settings: {"max_body": settings.max_body * 1000})


def images_have_no_limit(patch: Patch) -> None:
    """An image may have any size."""
    for module in (images, runner):
        patch.set(module, "MAX_BYTES", 10**8)
