"""Restarts: requests, files, keys and seeds of an earlier process."""

from __future__ import annotations

import json
import signal
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import pytest
import respx
from emulated import BASE, KEY, Mock, opened
from processes import Receiver, served

from falmock.engine.clock import Clock, ManualClock
from falmock.inspection.ledger import Ledger
from falmock.settings import Span

if TYPE_CHECKING:
    from pathlib import Path

HOOK = "http://localhost:3000/hook"
YEAR = 365 * 86_400.0


class Lives:
    """One emulator after another on the same state folder and clock."""

    def __init__(self, renders: Path, state: Path) -> None:
        self._renders = renders
        self._state = state
        self._stack = AsyncExitStack()
        self.clock = ManualClock()

    async def next(self, **settings: Any) -> Mock:
        """End the last one, if any, and begin another."""
        await self.end()
        one = opened(self._renders, self.clock, **({"state": self._state} | settings))
        return await self._stack.enter_async_context(one)

    async def end(self) -> None:
        await self._stack.aclose()


@pytest.fixture
async def lives(renders: Path, tmp_path: Path) -> Any:
    lives = Lives(renders, tmp_path / "state")
    yield lives
    await lives.end()


async def test_a_waiting_request_completes_after_a_restart(lives: Lives) -> None:
    submitted = await (await lives.next()).submit()

    second = await lives.next()
    await second.pass_time(6)

    assert (await second.result(submitted)).status_code == 200


async def test_a_running_request_ends_at_its_old_time_after_a_restart(lives: Lives) -> None:
    first = await lives.next()
    submitted = await first.submit()
    await first.pass_time(3)

    second = await lives.next()
    await second.pass_time(2)

    status = (await second.status(submitted)).json()
    assert (status["status"], status["metrics"]) == ("COMPLETED", {"inference_time": 4.0})


async def test_a_result_reads_the_same_after_a_restart(lives: Lives) -> None:
    first = await lives.next()
    result = await first.finish()

    second = await lives.next()
    again = await second.get(f"{BASE}/fal-ai/veo2/requests/{result.headers['x-fal-request-id']}")

    assert (again.content, again.headers["x-fal-served-from"]) == (
        result.content,
        result.headers["x-fal-served-from"],
    )


async def test_a_video_is_still_there_after_a_restart(lives: Lives) -> None:
    url = (await (await lives.next()).finish()).json()["video"]["url"]

    assert (await (await lives.next()).http.get(url)).status_code == 200


async def test_a_webhook_keeps_its_retry_schedule_after_a_restart(lives: Lives) -> None:
    with respx.mock() as router:
        hook = router.post(HOOK).respond(500)
        await (await lives.next()).finish(query=f"?fal_webhook={HOOK}")
        tried = hook.call_count
        hook.respond(200)

        second = await lives.next()
        await second.pass_time(128)

        assert hook.call_count == tried + 1


async def test_a_request_with_an_early_webhook_completes_after_a_restart(lives: Lives) -> None:
    with respx.mock() as router:
        hook = router.post(HOOK).respond(200)
        first = await lives.next()
        fault = {"x-falmock-fault": "webhook_early seconds=10"}
        submitted = await first.submit(query=f"?fal_webhook={HOOK}", headers=fault)
        await first.pass_time(2)

        second = await lives.next()
        await second.pass_time(60)

        assert (await second.result(submitted)).status_code == 200
        assert hook.call_count == 1


@pytest.mark.parametrize("jump", [-10 * YEAR, -60.0, 60.0, 500 * YEAR])
async def test_a_wall_clock_that_jumps_between_two_processes_does_not_stop_a_request(
    renders: Path, tmp_path: Path, jump: float
) -> None:
    wall = 1_790_000_000.0
    async with opened(renders, Clock(0.0, wall=lambda: wall), state=tmp_path) as first:
        submitted = await first.submit()
        await first.pass_time(2)
        stood = first.emulator.store.latest_time()
    wall += jump

    clock = Clock(0.0, start=stood, wall=lambda: wall)
    async with opened(renders, clock, state=tmp_path) as second:
        await second.pass_time(4)

        assert (await second.result(submitted)).status_code == 200
        assert (await second.finish()).status_code == 200


@pytest.mark.parametrize("jump", [-10 * YEAR, -60.0, 60.0, 500 * YEAR])
async def test_a_wall_clock_that_jumps_does_not_change_when_a_request_ends(
    renders: Path, jump: float
) -> None:
    wall = 1_790_000_000.0
    async with opened(renders, Clock(0.0, wall=lambda: wall)) as mock:
        submitted = await mock.submit()
        await mock.pass_time(2)
        wall += jump
        await mock.pass_time(4)
        request = mock.emulator.request(submitted["request_id"])

    assert request is not None
    assert request.completed_at == request.submitted_at + 5


async def test_signatures_verify_with_the_same_key_after_a_restart(lives: Lives) -> None:
    keys = [(await lives.next()).emulator.signer.jwks() for _ in range(2)]

    assert keys[0] == keys[1]


async def test_the_key_is_readable_by_its_owner_only(lives: Lives, tmp_path: Path) -> None:
    await lives.next()

    assert (tmp_path / "state" / "secret").stat().st_mode & 0o777 == 0o600


async def test_the_state_folder_is_ignored_by_git(lives: Lives, tmp_path: Path) -> None:
    await lives.next()

    assert (tmp_path / "state" / ".gitignore").read_text() == "*\n"


async def test_a_random_seed_is_kept_after_a_restart(lives: Lives) -> None:
    seeds = [(await lives.next(seed=None)).emulator.seed for _ in range(2)]

    assert seeds[0] == seeds[1]


async def test_request_ids_do_not_repeat_after_a_restart(lives: Lives) -> None:
    ids = {(await (await lives.next()).submit())["request_id"] for _ in range(3)}

    assert len(ids) == 3


async def test_a_locked_account_can_still_read_its_requests(lives: Lives) -> None:
    submitted = await (await lives.next()).submit()

    locked = await lives.next(locked=("me",))

    assert (await locked.status(submitted)).status_code == 202
    assert (await locked.http.post("/fal-ai/veo2/image-to-video", headers=KEY)).status_code == 403


async def test_the_queue_order_is_kept_after_a_restart(lives: Lives) -> None:
    first = await lives.next(queue_seconds=Span(9, 9))
    submitted = [await first.submit() for _ in range(3)]

    second = await lives.next()

    assert [(await second.status(each)).json()["queue_position"] for each in submitted] == [0, 1, 2]


def test_a_killed_process_loses_no_accepted_request(tmp_path: Path) -> None:
    always = ["--state", str(tmp_path / "state"), "--runners", "2", "--queue-seconds", "0"]
    with Receiver(refuse=2) as receiver:
        hook = f"?fal_webhook={receiver.url}"
        with served(*always, "--run-seconds", "0.1") as first:
            undelivered = first.submit(hook)
            receiver.next()  # the first attempt, which was refused
            first.stop(signal.SIGKILL)
        with served(*always, "--run-seconds", "60", port=first.port) as second:
            accepted = [second.submit(hook) for _ in range(5)]
            second.wait_for(f"{accepted[1]['request_id']}: IN_PROGRESS")
            second.stop(signal.SIGKILL)
        with served(*always, "--run-seconds", "0.1", "--time-scale", "1000", port=first.port) as third:
            ids = {each["request_id"] for each in [undelivered, *accepted]}
            results = [third.result(request_id) for request_id in ids]
            delivered: set[str] = set()
            while delivered != ids:
                delivered.add(receiver.next()["request_id"])
            videos = [third.http.get(result["video"]["url"]).status_code for result in results]

    assert videos == [200] * 6


def test_json_logs_are_one_object_a_line(tmp_path: Path) -> None:
    with served("--state", str(tmp_path / "state"), "--log-format", "json", "--run-seconds", "0") as server:
        request_id = server.submit()["request_id"]
        line = server.wait_for(f"{request_id}: COMPLETED").string

    assert json.loads(line)["logger"] == "falmock"


async def test_a_restart_keeps_the_bill_and_the_test_names_but_not_the_journal(lives: Lives) -> None:
    first = await lives.next()
    for _ in range(2):
        await first.finish(headers={"X-Falmock-Test": "checkout"})

    second = await lives.next()
    bill = Ledger(second.emulator.store, second.emulator.payloads.body, second.emulator.catalogue).bill(
        test="checkout", window=3600
    )

    assert (bill.usd, len(bill.doubles), second.journal.entries()) == (5.0, 1, [])


async def test_unreachable_files_are_deleted_at_a_restart(lives: Lives, tmp_path: Path) -> None:
    first = await lives.next()
    url = (await first.finish()).json()["video"]["url"]
    for name in ("files/orphan", "uploads/half.part", "inputs/half.part"):
        (tmp_path / "state" / name).write_bytes(b"x")
    (tmp_path / "state" / "uploads" / "removed.gone").mkdir()

    second = await lives.next()

    left = [len(list((tmp_path / "state" / name).iterdir())) for name in ("files", "uploads", "inputs")]
    assert left == [1, 0, 0]
    assert (await second.http.get(url)).status_code == 200
