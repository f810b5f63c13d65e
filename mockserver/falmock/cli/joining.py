"""Which running emulator a command is for, and calls to its control API."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any, Final

import click
from click.core import ParameterSource

from falmock.cli.options import option, state_option
from falmock.http.context import CONTROL
from falmock.intercept.server_info import find, running
from falmock.protocol.addresses import is_loopback
from falmock.protocol.authorities import AuthorityError, parse_url
from falmock.settings import SettingsError, check_token

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    import httpx

    from falmock.intercept.server_info import ServerInfo
    from falmock.protocol.authorities import HttpUrl

CONTROL_SECONDS: Final = 60.0  # a long journal takes some time
NO_QUERY: Final[Mapping[str, Any]] = {}
GIVEN: Final = (ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT)


def server_options(command: Any) -> Any:
    """Decorate a command with `--state` and `--join`."""
    join = option("--join", "Address of the running emulator, as http://127.0.0.1:8787.")
    return state_option("State folder of the running emulator.")(join(command))


def find_server(state: Path, join: str | None, flags: str = "--join or --state") -> ServerInfo | None:
    """Find the running emulator of `--join` or `--state`, else of the current folder, else the only one.

    A user can choose one of several with `flags`. It is an error if none of this user's is at the address.
    """
    if join is not None:
        wanted = _place(_parse(join))
        for known in filter(None, (find(state), *running())):
            if _place(parse_url(known.http)) == wanted:
                return known
        raise click.ClickException(
            f"no emulator that you started here answers at {join}: start one with falmock serve"
        )
    server = find(state)
    if server is None and click.get_current_context().get_parameter_source("state") not in GIVEN:
        others = running()
        if len(others) > 1:
            raise click.ClickException(f"several emulators run: {_listed(others)}; choose with {flags}")
        server = next(iter(others), None)
    return server


def describe(server: ServerInfo) -> str:
    """Return the address of an emulator, and where its state is."""
    return f"{server.http}, {f'which serves {server.state}' if server.state else 'in memory'}"


def _listed(servers: Iterable[ServerInfo]) -> str:
    return ", ".join(f"{server.http} ({server.state or 'in memory'})" for server in servers)


def _parse(join: str) -> HttpUrl:
    try:
        url = parse_url(join)
    except AuthorityError as error:
        raise click.ClickException(f"--join is the address of an emulator: {error}") from None
    if url.path not in {"", "/"} or url.query is not None:
        raise click.ClickException(f"--join is an address without a path, as http://127.0.0.1:8787: {join!r}")
    return url


def _place(url: HttpUrl) -> tuple[str, str, int]:
    name = url.authority.name
    return url.scheme, "localhost" if is_loopback(name) else name, url.port


class ControlAPI:
    """The control API of a running emulator."""

    def __init__(self, state: Path, join: str | None, token: str | None) -> None:
        self._state = state
        self._join = join
        self._headers = with_token(token)

    def call(self, path: str, query: Mapping[str, Any] = NO_QUERY, method: str = "GET") -> httpx.Response:
        """Make a call; the emulator of `--join` may be on another machine."""
        import httpx  # noqa: PLC0415 - loads slowly, and a new emulator gets no call from here

        address = running_server(self._state, None).http if self._join is None else _parse(self._join).base
        params = {name: value for name, value in query.items() if value is not None}
        try:
            answer = httpx.request(
                method,
                f"{address}{CONTROL}{path}",
                params=params,
                headers=self._headers,
                trust_env=False,
                timeout=CONTROL_SECONDS,
            ).raise_for_status()
        except httpx.HTTPError as error:
            raise control_error(address, error) from None
        if "json" not in answer.headers.get("content-type", ""):
            raise click.ClickException(f"{address} is not an emulator")
        return answer


def running_server(state: Path, join: str | None) -> ServerInfo:
    """Do what `find_server` does, for a command that cannot do without."""
    server = find_server(state, join)
    if server is None:
        raise click.ClickException(
            f"no emulator serves {state}: start one with falmock serve, or name its --state"
        )
    return server


def on_control_api(command: Callable[..., Any]) -> Callable[..., Any]:
    """Pass the `ControlAPI` of the options `--state`, `--join` and `--control-token` to a command."""

    @wraps(command)
    def called(state: Path, join: str | None, control_token: str | None, **given: Any) -> Any:
        return command(ControlAPI(state, join, control_token), **given)

    token = option("--control-token", "Token of that emulator. Safer in the environment than as a flag.")
    decorated: Callable[..., Any] = server_options(token(called))
    return decorated


def with_token(token: str | None) -> dict[str, str]:
    if token is None:
        return {}
    try:
        check_token(token)
    except SettingsError as error:
        raise click.ClickException(str(error)) from None
    return {"Authorization": f"Bearer {token}"}


def control_error(address: str, error: httpx.HTTPError) -> click.ClickException:
    """Return the error for a call to the control API that failed."""
    import httpx  # noqa: PLC0415 - as above

    why = str(error).partition("\n")[0]
    if isinstance(error, httpx.HTTPStatusError) and error.response.status_code == httpx.codes.FORBIDDEN:
        try:
            why = error.response.json()["detail"]
        except (ValueError, KeyError, TypeError):  # not an emulator
            why = "it answers 403"
    return click.ClickException(f"cannot query the emulator at {address}: {why}")
