from __future__ import annotations

import asyncio
import json
import shutil
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
import respx
from emulated import HOSTED, Mock, data_uri, opened, png
from storage import failing

from falmock.control.state import Snapshots
from falmock.engine.clock import ManualClock
from falmock.protocol.errors import StorageUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import httpx

HOOK = "http://localhost:3000/hook"
LARGE = data_uri(png(2000, 1500) + bytes(20_000))


@pytest.fixture
def snapshots(mock: Mock) -> Snapshots:
    return Snapshots(mock.emulator)


@pytest.fixture
def receiver() -> Iterator[respx.Route]:
    with respx.mock(assert_all_called=False) as router:
        yield router.post(HOOK).respond(200)


async def test_restore_removes_requests_submitted_after_the_snapshot(
    mock: Mock, snapshots: Snapshots
) -> None:
    before = await mock.submit()
    snapshots.take("one")
    after = await mock.submit()

    await snapshots.restore("one")

    assert (await mock.status(before)).status_code == 202
    assert (await mock.status(after)).status_code == 404


async def test_restore_brings_back_requests_and_files_removed_by_a_reset(
    mock: Mock, snapshots: Snapshots
) -> None:
    done = await mock.finish()
    snapshots.take("one")
    await mock.emulator.manual.reset()

    await snapshots.restore("one")

    video = await mock.http.get(done.json()["video"]["url"])
    assert video.headers["content-type"] == "video/mp4"


async def test_restore_brings_back_a_large_input(mock: Mock, snapshots: Snapshots) -> None:
    submitted = await mock.submit(LARGE)
    snapshots.take("one")
    await mock.emulator.manual.reset()
    await snapshots.restore("one")

    await mock.pass_time(60)

    assert (await mock.result(submitted)).status_code == 200


async def test_a_restore_leaves_no_second_name_of_a_file_that_was_still_there(
    mock: Mock, snapshots: Snapshots
) -> None:
    await mock.submit(image_url=LARGE)
    await mock.finish()
    kept = _files(mock)
    snapshots.take("one")

    await snapshots.restore("one")

    assert _files(mock) == kept


def _files(mock: Mock) -> set[str]:
    folders = (mock.emulator.files.snapshots.parent / name for name in ("inputs", "files"))
    return {path.name for folder in folders for path in folder.iterdir()}


async def test_a_restored_request_waits_as_long_as_it_had_to(mock: Mock, snapshots: Snapshots) -> None:
    submitted = await mock.submit()
    await mock.pass_time(0.25)
    snapshots.take("one")
    await mock.pass_time(3600)
    await snapshots.restore("one")
    restored_at = mock.clock.now()

    await mock.pass_time(60)

    request = mock.emulator.request(submitted["request_id"])
    assert request is not None
    assert request.started_at == restored_at + 0.75


async def test_a_restored_run_continues_where_it_was(mock: Mock, snapshots: Snapshots) -> None:
    submitted = await mock.submit()
    await mock.pass_time(3)
    snapshots.take("one")
    await mock.pass_time(1234.567)

    await snapshots.restore("one")
    await mock.pass_time(2)

    status = (await mock.status(submitted)).json()
    assert (status["status"], status["metrics"]) == ("COMPLETED", {"inference_time": 4.0})


@pytest.mark.parametrize("after", range(16))
async def test_a_restored_run_continues_although_a_write_fails_meanwhile(
    mock: Mock, snapshots: Snapshots, after: int
) -> None:
    submitted = await mock.submit()
    await mock.pass_time(2)
    snapshots.take("running")

    with failing(mock.emulator.store, after=after, times=1), suppress(StorageUnavailable):
        await snapshots.restore("running")
    await mock.pass_time(60)

    assert (await mock.result(submitted)).status_code == 200


async def test_restore_cancels_runs_in_progress(mock: Mock, snapshots: Snapshots) -> None:
    snapshots.take("empty")
    await mock.submit()
    mock.clock.move_to(mock.clock.now() + 2)
    mock.emulator.timeline.tick()
    assert mock.emulator.timeline.busy()

    await snapshots.restore("empty")

    assert (mock.emulator.timeline.busy(), mock.emulator.store.requests()) == ([], [])


async def test_restored_requests_have_their_queue_positions(mock: Mock, snapshots: Snapshots) -> None:
    submitted = [await mock.submit() for _ in range(3)]
    snapshots.take("one")
    await mock.pass_time(60)

    await snapshots.restore("one")

    positions = [(await mock.status(each)).json()["queue_position"] for each in submitted]
    assert positions == [0, 1, 2]


async def test_a_webhook_is_sent_after_each_restore_of_its_request(
    mock: Mock, snapshots: Snapshots, receiver: respx.Route
) -> None:
    await mock.submit(query=f"?fal_webhook={HOOK}")
    snapshots.take("one")
    for _ in range(2):
        await snapshots.restore("one")
        await mock.pass_time(60)

    bodies = [json.loads(call.request.content) for call in receiver.calls]
    assert [body["status"] for body in bodies] == ["OK", "OK"]


async def test_a_restored_webhook_waits_for_its_next_attempt(
    mock: Mock, snapshots: Snapshots, receiver: respx.Route
) -> None:
    receiver.respond(500)
    await mock.cancel(await mock.submit(query=f"?fal_webhook={HOOK}"))
    await mock.pass_time(0.25)
    snapshots.take("one")
    await mock.emulator.manual.reset()
    await snapshots.restore("one")

    calls = []
    for seconds in (1, 2):  # the pause is about two seconds
        await mock.pass_time(seconds)
        calls.append(receiver.call_count)

    assert calls == [1, 2]


async def test_restore_cancels_deliveries_in_progress(
    mock: Mock, snapshots: Snapshots, receiver: respx.Route
) -> None:
    arrived = asyncio.Event()

    async def never(request: httpx.Request) -> httpx.Response:
        arrived.set()
        await asyncio.Event().wait()
        raise AssertionError

    snapshots.take("one")
    receiver.mock(side_effect=never)
    await mock.cancel(await mock.submit(query=f"?fal_webhook={HOOK}"))
    mock.emulator.timeline.tick()
    await arrived.wait()

    await snapshots.restore("one")

    assert mock.emulator.timeline.busy() == []


async def test_a_restored_webhook_that_was_delivered_is_not_sent_again(
    mock: Mock, snapshots: Snapshots, receiver: respx.Route
) -> None:
    await mock.finish(HOSTED, query=f"?fal_webhook={HOOK}")
    snapshots.take("one")

    await snapshots.restore("one")
    await mock.pass_time(600)

    assert receiver.call_count == 1


async def test_restore_does_not_turn_the_clock_back(mock: Mock, snapshots: Snapshots) -> None:
    snapshots.take("one")
    await mock.pass_time(3600)
    now = mock.clock.now()

    await snapshots.restore("one")

    assert mock.clock.now() == now


async def test_a_restored_result_is_kept_as_long_as_it_had_to_be(mock: Mock, snapshots: Snapshots) -> None:
    result = await mock.finish()
    path = f"/fal-ai/veo2/requests/{result.headers['x-fal-request-id']}"
    snapshots.take("one")
    await mock.pass_time(31 * 86_400)
    assert (await mock.get(path)).status_code == 404

    await snapshots.restore("one")

    assert (await mock.get(path)).status_code == 200


async def test_request_ids_are_not_reused_after_a_restore(mock: Mock, snapshots: Snapshots) -> None:
    snapshots.take("one")
    before = await mock.submit()
    await snapshots.restore("one")

    assert (await mock.submit())["request_id"] != before["request_id"]


async def test_a_restored_request_is_held_if_it_was(mock: Mock, snapshots: Snapshots) -> None:
    submitted = await mock.submit()
    mock.emulator.manual.hold(submitted["request_id"])
    snapshots.take("one")
    mock.emulator.manual.release(submitted["request_id"])
    await snapshots.restore("one")

    await mock.pass_time(60)

    assert (await mock.status(submitted)).json()["status"] == "IN_QUEUE"


async def test_a_snapshot_of_the_same_name_replaces_the_first(mock: Mock, snapshots: Snapshots) -> None:
    snapshots.take("one")
    await mock.submit()
    snapshots.take("one")

    assert [(each.name, each.requests) for each in snapshots.all()] == [("one", 1)]


async def test_a_deleted_snapshot_leaves_no_files(mock: Mock, snapshots: Snapshots) -> None:
    await mock.finish()
    snapshots.take("one")

    snapshots.drop("one")

    assert (snapshots.all(), list(mock.emulator.files.snapshots.iterdir())) == ([], [])


async def test_restore_of_an_unknown_snapshot_is_a_key_error(mock: Mock, snapshots: Snapshots) -> None:
    with pytest.raises(KeyError):
        await snapshots.restore("none")


async def test_snapshots_left_by_an_earlier_process_are_removed_at_the_start(
    renders: Path, tmp_path: Path
) -> None:
    async with opened(renders, ManualClock(), state=tmp_path) as mock:
        Snapshots(mock.emulator).take("one")
    async with opened(renders, ManualClock(), state=tmp_path) as mock:
        left = list(mock.emulator.files.snapshots.iterdir())

    assert left == []


async def test_restore_without_the_files_of_the_snapshot_is_a_409_and_changes_nothing(mock: Mock) -> None:
    await mock.http.post("/control/snapshots", json={"name": "one"})
    done = await mock.finish(LARGE)
    running = await mock.submit()
    for folder in mock.emulator.files.snapshots.iterdir():
        shutil.rmtree(folder)

    refused = await mock.http.post("/control/snapshots/one/restore")

    assert (refused.status_code, "files of the snapshot" in refused.json()["detail"]) == (409, True)
    assert (await mock.http.get(done.json()["video"]["url"])).status_code == 200
    await mock.pass_time(60)
    assert (await mock.result(running)).status_code == 200


async def test_a_snapshot_without_its_files_can_be_deleted(mock: Mock) -> None:
    await mock.http.post("/control/snapshots", json={"name": "one"})
    for folder in mock.emulator.files.snapshots.iterdir():
        shutil.rmtree(folder)

    assert (await mock.http.delete("/control/snapshots/one")).status_code == 204


@pytest.mark.parametrize("after", [0, 3, 5])
async def test_restore_on_a_full_disk_is_a_507_and_changes_nothing(mock: Mock, after: int) -> None:
    await mock.http.post("/control/snapshots", json={"name": "one"})
    done, running = await mock.finish(LARGE), await mock.submit()
    await mock.pass_time(2)

    with failing(mock.emulator.store, after=after):
        refused = await mock.http.post("/control/snapshots/one/restore")
    await mock.pass_time(60)

    assert refused.status_code == 507
    assert (await mock.http.get(done.json()["video"]["url"])).status_code == 200
    assert (await mock.result(running)).status_code == 200


async def test_reset_on_a_full_disk_is_a_507_and_changes_nothing(mock: Mock) -> None:
    done, running = await mock.finish(LARGE), await mock.submit()
    await mock.pass_time(2)

    with failing(mock.emulator.store, after=4):
        refused = await mock.http.post("/control/reset", json={})
    await mock.pass_time(60)

    assert refused.status_code == 507
    assert (await mock.http.get(done.json()["video"]["url"])).status_code == 200
    assert (await mock.result(running)).status_code == 200
