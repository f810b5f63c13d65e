"""Placeholders replace values that differ from run to run, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from falcontract.live.placeholders import Bindings, differences, fill, hide

RID = "019e0000-0000-7000-8000-000000000001"
OTHER = "019e0000-0000-7000-8000-000000000002"
BASE = "http://127.0.0.1:8787/queue.fal.run"


def paths(expected: Any, found: Any) -> list[str]:
    return [d.path for d in differences(expected, found, Bindings())]


def test_addresses_ids_and_times_are_replaced_by_placeholders() -> None:
    names = Bindings()
    names.token(RID, "rid")
    value = {
        "request_id": RID,
        "status_url": f"{BASE}/fal-ai/veo2/requests/{RID}/status",
        "gateway_request_id": OTHER,
        "at": "2026-02-17T10:30:01.123Z",
        "metrics": {"inference_time": 126.7},
        "video": {"url": "https://v3b.fal.media/files/b/0/x_output.mp4", "file_size": 12},
    }
    assert hide(value, base=BASE, names=names) == {
        "request_id": "<rid:1>",
        "status_url": "<queue>/fal-ai/veo2/requests/<rid:1>/status",
        "gateway_request_id": "<uuid:1>",
        "at": "<ts>",
        "metrics": {"inference_time": "<float>"},
        "video": {"url": "<media>", "file_size": "<int>"},
    }


def test_a_value_with_placeholders_fits_its_original() -> None:
    value = {"a": [RID, f"{BASE}/x/{OTHER}"], "inference_time": 1.5, "at": "2026-02-17T10:30:01Z"}
    assert differences(hide(value, base=BASE, names=Bindings()), value, Bindings()) == []


@pytest.mark.parametrize(
    ("expected", "found", "where"),
    [
        ("<rid:1>", "no-id", [""]),
        (["<rid:1>", "<rid:1>"], [RID, OTHER], ["[1]"]),
        ({"t": "<float>"}, {"t": "1.5"}, [".t"]),
        ({"t": "<int>"}, {"t": 1.5}, [".t"]),
        ("<ts>", "yesterday", [""]),
        ("<queue>/a", "https://queue.fal.run/b", [""]),
        ({"a": 1}, {"a": 1, "b": 2}, [".b"]),
        ({"a": 1, "b": 2}, {"a": 1}, [".b"]),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, [" (order of keys)"]),
        ({"a": 0}, {"a": False}, [".a"]),
        ([1, 2], [1], [""]),
    ],
)
def test_each_difference_is_reported_with_its_path(expected: Any, found: Any, where: list[str]) -> None:
    assert paths(expected, found) == where


def test_samples_fit_their_placeholders() -> None:
    value = {
        "id": "<rid:1>",
        "other": "<uuid:1>",
        "t": "<float>",
        "n": "<int>",
        "at": "<ts>",
        "url": "<queue>/x",
    }
    assert differences(value, fill(value), Bindings()) == []


def test_numbered_placeholders_have_different_samples() -> None:
    assert len(set(fill(["<rid:1>", "<rid:2>", "<uuid:1>"]))) == 3
