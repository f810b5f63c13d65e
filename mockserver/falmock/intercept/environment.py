"""The environment that leads a program to an emulator, and how it is written down. Pure."""

from __future__ import annotations

import json
import shlex
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import urlsplit

from falmock.protocol.hosts import FAL_DOMAINS, QUEUE, RUN

if TYPE_CHECKING:
    from collections.abc import Mapping

LOCAL: Final = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """How a program reaches an emulator.

    Attributes:
        http: its address, as "http://127.0.0.1:8787".
        https: the same with TLS.
        proxy: the proxy's address, "http://...".
        certificate: file of the authority that vouches for the TLS port.
        bundle: file of all authorities that a program shall trust.
        preload: file that Node loads before a program.
        sealed: nothing but this machine is let through.
        token: of the process, which proves that it is the one (see `identity`). It is secret.
    """

    http: str
    https: str
    proxy: str
    certificate: str
    bundle: str
    preload: str
    sealed: bool = False
    token: str = field(default="", repr=False)

    def to_json(self) -> str:
        """Return what `from_json` reads."""
        return json.dumps(asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read back what `to_json` wrote.

        Raises:
            ValueError: it is something else.
        """
        try:
            return cls(**json.loads(text))
        except TypeError:
            raise ValueError("not the addresses of an emulator") from None

    def seen_from(self, host: str | None, folder: str | None) -> ServerInfo:
        """Return the same doors for a program in a container, say.

        Args:
            host: by which the program reaches this machine; None for "as we do".
            folder: in which the program finds the files; None likewise.
        """

        def moved(url: str) -> str:
            parts = urlsplit(url)
            return f"{parts.scheme}://{host}:{parts.port}" if host else url

        def elsewhere(path: str) -> str:
            return f"{folder.rstrip('/')}/{Path(path).name}" if folder else path

        return ServerInfo(
            moved(self.http),
            moved(self.https),
            moved(self.proxy),
            elsewhere(self.certificate),
            elsewhere(self.bundle),
            elsewhere(self.preload),
            self.sealed,
            self.token,
        )


def variables(doors: ServerInfo, before: Mapping[str, str], *, proxied: bool = True) -> dict[str, str]:
    """Return the variables to set.

    Args:
        doors: of the emulator.
        before: the environment as it is; what it says of proxies and of Node's options is kept.
        proxied: by the proxy variables; else by those that fal's own Python client reads, for its
            queue and run hosts alone.
    """
    trust = {
        **dict.fromkeys(("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"), doors.bundle),
        **dict.fromkeys(("NODE_EXTRA_CA_CERTS", "DENO_CERT"), doors.certificate),
    }
    if not proxied:
        authority = doors.https.removeprefix("https://")
        return {**trust, "FAL_RUN_HOST": f"{authority}/{RUN}", "FAL_QUEUE_RUN_HOST": f"{authority}/{QUEUE}"}
    direct = ",".join(dict.fromkeys((*LOCAL, *_direct(before))))
    return {
        **trust,
        **dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), doors.proxy),
        **dict.fromkeys(("NO_PROXY", "no_proxy"), direct),
        "NODE_OPTIONS": _node_options(before.get("NODE_OPTIONS", ""), doors.preload),
        "NODE_USE_ENV_PROXY": "1",  # Node 22.21 and later; older ones do not know it
        "FALMOCK_URL": doors.http,
        "FALMOCK_DOORS": _doors_for_node(doors),
    }


def render(values: Mapping[str, str], form: str) -> str:
    """Return variables as text: "sh" to evaluate, "dotenv" for a file (Docker's too), or "json"."""
    if form == "json":
        return json.dumps(values, indent=2) + "\n"
    if form == "sh":
        return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in values.items())
    return "".join(f"{name}={value}\n" for name, value in values.items())


def _direct(before: Mapping[str, str]) -> list[str]:
    """Return whom a program called without its proxy before; fal's hosts are not among them any more."""
    named = f"{before.get('NO_PROXY', '')},{before.get('no_proxy', '')}"
    return [entry for entry in map(str.strip, named.split(",")) if entry and not _covers_fal(entry)]


def _covers_fal(entry: str) -> bool:
    name = entry.lower().lstrip("*.").partition(":")[0]
    return not name or any(
        domain == name or domain.endswith(f".{name}") or name.endswith(f".{domain}") for domain in FAL_DOMAINS
    )


def _node_options(before: str, preload: str) -> str:
    """Return Node's options with the preload among them; Node wants a path with spaces in quotes."""
    path = json.dumps(preload) if " " in preload else preload
    option = f"--require={path}"
    return before if option in before.split() else f"{before} {option}".lstrip()


def _doors_for_node(doors: ServerInfo) -> str:
    ports: dict[str, Any] = {
        "host": urlsplit(doors.http).hostname,
        "http": urlsplit(doors.http).port,
        "https": urlsplit(doors.https).port,
        "sealed": doors.sealed,
        "fal": FAL_DOMAINS,
    }
    return json.dumps(ports, separators=(",", ":"))
