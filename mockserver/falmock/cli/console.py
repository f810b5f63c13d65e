"""What a person sees: the banner and the log."""

from __future__ import annotations

import json
import logging
import logging.config
from typing import TYPE_CHECKING

from falmock import __version__
from falmock.inspection.redaction import Redactor
from falmock.protocol.addresses import is_loopback
from falmock.protocol.authorities import Authority

if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping

    from falmock.inspection.known_keys import KnownKeys
    from falmock.settings import Settings


class TextFormatter(logging.Formatter):
    """A line of text, without keys.

    Attributes:
        redact: masks.
    """

    redact = Redactor()

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        return self.redact.text(super().format(record))


class JsonFormatter(TextFormatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
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
    """Log to standard error: falmock's own at `level`, everybody else's warnings.

    Args:
        form: "text" or "json".
        level: "debug", "info", "warning" or "error".
    """
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {
                "text": {
                    "()": TextFormatter,
                    "fmt": "%(asctime)s %(levelname)-7s %(message)s",
                    "datefmt": "%H:%M:%S",
                },
                "json": {"()": JsonFormatter},
            },
            "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": form}},
            "root": {"handlers": ["stderr"], "level": "WARNING"},
            "loggers": {"falmock": {"level": level.upper()}},
        }
    )


def mask(known: KnownKeys) -> None:
    """Mask keys in the log from now on; those that have the form of one always are."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler.formatter, TextFormatter):
            handler.formatter.redact = Redactor(known)


def address(listener: socket.socket) -> str:
    """Return the URL at which a listening socket is reached from this machine."""
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - read, not bound
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


_WHAT_OTHERS_CAN = """
              They can submit, read and upload with any key that is known here; the control API
              answers to this machine only. Without --host, nobody else can call."""


def reachable(bound: Mapping[str, tuple[str, int]]) -> str:
    """Return the names and addresses of listening ports that other machines may call; empty for none."""
    return ", ".join(
        f"{name} {Authority(*address)}" for name, address in bound.items() if not is_loopback(address[0])
    )


def banner(address: str, settings: Settings, tls: str, proxy: str, others: str = "") -> str:
    """Return what is printed when the server starts.

    Args:
        address: URL of the plain port.
        settings: of the emulator.
        tls: URL of the port with TLS.
        proxy: URL of the proxy.
        others: ports that other machines may call, see `reachable`.
    """
    shared = f"\n  WARNING     other machines can call {others}{_WHAT_OTHERS_CAN}" if others else ""
    keys = "any id:secret"
    if settings.keys is not None:
        keys = f"the {len(settings.keys)} given"
    if not settings.auth:
        keys = "none asked for"
    return f"""
falmock {__version__}: fal's queue, offline. Nothing leaves this machine, nothing is paid.

  listening   {address}   (health: {address}/health)
  tls, proxy  {tls}  {proxy}{shared}
  state       {settings.state or "in memory"}
  keys        {keys}
  models      fal-ai/veo2/image-to-video
  trouble     {", ".join(settings.scenarios) or "none (falmock scenario list)"}

  submit      curl {address}/fal-ai/veo2/image-to-video -H 'Authorization: Key my:key' \\
                --json '{{"prompt": "A lego chef cooking eggs", "image_url": "https://example.com/chef.png"}}'
  fal hosts   {address}/queue.fal.run/...  and likewise fal.run, rest.fal.ai, v3.fal.media, api.fal.ai
  programs    falmock run -- python app.py   leads every fal host here (or: eval "$(falmock env)")
  webhooks    verify with {address}/rest.fal.ai/.well-known/jwks.json
  control     {address}/control/openapi.json   time, requests, rules and state, by hand

Ctrl-C stops it.
"""
