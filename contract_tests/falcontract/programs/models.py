"""Programs of each model ("run-", "fields-" and "bounds-" with its short name), and of its media.

On fal a program costs at most `Model.worst_usd` for each job that could run; its tier follows from that.
"""

from __future__ import annotations

import base64
import io
import wave
from typing import TYPE_CHECKING, Any, Final

from falcontract.model import fields
from falcontract.model.models import (
    ALL,
    BANANA,
    BIREFNET,
    CUT,
    FLUX,
    KLING_25,
    KLING_26,
    KOKORO,
    MODELS,
    SHOWN,
    SIZES,
    SPOKEN_SECONDS,
    TINY,
    TRELLIS,
    WHISPER,
    Model,
)
from falcontract.programs.inputs import picture
from falcontract.steps import (
    VEO2,
    Program,
    Step,
    call,
    cancel,
    fetch,
    program,
    result,
    status,
    stream,
    submit,
    until,
    wait,
)

if TYPE_CHECKING:
    from falcontract.steps import Json

CHEAP_USD: Final = 0.05  # for a program of tier 4; a dearer one is of tier 5
MANY: Final = {"runners": 99, "concurrency": 99}


def sound(seconds: int = SPOKEN_SECONDS) -> str:
    """Return a data URI of silence as wav."""
    file = io.BytesIO()
    with wave.open(file, "wb") as audio:
        audio.setnchannels(1)
        audio.setsampwidth(1)
        audio.setframerate(8000)
        audio.writeframes(b"\x80" * 8000 * seconds)
    return "data:audio/wav;base64," + base64.b64encode(file.getvalue()).decode()


def programs() -> list[Program]:
    return [
        *(_run(model) for model in ALL if model.endpoint != VEO2),
        *(_all_at_once(f"fields-{model.short}", model, list(fields.broken(model))) for model in ALL),
        *(_all_at_once(f"bounds-{model.short}", model, list(fields.at_bounds(model))) for model in ALL),
        *(_made(name, endpoint, inputs) for (name, endpoint), inputs in _INPUTS.items()),
    ]


def tier(model: Model, jobs: int) -> int:
    return 4 if model.worst_usd * jobs <= CHEAP_USD else 5


def _run(model: Model) -> Program:
    """A job that is read early, streamed and downloaded; one that is refused; one that is cancelled."""
    refused = next(iter(fields.broken(model)))
    prices = call("GET", "/v1/models/pricing", host="api", query=f"endpoint_id={model.endpoint}")
    jobs = {"A": model.valid, "B": refused, "C": model.valid}
    return program(
        f"run-{model.short}",
        *(submit(job, given, endpoint=model.endpoint, webhook=job.lower()) for job, given in jobs.items()),
        *(status("C"), cancel("C"), status("C"), result("A"), status("A", query="logs=1"), wait(1.5)),
        *(status("A", query="logs=1"), cancel("A"), stream("A", query="logs=1"), until("COMPLETED", "A")),
        *(until("COMPLETED", "B"), until("COMPLETED", "C")),
        *(read(job) for job in jobs for read in (status, result, result)),
        *(status("A", query="logs=1"), *([fetch("A")] if model.file else []), prices),
        tier=tier(model, len(jobs)),
        runners=1,
    )


def _all_at_once(name: str, model: Model, inputs: list[Json]) -> Program:
    jobs = {f"J{number}": given for number, given in enumerate(inputs)}
    return program(
        name,
        *(submit(job, given, endpoint=model.endpoint) for job, given in jobs.items()),
        wait(30),
        *(read(job) for job in jobs for read in (status, result)),
        tier=tier(model, len(jobs)),
        **MANY,
    )


def _made(name: str, endpoint: str, inputs: dict[str, tuple[Json, tuple[str, ...]]]) -> Program:
    """One job for each input, and the downloads of the files that its paths name in the output."""
    return program(
        name,
        *(submit(job, given, endpoint=endpoint) for job, (given, _) in inputs.items()),
        wait(30),
        *(step for job, (_, paths) in inputs.items() for step in _read(job, paths)),
        tier=tier(MODELS[endpoint], len(inputs)),
        **MANY,
    )


def _read(job: str, paths: tuple[str, ...]) -> list[Step]:
    urls = [f"{{R{job}.{path}.url}}" for path in paths]
    return [status(job), result(job, save=f"R{job}"), *(fetch(job, path=url) for url in urls)]


def _image(*numbers: int) -> tuple[str, ...]:
    return tuple(f"images.{number}" for number in numbers or (0,))


_LIGHT: Final[Json] = {"prompt": "a lighthouse"}
_HAT: Final[Json] = MODELS[BANANA].valid
_CUT: Final[Json] = {"image_url": picture(100, *CUT)}
_SHOT: Final[Json] = MODELS[KLING_25].valid | {"image_url": picture(100, *SHOWN)}
_SHOT_26: Final[Json] = {"prompt": "A lego chef", "start_image_url": picture(100, *SHOWN)}
_TALK: Final[Json] = {"audio_url": sound()}
_WORDS: Final = "Good morning to all who listen. "
_NO_FILE: Final[tuple[str, ...]] = ()

_INPUTS: Final[dict[tuple[str, str], dict[str, tuple[Any, tuple[str, ...]]]]] = {
    ("sizes", FLUX): {
        "D": (_LIGHT, _image()),
        **{name: (_LIGHT | {"image_size": name}, _image()) for name in SIZES},
        "O": (_LIGHT | {"image_size": {"width": 1032, "height": 1000}}, _image()),
    },
    ("several", FLUX): {
        "A": (_LIGHT | {"image_size": TINY, "num_images": 3, "output_format": "png"}, _image(0, 1, 2)),
        "B": (_LIGHT | {"image_size": {"width": 1200, "height": 1000}, "num_images": 2}, _image(0, 1)),
    },
    ("several-edited", BANANA): {
        "A": (_HAT, _image()),
        "B": (_HAT | {"num_images": 2, "output_format": "jpeg"}, _image(0, 1)),
        "C": (_HAT | {"output_format": "webp", "aspect_ratio": "16:9"}, _image()),
        "E": (_HAT | {"output_format": "png", "aspect_ratio": "2:3"}, _image()),
    },
    ("seeds", FLUX): {
        "A": (_LIGHT | {"image_size": TINY, "seed": 7}, _NO_FILE),
        "B": (_LIGHT | {"image_size": TINY, "seed": 0}, _NO_FILE),
        "C": (_LIGHT | {"image_size": TINY}, _NO_FILE),
    },
    ("inline", FLUX): {
        "A": (_LIGHT | {"image_size": TINY, "sync_mode": True, "num_images": 2}, _NO_FILE),
        "B": (_LIGHT | {"image_size": TINY, "sync_mode": True, "output_format": "png"}, _NO_FILE),
    },
    ("inline-edited", BANANA): {"A": (_HAT | {"sync_mode": True}, _NO_FILE)},
    ("inline-cut", BIREFNET): {"A": (_CUT | {"sync_mode": True}, _NO_FILE)},
    ("cut", BIREFNET): {
        "A": (_CUT, ("image",)),
        "B": (_CUT | {"output_format": "webp", "output_mask": True}, ("image", "mask_image")),
    },
    ("shots", KLING_25): {
        "A": (_SHOT, ("video",)),
        "B": (_SHOT | {"duration": "10"}, ("video",)),
    },
    ("shots-with-sound", KLING_26): {
        "A": (_SHOT_26, ("video",)),
        "B": (_SHOT_26 | {"generate_audio": False}, ("video",)),
        "C": (_SHOT_26 | {"start_image_url": picture(100)}, _NO_FILE),
    },
    ("speech", KOKORO): {
        "A": ({"prompt": _WORDS}, ("audio",)),
        "B": ({"prompt": _WORDS * 3}, ("audio",)),
        "C": ({"prompt": _WORDS * 3, "speed": 2}, ("audio",)),
    },
    ("transcripts", WHISPER): {
        "A": (_TALK, _NO_FILE),
        "B": (_TALK | {"chunk_level": "word"}, _NO_FILE),
        "C": (_TALK | {"chunk_level": "none"}, _NO_FILE),
        "D": (_TALK | {"diarize": True, "language": "de"}, _NO_FILE),
    },
    ("meshes", TRELLIS): {"A": ({"image_url": picture(100)}, ("model_mesh",))},
}
