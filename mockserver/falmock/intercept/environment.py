"""The environment variables that lead a program to an emulator. Pure."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, Final

from falmock.protocol import credentials
from falmock.protocol.authorities import parse_url
from falmock.protocol.hosts import FAL_DOMAINS, QUEUE, RUN

if TYPE_CHECKING:
    from collections.abc import Mapping

    from falmock.intercept.server_info import ServerInfo

LOCAL: Final = ("localhost", "127.0.0.1", "::1")


def variables(server: ServerInfo, before: Mapping[str, str], *, proxied: bool = True) -> dict[str, str]:
    """Return the variables to set.

    Args:
        server: the emulator.
        before: the environment; its key, its entries for NO_PROXY, and the options of Node and Bun are kept.
        proxied: use the proxy variables. Otherwise use those of fal's Python client, which has some for
            the queue host and the run host only.
    """
    trust = {
        **dict.fromkeys(("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"), server.bundle),
        **dict.fromkeys(("NODE_EXTRA_CA_CERTS", "DENO_CERT"), server.certificate),
        **credentials.missing(before),
    }
    if not proxied:
        authority = server.https.removeprefix("https://")
        return {**trust, "FAL_RUN_HOST": f"{authority}/{RUN}", "FAL_QUEUE_RUN_HOST": f"{authority}/{QUEUE}"}
    direct = ",".join(dict.fromkeys((*LOCAL, *_direct(before))))
    return {
        **trust,
        **dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), server.proxy),
        **dict.fromkeys(("NO_PROXY", "no_proxy"), direct),
        "NODE_OPTIONS": _with_option(before.get("NODE_OPTIONS", ""), f"--require={server.preload}"),
        "BUN_OPTIONS": _with_option(before.get("BUN_OPTIONS", ""), f"--preload={server.preload}"),
        "NODE_USE_ENV_PROXY": "1",  # Node 22.21 and later
        "FALMOCK_URL": server.http,
        "FALMOCK_SERVER": _for_preload(server),
    }


def render(values: Mapping[str, str], form: str) -> str:
    """Return variables as text: "sh" to evaluate, "dotenv" for a file (Docker's too), or "json"."""
    if form == "json":
        return json.dumps(values, indent=2) + "\n"
    if form == "sh":
        return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in values.items())
    return "".join(f"{name}={value}\n" for name, value in values.items())


def _direct(before: Mapping[str, str]) -> list[str]:
    """Return the hosts that a program calls without a proxy, without those of fal."""
    named = f"{before.get('NO_PROXY', '')},{before.get('no_proxy', '')}"
    return [entry for entry in map(str.strip, named.split(",")) if entry and not _covers_fal(entry)]


def _covers_fal(entry: str) -> bool:
    name = entry.lower().lstrip("*.").partition(":")[0]
    return not name or any(
        domain == name or domain.endswith(f".{name}") or name.endswith(f".{domain}") for domain in FAL_DOMAINS
    )


def _with_option(before: str, option: str) -> str:
    # Node and Bun split at spaces outside of quotes. In quotes, a backslash stands before a quote or another.
    quoted = json.dumps(option, ensure_ascii=False) if {" ", '"'} & set(option) else option
    return before if quoted in before else f"{before} {quoted}".lstrip()


def _for_preload(server: ServerInfo) -> str:
    http, https = parse_url(server.http), parse_url(server.https)
    facts = {
        "host": http.authority.name,
        "http": http.port,
        "https": https.port,
        "sealed": server.sealed,
        "fal": FAL_DOMAINS,
    }
    return json.dumps(facts, separators=(",", ":"))
