"""Builds the ffmpeg commands that make videos and sounds, with ffmpeg-python."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import ffmpeg

if TYPE_CHECKING:
    from pathlib import Path

    from falmock.media.specifications import Clip, Sound

# The number of threads is fixed, because the output of x264 depends on it. Slower presets take 50 % longer;
# for motion by whole pixels the difference is not visible.
_X264: Final[dict[str, Any]] = {"movflags": "+faststart", "vcodec": "libx264", "threads": 2, "bf": 0}
_STYLES: Final[dict[str, dict[str, Any]]] = {
    "animate": {"preset": "superfast", "crf": 22, "g": 48},
    "plain": {"preset": "ultrafast", "crf": 23},
}
_VP9: Final[dict[str, Any]] = {
    "vcodec": "libvpx-vp9",
    "threads": 2,
    "row-mt": 1,
    "deadline": "realtime",
    "cpu-used": 8,
    "crf": 34,
    "b:v": 0,
    "g": 48,
}
_REPRODUCIBLE: Final[dict[str, Any]] = {"fflags": "+bitexact", "map_metadata": -1}
_COLOURS: Final[dict[str, Any]] = {"colorspace": "bt709", "color_primaries": "bt709", "color_trc": "bt709"}
_QUIET: Final = ("-hide_banner", "-loglevel", "error", "-nostats")
_TRACK_RATE: Final = 48000  # of the sound of a video; every codec takes it
_SOUNDS: Final[dict[str, dict[str, Any]]] = {
    "wav": {"format": "wav", "acodec": "pcm_s16le"},
    "mp3": {"format": "mp3", "acodec": "libmp3lame", "q:a": 4},
    "flac": {"format": "flac", "acodec": "flac", "sample_fmt": "s16"},
    "ogg": {"format": "ogg", "acodec": "libvorbis", "q:a": 3},
    "opus": {"format": "ogg", "acodec": "libopus", "b:a": "64k"},
    "m4a": {"format": "ipod", "acodec": "aac", "b:a": "96k", "movflags": "+faststart"},
    "aac": {"format": "adts", "acodec": "aac", "b:a": "96k"},
    "pcm": {"format": "s16le", "acodec": "pcm_s16le"},
    "ulaw": {"format": "mulaw", "acodec": "pcm_mulaw"},
    "alaw": {"format": "alaw", "acodec": "pcm_alaw"},
}
_CHORDS: Final = ((0, 4, 7), (0, 3, 7), (0, 5, 9), (0, 4, 9), (0, 5, 7))  # semitones above the root
_LOWEST: Final = 196.0  # hertz
_SEMITONES: Final = 12


def video(program: str, clip: Clip, folder: Path, target: Path) -> list[str]:
    """Return the command for a clip. The target is overwritten.

    The folder has `canvas.ppm`, and unless the style is plain `caption.png` and perhaps `last.ppm`.
    """
    # Converted once, then repeated; a looped input would be decoded and converted for each frame.
    moving = _image(folder / "canvas.ppm", "ppm_pipe", clip).filter("loop", loop=-1, size=1)
    if clip.style == "animate":
        moving = moving.filter("crop", *clip.size, *map(_there_and_back, clip.camera, clip.travel))
        if clip.last_picture is not None and clip.frames > 1:
            last = _image(folder / "last.ppm", "ppm_pipe", clip, pixels="yuva420p")
            last = last.filter("loop", loop=-1, size=1)
            length = clip.frames // 2
            start = clip.frames - 1 - length
            last = last.filter("fade", type="in", alpha=1, start_frame=start, nb_frames=length)
            moving = moving.overlay(last, x=0, y=0)
        strip = _image(folder / "caption.png", "png_pipe", clip, pixels="yuva420p")
        moving = moving.overlay(strip, x=0, y=0)
    streams = [moving]
    options: dict[str, Any] = {"frames:v": clip.frames, "flags:v": "+bitexact", **_REPRODUCIBLE}
    if clip.container == "gif":
        streams = [_with_palette(moving)]
        options |= {"format": "gif"}
    elif clip.container == "webm":
        options |= {"format": "webm", **_VP9, **_COLOURS}
    else:
        options |= {"format": clip.container, **_X264, **_STYLES[clip.style], **_COLOURS}
    if clip.has_sound:
        seed = 0 if clip.style == "plain" else clip.seed
        samples = max(1, round(clip.seconds * _TRACK_RATE))
        streams.append(ffmpeg.input(_tones(seed, _TRACK_RATE, samples, channels=2), format="lavfi"))
        codec = "libopus" if clip.container == "webm" else "aac"
        options |= {"acodec": codec, "b:a": "96k", "flags:a": "+bitexact"}
    return _compiled(program, ffmpeg.output(*streams, f"file:{target}", **options))


def sound(program: str, wanted: Sound, target: Path) -> list[str]:
    """Return the command for a sound. The target is overwritten."""
    tones = ffmpeg.input(_tones(wanted.seed, wanted.rate, wanted.samples, wanted.channels), format="lavfi")
    options = {"flags:a": "+bitexact", "ar": wanted.rate, "ac": wanted.channels, **_REPRODUCIBLE}
    return _compiled(program, tones.output(f"file:{target}", **_SOUNDS[wanted.format], **options))


def _compiled(program: str, output: Any) -> list[str]:
    return list(output.compile([program, *_QUIET], overwrite_output=True))


def _image(path: Path, demuxer: str, clip: Clip, pixels: str = "yuv420p") -> Any:
    """Read an image as a video of one frame in BT.709, the colour space of high definition."""
    image = ffmpeg.input(f"file:{path}", format=demuxer, framerate=clip.rate)
    return image.filter("scale", out_color_matrix="bt709", out_range="tv").filter("format", pixels)


def _with_palette(moving: Any) -> Any:
    """Reduce a video to the colours of its first frame: those of all would need all of it in memory."""
    coloured = moving.filter("scale", in_color_matrix="bt709").filter("format", "rgb24")
    both = coloured.filter_multi_output("split")
    palette = both[0].filter("trim", end_frame=1).filter("palettegen", max_colors=128)
    return ffmpeg.filter([both[1], palette], "paletteuse", dither="bayer", bayer_scale=4)


def _there_and_back(step: int, travel: int) -> str:
    """Return the left or upper edge of frame n on the canvas, as an ffmpeg expression."""
    if not travel:
        return "0"
    position = f"{travel}-abs({travel}-mod({abs(step)}*n,{2 * travel}))"
    return position if step > 0 else f"{travel}-({position})"


def _tones(seed: int, rate: int, samples: int, channels: int) -> str:
    """Return a graph of ffmpeg's sources: a chord that swells slowly over a little noise."""
    root = _LOWEST * 2 ** (seed % _SEMITONES / _SEMITONES)
    chord = _CHORDS[seed // _SEMITONES % len(_CHORDS)]
    seconds = samples / rate
    common = f"sample_rate={rate}:duration={seconds + 1:.3f}"
    notes = [
        f"sine=frequency={root * 2 ** (step / _SEMITONES):.3f}:{common}[n{index}]"
        for index, step in enumerate(chord)
    ]
    noise = f"anoisesrc=color=pink:amplitude=0.02:seed={seed % 2**31}:{common}[n3]"
    fade = min(0.4, seconds / 4)
    ending = (
        f"[n0][n1][n2][n3]amix=inputs=4,tremolo=f=0.35:d=0.5,atrim=end_sample={samples},"
        f"afade=t=in:d={fade:.6f},afade=t=out:st={seconds - fade:.6f}:d={fade:.6f},"
        f"aformat=sample_fmts=s16|fltp|s32:channel_layouts={'mono' if channels == 1 else 'stereo'}"
    )
    return ";".join([*notes, noise, ending])
