# ruff: noqa: F403, F405 - the star import is for type checkers only
"""falqueue: a small typed client for fal.ai's queue.

It calls fal, or an emulator if `FALQUEUE_BASE_URL` is set. A submit is not sent again if there may be a job.

>>> with Client() as client:
...     output = client.subscribe(Veo2ImageToVideo(prompt="It waves", image_url=picture))
>>> output.video.content_type
'video/mp4'
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from falqueue._async_client import AsyncClient
    from falqueue._client import Client
    from falqueue._credentials import Credentials
    from falqueue._downloads import Progress
    from falqueue._errors import *
    from falqueue._handle import FalqueueError, FieldError, Handle, InvalidHandle, UsageError
    from falqueue._requests import Lifecycle
    from falqueue._sending import Backoff
    from falqueue._statuses import Cancellation, Completed, InProgress, LogEntry, Queued, Status
    from falqueue._types import TypedRequest
    from falqueue._veo2 import File, Veo2ImageToVideo, Veo2TextToVideo, VideoOutput
    from falqueue._webhooks import Delivery, keys_of, verify

__all__ = [
    "AccountLocked",
    "AnswerLost",
    "AsyncClient",
    "Backoff",
    "Cancellation",
    "Cancelled",
    "Client",
    "Completed",
    "ContentPolicyViolation",
    "Credentials",
    "Delivery",
    "FalqueueError",
    "FieldError",
    "File",
    "FileDownloadFailed",
    "FileRejected",
    "Handle",
    "HeaderMissing",
    "InProgress",
    "InputRejected",
    "InvalidHandle",
    "InvalidInput",
    "InvalidRequest",
    "Lifecycle",
    "LogEntry",
    "MissingCredentials",
    "NoMediaGenerated",
    "NotFound",
    "NotSent",
    "PlatformFailed",
    "Progress",
    "ProtocolError",
    "Queued",
    "RateLimited",
    "Refused",
    "RequestFailed",
    "RunnerFailed",
    "SignatureMismatch",
    "StartTimedOut",
    "Status",
    "StillInProgress",
    "SubmitUnconfirmed",
    "TimestampRejected",
    "TookTooLong",
    "TransferFailed",
    "TypedRequest",
    "Unauthorized",
    "Unavailable",
    "UnknownPath",
    "UnknownStatus",
    "Unreachable",
    "UsageError",
    "Veo2ImageToVideo",
    "Veo2TextToVideo",
    "VideoOutput",
    "WebhookRejected",
    "keys_of",
    "verify",
]

MODULES = (
    "_async_client",
    "_client",
    "_credentials",
    "_downloads",
    "_errors",
    "_handle",
    "_requests",
    "_sending",
    "_statuses",
    "_types",
    "_veo2",
    "_webhooks",
)


if not TYPE_CHECKING:  # for type checkers, other names do not exist

    def __getattr__(name: str) -> object:
        """Import everything at the first access, so that `falqueue --help` does not wait for httpx."""
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        for module in MODULES:
            for public in vars(import_module(f"{__name__}.{module}")).keys() & set(__all__):
                value = getattr(import_module(f"{__name__}.{module}"), public)
                if hasattr(value, "__qualname__"):
                    value.__module__ = __name__  # tracebacks and reprs show where to import it from
                globals()[public] = value
        return globals()[name]


def __dir__() -> list[str]:
    return __all__
