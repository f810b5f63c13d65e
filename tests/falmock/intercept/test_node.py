"""JavaScript programs, unchanged, through `falmock run`: fal's client, and every way to call a host."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from programs import IMAGE, NODE, NOT_COUNTED, Ran, runtime, through_falmock, tool

if TYPE_CHECKING:
    from pathlib import Path

ALL_STATES = ["IN_QUEUE", "IN_PROGRESS", "COMPLETED"]


@pytest.fixture(scope="module", params=["node", "bun", "deno"])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def fal_client(name: str, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    cache = tmp_path_factory.mktemp("deno")
    program = (*runtime(name), str(NODE / "fal_client.mjs"), str(IMAGE))
    return through_falmock(*program, DENO_DIR=str(cache), DENO_NO_UPDATE_CHECK="1")


@pytest.fixture(scope="module")
def ways() -> Ran:
    return through_falmock(tool("node"), str(NODE / "ways.mjs"))


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        ("polling", ALL_STATES),
        ("requestId", True),
        ("video is an mp4", True),
        ("uploaded", True),
        ("streaming", ALL_STATES),
        ("streamed result", ["video"]),
        ("status", "IN_QUEUE"),
        ("result", ["video"]),
        ("cancelled", 499),
        ("run", ["video"]),
        ("ValidationError", [True, 422, ["body", "duration"]]),
        ("ApiError", [True, 401, "No user found for Key ID and Secret"]),
        ("webhook", ["OK", True, True]),
    ],
)
def test_the_javascript_client_of_fal_works_unchanged(fal_client: Ran, what: str, expected: object) -> None:
    assert fal_client.report[what] == expected


def test_files_of_a_program_are_at_an_address_that_a_page_can_open(fal_client: Ran) -> None:
    assert re.match(r"http://127\.0\.0\.1:\d+/v3b\.fal\.media/files/", fal_client.report["video"])


def test_the_account_counts_requests_results_and_the_webhook(fal_client: Ran) -> None:
    assert "7 requests, 5 results, 2 failures, 1 webhook, $12.50" in fal_client.err.splitlines()[-1]


def test_the_account_of_a_program_without_a_page_has_nothing_to_say_about_browsers(fal_client: Ran) -> None:
    assert fal_client.report
    assert NOT_COUNTED not in fal_client.err


@pytest.mark.parametrize("library", ["fetch", "undici", "https", "http"])
def test_a_node_library_reaches_the_emulator_and_is_refused_other_fal_hosts(ways: Ran, library: str) -> None:
    assert ways.report[library] == [200, 421]


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        ("require", 200),
        ("tls", True),
        ("worker", 200),
        ("streamed request", 200),
        ("streamed answer", "COMPLETED"),
        ("aborted", "AbortError"),
        ("result", 200),
        ("other port", "falmock answers for queue.fal.run on ports 80 and 443 only"),
        ("loopback", "hello"),
    ],
)
def test_each_way_of_calling_fal_from_node_has_the_expected_result(
    ways: Ran, what: str, expected: object
) -> None:
    assert ways.report[what] == expected


def test_a_sealed_node_program_is_refused_other_hosts_and_reaches_the_emulator() -> None:
    sealed = through_falmock(tool("node"), str(NODE / "sealed.mjs"), flags=("--sealed",))

    assert sealed.report == {
        "refusal": "falmock is sealed and lets nothing out to example.com",
        "served": 200,
    }


LOCAL = """
const url = process.env.FALMOCK_URL.replace("127.0.0.1", "x.localhost");
const statuses = [(await fetch(`${url}/health`)).status];
const answer = await new Promise((done) => http.get(`${url}/health`, done));
answer.resume(); // or the open answer keeps the program alive
statuses.push(answer.statusCode);
console.log(JSON.stringify({ statuses }));
"""


def test_a_sealed_node_program_resolves_names_below_localhost_without_dns() -> None:
    ran = through_falmock(
        tool("node"),
        "--input-type=module",
        "-e",
        f'import http from "node:http"; {LOCAL}',
        flags=("--sealed",),
    )

    assert ran.report["statuses"] == [200, 200]
    assert ran.looked_up == ()


def test_node_options_from_the_environment_still_apply(tmp_path: Path) -> None:
    ran = through_falmock(tool("node"), "-p", "process.title", NODE_OPTIONS="--title=mine")

    assert ran.out == "mine\n"


def test_the_javascript_client_of_fal_looks_up_no_name_except_in_deno(name: str, fal_client: Ran) -> None:
    assert name == "deno" or fal_client.looked_up == ()  # Deno looks up what it calls through a proxy


def test_no_way_of_calling_fal_from_node_looks_up_a_name(ways: Ran) -> None:
    assert ways.looked_up == ()


@pytest.mark.parametrize("other", ["bun", "deno"])
def test_each_way_of_calling_fal_from_bun_and_deno_reaches_the_emulator(other: str, tmp_path: Path) -> None:
    program = (*runtime(other), str(NODE / "runtimes.mjs"))
    ran = through_falmock(*program, DENO_DIR=str(tmp_path), DENO_NO_UPDATE_CHECK="1")

    assert ran.report == {"fetch": [200, 421], "https": [200, 421], "http": [200, 421], "worker": 200}


def test_a_bare_tls_connection_of_bun_reaches_the_emulator() -> None:
    ran = through_falmock(*runtime("bun"), str(NODE / "sockets.mjs"))

    assert (ran.report, ran.looked_up) == ({"authorized": True}, ())


@pytest.mark.parametrize("preloading", ["node", "bun"])
def test_a_state_folder_with_a_space_in_its_name_works(preloading: str, tmp_path: Path) -> None:
    folder = tmp_path / "two words"
    folder.mkdir()
    ran = through_falmock(*runtime(preloading), str(NODE / "sockets.mjs"), TMPDIR=str(folder))

    assert ran.report == {"authorized": True}


def test_options_of_bun_from_the_environment_still_apply() -> None:
    program = (*runtime("bun"), "-e", "console.log(MINE)")
    ran = through_falmock(*program, BUN_OPTIONS="--define MINE:7")

    assert ran.out == "7\n"


@pytest.fixture(scope="module", params=["", "outbound"])
def worker(request: pytest.FixtureRequest) -> tuple[str, Ran]:
    return request.param, through_falmock(tool("node"), str(NODE / "worker.mjs"), request.param)


def test_a_cloudflare_worker_reaches_the_emulator_by_its_outbound_service_only(
    worker: tuple[str, Ran],
) -> None:
    way, ran = worker
    reached = (202, "IN_QUEUE", ()) if way == "outbound" else (500, False, ("queue.fal.run",))

    assert (ran.report["status"], ran.report["state"], ran.fals_names) == reached


def test_run_warns_of_a_cloudflare_worker(worker: tuple[str, Ran]) -> None:
    warning = "falmock: workerd ran: its calls go past falmock, unless the worker has an outboundService"

    assert warning in worker[1].err.splitlines()


def test_fals_own_proxy_for_pages_reaches_the_emulator_under_each_of_its_addresses() -> None:
    ran = through_falmock(tool("node"), str(NODE / "server_proxy.mjs"))
    followed = [ALL_STATES, ["video"]]

    assert ran.report == {
        "https://queue.fal.run": followed,
        "emulator/queue.fal.run": followed,
        "emulator": followed,
        "control": '{"detail":"Application \\"control/reset\\" not found"}',
    }
