"""No call delays the others, and every call releases its resources."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import pkgutil
import threading
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest
from emulated import BASE, ENDPOINT, GOOD, KEY, Mock

from falmock.app import create_app
from falmock.engine.pages import PAGE
from falmock.engine.store import Store
from falmock.faults import effects, triggers
from falmock.faults.rule_set import RuleSet
from falmock.faults.rules import Rule
from falmock.faults.vocabulary import FaultError, MatchContext, parse
from falmock.http import listing as listing_pieces
from falmock.http.server import Server, listen
from falmock.inspection.entries import JournalFilter
from falmock.inspection.journal import PIECE, Journal
from falmock.inspection.ledger import Ledger
from falmock.protocol import bodies, calls, hosts, validation
from falmock.protocol.errors import InvalidBody
from falmock.protocol.limits import DEFAULT, Limits

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from falmock.faults.effects import Injection

    Start = Callable[..., Awaitable[Mock]]

MIB = 1024 * 1024
CONTROL = "/control"


async def post(mock: Mock, body: bytes | str, **headers: str) -> Any:
    given = KEY | {"content-type": "application/json"} | headers
    return await mock.http.post(f"/{ENDPOINT}", content=body, headers=given)


# Bodies


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({**GOOD, "x": [[1]]}, 200),
        ({**GOOD, "x": [[[1]]]}, 400),
        ({**GOOD, "x": [1, 2, 3]}, 200),
        ({**GOOD, "x": [1, 2, 3, 4]}, 400),
    ],
    ids=["deepest", "too-deep", "most-members", "too-many-members"],
)
async def test_input_over_the_limits_ends_like_one_that_cannot_be_parsed(
    start: Start, body: Any, status: int
) -> None:
    mock = await start(limits=Limits(depth=3, members=6))
    submitted = (await post(mock, json.dumps(body))).json()
    await mock.pass_time(10)

    result = await mock.result(submitted)

    assert result.status_code == status
    assert status == 200 or result.json() == {"detail": "There was an error parsing the body"}


@pytest.mark.parametrize(("size", "on_the_loop"), [(1000, True), (100_000, False)], ids=["small", "large"])
async def test_only_large_bodies_are_parsed_in_a_thread_and_every_body_once(
    mock: Mock, monkeypatch: pytest.MonkeyPatch, size: int, on_the_loop: bool
) -> None:
    load, threads = bodies.load, []

    def advertise(body: bytes, limits: Limits = DEFAULT) -> Any:
        threads.append(threading.current_thread() is here)
        return load(body, limits)

    here = threading.current_thread()
    monkeypatch.setattr(bodies, "load", advertise)
    await mock.submit(prompt="a" * size)
    await mock.pass_time(10)

    assert threads == [on_the_loop]


@pytest.mark.parametrize("trigger", ["[[fal: slow seconds=1]] ", ""], ids=["trigger", "rule"])
async def test_a_large_body_is_searched_for_faults_off_the_event_loop(
    mock: Mock, monkeypatch: pytest.MonkeyPatch, trigger: str
) -> None:
    load, on_the_loop = bodies.load, []

    def watched(body: bytes, limits: Limits = DEFAULT) -> Any:
        on_the_loop.append(threading.current_thread() is here)
        return load(body, limits)

    here = threading.current_thread()
    monkeypatch.setattr(bodies, "load", watched)
    if not trigger:
        mock.emulator.rule_set.add(Rule(fault="slow seconds=1", prompt="something else"))
        mock.emulator.rule_set.add(Rule(fault="rate_limited", prompt="something else"))
    await mock.submit(prompt=trigger + "a" * 100_000)
    await mock.pass_time(20)

    assert on_the_loop == [False, False]  # for the faults, and for the run


async def test_large_invalid_input_is_refused_like_a_small_one(mock: Mock) -> None:
    results = []
    for size in (10, 100_000):
        submitted = await mock.submit(prompt="a" * size, duration="9s")
        await mock.pass_time(10)
        result = await mock.result(submitted)
        status = (await mock.status(submitted)).json()
        results.append((result.status_code, result.json()["detail"][0]["type"], status["metrics"]))

    assert results[0] == results[1]


async def test_request_cancelled_while_its_body_is_parsed_stays_cancelled(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    mock = await start(cancel="honoured")
    parsing, go_on, load = threading.Event(), threading.Event(), bodies.load

    def slowly(body: bytes, limits: Limits = DEFAULT) -> Any:
        parsing.set()
        go_on.wait()
        return load(body, limits)

    monkeypatch.setattr(bodies, "load", slowly)
    submitted = await mock.submit(prompt="a" * 100_000)
    mock.clock.move_to(mock.clock.now() + 2)
    mock.emulator.advance()
    await asyncio.to_thread(parsing.wait)
    cancelled = await mock.cancel(submitted)
    go_on.set()
    await mock.pass_time(10)

    assert (cancelled.status_code, (await mock.result(submitted)).status_code) == (202, 499)


def test_only_the_first_hundred_errors_of_a_body_are_reported() -> None:
    body = json.dumps({"fault": "slow", "then": [1] * 1000}).encode()

    with pytest.raises(InvalidBody) as refused:
        validation.read(Rule, body, None)

    assert len(refused.value.body["detail"]) == validation.MOST_ERRORS


# Triggers


class Counted(str):
    """A text that counts how many of its characters are searched."""

    __slots__ = ("searched",)
    searched: int

    def find(self, sub: str, start: int = 0, end: int | None = None) -> int:  # type: ignore[override]
        found = super().find(sub, start, end)
        self.searched += (len(self) if found < 0 else found) - start
        return found


@pytest.mark.parametrize(
    "text", ["[[fal:" * 10_000, "[[fal:]" * 10_000, "[[fal:" * 10_000 + "]", "[" * 60_000], ids=len
)
def test_prompt_full_of_partial_triggers_is_scanned_in_linear_time(text: str) -> None:
    prompt = Counted(text)
    prompt.searched = 0

    assert triggers.faults_in_input({"prompt": prompt}) == []
    assert prompt.searched <= 3 * len(text)


@pytest.mark.parametrize("number", [DEFAULT.faults, DEFAULT.faults + 1], ids=["most", "too-many"])
@pytest.mark.parametrize("way", ["prompt", "header"])
async def test_call_may_ask_for_faults_up_to_the_limit(mock: Mock, number: int, way: str) -> None:
    body = GOOD | {"prompt": "[[fal: slow]]" * number} if way == "prompt" else GOOD
    headers = {"x-falmock-fault": ";".join(["slow"] * number)} if way == "header" else {}

    answer = await post(mock, json.dumps(body), **headers)

    assert answer.status_code == (200 if number == DEFAULT.faults else 400)


async def test_faults_of_prompt_and_header_count_together(start: Start) -> None:
    mock = await start(limits=Limits(faults=2))
    body = json.dumps(GOOD | {"prompt": "[[fal: slow]][[fal: slow]]"})

    assert (await post(mock, body)).status_code == 200
    assert (await post(mock, body, **{"x-falmock-fault": "slow"})).status_code == 400


def test_trigger_that_is_too_long_is_refused_before_it_is_split() -> None:
    longest = "internal_error detail=".ljust(triggers.LONGEST_FAULT, "a")

    assert len(triggers.faults_in_input({"prompt": f"[[fal:{longest}]]"})) == 1
    with pytest.raises(FaultError, match="at most"):
        triggers.faults_in_input({"prompt": f"[[fal:{longest}a]]"})


# Rules


async def test_poll_does_not_match_rules_for_other_requests(
    mock: Mock, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(1000):
        mock.emulator.rule_set.add(
            Rule(fault="bad_gateway", on="status", request=str(number), times="always")
        )
    mock.emulator.rule_set.add(for_all := Rule(fault="bad_gateway", on="status", test="other"))
    submitted = await mock.submit()
    matched: list[Rule] = []
    monkeypatch.setattr(Rule, "matches", lambda rule, _: matched.append(rule))

    await mock.status(submitted)

    assert matched == [for_all]


def test_spent_rule_is_not_matched_but_still_listed() -> None:
    rule_set = RuleSet(1)
    rule_set.add(Rule(fault="bad_gateway", on="status"))

    injections = [rule_set.injection(MatchContext("status")) for _ in range(2)]

    assert (bool(injections[0]), injections[1], rule_set.watches("status"), len(rule_set.rules())) == (
        True,
        None,
        False,
        1,
    )


def test_rules_for_one_request_and_for_all_are_matched_in_their_order() -> None:
    rule_set = RuleSet(1)
    added = [rule_set.add(Rule(fault="slow", request=request)) for request in ("a", None, "a", "b", None)]

    injections: list[Injection] = rule_set.injections(MatchContext("job", request="a"))

    assert [injection.rule for injection in injections] == [added[index] for index in (0, 1, 2, 4)]


async def test_rules_for_a_request_are_deleted_with_it(start: Start) -> None:
    mock = await start(payload_days=0, retention=3600)
    for _ in range(3):
        await mock.submit(headers={"x-falmock-fault": "gateway_timeout"})
    before = len(mock.emulator.rule_set.rules())
    await mock.pass_time(7200)

    assert (before, mock.emulator.rule_set.rules()) == (3, [])


async def test_body_is_parsed_once_for_all_rules(mock: Mock, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(50):
        mock.emulator.rule_set.add(Rule(fault="slow", prompt="dragon"))
    load, parsed = bodies.load, []

    def advertise(body: bytes) -> Any:
        parsed.append(body)
        return load(body)

    monkeypatch.setattr(bodies, "load", advertise)

    await mock.submit()

    assert len(parsed) == 1


# Listings


@pytest.fixture
async def busy(mock: Mock) -> Mock:
    """An emulator with more requests than a page has."""
    for _ in range(2 * PAGE + 10):
        await mock.submit(query="?fal_webhook=http://localhost:9/hook")
    return mock


@pytest.mark.parametrize(
    "listing",
    [
        "/control/journal",
        "/control/journal?format=har",
        "/control/journal?test=a",
        "/control/ledger",
        "/control/lint",
        "/control/requests?limit=10000",
        "/control/account",
        "/rest.fal.ai/requests/webhooks",
    ],
)
async def test_poll_is_answered_before_a_long_listing_ends(
    busy: Mock, monkeypatch: pytest.MonkeyPatch, listing: str
) -> None:
    submitted = await busy.submit()
    polls: list[asyncio.Task[Any]] = []
    answered: list[bool] = []  # when the last piece was made

    def polled_at_the_first(pieces: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
        def advertise(*given: Any) -> Iterator[Any]:
            for piece in pieces(*given):
                if not polls:
                    polls.append(asyncio.create_task(busy.status(submitted)))
                yield piece
            answered.append(polls[0].done())

        return advertise

    for owner, name in (
        (Journal, "pieces"),
        (Store, "request_pages"),
        (Store, "request_pages_before"),
    ):
        monkeypatch.setattr(owner, name, polled_at_the_first(getattr(owner, name)))

    answer = await busy.get(listing)

    assert (answer.status_code, answered) == (200, [True])


@pytest.mark.parametrize(
    ("listing", "work"),
    [
        ("/control/journal", "falmock.control.inspection.line"),
        ("/control/journal?format=har", "falmock.inspection.har._entry"),
        ("/control/ledger", "falmock.inspection.ledger.Ledger.charge"),
        ("/control/ledger", "falmock.control.inspection.asdict"),  # of an item that is masked next
        ("/control/account", "falmock.inspection.ledger.Ledger.charge"),
        ("/control/requests?limit=10000", "falmock.control.requests.RequestControl._view"),
        ("/control/webhooks?limit=10000", "falmock.control.requests.WebhookControl._view"),
        ("/rest.fal.ai/requests/webhooks", "falmock.http.rest._webhook"),
    ],
)
async def test_other_tasks_run_after_each_hundred_items_of_a_listing(
    busy: Mock, monkeypatch: pytest.MonkeyPatch, listing: str, work: str
) -> None:
    if "webhooks" in listing or "account" in listing:  # they have completed requests only
        for request in busy.emulator.store.requests():
            busy.emulator.manual.fail(request.id, parse("generation_timeout"))
    owner, _, name = work.rpartition(".")
    usual = getattr(pkgutil.resolve_name(owner), name)
    done: list[int] = [0]  # items between two turns of another task

    def advertise(*given: Any) -> Any:
        done[-1] += 1
        return usual(*given)

    async def take_turns() -> None:
        while True:
            done.append(0)
            await asyncio.sleep(0)

    monkeypatch.setattr(work, advertise)
    other = asyncio.create_task(take_turns())
    answer = await busy.get(listing)
    other.cancel()

    assert answer.status_code == 200
    assert sum(done) > 2 * PAGE
    assert max(done) <= max(PAGE, listing_pieces.PIECE)


@pytest.mark.parametrize(
    ("listing", "items"),
    [
        ("/control/journal", lambda text: text.splitlines()[1:]),
        ("/control/journal?format=har", lambda text: json.loads(text)["log"]["entries"]),
        ("/control/ledger", lambda text: json.loads(text)["charges"]),
        ("/control/requests?limit=10000", lambda text: json.loads(text)["requests"]),
    ],
)
async def test_a_long_listing_is_complete_and_masked_to_its_end(
    busy: Mock, listing: str, items: Callable[[str], list[Any]]
) -> None:
    secret = "0123456789abcdef0123456789abcdef"
    await busy.submit(headers={"Authorization": f"Key me:{secret}", "X-Falmock-Test": f"with {secret}"})

    text = (await busy.get(listing)).text

    assert len(items(text)) >= 2 * PAGE + 11
    assert "with ***" in text
    assert secret not in text


async def test_the_head_of_a_long_archive_names_its_program_and_version(busy: Mock) -> None:
    log = (await busy.get(f"{CONTROL}/journal?format=har")).json()["log"]

    assert (log["version"], log["creator"]["name"]) == ("1.2", "falmock")


async def test_poll_is_answered_before_a_long_queue_is_flushed(busy: Mock) -> None:
    last = await busy.submit()
    order: list[str] = []

    async def empty() -> None:
        await busy.http.delete("/rest.fal.ai/requests/queue/fal-ai/veo2", headers=KEY)
        order.append("empty")

    async def poll() -> None:
        order.append((await busy.status(last)).json()["status"])

    async with asyncio.TaskGroup() as both:
        both.create_task(empty())
        both.create_task(poll())

    assert order == ["IN_QUEUE", "empty"]
    assert (await busy.status(last)).json()["status"] == "COMPLETED"


async def test_pieces_of_a_journal_are_short(busy: Mock) -> None:
    pieces = list(busy.journal.pieces())

    assert sum(map(len, pieces)) == len(busy.journal.entries())
    assert max(map(len, pieces)) <= PIECE // 1024


async def test_journal_entry_with_large_bodies_is_its_own_piece(mock: Mock) -> None:
    for _ in range(3):
        await mock.submit(prompt="a" * PIECE)

    pieces = mock.journal.pieces(JournalFilter(operation="submit"))

    assert [len(piece) for piece in pieces if piece] == [1, 1, 1]


async def test_bill_is_computed_page_by_page(busy: Mock) -> None:
    steps = Ledger(busy.emulator.store, busy.emulator.payloads.body, busy.emulator.catalogue).billing()

    assert len(list(steps)) == 3


async def test_filtered_journal_is_the_same_in_pieces_and_at_once(busy: Mock) -> None:
    await busy.submit(headers={"X-Falmock-Test": "a"})
    everything = busy.journal.entries()
    wanted = JournalFilter(test="a")

    in_pieces = [entry.id for piece in busy.journal.pieces(wanted) for entry in piece]

    assert in_pieces == [entry.id for entry in wanted.of(everything)]


@pytest.mark.parametrize(("listing", "name", "key"), [("requests", "requests", "id")])
async def test_requests_are_listed_in_pages_each_once(busy: Mock, listing: str, name: str, key: str) -> None:
    seen: list[str] = []
    before = ""
    while before is not None:
        query = f"?limit=150{'&before=' + before if before else ''}"
        page = (await busy.get(f"{CONTROL}/{listing}{query}")).json()
        seen = [each[key] for each in page[name]] + seen
        before = page["before"]

    assert seen == [request.id for request in busy.emulator.store.requests()]


async def test_webhooks_are_listed_in_pages_each_once(mock: Mock) -> None:
    for _ in range(7):
        await mock.submit(query="?fal_webhook=http://localhost:9/hook")
    await mock.pass_time(60)
    seen: list[str] = []
    before = ""
    while before is not None:
        query = f"?limit=3{'&before=' + before if before else ''}"
        page = (await mock.get(f"{CONTROL}/webhooks{query}")).json()
        seen = [each["request_id"] for each in page["webhooks"]] + seen
        before = page["before"]

    assert seen == [each.request_id for each in mock.emulator.store.deliveries()]


@pytest.mark.parametrize("listing", ["requests", "webhooks"])
async def test_page_before_an_unknown_id_is_404(mock: Mock, listing: str) -> None:
    assert (await mock.get(f"{CONTROL}/{listing}?before=nothing")).status_code == 404


# Memory


@pytest.mark.parametrize("prefix", ["data:image/png;base64,", "https://example.com/"])
async def test_large_inputs_are_not_kept_in_memory(
    mock: Mock, caplog: pytest.LogCaptureFixture, prefix: str
) -> None:
    caplog.set_level(logging.CRITICAL)  # pytest keeps log records with all objects that they refer to

    async def submit_large(number: int) -> None:
        submitted = await mock.submit(f"{prefix}{number:04}{'A' * MIB}")
        await mock.pass_time(10)
        assert (await mock.result(submitted)).status_code == 422

    await submit_large(0)
    gc.collect()
    tracemalloc.start()
    try:
        for number in range(1, 11):
            await submit_large(number)
        gc.collect()
        left, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert left < 4 * MIB  # the results echo the inputs, and are in SQLite


async def test_long_path_is_not_cached(mock: Mock) -> None:
    before = calls._read_path.cache_info().currsize

    for number in range(20):
        await mock.get(f"/fal-ai/veo2/{number}{'a' * 10_000}/requests/{number}/status")

    assert calls._read_path.cache_info().currsize == before


def test_long_host_name_is_not_an_address_and_is_not_cached() -> None:
    before = hosts._parses_as_address.cache_info().currsize

    assert not hosts._is_address("1" * 101)
    assert hosts._parses_as_address.cache_info().currsize == before


def test_long_faults_of_a_request_are_not_cached() -> None:
    detail = "a" * effects.LONGEST_CACHED
    before = effects._parse.cache_info().currsize

    effects.Injections.parse(json.dumps([[1, f"internal_error detail={detail}"]]))

    assert effects._parse.cache_info().currsize == before


# Streams


async def test_many_streams_end_when_their_clients_leave(mock: Mock) -> None:
    submitted = await mock.submit()
    path = submitted["status_url"].removeprefix(BASE) + "/stream"
    with listen("127.0.0.1", 0) as listener:
        server = Server(create_app(mock.emulator))
        async with server.running(listener):
            before = len(asyncio.all_tasks())
            streams = [await asyncio.open_connection(*listener.getsockname()) for _ in range(100)]
            for reader, writer in streams:
                head = f"GET {path} HTTP/1.1\r\nhost: {BASE[7:]}\r\nauthorization: Key me:secret\r\n\r\n"
                writer.write(head.encode())
                await reader.readuntil(b"data: ")
            open_streams = set(server.server_state.tasks)
            for _, writer in streams:
                writer.close()
            await asyncio.wait(open_streams)

            assert (len(open_streams), server.server_state.tasks) == (100, set())
            assert len(asyncio.all_tasks()) < before + 10  # the scheduler's may come and go


async def test_stream_without_a_reader_produces_no_more_events(mock: Mock) -> None:
    submitted = await mock.submit()
    path = submitted["status_url"].removeprefix(BASE) + "/stream"
    sent: list[bytes] = []
    stuck, go_on = asyncio.Event(), asyncio.Event()

    async def send(message: Any) -> None:
        if message["type"] == "http.response.body":
            sent.append(message["body"])
            stuck.set()
            await go_on.wait()  # as uvicorn's does while a client does not read

    async def receive() -> Any:
        await go_on.wait()
        return {"type": "http.disconnect"}

    headers = [(b"host", BASE[7:].encode()), (b"authorization", KEY["Authorization"].encode())]
    scope = {"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": headers}
    scope |= {"scheme": "http", "server": ("127.0.0.1", 8787), "root_path": "", "http_version": "1.1"}
    scope |= {"asgi": {"version": "3.0", "spec_version": "2.3"}, "client": ("127.0.0.1", 4711)}
    stream = asyncio.create_task(create_app(mock.emulator)(scope, receive, send))
    await stuck.wait()

    for _ in range(100):  # each of which is news
        await mock.submit()
        await mock.pass_time(1)

    assert len(sent) == 1
    go_on.set()
    await stream
