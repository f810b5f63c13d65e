"""falqueue: a small client for fal.ai's queue that is honest about money.

The same lines talk to fal and, where `FALQUEUE_BASE_URL` is set, to an emulator of it.

>>> with Client() as client:
...     output = client.subscribe(Veo2ImageToVideo(prompt="It waves", image_url=picture))
>>> output.video.content_type
'video/mp4'
"""

from falqueue._async_client import AsyncClient
from falqueue._client import Client
from falqueue._credentials import Credentials
from falqueue._downloads import Progress
from falqueue._errors import (
    AccountLocked,
    AnswerLost,
    Cancelled,
    ContentPolicyViolation,
    FalqueueError,
    FieldError,
    FileDownloadFailed,
    FileRejected,
    HeaderMissing,
    InputRejected,
    InvalidHandle,
    InvalidInput,
    InvalidRequest,
    MissingCredentials,
    NoMediaGenerated,
    NotFound,
    NotSent,
    PlatformFailed,
    ProtocolError,
    RateLimited,
    Refused,
    RequestFailed,
    RunnerFailed,
    SignatureMismatch,
    StartTimedOut,
    StillInProgress,
    SubmitUnconfirmed,
    TimestampRejected,
    TookTooLong,
    TransferFailed,
    Unauthorized,
    Unavailable,
    UnknownPath,
    UnknownStatus,
    Unreachable,
    UsageError,
    WebhookRejected,
)
from falqueue._handle import Handle
from falqueue._requests import Lifecycle, TypedRequest
from falqueue._statuses import Cancellation, Completed, InProgress, LogEntry, Queued, Status
from falqueue._timing import Backoff
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

for _name in __all__:  # tracebacks and reprs show where a name is imported from, not where it is written
    if hasattr(globals()[_name], "__qualname__"):
        globals()[_name].__module__ = __name__
del _name
