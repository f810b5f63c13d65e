"""The log, which is on standard error, and the banner."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING

from falmock import __version__
from falmock.inspection.redaction import Redactor

if TYPE_CHECKING:
    from falmock.inspection.known_keys import KnownKeys
    from falmock.intercept.server_info import ServerInfo
    from falmock.settings import Settings


class TextFormatter(logging.Formatter):
    """A line of text, with keys masked."""

    redact = Redactor()

    def format(self, record: logging.LogRecord) -> str:
        return self.redact.text(super().format(record))


class JsonFormatter(TextFormatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": self.redact.text(record.getMessage()),
        }
        if record.exc_info:
            line["exception"] = self.redact.text(self.formatException(record.exc_info))
        return json.dumps(line, ensure_ascii=False)


def set_up_logging(form: str, level: str) -> None:
    """Log to standard error: falmock from `level` on, other packages from "warning" on."""
    text = TextFormatter("%(asctime)s %(levelname)-7s %(message)s", "%H:%M:%S")
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter() if form == "json" else text)
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("falmock").setLevel(level.upper())


def mask(known: KnownKeys) -> None:
    """Mask these keys in the log too. Keys in the form of fal's are always masked."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler.formatter, TextFormatter):
            handler.formatter.redact = Redactor(known)


_CLOCK = "as stored in --state; falmock clock reset undoes it"
_WHAT_OTHERS_CAN = """
              They can submit, read and upload with any accepted key. The control API answers {}.
              Without --host no other machine can call."""


def banner(server: ServerInfo, settings: Settings, reachable: str, models: int, ahead: float = 0) -> str:
    """Return what `falmock serve` prints when it listens.

    Emulated time is `ahead` seconds ahead of the time of this machine.
    """
    clock = f"\n  clock       {ahead:,.0f} s ahead of this machine, {_CLOCK}" if ahead >= 1 else ""
    others_can = _WHAT_OTHERS_CAN.format(
        "this\n              machine only"
        if settings.control_token is None
        else "them\n              with the control token"
    )
    warning = f"\n  WARNING     other machines can call {reachable}{others_can}" if reachable else ""
    keys = "any id:secret" if settings.keys is None else f"{len(settings.keys)} from --keys"
    address = server.http
    return f"""
falmock {__version__}, an offline emulator of fal.ai. No call goes to fal, and nothing is paid.

  listening   {address}   (health: {address}/health)
  live page   {address}/   shows every request in a browser (falmock serve --open)
  tls, proxy  {server.https}  {server.proxy}{warning}
  state       {settings.state or "in memory"}{clock}
  keys        {keys if settings.auth else "not required"}
  models      {models:,} (see falmock models list)
  scenarios   {", ".join(settings.scenarios) or "none (see falmock scenario list)"}

  submit      curl {address}/fal-ai/veo2/image-to-video -H 'Authorization: Key my:key' \\
                -H 'Content-Type: application/json' -d '{{"prompt": "A lego chef cooking eggs", "image_url": "https://example.com/chef.png"}}'
  fal hosts   {address}/queue.fal.run/...  and the same for fal.run, rest.fal.ai, v3.fal.media, api.fal.ai
  programs    falmock run -- python app.py   leads all fal hosts here (or: eval "$(falmock env)")
  webhooks    verify with {address}/rest.fal.ai/.well-known/jwks.json
  control     {address}/control/openapi.json   time, requests, rules and state

Ctrl-C stops it.
"""
