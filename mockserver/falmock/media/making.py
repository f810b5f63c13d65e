"""Makes the files that need no ffmpeg, and the images that ffmpeg turns into a video."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from falmock.media import drawing, objects
from falmock.media.specifications import Clip, Document, Mesh, Sound, Still
from falmock.system import private

if TYPE_CHECKING:
    from pathlib import Path

    from PIL import Image

    from falmock.media.fonts import Library
    from falmock.media.specifications import Specification

_ENCODINGS: Final[dict[str, dict[str, Any]]] = {
    "png": {"compress_level": 1},
    "jpeg": {"quality": 88},
    "webp": {"quality": 85, "method": 1},
}


def prepare(wanted: Specification, target: Path, library: Library) -> None:
    """Write a medium, or for a video the images that it is made of, beside it."""
    if isinstance(wanted, Clip):
        _prepare_clip(wanted, target.parent, library)
    elif isinstance(wanted, Still):
        drawing.still(wanted, library).save(target, wanted.format, **_ENCODINGS[wanted.format])
    elif not isinstance(wanted, Sound):
        target.write_bytes(_content(wanted))


def _content(wanted: Specification) -> bytes:
    if isinstance(wanted, Document):
        return wanted.data
    return objects.mesh(wanted) if isinstance(wanted, Mesh) else objects.weights(wanted)  # type: ignore[arg-type]


def _prepare_clip(clip: Clip, folder: Path, library: Library) -> None:
    canvas, strip = drawing.canvas(clip), drawing.caption(clip, library)
    if clip.style == "plain":
        canvas.paste(strip, (0, 0), strip)
    else:
        _save(strip, folder / "caption.png", compress_level=1)
        if clip.last_picture is not None:
            _save(drawing.last(clip, clip.last_picture), folder / "last.ppm")
    _save(canvas, folder / "canvas.ppm")


def _save(image: Image.Image, path: Path, **options: Any) -> None:
    with private.create(path) as file:
        image.save(file, path.suffix[1:], **options)
