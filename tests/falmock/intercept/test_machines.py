"""Access from another machine to an emulator that listens on all addresses, in network namespaces."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from machines import OURS, PORTS, THEIRS, machine, probe
from programs import tool

from falmock.intercept import netns

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

V4, V6 = OURS
CLAIMS = "X-Forwarded-For: 127.0.0.1\r\nX-Real-IP: 127.0.0.1\r\nForwarded: for=127.0.0.1;host=localhost\r\n"
INPUT = json.dumps({"prompt": "A lego chef", "image_url": "https://example.com/chef.png"})


@dataclass(frozen=True)
class Machines:
    """An emulator, and another machine that reaches it at an address."""

    process: subprocess.Popen[str]
    listener: str
    address: str

    def ask(self, path: str, *, host: str = "", headers: str = "", at: str = "them", **how: Any) -> str:
        """Return the answer to a GET request; `via` is a port."""
        host = host or (f"[{self.address}]" if ":" in self.address else self.address)
        say = f"GET {path} HTTP/1.1\r\nHost: {host}\r\n{headers}Connection: close\r\n\r\n"
        return self.say(say, at=at, **how)

    def say(self, text: str, *, via: str = "plain", at: str = "them", **how: Any) -> str:
        to = self.address if at == "them" else "127.0.0.1"
        return probe(self.process, at=at, to=to, port=PORTS[via], say=text, **how)


@contextmanager
def two_machines(host: str, address: str) -> Iterator[Machines]:
    for needed in netns.TOOLS:
        tool(needed)
    process = machine("--host", host, "--webhooks", "any")
    with process:
        ours = Machines(process, host, address)
        try:
            ours.ask("/health", at="us")
        except (EOFError, BrokenPipeError):
            pytest.skip("the system does not let us have networks of our own")
        yield ours


@pytest.fixture(scope="module", params=[("0.0.0.0", V4), ("::", V6), ("::", V4)], ids=" at ".join)
def machines(request: pytest.FixtureRequest) -> Iterator[Machines]:
    with two_machines(*request.param) as ours:
        yield ours


@pytest.mark.parametrize("claims", ["", CLAIMS], ids=["plainly", "with forwarded headers"])
@pytest.mark.parametrize("host", ["", "localhost", "127.0.0.1:8787", "[::1]"])
@pytest.mark.parametrize("via", ["plain", "tls"])
def test_another_machine_is_refused_the_control_api(
    machines: Machines, via: str, host: str, claims: str
) -> None:
    tls = "localhost" if via == "tls" else None

    answer = machines.ask("/control/clock", host=host, headers=claims, via=via, tls=tls)

    assert answer.startswith("HTTP/1.1 403 ")
    assert '{"detail":"the control API ' in answer


@pytest.mark.parametrize("claims", ["", CLAIMS], ids=["plainly", "with forwarded headers"])
@pytest.mark.parametrize("host", ["localhost", "queue.fal.run", "127.0.0.1:8787"])
def test_another_machine_does_not_reach_the_control_api_through_the_proxy(
    machines: Machines, host: str, claims: str
) -> None:
    answer = machines.ask("http://queue.fal.run/control/clock", host=host, headers=claims, via="proxy")

    assert answer.startswith("HTTP/1.1 405 ")  # that of the queue host, which has no such path
    assert answer.endswith("\r\n\r\n")


@pytest.mark.parametrize("claims", ["", CLAIMS], ids=["plainly", "with forwarded headers"])
@pytest.mark.parametrize("port", [80, 443])
def test_another_machine_is_refused_the_control_api_through_a_tunnel(
    machines: Machines, port: int, claims: str
) -> None:
    tls = "queue.fal.run" if port == 443 else None

    answer = machines.ask(
        "/control/clock",
        host="localhost",
        headers=claims,
        via="proxy",
        tunnel=f"queue.fal.run:{port}",
        tls=tls,
    )

    assert answer.startswith("HTTP/1.1 403 ")
    assert "the control API is not answered through a proxy" in answer


def test_another_machine_is_refused_the_control_api_after_an_upgrade(machines: Machines) -> None:
    upgrade = "GET http://queue.fal.run/ HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: raw\r\n\r\n"

    answer = machines.say(
        f"{upgrade}GET /control/clock HTTP/1.1\r\nHost: localhost\r\n{CLAIMS}Connection: close\r\n\r\n",
        via="proxy",
    )

    assert "the control API is not answered through a proxy" in answer
    assert '"now"' not in answer


@pytest.mark.parametrize(
    ("host", "status"),
    [
        *((host, 403) for host in ("127.0.0.1", "localhost", "x.localhost", "[::1]", "[::ffff:127.0.0.1]")),
        *((host, 403) for host in ("0.0.0.0", V4, f"[{V6}]", THEIRS[0])),
        *((host, 400) for host in ("127.1", "2130706433", "0x7f.0.0.1", "0177.0.0.1", "[::1%25lo]")),
    ],
)
@pytest.mark.parametrize("method", ["CONNECT", "GET"])
def test_the_proxy_leads_another_machine_to_fal_hosts_only(
    machines: Machines, method: str, host: str, status: int
) -> None:
    if method == "CONNECT":
        answer = machines.ask("/health", via="proxy", tunnel=f"{host}:8787")
    else:
        answer = machines.ask(f"http://{host}:8787/health", via="proxy")

    assert answer.startswith("HTTP/1.1 403 falmock " if status == 403 else "HTTP/1.1 400 ")


@pytest.mark.parametrize("via", ["plain", "proxy"])
def test_another_machine_may_use_the_fal_api(machines: Machines, via: str) -> None:
    base = "http://queue.fal.run" if via == "proxy" else ""
    head = (
        f"POST {base}/fal-ai/veo2/image-to-video HTTP/1.1\r\nHost: {V4}\r\nAuthorization: Key me:secret\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(INPUT)}\r\nConnection: close\r\n\r\n"
    )

    answer = machines.say(head + INPUT, via=via)

    assert answer.startswith("HTTP/1.1 200 ")
    assert '"status":"IN_QUEUE"' in answer


@pytest.mark.parametrize("host", ["127.0.0.1", "x.localhost", "0.0.0.0", V4, f"[{V6}]", f"[::ffff:{V4}]"])
@pytest.mark.parametrize("port", PORTS.values(), ids=PORTS.keys())
def test_a_webhook_to_the_emulator_itself_is_refused(machines: Machines, port: int, host: str) -> None:
    hook = f"http://{host}:{port}/control/reset"
    head = (
        f"POST /fal-ai/veo2/image-to-video?fal_webhook={hook} HTTP/1.1\r\nHost: {V4}\r\n"
        "Authorization: Key me:secret\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(INPUT)}\r\nConnection: close\r\n\r\n"
    )

    answer = machines.say(head + INPUT)

    another = machines.listener == "0.0.0.0" and V6 in host  # no listener there
    assert answer.startswith("HTTP/1.1 200 " if another else "HTTP/1.1 400 ")
    assert ("is falmock itself" in answer) is not another


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", V4])
def test_the_emulators_machine_is_refused_the_control_api_through_the_proxy(
    machines: Machines, host: str
) -> None:
    answer = machines.ask("/control/clock", host="localhost", at="us", via="proxy", tunnel=f"{host}:8787")

    refused = "HTTP/1.1 403 " if ":" not in host or machines.listener == "::" else "HTTP/1.1 502 "
    assert answer.startswith(refused)


def test_the_emulators_machine_may_use_the_control_api(machines: Machines) -> None:
    assert machines.ask("/control/clock", host="localhost", at="us").startswith("HTTP/1.1 200 ")
