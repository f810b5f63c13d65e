"""Calls from another machine, a network namespace, to an emulator that listens at every address."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest
from programs import PATIENCE, tool

# Runs in a network namespace with nothing in it, and makes a second one: the other machine.
STAGE = """if True:
    import json, os, re, subprocess, sys

    host, own, other, prefix, hosts = sys.argv[1:]
    with open(hosts, "w") as file:
        file.write(f"127.0.0.1 localhost\\n{own} falmock\\n{other} other\\n")
    subprocess.run(["mount", "--bind", hosts, "/etc/hosts"], check=True)

    def ip(*words):
        subprocess.run(["ip", *words], check=True)

    ip("link", "set", "lo", "up")
    machine = subprocess.Popen(["unshare", "--net", "sleep", "600"])
    try:
        here = os.readlink("/proc/self/ns/net")
        while os.readlink(f"/proc/{machine.pid}/ns/net") == here:
            pass
        ip("link", "add", "name", "near", "type", "veth", "peer", "name", "far", "netns", str(machine.pid))
        there = ["nsenter", "--net", "--target", str(machine.pid)]
        for link, address, before in (("near", own, []), ("far", other, there)):
            extra = ["nodad"] if ":" in address else []
            at = ["address", "add", f"{address}/{prefix}", "dev", link, *extra]
            subprocess.run([*before, "ip", *at], check=True)
            subprocess.run([*before, "ip", "link", "set", link, "up"], check=True)
        command = [sys.executable, "-m", "falmock", "serve", "--ephemeral", "--port", "0", "--host", host]
        server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        try:
            said = ""
            while "Ctrl-C" not in said:
                said += server.stderr.readline()
            ports = dict(re.findall(r"(http|tls|proxy) \\S+:(\\d+)", said))
            name = f"[{own}]" if ":" in own else own
            url = f"http://{name}:{ports['http']}"
            proxy = f"http://{name}:{ports['proxy']}"
            loopback = f"http://127.0.0.1:{ports['http']}"

            def status(*words):
                curl = [*there, "curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-m", "20", *words]
                return int(subprocess.run(curl, capture_output=True, text=True).stdout)

            token = ["-H", "Authorization: Bearer the-token"]
            forwarded = ["-H", "X-Forwarded-For: 127.0.0.1"]
            control = ["-x", proxy, "http://queue.fal.run/control/clock", "-H", "Host: localhost"]
            print(json.dumps({
                "banner": sorted(ports),
                "health": status(f"{url}/health"),
                "fal": status(f"{url}/fal-ai/veo2/requests/x/status", "-H", "Authorization: Key a:b"),
                "control": status(f"{url}/control/clock"),
                "control as localhost": status(f"{url}/control/clock", "-H", "Host: localhost"),
                "control as forwarded": status(f"{url}/control/clock", "-H", "Host: localhost", *forwarded),
                "control through the proxy": status(*control),
                "control through the proxy as forwarded": status(*control, *forwarded),
                "control with the token": status(f"{url}/control/clock", *token),
                "control with the token through the proxy": status(*control, *token),
                "control with another token": status(f"{url}/control/clock", *token[:1], token[1] + "s"),
                "service name": status(f"{url}/health", "-H", f"Host: falmock:{ports['http']}"),
                "name of another machine": status(f"{url}/health", "-H", "Host: other"),
                "unknown name": status(f"{url}/health", "-H", "Host: nobody"),
                "loopback through the proxy": status("-x", proxy, f"{loopback}/control/clock"),
            }))
        finally:
            server.terminate()
            server.communicate()
    finally:
        machine.terminate()
        machine.wait()
"""


@pytest.fixture(
    scope="module",
    params=[("0.0.0.0", "192.0.2.1", "192.0.2.2", "24"), ("::", "2001:db8::1", "2001:db8::2", "64")],
    ids=["IPv4", "IPv6"],
)
def report(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    for needed in ("unshare", "nsenter", "ip", "curl", "mount"):
        tool(needed)
    root = [] if os.geteuid() == 0 else ["--map-root-user"]
    hosts = tmp_path_factory.mktemp("machine") / "hosts"
    unshare = ["unshare", *root, "--net", "--mount"]
    done = subprocess.run(
        [*unshare, sys.executable, "-c", STAGE, *request.param, str(hosts)],
        env=os.environ | {"FALMOCK_CONTROL_TOKEN": "the-token"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_banner_lists_each_port_that_another_machine_reaches(report: Any) -> None:
    assert report["banner"] == ["http", "proxy", "tls"]


def test_another_machine_may_call_fals_hosts(report: Any) -> None:
    assert (report["health"], report["fal"]) == (200, 404)


@pytest.mark.parametrize(
    "how",
    [
        "control",
        "control as localhost",
        "control as forwarded",
        "control through the proxy",
        "control through the proxy as forwarded",
        "loopback through the proxy",
        "control with another token",
        "control with the token through the proxy",
    ],
)
def test_another_machine_may_not_call_the_control_api(report: Any, how: str) -> None:
    assert report[how] in {403, 405}


def test_another_machine_reaches_the_control_api_with_the_token(report: Any) -> None:
    assert report["control with the token"] == 200


@pytest.mark.parametrize(
    ("how", "status"), [("service name", 200), ("name of another machine", 421), ("unknown name", 421)]
)
def test_another_machine_may_use_a_service_name_of_this_one(report: Any, how: str, status: int) -> None:
    assert report[how] == status
