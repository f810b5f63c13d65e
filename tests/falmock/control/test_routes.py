"""Access to the control API, and its OpenAPI document."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from emulated import BASE, KEY, Mock
from pydantic import TypeAdapter

from falmock.app import create_app
from falmock.control.routes import Control
from falmock.control.schemas import ScenarioIn
from falmock.http.server import Server, address, listen
from falmock.inspection.ledger import Ledger
from falmock.intercept.proxy import Proxy

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from falmock.control.api import Operation

CLOCK = "/control/clock"


def control(mock: Mock) -> Control:
    return Control(
        mock.emulator, Ledger(mock.emulator.store, mock.emulator.payloads.body, mock.emulator.catalogue)
    )


# Access


@pytest.mark.parametrize("host", ["127.0.0.1:8787", "localhost:8787", "[::1]:8787", "falmock.localhost"])
async def test_control_api_answers_to_loopback_hosts(mock: Mock, host: str) -> None:
    assert (await mock.http.get(CLOCK, headers={"Host": host})).status_code == 200


async def test_control_api_answers_to_a_hostname_from_the_settings(
    start: Callable[..., Awaitable[Mock]],
) -> None:
    mock = await start(hostnames=("falmock",))

    assert (await mock.http.get(CLOCK, headers={"Host": "FALMOCK:8787"})).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "192.168.1.5:8787"])
async def test_control_api_refuses_other_hosts_against_dns_rebinding(mock: Mock, host: str) -> None:
    answer = await mock.http.get(CLOCK, headers={"Host": host})

    assert (answer.status_code, "does not answer as" in answer.json()["detail"]) == (403, True)


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost.evil.example"])
async def test_control_api_refuses_web_pages_of_other_origins(mock: Mock, origin: str) -> None:
    answer = await mock.http.post(CLOCK, json={"scale": 0}, headers={"Origin": origin})

    assert (answer.status_code, "pages of this machine" in answer.json()["detail"]) == (403, True)


@pytest.mark.parametrize("origin", ["http://localhost:3000", "http://127.0.0.1:8787", "http://[::1]:1"])
async def test_control_api_answers_to_web_pages_of_loopback_origins(mock: Mock, origin: str) -> None:
    assert (await mock.http.get(CLOCK, headers={"Origin": origin})).status_code == 200


@pytest.mark.parametrize("peer", ["192.0.2.7", "10.0.0.1", "2001:db8::1", "::ffff:192.0.2.7"])
async def test_control_api_refuses_calls_from_other_machines(mock: Mock, peer: str) -> None:
    transport = httpx.ASGITransport(create_app(mock.emulator), client=(peer, 4711))
    async with httpx.AsyncClient(transport=transport, base_url=BASE) as http:
        answer = await http.get(CLOCK)

    assert (answer.status_code, peer in answer.json()["detail"]) == (403, True)


async def test_control_api_refuses_calls_through_the_proxy(mock: Mock) -> None:
    app = create_app(mock.emulator)
    app.state.through_proxy.add(("127.0.0.1", 4711))
    transport = httpx.ASGITransport(app, client=("127.0.0.1", 4711))
    async with httpx.AsyncClient(transport=transport, base_url=BASE) as http:
        answer = await http.get(CLOCK)

    assert (answer.status_code, "proxy" in answer.json()["detail"]) == (403, True)


@pytest.mark.parametrize("method", ["GET", "CONNECT"])
async def test_the_proxy_of_falmock_run_does_not_reach_the_control_api(mock: Mock, method: str) -> None:
    app = create_app(mock.emulator)
    with listen("127.0.0.1", 0) as plain, listen("127.0.0.1", 0) as proxied:
        here = address(plain)
        proxy = Proxy(here, here, sealed=True, refused=print, calling=app.state.through_proxy)
        async with Server(app).running(plain), proxy.serving(proxied):
            reader, writer = await asyncio.open_connection(*proxied.getsockname())
            if method == "CONNECT":
                writer.write(b"CONNECT queue.fal.run:443 HTTP/1.1\r\nHost: queue.fal.run:443\r\n\r\n")
                await reader.readuntil(b"\r\n\r\n")
            path = CLOCK if method == "CONNECT" else f"{here}{CLOCK}"
            writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
            answer = await reader.read()
            writer.close()
            await writer.wait_closed()

    assert answer.startswith(b"HTTP/1.1 403 ")
    assert b"not answered through a proxy" in answer


@pytest.mark.parametrize(
    "headers",
    [{"Host": "queue.fal.run"}, {"x-fal-target-host": "queue.fal.run"}],
    ids=["by name", "by header"],
)
async def test_fal_hosts_have_no_control_api(mock: Mock, headers: dict[str, str]) -> None:
    answer = await mock.http.post("/control/clock", headers=KEY | headers)

    assert answer.json() == {"detail": 'Application "control/clock" not found'}


async def test_the_browser_proxy_does_not_reach_the_control_api(mock: Mock) -> None:
    headers = {"x-fal-target-url": "https://queue.fal.run/control/clock"}
    answer = await mock.http.post("/api/fal/proxy", headers=headers)

    assert answer.json() == {"detail": 'Application "control/clock" not found'}


async def test_control_api_needs_no_key(start: Callable[..., Awaitable[Mock]]) -> None:
    mock = await start(keys=("a:b",))

    assert (await mock.http.get(CLOCK)).status_code == 200


async def test_control_calls_are_not_counted_as_calls_to_fal(mock: Mock) -> None:
    await mock.http.get(CLOCK)

    assert (await mock.http.get("/control/account")).json()["calls"] == {}


@pytest.mark.parametrize(("method", "path"), [("GET", ""), ("GET", "/"), ("GET", "/none"), ("PUT", "/clock")])
async def test_unknown_control_paths_and_methods_are_refused_with_a_detail(
    mock: Mock, method: str, path: str
) -> None:
    answer = await mock.http.request(method, f"/control{path}")

    assert (answer.status_code, list(answer.json())) == (404 if method == "GET" else 405, ["detail"])


async def test_a_control_body_that_is_not_json_is_a_422(mock: Mock) -> None:
    answer = await mock.http.post(CLOCK, content=b"{")

    assert (answer.status_code, answer.json()["detail"][0]["type"]) == (422, "json_invalid")


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_an_unknown_field_of_a_control_call_is_a_422(mock: Mock, method: str) -> None:
    path = "/control/requests" if method == "GET" else CLOCK
    answer = await mock.http.request(method, path, params={"stat": "x"}, json={"stat": "x"})

    assert "extra_forbidden" in {each["type"] for each in answer.json()["detail"]}


# The document


@pytest.fixture
async def document(mock: Mock) -> Any:
    return (await mock.http.get("/control/openapi.json")).json()


def operations_in(document: Any) -> list[tuple[str, str, Any]]:
    return [
        (method.upper(), path, described)
        for path, methods in document["paths"].items()
        for method, described in methods.items()
    ]


async def test_routes_and_documented_operations_are_the_same(mock: Mock, document: Any) -> None:
    mount: Any = control(mock)._router.routes[0]
    served = {
        (method, f"/control{route.path}") for route in mount.routes for method in route.methods - {"HEAD"}
    }

    assert {(method, path) for method, path, _ in operations_in(document)} == served


async def test_every_documented_operation_answers_with_a_documented_status(mock: Mock, document: Any) -> None:
    unknown = {"detail": "Not Found"}
    for method, path, operation in operations_in(document):
        answer = await mock.http.request(method, re.sub(r"{\w+}", "x", path), json={})

        assert str(answer.status_code) in operation["responses"], (method, path, answer.text)
        assert not answer.content or answer.json() != unknown, (method, path)


async def test_every_path_parameter_of_the_control_api_is_documented(document: Any) -> None:
    for _, path, operation in operations_in(document):
        names = [each["name"] for each in operation["parameters"] if each["in"] == "path"]

        assert names == re.findall(r"{(\w+)}", path)


def with_bodies(mock: Mock) -> list[Operation]:
    return [operation for operation in control(mock).operations if operation.body is not None]


async def test_every_documented_example_is_a_valid_body(mock: Mock, document: Any) -> None:
    for operation in with_bodies(mock):
        assert operation.body is not None
        schema = document["components"]["schemas"][operation.body.__name__]
        examples = schema.get("examples", [])

        assert examples or not schema.get("required"), operation.path
        for example in examples:
            TypeAdapter(operation.body).validate_python(example)


async def test_every_reference_in_the_openapi_document_has_a_schema(document: Any) -> None:
    references = set(re.findall(r'"\$ref": "#/components/schemas/(\w+)"', str(document).replace("'", '"')))

    assert references
    assert references <= set(document["components"]["schemas"])


async def test_every_control_operation_has_a_different_summary(document: Any) -> None:
    summaries = [operation["summary"] for _, _, operation in operations_in(document)]

    assert all(summaries)
    assert len(set(summaries)) == len(summaries)


async def test_responses_match_their_documented_models(mock: Mock) -> None:
    submitted = await mock.submit()
    operations = {(each.method, each.path): each for each in control(mock).operations}
    for path in ("/clock", "/requests", "/requests/{id}", "/webhooks", "/rules", "/snapshots"):
        gives = operations["GET", path].gives
        answer = await mock.http.get("/control" + path.replace("{id}", submitted["request_id"]))

        assert not isinstance(gives, str)
        assert gives.model_validate(answer.json(), strict=False).model_dump(mode="json") == answer.json()


def test_a_scenario_is_given_by_preset_or_by_text_not_both() -> None:
    with pytest.raises(ValueError, match="give either"):
        ScenarioIn(preset="outage", toml="")
