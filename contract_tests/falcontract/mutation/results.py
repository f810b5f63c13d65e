"""Mutants of results: early, changing, expiring, billed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from falcontract.mutation.internals import emulator, errors, pricing, runner
from falcontract.mutation.patching import (
    Patch,
    change_answer,
    change_error,
    change_settings,
    change_status,
    with_body,
)

if TYPE_CHECKING:
    from starlette.responses import Response


def early_result_is_202(patch: Patch) -> None:
    """An early result is a 202."""
    patch.set(errors.StillInProgress, "status", 202)


def early_result_has_another_text(patch: Patch) -> None:
    """An early result has another text."""
    change_error(patch, errors.StillInProgress, lambda error: error.body.update(detail="Not ready"))


def early_result_has_no_url(patch: Patch) -> None:
    """An early result has no status_url."""
    change_error(patch, errors.StillInProgress, lambda error: error.body.pop("status_url"))


def results_change(patch: Patch) -> None:
    """Each read of a result has one more space."""
    count = [0]

    def change(response: Response, _: Any) -> Response:
        count[0] += 1
        return with_body(response, bytes(response.body) + b" " * count[0])

    change_answer(patch, "_result", change)


def results_never_expire(patch: Patch) -> None:
    """A result never expires."""
    change_settings(patch, lambda _: {"retention": 1e9, "retention_large": 1e9})


def results_expire_after_an_hour(patch: Patch) -> None:
    """A result expires after an hour, as documented but not live."""
    change_settings(patch, lambda _: {"retention": 3600.0})


def large_results_expire_early(patch: Patch) -> None:
    """A large result expires after six minutes."""
    change_settings(patch, lambda _: {"retention_large": 360.0})


def rejections_have_no_units(patch: Patch) -> None:
    """A rejected input has no billable units."""
    patch.set(runner, "UNBILLED", {})


def rejections_are_billed(patch: Patch) -> None:
    """A rejected input is billed."""
    patch.set(runner, "UNBILLED", {"x-fal-billable-units": "1"})


def successes_are_free(patch: Patch) -> None:
    """A success bills 0 units."""
    patch.set(pricing, "units", lambda *_: 0)


def runs_use_the_latest_input(patch: Patch) -> None:
    """A run gets the input of the latest submit."""
    latest: list[bytes] = []

    def submit(original: Any, core: Any, submitted: Any) -> Any:
        latest.append(submitted.body)
        return original(core, submitted)

    patch.around(emulator.Emulator, "submit", submit)
    patch.around(runner.Runner, "prepare", lambda original, run, job, body: original(run, job, latest[-1]))


def statuses_have_the_first_id(patch: Patch) -> None:
    """Every status has the id of the first job."""
    first: list[str] = []

    def change(status: dict[str, Any], job: Any) -> None:
        first.append(job.id)
        status["request_id"] = first[0]

    change_status(patch, change)
