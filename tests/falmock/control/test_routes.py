"""Who may call the control API, and what describes it."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from emulated import BASE, KEY, Mock
from pydantic import TypeAdapter

from falmock.app import create_app
from falmock.cli.console import address
from falmock.control.routes import Control
from falmock.control.rules import ScenarioIn
from falmock.http.server import Server, listen
from falmock.inspection.ledger import Ledger
from falmock.intercept.proxy import Proxy

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from falmock.control.api import Operation

CLOCK = "/control/clock"


def control(mock: Mock) -> Control:
    return Control(mock.emulator, Ledger(mock.emulator.store, mock.emulator.body, mock.emulator.catalogue))


# Who may call


@pytest.mark.parametrize("host", ["127.0.0.1:8787", "localhost:8787", "[::1]:8787", "falmock.localhost"])
async def test_it_answers_to_names_of_this_machine(mock: Mock, host: str) -> None:
    assert (await mock.http.get(CLOCK, headers={"Host": host})).status_code == 200


async def test_it_answers_to_a_name_that_was_given_to_it(start: Callable[..., Awaitable[Mock]]) -> None:
    mock = await start(hostnames=("falmock",))

    assert (await mock.http.get(CLOCK, headers={"Host": "FALMOCK:8787"})).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "192.168.1.5:8787"])
async def test_it_does_not_answer_to_a_name_that_was_made_to_lead_here(mock: Mock, host: str) -> None:
    answer = await mock.http.get(CLOCK, headers={"Host": host})

    assert (answer.status_code, "is not reached as" in answer.json()["detail"]) == (403, True)


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost.evil.example"])
async def test_it_does_not_answer_to_pages_from_elsewhere(mock: Mock, origin: str) -> None:
    answer = await mock.http.post(CLOCK, json={"scale": 0}, headers={"Origin": origin})

    assert (answer.status_code, "pages of this machine" in answer.json()["detail"]) == (403, True)


@pytest.mark.parametrize("origin", ["http://localhost:3000", "http://127.0.0.1:8787", "http://[::1]:1"])
async def test_it_answers_to_pages_of_this_machine(mock: Mock, origin: str) -> None:
    assert (await mock.http.get(CLOCK, headers={"Origin": origin})).status_code == 200


@pytest.mark.parametrize("peer", ["192.0.2.7", "10.0.0.1", "2001:db8::1", "::ffff:192.0.2.7"])
async def test_it_does_not_answer_to_other_machines(mock: Mock, peer: str) -> None:
    transport = httpx.ASGITransport(create_app(mock.emulator), client=(peer, 4711))
    async with httpx.AsyncClient(transport=transport, base_url=BASE) as http:
        answer = await http.get(CLOCK)

    assert (answer.status_code, peer in answer.json()["detail"]) == (403, True)


async def test_it_does_not_answer_to_what_comes_through_the_proxy(mock: Mock) -> None:
    app = create_app(mock.emulator)
    app.state.through_proxy.add(("127.0.0.1", 4711))
    transport = httpx.ASGITransport(app, client=("127.0.0.1", 4711))
    async with httpx.AsyncClient(transport=transport, base_url=BASE) as http:
        answer = await http.get(CLOCK)

    assert (answer.status_code, "proxy" in answer.json()["detail"]) == (403, True)


@pytest.mark.parametrize("method", ["GET", "CONNECT"])
async def test_the_proxy_does_not_lead_there(mock: Mock, method: str) -> None:
    app = create_app(mock.emulator)
    with listen("127.0.0.1", 0) as plain, listen("127.0.0.1", 0) as proxied:
        here = address(plain)
        door = Proxy(here, here, sealed=True, refused=print, calling=app.state.through_proxy)
        async with Server(app).running(plain), door.serving(proxied):
            reader, writer = await asyncio.open_connection(*proxied.getsockname())
            if method == "CONNECT":
                writer.write(b"CONNECT queue.fal.run:443 HTTP/1.1\r\nHost: queue.fal.run:443\r\n\r\n")
                await reader.readuntil(b"\r\n\r\n")
            path = CLOCK if method == "CONNECT" else f"{here}{CLOCK}"
            writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
            told = await reader.read()
            writer.close()
            await writer.wait_closed()

    assert told.startswith(b"HTTP/1.1 403 ")
    assert b"not answered through a proxy" in told


@pytest.mark.parametrize(
    "headers",
    [{"Host": "queue.fal.run"}, {"x-fal-target-host": "queue.fal.run"}],
    ids=["by name", "by header"],
)
async def test_a_host_of_fals_has_no_control_api(mock: Mock, headers: dict[str, str]) -> None:
    answer = await mock.http.get("/control/clock", headers=KEY | headers)

    assert answer.json() == {"detail": 'Application "control/clock" not found'}


async def test_pages_cannot_reach_it_through_the_browsers_proxy(mock: Mock) -> None:
    headers = {"x-fal-target-url": "https://queue.fal.run/control/clock"}
    answer = await mock.http.get("/api/fal/proxy", headers=headers)

    assert answer.json() == {"detail": 'Application "control/clock" not found'}


async def test_it_asks_for_no_key(start: Callable[..., Awaitable[Mock]]) -> None:
    mock = await start(keys=("a:b",))

    assert (await mock.http.get(CLOCK)).status_code == 200


async def test_what_it_is_asked_is_no_call_to_fal(mock: Mock) -> None:
    await mock.http.get(CLOCK)

    assert (await mock.http.get("/control/account")).json()["calls"] == {}


@pytest.mark.parametrize(("method", "path"), [("GET", ""), ("GET", "/"), ("GET", "/none"), ("PUT", "/clock")])
async def test_what_there_is_not_is_refused_in_one_line(mock: Mock, method: str, path: str) -> None:
    answer = await mock.http.request(method, f"/control{path}")

    assert (answer.status_code, list(answer.json())) == (404 if method == "GET" else 405, ["detail"])


async def test_a_body_that_is_none_is_refused(mock: Mock) -> None:
    answer = await mock.http.post(CLOCK, content=b"{")

    assert (answer.status_code, answer.json()["detail"][0]["type"]) == (422, "json_invalid")


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_word_that_it_does_not_know_is_a_mistake(mock: Mock, method: str) -> None:
    path = "/control/requests" if method == "GET" else CLOCK
    answer = await mock.http.request(method, path, params={"stat": "x"}, json={"stat": "x"})

    assert "extra_forbidden" in {each["type"] for each in answer.json()["detail"]}


# The document


@pytest.fixture
async def document(mock: Mock) -> Any:
    return (await mock.http.get("/control/openapi.json")).json()


def described(document: Any) -> list[tuple[str, str, Any]]:
    return [
        (method.upper(), path, told)
        for path, methods in document["paths"].items()
        for method, told in methods.items()
    ]


async def test_every_route_is_in_the_document_and_every_one_there_is_a_route(
    mock: Mock, document: Any
) -> None:
    mount: Any = control(mock)._router.routes[0]
    served = {
        (method, f"/control{route.path}") for route in mount.routes for method in route.methods - {"HEAD"}
    }

    assert {(method, path) for method, path, _ in described(document)} == served


async def test_every_operation_of_the_document_answers(mock: Mock, document: Any) -> None:
    unknown = {"detail": "Not Found"}
    for method, path, told in described(document):
        answer = await mock.http.request(method, re.sub(r"{\w+}", "x", path), json={})

        assert str(answer.status_code) in told["responses"], (method, path, answer.text)
        assert not answer.content or answer.json() != unknown, (method, path)


async def test_every_parameter_of_a_path_is_described(document: Any) -> None:
    for _, path, told in described(document):
        names = [each["name"] for each in told["parameters"] if each["in"] == "path"]

        assert names == re.findall(r"{(\w+)}", path)


def with_bodies(mock: Mock) -> list[Operation]:
    return [each for each in control(mock).operations if each.has_body]


async def test_every_example_of_a_body_is_one(mock: Mock, document: Any) -> None:
    for operation in with_bodies(mock):
        assert operation.takes is not None
        schema = document["components"]["schemas"][operation.takes.__name__]
        examples = schema.get("examples", [])

        assert examples or not schema.get("required"), operation.path
        for example in examples:
            TypeAdapter(operation.takes).validate_python(example)


async def test_every_reference_leads_to_a_schema(document: Any) -> None:
    references = set(re.findall(r'"\$ref": "#/components/schemas/(\w+)"', str(document).replace("'", '"')))

    assert references
    assert references <= set(document["components"]["schemas"])


async def test_every_operation_says_what_it_is_for(document: Any) -> None:
    summaries = [told["summary"] for _, _, told in described(document)]

    assert all(summaries)
    assert len(set(summaries)) == len(summaries)


async def test_answers_fit_their_schemas(mock: Mock) -> None:
    """The models that make the document also make the answers; this shows that the answers are theirs."""
    submitted = await mock.submit()
    operations = {(each.method, each.path): each for each in control(mock).operations}
    for path in ("/clock", "/requests", "/requests/{id}", "/webhooks", "/rules", "/snapshots"):
        gives = operations["GET", path].gives
        answer = await mock.http.get("/control" + path.replace("{id}", submitted["request_id"]))

        assert not isinstance(gives, str)
        assert gives.model_validate(answer.json(), strict=False).model_dump(mode="json") == answer.json()


def test_a_scenario_is_asked_for_in_one_way() -> None:
    with pytest.raises(ValueError, match="say one of"):
        ScenarioIn(preset="outage", toml="")
