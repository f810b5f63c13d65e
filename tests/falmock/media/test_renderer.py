from __future__ import annotations

import asyncio
import os
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import uvloop
from PIL import Image

from falmock.media import Clip, FfmpegNotFound, Picture, Renderer, RenderFailed, find_ffmpeg

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    from tests.falmock.media.conftest import Stage

    Make = Callable[..., Clip]
    Play = Callable[[Coroutine[Any, Any, Any]], Any]


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def play(request: pytest.FixtureRequest) -> Iterator[Play]:
    """Run a scene on each of the event loops that the server may have."""
    with asyncio.Runner(loop_factory=request.param) as runner:
        yield runner.run


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "videos"


def studio_on(stage: Stage, cache: Path, *, at_once: int = 2, timeout: float = 60) -> Renderer:
    return Renderer(ffmpeg=str(stage.program), cache=cache, at_once=at_once, timeout=timeout)


def alive(pid: int) -> bool:
    """Tell whether there is such a process, be it a zombie."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def files(folder: Path, pattern: str = "**/*") -> list[Path]:
    return sorted(folder.glob(pattern))


def test_the_same_clip_has_the_same_bytes(
    clip: Make, pictured: Callable[[Image.Image], Picture], tmp_path: Path
) -> None:
    picture = pictured(Image.effect_noise((320, 200), 90).convert("RGB"))
    wanted = clip(width=1280, height=720, picture=picture)

    async def render(folder: str) -> bytes:
        studio = Renderer(ffmpeg=find_ffmpeg(), cache=tmp_path / folder, at_once=1, timeout=120)
        return (await studio.render(wanted)).read_bytes()

    assert asyncio.run(render("one")) == asyncio.run(render("two"))


@pytest.mark.parametrize("name", ["100%03d", "a:b,c;[d]'e\"", "-y", "new\nline", "żółć"])
def test_the_cache_may_have_any_name(clip: Make, tmp_path: Path, name: str) -> None:
    async def render() -> Path:
        return await Renderer(ffmpeg=find_ffmpeg(), cache=tmp_path / name, at_once=1, timeout=120).render(
            clip()
        )

    video = asyncio.run(render())
    assert files(tmp_path / name) == [video]
    assert video.read_bytes()[4:8] == b"ftyp"


def test_a_relative_cache_gives_a_path_that_outlives_a_change_of_folder(
    play: Play, stage: Stage, clip: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene() -> Path:
        async with stage:
            rendering = asyncio.create_task(studio_on(stage, Path("videos")).render(clip()))
            (await stage.arrivals.get()).obey("write")
            return await rendering

    monkeypatch.chdir(tmp_path)
    assert play(scene()).is_absolute()


def test_a_clip_that_is_there_already_is_not_rendered_again(
    play: Play, stage: Stage, clip: Make, cache: Path
) -> None:
    async def scene() -> None:
        async with stage:
            studio = studio_on(stage, cache)
            first = asyncio.create_task(studio.render(clip()))
            (await stage.arrivals.get()).obey("write")
            assert await studio.render(clip()) == await first
            assert await studio_on(stage, cache).render(clip()) == await first
            assert stage.started == 1

    play(scene())


def test_a_clip_asked_for_twice_at_the_same_time_is_rendered_once(
    play: Play, stage: Stage, clip: Make, cache: Path
) -> None:
    async def scene() -> None:
        async with stage:
            studio = studio_on(stage, cache)
            both = asyncio.gather(studio.render(clip()), studio.render(clip()))
            (await stage.arrivals.get()).obey("write")
            one, other = await both
            assert one == other
            assert stage.started == 1

    play(scene())


def test_no_more_clips_are_rendered_at_once_than_allowed(
    play: Play, stage: Stage, clip: Make, cache: Path
) -> None:
    async def scene() -> None:
        async with stage:
            studio = studio_on(stage, cache, at_once=2)
            renderings = [asyncio.create_task(studio.render(clip(seed=seed))) for seed in range(4)]
            first, second = await stage.arrivals.get(), await stage.arrivals.get()
            assert len(files(cache, "*")) == 2  # the others have not even begun to draw
            first.obey("write")
            third = await stage.arrivals.get()
            assert stage.started == 3
            for puppet in (second, third):
                puppet.obey("write")
            (await stage.arrivals.get()).obey("write")
            assert len(set(await asyncio.gather(*renderings))) == 4

    play(scene())


def test_a_finished_video_stands_alone_in_the_cache(
    play: Play, stage: Stage, clip: Make, cache: Path
) -> None:
    async def scene() -> None:
        async with stage:
            rendering = asyncio.create_task(studio_on(stage, cache).render(clip()))
            puppet = await stage.arrivals.get()
            assert files(cache, "*.mp4") == []
            puppet.obey("write")
            video = await rendering
            assert files(cache) == [video]
            assert video.read_bytes() == stage.sample.read_bytes()

    play(scene())


def test_a_failure_tells_the_end_of_what_ffmpeg_said(
    play: Play, stage: Stage, clip: Make, cache: Path
) -> None:
    async def scene() -> str:
        async with stage:
            rendering = asyncio.create_task(studio_on(stage, cache).render(clip()))
            (await stage.arrivals.get()).obey("fail " + "x" * 5000 + " out of luck")
            with pytest.raises(RenderFailed) as caught:
                await rendering
            return str(caught.value)

    message = play(scene())
    assert message.startswith("ffmpeg ended with code 1: ")
    assert message.endswith("out of luck")
    assert len(message) < 2100
    assert files(cache) == []


def test_a_clip_that_failed_is_tried_again(play: Play, stage: Stage, clip: Make, cache: Path) -> None:
    async def scene() -> None:
        async with stage:
            studio = studio_on(stage, cache)
            failing = asyncio.create_task(studio.render(clip()))
            (await stage.arrivals.get()).obey("fail once")
            with pytest.raises(RenderFailed):
                await failing
            again = asyncio.create_task(studio.render(clip()))
            (await stage.arrivals.get()).obey("write")
            assert [await again] == files(cache)

    play(scene())


def test_all_who_wait_hear_of_a_failure(play: Play, stage: Stage, clip: Make, cache: Path) -> None:
    async def scene() -> None:
        async with stage:
            studio = studio_on(stage, cache)
            both = asyncio.gather(studio.render(clip()), studio.render(clip()), return_exceptions=True)
            (await stage.arrivals.get()).obey("fail once")
            assert [type(result) for result in await both] == [RenderFailed, RenderFailed]

    play(scene())


def test_an_ffmpeg_that_writes_nothing_has_failed(play: Play, stage: Stage, clip: Make, cache: Path) -> None:
    async def scene() -> None:
        async with stage:
            rendering = asyncio.create_task(studio_on(stage, cache).render(clip()))
            (await stage.arrivals.get()).obey("nothing")
            with pytest.raises(RenderFailed, match="no usable video"):
                await rendering

    play(scene())
    assert files(cache) == []


@pytest.mark.parametrize("content", ["", "noise " * 1000], ids=["nothing", "noise"])
def test_a_video_of_nothing_or_of_noise_is_a_failure(
    play: Play, stage: Stage, clip: Make, cache: Path, content: str
) -> None:
    async def scene() -> None:
        async with stage:
            rendering = asyncio.create_task(studio_on(stage, cache).render(clip()))
            (await stage.arrivals.get()).obey(f"put {content}")
            with pytest.raises(RenderFailed, match="no usable video"):
                await rendering

    play(scene())
    assert files(cache) == []


def test_a_video_of_another_clip_is_a_failure(play: Play, stage: Stage, clip: Make, cache: Path) -> None:
    async def scene() -> None:
        async with stage:
            rendering = asyncio.create_task(studio_on(stage, cache).render(clip(seconds=2)))
            (await stage.arrivals.get()).obey("write")
            with pytest.raises(RenderFailed, match=r"frames=24.* instead of .*frames=48"):
                await rendering

    play(scene())


def test_a_damaged_file_in_the_cache_is_not_served(
    play: Play, stage: Stage, clip: Make, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scene() -> None:
        async with stage:
            first = asyncio.create_task(studio_on(stage, cache).render(clip()))
            (await stage.arrivals.get()).obey("write")
            whole = (await first).read_bytes()
            (await first).write_bytes(whole[: len(whole) // 2])
            again = asyncio.create_task(studio_on(stage, cache).render(clip()))
            (await stage.arrivals.get()).obey("write")
            assert (await again).read_bytes() == whole

    play(scene())
    assert "a cached video is damaged" in caplog.text


def test_an_ffmpeg_that_floods_its_standard_error_is_ended(
    play: Play, stage: Stage, clip: Make, cache: Path
) -> None:
    async def scene() -> None:
        async with stage:
            rendering = asyncio.create_task(studio_on(stage, cache).render(clip()))
            puppet = await stage.arrivals.get()
            puppet.obey("flood")
            with pytest.raises(RenderFailed, match="says too much"):
                await rendering
            assert not alive(puppet.pid)

    play(scene())
    assert files(cache) == []


def test_an_ffmpeg_that_hangs_is_ended_at_the_time_limit(
    play: Play, stage: Stage, clip: Make, cache: Path
) -> None:
    async def scene() -> None:
        async with stage:
            rendering = asyncio.create_task(studio_on(stage, cache, timeout=1).render(clip()))
            with pytest.raises(RenderFailed, match="took longer than 1 s"):
                await rendering
            assert not alive(stage.arrivals.get_nowait().pid)

    play(scene())
    assert files(cache) == []


def test_when_nobody_waits_any_more_ffmpeg_is_ended(
    play: Play, stage: Stage, clip: Make, cache: Path
) -> None:
    async def scene() -> None:
        async with stage:
            rendering = asyncio.create_task(studio_on(stage, cache).render(clip()))
            puppet = await stage.arrivals.get()
            rendering.cancel()
            with pytest.raises(asyncio.CancelledError):
                await rendering
            assert not alive(puppet.pid)
            assert files(cache) == []

    play(scene())


def test_while_somebody_waits_ffmpeg_goes_on(play: Play, stage: Stage, clip: Make, cache: Path) -> None:
    async def scene() -> None:
        async with stage:
            studio = studio_on(stage, cache)
            leaving, staying = (asyncio.create_task(studio.render(clip())) for _ in range(2))
            puppet = await stage.arrivals.get()
            leaving.cancel()
            with pytest.raises(asyncio.CancelledError):
                await leaving
            puppet.obey("write")
            assert [await staying] == files(cache)

    play(scene())


def test_a_clip_that_was_given_up_can_be_asked_for_while_it_is_cleared_away(
    play: Play, stage: Stage, clip: Make, cache: Path
) -> None:
    async def scene() -> None:
        async with stage:
            studio = studio_on(stage, cache)
            leaving = asyncio.create_task(studio.render(clip()))
            await stage.arrivals.get()
            leaving.cancel()
            coming = asyncio.create_task(studio.render(clip()))
            (await stage.arrivals.get()).obey("write")
            assert [await coming] == files(cache)

    play(scene())


def test_a_clip_can_be_given_up_while_it_is_drawn(
    play: Play, stage: Stage, clip: Make, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene() -> None:
        async with stage:
            loop, drawing, released = asyncio.get_running_loop(), asyncio.Event(), threading.Event()
            save = Image.Image.save

            def save_and_tell(image: Image.Image, path: Path) -> None:
                loop.call_soon_threadsafe(drawing.set)
                released.wait()
                save(image, path)

            monkeypatch.setattr(Image.Image, "save", save_and_tell)
            rendering = asyncio.create_task(studio_on(stage, cache).render(clip(style="plain")))
            await drawing.wait()
            rendering.cancel()
            for _ in range(10):  # the cancellation sinks in while the thread still draws
                await asyncio.sleep(0)
            released.set()
            with pytest.raises(asyncio.CancelledError):
                await rendering
            assert files(cache) == []
            assert stage.started == 0

    play(scene())


def test_closing_ends_what_runs_and_what_waits_for_its_turn(
    play: Play, stage: Stage, clip: Make, cache: Path
) -> None:
    async def scene() -> None:
        async with stage:
            studio = studio_on(stage, cache, at_once=1)
            renderings = [asyncio.create_task(studio.render(clip(seed=seed))) for seed in range(3)]
            puppet = await stage.arrivals.get()
            await studio.close()
            assert not alive(puppet.pid)
            assert files(cache) == []
            results = await asyncio.gather(*renderings, return_exceptions=True)
            assert [str(result) for result in results] == ["The studio is closed."] * 3
            assert stage.started == 1

    play(scene())


def test_a_closed_studio_hands_out_only_what_it_has(
    play: Play, stage: Stage, clip: Make, cache: Path
) -> None:
    async def scene() -> None:
        async with stage:
            studio = studio_on(stage, cache)
            rendering = asyncio.create_task(studio.render(clip()))
            (await stage.arrivals.get()).obey("write")
            video = await rendering
            await studio.close()
            assert await studio.render(clip()) == video
            with pytest.raises(RenderFailed, match="The studio is closed"):
                await studio.render(clip(seed=1))

    play(scene())


def test_an_idle_studio_can_be_closed(cache: Path) -> None:
    asyncio.run(Renderer(ffmpeg=sys.executable, cache=cache, at_once=1, timeout=1).close())


def test_a_wrapper_ends_with_the_program_that_it_started(
    play: Play, stage: Stage, clip: Make, cache: Path, tmp_path: Path
) -> None:
    async def scene() -> None:
        async with stage:
            wrapper = tmp_path / "wrapper"
            wrapper.write_text(f'#!/bin/sh\n"{stage.program}" "$@"\nexit $?\n')
            wrapper.chmod(0o700)
            studio = Renderer(ffmpeg=str(wrapper), cache=cache, at_once=1, timeout=60)
            rendering = asyncio.create_task(studio.render(clip()))
            puppet = await stage.arrivals.get()
            rendering.cancel()
            await puppet.death()
            await asyncio.wait([rendering])

    play(scene())


def test_what_an_earlier_studio_left_unfinished_is_removed(
    play: Play, stage: Stage, clip: Make, cache: Path
) -> None:
    async def killed() -> None:
        async with stage:
            rendering = asyncio.create_task(studio_on(stage, cache).render(clip()))
            await stage.arrivals.get()
            (partial,) = files(cache, "*")
            partial.rename(partial.with_stem(".abandoned"))  # as if nobody had been left to clear it away
            rendering.cancel()
            await asyncio.wait([rendering])

    play(killed())
    assert len(list(cache.iterdir())) == 1
    Renderer(ffmpeg=sys.executable, cache=cache, at_once=1, timeout=1)
    assert files(cache) == []


def test_a_program_that_is_not_ffmpeg_fails_the_clip(clip: Make, cache: Path, tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\nexit 3\n")
    program.chmod(0o700)
    studio = Renderer(ffmpeg=str(program), cache=cache, at_once=1, timeout=60)
    with pytest.raises(RenderFailed, match="ffmpeg does not tell its version"):
        asyncio.run(studio.render(clip()))


def program_that(tmp_path: Path, script: str) -> str:
    """Return a program that does something when it is asked for its version."""
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o700)
    return str(program)


def test_an_ffmpeg_that_hangs_when_asked_for_its_version_does_not_hold_up_the_stop(
    play: Play, clip: Make, cache: Path, tmp_path: Path
) -> None:
    async def scene() -> None:
        hung = tmp_path / "hung"
        os.mkfifo(hung)
        program = program_that(tmp_path, f"echo $$ >'{hung}'; exec sleep 600")
        studio = Renderer(ffmpeg=program, cache=cache, at_once=1, timeout=60)
        renderings = [asyncio.create_task(studio.render(clip(seed=seed))) for seed in range(2)]
        pid = int(await asyncio.to_thread(hung.read_text))
        await studio.close()
        assert not alive(pid)
        results = await asyncio.gather(*renderings, return_exceptions=True)
        assert [str(result) for result in results] == ["The studio is closed."] * 2

    play(scene())


@pytest.mark.parametrize(
    ("script", "complaint"),
    [
        ("exec sleep 600", "within 1 s"),
        ("exec cat /dev/zero", "more than 65536 bytes"),
        ("kill -KILL $$", "code 137"),
    ],
)
def test_an_ffmpeg_that_does_not_tell_its_version_fails_the_clip(
    play: Play, clip: Make, cache: Path, tmp_path: Path, script: str, complaint: str
) -> None:
    async def scene() -> None:
        studio = Renderer(ffmpeg=program_that(tmp_path, script), cache=cache, at_once=1, timeout=1)
        with pytest.raises(RenderFailed, match=complaint):
            await studio.render(clip())
        with pytest.raises(RenderFailed, match=complaint):  # asked again
            await studio.render(clip())
        await studio.close()

    play(scene())


def test_a_program_that_went_away_fails_the_clip(play: Play, stage: Stage, clip: Make, cache: Path) -> None:
    async def scene() -> None:
        async with stage:
            studio = studio_on(stage, cache)
            rendering = asyncio.create_task(studio.render(clip()))
            (await stage.arrivals.get()).obey("write")
            await rendering
            stage.program.unlink()
            with pytest.raises(RenderFailed, match="No such file"):
                await studio.render(clip(seed=1))

    play(scene())


def test_without_a_setting_the_ffmpeg_that_comes_along_is_found() -> None:
    assert os.access(find_ffmpeg(), os.X_OK)


def test_a_configured_ffmpeg_may_be_a_path(tmp_path: Path) -> None:
    program = tmp_path / "ffmpeg"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o700)
    assert find_ffmpeg(str(program)) == str(program)


def test_a_configured_ffmpeg_may_be_a_name_on_the_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my-ffmpeg").write_text("#!/bin/sh\n")
    (tmp_path / "my-ffmpeg").chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_ffmpeg("my-ffmpeg") == str(tmp_path / "my-ffmpeg")


@pytest.mark.parametrize("configured", ["no-such-ffmpeg", "/no/such/ffmpeg", "/", __file__, ""])
def test_a_configured_ffmpeg_that_cannot_be_run_is_named(configured: str) -> None:
    with pytest.raises(FfmpegNotFound, match=f"'{configured}' is not an executable program"):
        find_ffmpeg(configured)


def test_a_platform_without_an_ffmpeg_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> str:
        raise RuntimeError("No ffmpeg exe could be found.")

    monkeypatch.setattr("imageio_ffmpeg.get_ffmpeg_exe", none)
    with pytest.raises(FfmpegNotFound, match="There is no ffmpeg"):
        find_ffmpeg()
