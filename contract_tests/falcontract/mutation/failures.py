"""Mutants of failed jobs: validation errors, platform errors, timeouts."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from falcontract.mutation.internals import errors, submission, webhooks
from falcontract.mutation.patching import Patch, change_error, change_input, change_status, planted, replaces


@planted(change_status)
def model_errors_are_in_the_status(status: dict[str, Any], job: Any) -> None:
    """A status has the error of the model."""
    if job.status == 422:
        status.update(error="Invalid input", error_type="validation_error")


@planted(change_status)
def platform_errors_are_not_in_the_status(status: dict[str, Any], _: Any) -> None:
    """A status does not have the platform error."""
    status.pop("error", None)
    status.pop("error_type", None)


def validation_errors_are_a_text(patch: Patch) -> None:
    """The detail of a 422 is a text."""
    change_error(patch, errors.InvalidBody, lambda error: error.body.update(detail="Invalid input"))


@planted(change_error, errors.InvalidBody)
def validation_errors_have_no_body_in_loc(error: Any) -> None:
    """The loc of a validation error does not start with "body"."""
    for entry in error.body["detail"]:
        entry["loc"] = entry["loc"][1:]


def only_the_first_validation_error(patch: Patch) -> None:
    """A 422 lists only the first error."""
    change_error(patch, errors.InvalidBody, lambda error: error.body.update(detail=error.body["detail"][:1]))


def validation_errors_are_400(patch: Patch) -> None:
    """An invalid input is a 400."""
    patch.set(errors.InvalidBody, "status", 400)


@planted(change_input)
def durations_may_be_numbers(given: Any) -> Any:
    """A duration of 8 counts as "8s"."""
    is_number = isinstance(given.get("duration"), int)
    return given | ({"duration": f"{given['duration']}s"} if is_number else {})


def aspect_ratio_1_1_is_accepted(patch: Patch) -> None:
    """An aspect ratio of 1:1 counts as 16:9."""
    change_input(patch, lambda g: g | ({"aspect_ratio": "16:9"} if g.get("aspect_ratio") == "1:1" else {}))


def empty_prompts_are_refused(patch: Patch) -> None:
    """An empty prompt counts as missing."""
    change_input(patch, lambda g: {k: v for k, v in g.items() if not (k == "prompt" and v == "")})


def error_type_header_is_missing(patch: Patch) -> None:
    """A platform error has no header."""
    change_error(patch, errors.PlatformError, lambda error: error.headers.pop("x-fal-error-type"))


def timeouts_are_503(patch: Patch) -> None:
    """A timeout is a 503."""
    patch.item(errors.PlatformError.STATUS, "request_timeout", 503)


def platform_errors_are_lists(patch: Patch) -> None:
    """The detail of a platform error is a list."""
    change_error(patch, errors.PlatformError, lambda error: error.body.update(detail=[error.body["detail"]]))


def start_timeouts_do_not_name_the_caller(patch: Patch) -> None:
    """A start timeout does not name the caller's limit."""
    change_error(patch, errors.PlatformError, lambda e: e.headers.pop("x-fal-request-timeout-type", None))


def start_timeouts_are_ignored(patch: Patch) -> None:
    """A job waits for any time."""
    patch.around(submission, "_start_within", lambda original, *args: (original(*args), math.inf)[1])


@replaces(submission, "read")
async def every_run_is_retried(original: Any, *args: Any, **kwargs: Any) -> Any:
    """X-Fal-No-Retry is ignored, so a timeout is retried."""
    return dataclasses.replace(await original(*args, **kwargs), retry=True)


@replaces(webhooks, "payload")
def runs_keep_one_id(original: Any, job: Any, *args: Any) -> Any:
    """A re-run keeps the id of the first run."""
    return original(dataclasses.replace(job, gateway_id=job.id), *args)
