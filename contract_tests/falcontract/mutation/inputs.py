"""Mutants of unusual and large inputs."""

from __future__ import annotations

import json
from typing import Any

from falcontract.mutation.internals import errors, images, runner, validation
from falcontract.mutation.patching import Patch, change_input, change_settings


def unknown_fields_are_refused(patch: Patch) -> None:
    """An unknown field makes the input invalid."""
    known = {"prompt", "image_url", "aspect_ratio", "duration", "seed"}
    change_input(patch, lambda given: given if set(given) <= known else given | {"prompt": None})


def lone_surrogates_break_the_json(patch: Patch) -> None:
    """A body with a lone surrogate is cut off."""

    def write(original: Any, body: object, encoder: Any) -> bytes:
        try:
            json.dumps(body, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            return b'{"detail":'
        return bytes(original(body, encoder))

    patch.around(errors, "_json", write)


def echoes_are_cut(patch: Patch) -> None:
    """An echoed text is cut after 1,000 characters."""

    def echo(original: Any, value: Any) -> Any:
        return value[:1000] if isinstance(value, str) else original(value)

    patch.around(validation, "_echo", echo)


def nul_ends_a_prompt(patch: Patch) -> None:
    """A prompt ends at the first NUL."""

    def change(given: Any) -> Any:
        prompt = given.get("prompt")
        return given | {"prompt": prompt.partition("\0")[0]} if isinstance(prompt, str) else given

    change_input(patch, change)


def long_prompts_are_refused(patch: Patch) -> None:
    """A prompt of more than 20,000 characters counts as missing."""

    def change(given: Any) -> Any:
        is_long = len(str(given.get("prompt"))) > 20_000
        return {k: v for k, v in given.items() if not (is_long and k == "prompt")}

    change_input(patch, change)


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
