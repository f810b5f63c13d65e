"""Errors of models and lists of invalid fields, byte for byte: PROTOCOL.md 4.2 and 14."""

from __future__ import annotations

import json
from typing import Any

import pytest
from emulated import ENDPOINT, KEY, Mock, veo
from recorded import recorded

from falmock.catalogue import Catalogue
from falmock.faults.rules import Rule
from falmock.settings import Span

HOSTED = "https://example.com/chef.png"
WHOLE = (
    f'{{"prompt":"A lego chef cooking eggs","image_url":"{HOSTED}","aspect_ratio":"auto","duration":"5s"}}'
)
NO_MEDIA = (
    "The model did not generate the expected output for this prompt. This may occur for several reasons, "
    "including unsafe content, an image that is too large, or other cases where the input cannot be "
    "processed."
)
POLICY = "The content could not be processed because it contained material flagged by a content checker."


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def entry(loc: str, msg: str, kind: str, given: str) -> str:
    """Return a result with one error, as the live service writes it."""
    text = f'"loc":{loc},"msg":{json.dumps(msg)},"type":"{kind}","url":"https://docs.fal.ai/errors#{kind}"'
    return f'{{"detail":[{{{text},"input":{given}}}]}}'


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        ("content_policy_violation", entry('["body","prompt"]', POLICY, "content_policy_violation", WHOLE)),
        ("content_policy_violation loc=body", entry('["body"]', POLICY, "content_policy_violation", WHOLE)),
        ("no_media_generated", entry('["body"]', NO_MEDIA, "no_media_generated", WHOLE)),
        (
            "invalid_parameter",
            entry('["body"]', "Image resolution only support [128, 5000]", "invalid_parameter", WHOLE),
        ),
        (
            "input_value_error",
            entry(
                '["body"]',
                "No recognizable elements were found in the image.",
                "input_value_error",
                WHOLE,
            ),
        ),
        (
            "invalid_request",
            entry(
                '["body"]',
                "Could not generate images with the given prompts and images. "
                "Please try again with different inputs.",
                "invalid_request",
                WHOLE,
            ),
        ),
        (
            "model_error type=odd_error msg='Output audio has sensitive content.' loc=prompt",
            entry(
                '["prompt"]',
                "Output audio has sensitive content.",
                "odd_error",
                '"A lego chef cooking eggs"',
            ),
        ),
        (
            "model_error type=odd_error loc=body/image_url msg={0}",
            entry('["body","image_url"]', "{0}", "odd_error", f'"{HOSTED}"'),
        ),
    ],
)
async def test_a_model_error_has_the_recorded_text(fault: str, text: str) -> None:
    async with recorded() as mock:
        result = await mock.finish(headers={"x-falmock-fault": fault})

    assert (result.status_code, result.text) == (422, text)
    assert result.headers["x-fal-billable-units"] == "0"


@pytest.mark.parametrize(
    ("loc", "written"),
    [
        ("body.image_urls.0", ["body", "image_urls", 0]),
        ("body/input.image_urls", ["body", "input.image_urls"]),
    ],
)
async def test_a_place_can_be_any(loc: str, written: list[Any]) -> None:
    async with recorded() as mock:
        result = await mock.finish(headers={"x-falmock-fault": f"model_error loc={loc} status=400"})

    assert (result.status_code, result.json()["detail"][0]["loc"]) == (400, written)


async def submit(mock: Mock, body: bytes) -> tuple[str, float]:
    """Submit a body; return the text of its result and the seconds of its run."""
    answer = await mock.http.post(
        f"/{ENDPOINT}", content=body, headers=KEY | {"content-type": "application/json"}
    )
    await mock.pass_time(120)
    status = (await mock.status(answer.json())).json()
    assert (status["status"], "error" in status, "error_type" in status) == ("COMPLETED", False, False)
    result = await mock.result(answer.json())
    assert result.status_code == 422
    return result.text, status["metrics"]["inference_time"]


# A body with its list of errors in both generations
LISTS = [
    (
        b"{}",
        '{"detail":[{"type":"missing","loc":["body","prompt"],"msg":"Field required","input":{}},'
        '{"type":"missing","loc":["body","image_url"],"msg":"Field required","input":{}}]}',
        '{"detail":[{"loc":["body","prompt"],"msg":"field required","type":"value_error.missing"},'
        '{"loc":["body","image_url"],"msg":"field required","type":"value_error.missing"}]}',
    ),
    (
        b"",
        '{"detail":[{"type":"missing","loc":["body"],"msg":"Field required","input":null}]}',
        '{"detail":[{"loc":["body"],"msg":"field required","type":"value_error.missing"}]}',
    ),
    (
        b"[]",
        '{"detail":[{"type":"model_attributes_type","loc":["body"],"msg":"Input should be a valid dictionary '
        'or object to extract fields from","input":[]}]}',
        '{"detail":[{"loc":["body"],"msg":"value is not a valid dict","type":"type_error.dict"}]}',
    ),
    (
        b'{"prompt":7,"image_url":null}',
        '{"detail":[{"type":"string_type","loc":["body","prompt"],"msg":"Input should be a valid string",'
        '"input":7},{"type":"string_type","loc":["body","image_url"],"msg":"Input should be a valid string",'
        '"input":null}]}',
        '{"detail":[{"loc":["body","prompt"],"msg":"str type expected","type":"type_error.str"},'
        '{"loc":["body","image_url"],"msg":"none is not an allowed value",'
        '"type":"type_error.none.not_allowed"}]}',
    ),
    (
        b'{"prompt":"x","image_url":"x","duration":"4s"}',
        '{"detail":[{"type":"literal_error","loc":["body","duration"],'
        "\"msg\":\"Input should be '5s', '6s', '7s' or '8s'\",\"input\":\"4s\","
        "\"ctx\":{\"expected\":\"'5s', '6s', '7s' or '8s'\"}}]}",
        '{"detail":[{"loc":["body","duration"],'
        "\"msg\":\"unexpected value; permitted: '5s', '6s', '7s', '8s'\",\"type\":\"value_error.const\","
        '"ctx":{"given":"4s","permitted":["5s","6s","7s","8s"]}}]}',
    ),
    (
        b'{"prompt"',
        '{"detail":[{"type":"json_invalid","loc":["body",9],"msg":"JSON decode error","input":{},'
        '"ctx":{"error":"Expecting \':\' delimiter"}}]}',
        '{"detail":[{"loc":["body",9],"msg":"Expecting \':\' delimiter: line 1 column 10 (char 9)",'
        '"type":"value_error.jsondecode","ctx":{"msg":"Expecting \':\' delimiter",'
        '"doc":"{\\"prompt\\"","pos":9,"lineno":1,"colno":10}}]}',
    ),
]


@pytest.mark.parametrize(("body", "second", "first"), LISTS)
async def test_a_list_of_invalid_fields_in_both_generations_of_pydantic(
    body: bytes, second: str, first: str
) -> None:
    async with recorded() as mock:
        by_default = await submit(mock, body)
        mock.emulator.rule_set.add(Rule(fault="pydantic_1"))
        by_fault = await submit(mock, body)
        (state,) = mock.emulator.rule_set.rules()
    async with recorded(Catalogue([veo(validation=1)])) as mock:
        by_flag = await submit(mock, body)

    assert (by_default[0], by_fault[0], by_flag[0]) == (second, first, first)
    assert state.observed == 1


@pytest.mark.parametrize("run", [4, 60])
async def test_a_rejection_takes_a_tenth_of_a_second_or_one_second_for_a_file(run: int) -> None:
    async with recorded(run_seconds=Span(run, run)) as mock:
        _, of_a_field = await submit(mock, b"{}")
        _, of_a_file = await submit(mock, b'{"prompt": "x", "image_url": "data:image/png;base64,@@@"}')
        _, of_content = await submit(mock, json.dumps(REJECTED).encode())

    assert 0.05 <= of_a_field <= 0.1
    assert 0.8 <= of_a_file <= 1.2
    assert of_content == run


REJECTED = {"prompt": "[[fal: content_policy_violation]]", "image_url": HOSTED}


async def test_a_run_that_is_shorter_than_a_rejection_is_not_made_longer_by_it() -> None:
    async with recorded(run_seconds=Span(0.01, 0.01)) as mock:
        _, seconds = await submit(mock, b"{}")

    assert seconds == pytest.approx(0.01, abs=1e-6)


async def test_the_concurrency_limit_of_a_run() -> None:
    async with recorded() as mock:
        answer = await mock.http.post(
            f"/fal.run/{ENDPOINT}",
            json={"prompt": "x", "image_url": HOSTED},
            headers=KEY | {"x-falmock-fault": "concurrency_limit limit=20"},
        )

    assert (answer.status_code, answer.text) == (
        429,
        '{"detail":"Reached concurrent requests limit of 20","type":"concurrent_requests_limit",'
        '"data":{"limit":20}}',
    )
