"""Lines that repeat a request: for curl, Python and JavaScript. Pure."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass
from pprint import pformat
from typing import Any, Final
from urllib.parse import quote

LONGEST: Final = 3000  # bytes of an input that a line contains; a longer one is fetched
# Control characters, which act in a terminal, and the one that stands for bytes that are not UTF-8.
_NOT_IN_A_LINE: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ufffd]")


@dataclass(frozen=True, slots=True)
class Snippet:
    """A program of a few lines, and how to run it."""

    language: str
    text: str
    run: str


def snippets(endpoint: str, body: bytes, *, origin: str, input_address: str) -> list[Snippet]:
    """Return the lines for a request.

    They fetch its body from `input_address` if no line can contain it.
    """
    short = len(body) <= LONGEST
    value = _parsed(body) if short else None
    text = body.decode(errors="replace")
    return [
        _curl(endpoint, None if not short or _NOT_IN_A_LINE.search(text) else text, origin, input_address),
        *([] if value is None and short else [_python(endpoint, value, input_address)]),
        *([] if value is None and short else [_javascript(endpoint, value, input_address)]),
    ]


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _curl(endpoint: str, body: str | None, origin: str, input_address: str) -> Snippet:
    head = "" if body is not None else f"curl -s {shlex.quote(input_address)} |\n"
    data = "@-" if body is None else shlex.quote(body)
    text = (
        f"{head}curl {shlex.quote(f'{origin}/{quote(endpoint)}')} \\\n"
        "  -H 'Authorization: Key my:key' -H 'Content-Type: application/json' \\\n"
        f"  --data-binary {data}"
    )
    return Snippet("curl", text, "in any shell")


def _python(endpoint: str, value: Any, input_address: str) -> Snippet:
    given = (
        f"json.load(urllib.request.urlopen({input_address!r}))"
        if value is None
        else pformat(value, indent=4, width=88, sort_dicts=False)
    )
    imports = "import fal_client" if value is not None else "import json, urllib.request\n\nimport fal_client"
    call = f"fal_client.subscribe(\n    {endpoint!r},\n    arguments={given},\n)"
    text = f"{imports}\n\nresult = {call}\nprint(result)"
    return Snippet("Python", text, "falmock run -- python repeat.py")


def _javascript(endpoint: str, value: Any, input_address: str) -> Snippet:
    given = (
        f"await (await fetch({json.dumps(input_address)})).json()"
        if value is None
        else json.dumps(value, indent=2, ensure_ascii=False).replace("\n", "\n  ")
    )
    text = (
        'import { fal } from "@fal-ai/client";\n\n'
        f"const result = await fal.subscribe({json.dumps(endpoint)}, {{\n  input: {given},\n}});\n"
        "console.log(result.data);"
    )
    return Snippet("JavaScript", text, "falmock run -- node repeat.mjs")
