from __future__ import annotations

import asyncio
import os
import sys
import threading
from pathlib import Path
from typing import IO, TYPE_CHECKING

import pytest
from PIL import Image

from falmock.media import Clip, FfmpegNotFound, Picture, Renderer, RenderFailed, find_ffmpeg

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.falmock.media.conftest import FakeFfmpeg, RunAsync

    Make = Callable[..., Clip]


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "videos"


def renderer_with(fake_ffmpeg: FakeFfmpeg, cache: Path, *, at_once: int = 2, timeout: float = 60) -> Renderer:
    return Renderer(ffmpeg=str(fake_ffmpeg.program), cache=cache, at_once=at_once, timeout=timeout)


def alive(pid: int) -> bool:
    """Return whether a process exists, including zombies."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def files(folder: Path, pattern: str = "**/*") -> list[Path]:
    return sorted(folder.glob(pattern))


def test_equal_clips_are_rendered_to_equal_bytes(
    clip: Make, picture_of: Callable[[Image.Image], Picture], tmp_path: Path
) -> None:
    picture = picture_of(Image.effect_noise((320, 200), 90).convert("RGB"))
    wanted = clip(width=1280, height=720, picture=picture)

    async def render(folder: str) -> bytes:
        renderer = Renderer(ffmpeg=find_ffmpeg(), cache=tmp_path / folder, at_once=1, timeout=120)
        return (await renderer.render(wanted)).read_bytes()

    assert asyncio.run(render("one")) == asyncio.run(render("two"))


@pytest.mark.parametrize("name", ["100%03d", "a:b,c;[d]'e\"", "-y", "new\nline", "żółć"])
def test_the_folder_of_the_cache_may_have_any_name(clip: Make, tmp_path: Path, name: str) -> None:
    async def render() -> Path:
        return await Renderer(ffmpeg=find_ffmpeg(), cache=tmp_path / name, at_once=1, timeout=120).render(
            clip()
        )

    video = asyncio.run(render())
    assert files(tmp_path / name) == [video]
    assert video.read_bytes()[4:8] == b"ftyp"


def test_the_path_of_a_clip_stays_valid_after_a_change_of_directory(
    run_async: RunAsync, fake_ffmpeg: FakeFfmpeg, clip: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> Path:
        async with fake_ffmpeg:
            rendering = asyncio.create_task(renderer_with(fake_ffmpeg, Path("videos")).render(clip()))
            (await fake_ffmpeg.processes.get()).order("write")
            return await rendering

    monkeypatch.chdir(tmp_path)
    assert run_async(main()).is_absolute()


def test_a_cached_clip_is_not_rendered_again(
    run_async: RunAsync, fake_ffmpeg: FakeFfmpeg, clip: Make, cache: Path
) -> None:
    async def main() -> None:
        async with fake_ffmpeg:
            renderer = renderer_with(fake_ffmpeg, cache)
            first = asyncio.create_task(renderer.render(clip()))
            (await fake_ffmpeg.processes.get()).order("write")
            assert await renderer.render(clip()) == await first
            assert await renderer_with(fake_ffmpeg, cache).render(clip()) == await first
            assert fake_ffmpeg.started == 1

    run_async(main())


def test_concurrent_calls_for_a_clip_render_it_once(
    run_async: RunAsync, fake_ffmpeg: FakeFfmpeg, clip: Make, cache: Path
) -> None:
    async def main() -> None:
        async with fake_ffmpeg:
            renderer = renderer_with(fake_ffmpeg, cache)
            both = asyncio.gather(renderer.render(clip()), renderer.render(clip()))
            (await fake_ffmpeg.processes.get()).order("write")
            one, other = await both
            assert one == other
            assert fake_ffmpeg.started == 1

    run_async(main())


def test_the_number_of_concurrent_renders_is_limited(
    run_async: RunAsync, fake_ffmpeg: FakeFfmpeg, clip: Make, cache: Path
) -> None:
    async def main() -> None:
        async with fake_ffmpeg:
            renderer = renderer_with(fake_ffmpeg, cache, at_once=2)
            renderings = [asyncio.create_task(renderer.render(clip(seed=seed))) for seed in range(4)]
            first, second = await fake_ffmpeg.processes.get(), await fake_ffmpeg.processes.get()
            assert len(files(cache, "*")) == 2  # the others have not even begun to draw
            first.order("write")
            third = await fake_ffmpeg.processes.get()
            assert fake_ffmpeg.started == 3
            for process in (second, third):
                process.order("write")
            (await fake_ffmpeg.processes.get()).order("write")
            assert len(set(await asyncio.gather(*renderings))) == 4

    run_async(main())


def test_a_finished_render_leaves_only_its_video_in_the_cache(
    run_async: RunAsync, fake_ffmpeg: FakeFfmpeg, clip: Make, cache: Path
) -> None:
    async def main() -> None:
        async with fake_ffmpeg:
            rendering = asyncio.create_task(renderer_with(fake_ffmpeg, cache).render(clip()))
            process = await fake_ffmpeg.processes.get()
            assert files(cache, "*.mp4") == []
            process.order("write")
            video = await rendering
            assert files(cache) == [video]
            assert video.read_bytes() == fake_ffmpeg.sample.read_bytes()

    run_async(main())


def test_a_failure_has_the_end_of_the_error_output(
    run_async: RunAsync, fake_ffmpeg: FakeFfmpeg, clip: Make, cache: Path
) -> None:
    async def main() -> str:
        async with fake_ffmpeg:
            rendering = asyncio.create_task(renderer_with(fake_ffmpeg, cache).render(clip()))
            (await fake_ffmpeg.processes.get()).order("fail " + "x" * 5000 + " out of luck")
            with pytest.raises(RenderFailed) as caught:
                await rendering
            return str(caught.value)

    message = run_async(main())
    assert message.startswith("ffmpeg ended with code 1: ")
    assert message.endswith("out of luck")
    assert len(message) < 2100
    assert files(cache) == []


def test_a_failed_clip_is_rendered_again_by_the_next_call(
    run_async: RunAsync, fake_ffmpeg: FakeFfmpeg, clip: Make, cache: Path
) -> None:
    async def main() -> None:
        async with fake_ffmpeg:
            renderer = renderer_with(fake_ffmpeg, cache)
            failing = asyncio.create_task(renderer.render(clip()))
            (await fake_ffmpeg.processes.get()).order("fail once")
            with pytest.raises(RenderFailed):
                await failing
            again = asyncio.create_task(renderer.render(clip()))
            (await fake_ffmpeg.processes.get()).order("write")
            assert [await again] == files(cache)

    run_async(main())


def test_all_concurrent_calls_get_the_failure(
    run_async: RunAsync, fake_ffmpeg: FakeFfmpeg, clip: Make, cache: Path
) -> None:
    async def main() -> None:
        async with fake_ffmpeg:
            renderer = renderer_with(fake_ffmpeg, cache)
            both = asyncio.gather(renderer.render(clip()), renderer.render(clip()), return_exceptions=True)
            (await fake_ffmpeg.processes.get()).order("fail once")
            assert [type(result) for result in await both] == [RenderFailed, RenderFailed]

    run_async(main())


def test_a_render_fails_when_ffmpeg_writes_no_video(
    run_async: RunAsync, fake_ffmpeg: FakeFfmpeg, clip: Make, cache: Path
) -> None:
    async def main() -> None:
        async with fake_ffmpeg:
            rendering = asyncio.create_task(renderer_with(fake_ffmpeg, cache).render(clip()))
            (await fake_ffmpeg.processes.get()).order("nothing")
            with pytest.raises(RenderFailed, match="is unusable"):
                await rendering

    run_async(main())
    assert files(cache) == []


@pytest.mark.parametrize("content", ["", "noise " * 1000], ids=["nothing", "noise"])
def test_a_render_fails_when_the_video_is_empty_or_noise(
    run_async: RunAsync, fake_ffmpeg: FakeFfmpeg, clip: Make, cache: Path, content: str
) -> None:
    async def main() -> None:
        async with fake_ffmpeg:
            rendering = asyncio.create_task(renderer_with(fake_ffmpeg, cache).render(clip()))
            (await fake_ffmpeg.processes.get()).order(f"put {content}")
            with pytest.raises(RenderFailed, match="is unusable"):
                await rendering

    run_async(main())
    assert files(cache) == []


def test_a_render_fails_when_the_video_has_another_size(
    run_async: RunAsync, fake_ffmpeg: FakeFfmpeg, clip: Make, cache: Path
) -> None:
    async def main() -> None:
        async with fake_ffmpeg:
            rendering = asyncio.create_task(renderer_with(fake_ffmpeg, cache).render(clip(frames=48)))
            (await fake_ffmpeg.processes.get()).order("write")
            with pytest.raises(RenderFailed, match=r"frames=24.* instead of .*frames=48"):
                await rendering

    run_async(main())


def test_a_damaged_video_in_the_cache_is_rendered_again(
    run_async: RunAsync, fake_ffmpeg: FakeFfmpeg, clip: Make, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with fake_ffmpeg:
            first = asyncio.create_task(renderer_with(fake_ffmpeg, cache).render(clip()))
            (await fake_ffmpeg.processes.get()).order("write")
            whole = (await first).read_bytes()
            (await first).write_bytes(whole[: len(whole) // 2])
            again = asyncio.create_task(renderer_with(fake_ffmpeg, cache).render(clip()))
            (await fake_ffmpeg.processes.get()).order("write")
            assert (await again).read_bytes() == whole

    run_async(main())
    assert "a cached file is damaged" in caplog.text


def test_an_ffmpeg_that_floods_its_error_output_is_killed(
    run_async: RunAsync, fake_ffmpeg: FakeFfmpeg, clip: Make, cache: Path
) -> None:
    async def main() -> None:
        async with fake_ffmpeg:
            rendering = asyncio.create_task(renderer_with(fake_ffmpeg, cache).render(clip()))
            process = await fake_ffmpeg.processes.get()
            process.order("flood")
            with pytest.raises(RenderFailed, match="wrote too many errors"):
                await rendering
            assert not alive(process.pid)

    run_async(main())
    assert files(cache) == []


def test_an_ffmpeg_that_hangs_is_killed_after_the_timeout(
    run_async: RunAsync, fake_ffmpeg: FakeFfmpeg, clip: Make, cache: Path
) -> None:
    async def main() -> None:
        async with fake_ffmpeg:
            rendering = asyncio.create_task(renderer_with(fake_ffmpeg, cache, timeout=1).render(clip()))
            with pytest.raises(RenderFailed, match="took longer than 1 s"):
                await rendering
            assert not alive(fake_ffmpeg.processes.get_nowait().pid)

    run_async(main())
    assert files(cache) == []


def test_ffmpeg_is_killed_when_all_calls_are_cancelled(
    run_async: RunAsync, fake_ffmpeg: FakeFfmpeg, clip: Make, cache: Path
) -> None:
    async def main() -> None:
        async with fake_ffmpeg:
            rendering = asyncio.create_task(renderer_with(fake_ffmpeg, cache).render(clip()))
            process = await fake_ffmpeg.processes.get()
            rendering.cancel()
            with pytest.raises(asyncio.CancelledError):
                await rendering
            assert not alive(process.pid)
            assert files(cache) == []

    run_async(main())


def test_ffmpeg_continues_when_one_of_two_calls_is_cancelled(
    run_async: RunAsync, fake_ffmpeg: FakeFfmpeg, clip: Make, cache: Path
) -> None:
    async def main() -> None:
        async with fake_ffmpeg:
            renderer = renderer_with(fake_ffmpeg, cache)
            leaving, staying = (asyncio.create_task(renderer.render(clip())) for _ in range(2))
            process = await fake_ffmpeg.processes.get()
            leaving.cancel()
            with pytest.raises(asyncio.CancelledError):
                await leaving
            process.order("write")
            assert [await staying] == files(cache)

    run_async(main())


def test_a_clip_can_be_rendered_while_a_cancelled_render_is_cleaned_up(
    run_async: RunAsync, fake_ffmpeg: FakeFfmpeg, clip: Make, cache: Path
) -> None:
    async def main() -> None:
        async with fake_ffmpeg:
            renderer = renderer_with(fake_ffmpeg, cache)
            leaving = asyncio.create_task(renderer.render(clip()))
            await fake_ffmpeg.processes.get()
            leaving.cancel()
            coming = asyncio.create_task(renderer.render(clip()))
            (await fake_ffmpeg.processes.get()).order("write")
            assert [await coming] == files(cache)

    run_async(main())


def test_a_render_can_be_cancelled_while_its_images_are_drawn(
    run_async: RunAsync, fake_ffmpeg: FakeFfmpeg, clip: Make, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async with fake_ffmpeg:
            loop, drawing, released = asyncio.get_running_loop(), asyncio.Event(), threading.Event()
            save = Image.Image.save

            def save_and_tell(image: Image.Image, file: IO[bytes], kind: str) -> None:
                loop.call_soon_threadsafe(drawing.set)
                released.wait()
                save(image, file, kind)

            monkeypatch.setattr(Image.Image, "save", save_and_tell)
            rendering = asyncio.create_task(renderer_with(fake_ffmpeg, cache).render(clip(style="plain")))
            await drawing.wait()
            rendering.cancel()
            for _ in range(10):  # the cancellation sinks in while the thread still draws
                await asyncio.sleep(0)
            released.set()
            with pytest.raises(asyncio.CancelledError):
                await rendering
            assert files(cache) == []
            assert fake_ffmpeg.started == 0

    run_async(main())


def test_closing_cancels_running_and_waiting_renders(
    run_async: RunAsync, fake_ffmpeg: FakeFfmpeg, clip: Make, cache: Path
) -> None:
    async def main() -> None:
        async with fake_ffmpeg:
            renderer = renderer_with(fake_ffmpeg, cache, at_once=1)
            renderings = [asyncio.create_task(renderer.render(clip(seed=seed))) for seed in range(3)]
            process = await fake_ffmpeg.processes.get()
            await renderer.close()
            assert not alive(process.pid)
            assert files(cache) == []
            results = await asyncio.gather(*renderings, return_exceptions=True)
            assert [str(result) for result in results] == ["The renderer is closed."] * 3
            assert fake_ffmpeg.started == 1

    run_async(main())


def test_a_closed_renderer_returns_only_cached_clips(
    run_async: RunAsync, fake_ffmpeg: FakeFfmpeg, clip: Make, cache: Path
) -> None:
    async def main() -> None:
        async with fake_ffmpeg:
            renderer = renderer_with(fake_ffmpeg, cache)
            rendering = asyncio.create_task(renderer.render(clip()))
            (await fake_ffmpeg.processes.get()).order("write")
            video = await rendering
            await renderer.close()
            assert await renderer.render(clip()) == video
            with pytest.raises(RenderFailed, match="The renderer is closed"):
                await renderer.render(clip(seed=1))

    run_async(main())


def test_an_idle_renderer_can_be_closed(cache: Path) -> None:
    asyncio.run(Renderer(ffmpeg=sys.executable, cache=cache, at_once=1, timeout=1).close())


def test_the_child_of_a_wrapper_script_is_killed_with_it(
    run_async: RunAsync, fake_ffmpeg: FakeFfmpeg, clip: Make, cache: Path, tmp_path: Path
) -> None:
    async def main() -> None:
        async with fake_ffmpeg:
            wrapper = tmp_path / "wrapper"
            wrapper.write_text(f'#!/bin/sh\n"{fake_ffmpeg.program}" "$@"\nexit $?\n')
            wrapper.chmod(0o700)
            renderer = Renderer(ffmpeg=str(wrapper), cache=cache, at_once=1, timeout=60)
            rendering = asyncio.create_task(renderer.render(clip()))
            process = await fake_ffmpeg.processes.get()
            rendering.cancel()
            await process.wait()
            await asyncio.wait([rendering])

    run_async(main())


def test_unfinished_files_of_an_earlier_renderer_are_removed(
    run_async: RunAsync, fake_ffmpeg: FakeFfmpeg, clip: Make, cache: Path
) -> None:
    async def killed() -> None:
        async with fake_ffmpeg:
            rendering = asyncio.create_task(renderer_with(fake_ffmpeg, cache).render(clip()))
            await fake_ffmpeg.processes.get()
            (partial,) = files(cache, "*")
            partial.rename(partial.with_stem(".abandoned"))  # as after a crash
            rendering.cancel()
            await asyncio.wait([rendering])

    run_async(killed())
    assert len(list(cache.iterdir())) == 1
    Renderer(ffmpeg=sys.executable, cache=cache, at_once=1, timeout=1)
    assert files(cache) == []


def test_a_render_fails_when_the_program_is_not_ffmpeg(clip: Make, cache: Path, tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\nexit 3\n")
    program.chmod(0o700)
    renderer = Renderer(ffmpeg=str(program), cache=cache, at_once=1, timeout=60)
    with pytest.raises(RenderFailed, match="ffmpeg does not report its version"):
        asyncio.run(renderer.render(clip()))


def program_that(tmp_path: Path, script: str) -> str:
    """Return a program that runs a script when it is called with `-version`."""
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o700)
    return str(program)


def test_closing_does_not_wait_for_an_ffmpeg_that_hangs_on_its_version(
    run_async: RunAsync, clip: Make, cache: Path, tmp_path: Path
) -> None:
    async def main() -> None:
        hung = tmp_path / "hung"
        os.mkfifo(hung)
        program = program_that(tmp_path, f"echo $$ >'{hung}'; exec sleep 600")
        renderer = Renderer(ffmpeg=program, cache=cache, at_once=1, timeout=60)
        renderings = [asyncio.create_task(renderer.render(clip(seed=seed))) for seed in range(2)]
        pid = int(await asyncio.to_thread(hung.read_text))
        await renderer.close()
        assert not alive(pid)
        results = await asyncio.gather(*renderings, return_exceptions=True)
        assert [str(result) for result in results] == ["The renderer is closed."] * 2

    run_async(main())


@pytest.mark.parametrize(
    ("script", "seconds", "complaint"),
    [
        ("exec sleep 600", 1, "within 1 s"),
        ("exec cat /dev/zero", 60, "more than 65536 bytes"),
        ("kill -KILL $$", 60, "code 137"),
    ],
)
def test_a_render_fails_when_ffmpeg_does_not_report_its_version(
    run_async: RunAsync, clip: Make, cache: Path, tmp_path: Path, script: str, seconds: int, complaint: str
) -> None:
    async def main() -> None:
        renderer = Renderer(ffmpeg=program_that(tmp_path, script), cache=cache, at_once=1, timeout=seconds)
        with pytest.raises(RenderFailed, match=complaint):
            await renderer.render(clip())
        with pytest.raises(RenderFailed, match=complaint):  # a second attempt
            await renderer.render(clip())
        await renderer.close()

    run_async(main())


def test_a_render_fails_when_ffmpeg_was_removed(
    run_async: RunAsync, fake_ffmpeg: FakeFfmpeg, clip: Make, cache: Path
) -> None:
    async def main() -> None:
        async with fake_ffmpeg:
            renderer = renderer_with(fake_ffmpeg, cache)
            rendering = asyncio.create_task(renderer.render(clip()))
            (await fake_ffmpeg.processes.get()).order("write")
            await rendering
            fake_ffmpeg.program.unlink()
            with pytest.raises(RenderFailed, match="No such file"):
                await renderer.render(clip(seed=1))

    run_async(main())


def test_the_ffmpeg_of_imageio_ffmpeg_is_the_default() -> None:
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
def test_the_error_names_a_configured_ffmpeg_that_cannot_be_run(configured: str) -> None:
    with pytest.raises(FfmpegNotFound, match=f"'{configured}' is not an executable program"):
        find_ffmpeg(configured)


def test_the_error_says_that_the_platform_has_no_ffmpeg(monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> str:
        raise RuntimeError("No ffmpeg exe could be found.")

    monkeypatch.setattr("imageio_ffmpeg.get_ffmpeg_exe", none)
    with pytest.raises(FfmpegNotFound, match="There is no ffmpeg"):
        find_ffmpeg()
