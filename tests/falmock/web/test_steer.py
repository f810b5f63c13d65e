"""The page that steers the emulator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from emulated import ENDPOINT, GOOD, KEY
from markup import tree

from falmock.faults import scenarios
from falmock.faults.rules import Rule
from falmock.faults.vocabulary import FAULTS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import httpx
    from emulated import Mock
    from markup import Element

    Page = Callable[..., Awaitable[Element]]

PATH = "/ui/steer"
HOSTILE = "<script>alert(1)</script> & \"quotes\" 'and' <img src=x onerror=alert(2)>"


async def post(mock: Mock, path: str, **fields: Any) -> httpx.Response:
    return await mock.http.post(f"{PATH}{path}", data=fields)


async def add(mock: Mock, **fields: Any) -> Rule:
    """Add a rule by the form; return it."""
    answer = await post(mock, "/rules", **fields)
    assert answer.status_code == 303, answer.text
    return mock.emulator.rule_set.rules()[-1].rule


# Faults


async def test_every_fault_can_be_chosen(page: Page) -> None:
    options = (await page(PATH)).one("select", id="kind").all("option")

    assert [option.text for option in options] == list(FAULTS)


async def test_a_fault_is_shown_with_its_effect_and_its_options(page: Page) -> None:
    shown = {name: (await page(PATH, fault=name)).one("div", id="fault") for name in FAULTS}

    assert {name: fault.all("p")[0].text for name, fault in shown.items()} == {
        name: " ".join(kind.says.replace("`", " ").split()) for name, kind in FAULTS.items()
    }
    assert {name: [field["name"] for field in fault.all("input")] for name, fault in shown.items()} == {
        name: ["fault", *(f"option.{option}" for option in kind.options)] for name, kind in FAULTS.items()
    }


async def test_the_chosen_fault_is_selected(page: Page) -> None:
    options = (await page(PATH, fault="requeued")).one("select", id="kind").all("option")

    assert [option.text for option in options if "selected" in option.attributes] == ["requeued"]


async def test_every_fault_can_be_added_as_its_form_comes(mock: Mock, page: Page) -> None:
    for name in FAULTS:
        fields = (await page(PATH, fault=name)).one("div", id="fault").all("input")
        await add(mock, **{field["name"]: field["value"] for field in fields})

    assert [state.rule for state in mock.emulator.rule_set.rules()] == [Rule(fault=name) for name in FAULTS]


async def test_an_unknown_fault_is_explained(mock: Mock) -> None:
    answer = await mock.http.get(PATH, params={"fault": "nonsense"})

    assert (answer.status_code, "There is no such fault." in answer.text) == (422, True)


async def test_a_fault_hits_the_next_requests_only(mock: Mock) -> None:
    await add(mock, fault="content_policy_violation", times="2")

    assert [(await mock.finish()).status_code for _ in range(3)] == [422, 422, 200]


async def test_a_rule_has_the_fields_of_the_form(mock: Mock) -> None:
    rule = await add(
        mock,
        **{
            "fault": "requeued",
            "option.times": "2",
            "on": "job",
            "endpoint": "fal-ai/*",
            "prompt": "battle",
            "caller": "me",
            "test": "checkout",
            "after": "3",
            "share": "30",
            "always": "yes",
        },
    )

    assert rule == Rule(
        fault="requeued times=2",
        on="job",
        endpoint="fal-ai/*",
        prompt="battle",
        caller="me",
        test="checkout",
        after=3,
        share=0.3,
        times="always",
    )


async def test_a_text_with_quotes_is_an_option(mock: Mock) -> None:
    await add(mock, **{"fault": "model_error", "option.msg": HOSTILE, "option.type": "odd one"})

    (detail,) = (await mock.finish()).json()["detail"]

    assert (detail["msg"], detail["type"]) == (HOSTILE, "odd one")


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({}, "There is no such fault."),
        ({"fault": "requeued", "option.times": "many"}, "should be like times=3"),
        ({"fault": "requeued", "option.times": "9999"}, "should be from 0 to 1000"),
        ({"fault": "requeued", "on": "webhook"}, "requeued cannot occur on webhook: only on job."),
        ({"fault": "requeued", "on": "<b>bold</b>"}, "on: Input should be"),
        ({"fault": "requeued", "times": "0"}, "times: Input should be greater than or equal to 1."),
        ({"fault": "requeued", "times": "x"}, "times: Input should be"),
        ({"fault": "requeued", "share": "0"}, "share: Input should be greater than 0."),
        ({"fault": "requeued", "share": "nan"}, "share: Input should be a finite number."),
        ({"fault": "requeued", "share": "half"}, "share: it should be a number."),
        ({"fault": "requeued", "after": "-1"}, "after: Input should be greater than or equal to 0."),
    ],
)
async def test_an_impossible_rule_is_explained(mock: Mock, fields: dict[str, str], says: str) -> None:
    answer = await post(mock, "/rules", **fields)

    assert (answer.status_code, says in tree(answer).text, tree(answer).all("b")) == (422, True, [])
    assert mock.emulator.rule_set.rules() == []


async def test_a_rule_is_listed_with_its_conditions_and_counts(mock: Mock, page: Page) -> None:
    await add(mock, fault="content_policy_violation", prompt="lego", times="3", endpoint="fal-ai/*")
    await mock.finish()
    await mock.submit()

    row = (await page(PATH)).one("li", id="rule-1")

    assert [chip.text for chip in row.all("span", class_="chip")] == ["endpoint fal-ai/*", "prompt lego"]
    assert row.one("p", class_="effect").text == "in force took effect 1 of 3 , 1 more chosen, 2 matched"


async def test_a_rule_that_has_done_its_work_is_spent(mock: Mock, page: Page) -> None:
    await add(mock, fault="content_policy_violation")
    await mock.finish()

    row = (await page(PATH)).one("li", id="rule-1")

    assert row.one("span", class_="badge").text == "spent"


async def test_a_rule_without_end_counts_alone(mock: Mock, page: Page) -> None:
    await add(mock, fault="bad_gateway", on="submit", always="yes")
    await mock.http.post(f"/{ENDPOINT}", json=GOOD, headers=KEY)

    row = (await page(PATH)).one("li", id="rule-1")

    assert "took effect 1 time ," in row.text


async def test_a_rule_is_removed(mock: Mock, page: Page) -> None:
    await add(mock, fault="content_policy_violation")
    form = (await page(PATH)).one("li", id="rule-1").one("form")

    await mock.http.post(form["action"])
    again = await mock.http.post(form["action"])

    assert ((await mock.finish()).status_code, again.status_code) == (200, 404)


@pytest.mark.parametrize("number", ["x", "9" * 5000])
async def test_a_rule_that_cannot_be_is_not_found(mock: Mock, number: str) -> None:
    assert (await post(mock, f"/rules/{number}/remove")).status_code == 404


@pytest.mark.parametrize(
    ("form", "says"), [("a=1&" * 1001, "1,000 fields"), ("a=" + "1" * 1024 * 1024, "1,048,576 bytes")]
)
async def test_a_form_that_is_too_large_is_refused_in_words(mock: Mock, form: str, says: str) -> None:
    answer = await mock.http.post(f"{PATH}/rules", content=form)

    assert answer.status_code == 413
    assert f"A form has at most {says}." in tree(answer).one("main").text


async def test_all_rules_are_removed(mock: Mock, page: Page) -> None:
    await add(mock, fault="content_policy_violation")
    await add(mock, fault="requeued")

    await post(mock, "/rules/clear")

    assert (await page(PATH)).one("ol", id="rules").all("li") == []


async def test_of_many_rules_the_last_are_listed(mock: Mock, page: Page) -> None:
    for _ in range(150):
        mock.emulator.rule_set.add(Rule(fault="requeued"))

    shown = await page(PATH)

    assert [row["id"] for row in shown.one("ol", id="rules").all("li")] == [
        f"rule-{n}" for n in range(101, 151)
    ]
    assert "the first 100 of 150 are left out" in shown.one("div", id="rules-state").text


async def test_a_rule_for_one_request_leads_to_it(mock: Mock, page: Page) -> None:
    submitted = await mock.submit()
    mock.emulator.rule_set.add(Rule(fault="hang", request=submitted["request_id"]))

    link = (await page(PATH)).one("li", id="rule-1").one("a")

    assert (await page(link["href"])).one("h1").text == ENDPOINT


async def test_the_rules_are_shown_as_a_scenario_file(mock: Mock, page: Page) -> None:
    rule = await add(mock, fault="requeued", prompt=HOSTILE, **{"option.times": "2"})

    (text,) = (await page(PATH)).one("pre", id="scenario-text").children

    assert scenarios.read(str(text), name="x", where="x").rules == (rule,)


async def test_hostile_filters_stay_text(mock: Mock, page: Page) -> None:
    await add(mock, fault="requeued", prompt=HOSTILE, caller=HOSTILE, test=HOSTILE)

    row = (await page(PATH)).one("li", id="rule-1")

    assert [chip.text for chip in row.all("span", class_="chip")] == [
        f"{name} {HOSTILE}" for name in ("prompt", "caller", "test")
    ]
    assert row.all("script") + row.all("img") == []


# Presets


@pytest.mark.parametrize("name", scenarios.presets())
async def test_a_preset_is_turned_on_and_off(mock: Mock, page: Page, name: str) -> None:
    async def turn() -> str:
        button = (await page(PATH)).one("button", id=f"preset-{name}")
        forms = (await page(PATH)).one("ul", id="presets").all("form")
        (form,) = [form for form in forms if form.one("button")["id"] == f"preset-{name}"]
        await mock.http.post(form["action"])
        return button.text

    rules_before = mock.emulator.rule_set.rules()
    first = await turn()
    loaded = tuple(state.rule for state in mock.emulator.rule_set.rules())
    second = await turn()

    assert (first, second) == ("Turn on", "Turn off")
    assert (loaded, mock.emulator.rule_set.rules()) == (scenarios.presets()[name].rules, rules_before)


async def test_a_preset_leaves_other_rules_in_force(mock: Mock) -> None:
    rule = await add(mock, fault="requeued")
    await post(mock, "/presets/outage/on")
    await post(mock, "/presets/outage/off")

    assert [state.rule for state in mock.emulator.rule_set.rules()] == [rule]


async def test_a_preset_from_the_start_is_on(start: Callable[..., Awaitable[Mock]]) -> None:
    mock = await start(scenarios=("outage",))

    shown = tree(await mock.http.get(PATH)).one("ul", id="presets")

    assert [each.one("b").text for each in shown.all("li") if each.all("span", class_="badge")] == ["outage"]


def test_no_rule_is_in_two_presets() -> None:
    every = [rule for preset in scenarios.presets().values() for rule in preset.rules]

    assert [rule for rule in every if every.count(rule) > 1] == []


async def test_an_unknown_preset_is_explained(mock: Mock) -> None:
    assert (await post(mock, "/presets/nonsense/on")).status_code == 404


# Clock


@pytest.mark.parametrize(("scale", "says"), [("0", "paused"), ("0.1", "×0.1"), ("100", "×100")])
async def test_the_clock_runs_at_a_chosen_speed(mock: Mock, page: Page, scale: str, says: str) -> None:
    await post(mock, "/clock/speed", scale=scale)

    clock = (await page(PATH)).one("p", id="clock")

    assert (mock.clock.scale, says in clock.text) == (float(scale), True)


async def test_the_speed_in_force_is_marked(mock: Mock, page: Page) -> None:
    await post(mock, "/clock/speed", scale="7")

    buttons = (await page(PATH)).one("div", id="clock-state").all("button", **{"aria-pressed": "true"})

    assert [button.text for button in buttons] == ["×7"]


async def test_the_clock_is_stepped_by_seconds(mock: Mock) -> None:
    submitted, began = await mock.submit(), mock.clock.now()

    await post(mock, "/clock/step", seconds="1.5")

    assert mock.clock.now() - began == 1.5
    assert (await mock.status(submitted)).json()["status"] == "IN_PROGRESS"


async def test_the_clock_is_stepped_to_the_next_event(mock: Mock, page: Page) -> None:
    submitted = await mock.submit()
    states = []
    for _ in range(2):
        await post(mock, "/clock/next")
        states.append((await mock.status(submitted)).json()["status"])

    shown = await page(PATH)
    idle = await post(mock, "/clock/next")

    assert states == ["IN_PROGRESS", "COMPLETED"]
    assert ("disabled" in shown.one("button", id="next").attributes, idle.status_code) == (True, 409)


async def test_the_time_of_the_next_event_is_shown(mock: Mock, page: Page) -> None:
    await mock.submit()

    assert (await page(PATH)).one("div", id="clock-state").one("time").text == "2026-09-21 14:13:21"


async def test_settle_waits_for_renderings(mock: Mock) -> None:
    submitted = await mock.submit()
    mock.clock.move_to(mock.clock.now() + 5)
    mock.emulator.advance()

    await post(mock, "/clock/settle")

    assert (await mock.status(submitted)).json()["status"] == "COMPLETED"


@pytest.mark.parametrize(
    ("path", "fields", "status"),
    [
        ("/clock/speed", {}, 422),
        ("/clock/speed", {"scale": "-1"}, 422),
        ("/clock/speed", {"scale": "nan"}, 422),
        ("/clock/speed", {"scale": "1e9"}, 422),
        ("/clock/step", {"seconds": "soon"}, 422),
        ("/clock/step", {"seconds": "-1"}, 422),
        ("/clock/step", {"seconds": "inf"}, 422),
        ("/clock/step", {"seconds": "1e12"}, 422),
    ],
)
async def test_an_impossible_change_of_the_clock_is_explained(
    mock: Mock, path: str, fields: dict[str, str], status: int
) -> None:
    before = mock.clock.now(), mock.clock.scale

    answer = await post(mock, path, **fields)

    assert (answer.status_code, mock.clock.now(), mock.clock.scale) == (status, *before)


async def test_time_ends_with_the_year_2999(mock: Mock) -> None:
    mock.clock.move_to(32_503_000_000)

    answer = await post(mock, "/clock/step", seconds="300000000")

    assert (answer.status_code, "year 2999" in answer.text) == (409, True)


async def test_a_step_that_takes_too_long_is_broken_off(mock: Mock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("falmock.web.steer.WITHIN", 0.0)
    async with mock.emulator.timeline.moving:  # held by a step that does not end
        answer = await post(mock, "/clock/step", seconds="1")

    assert (answer.status_code, "is not done after 0 s" in answer.text) == (408, True)


# Accounts


async def test_an_account_is_locked_and_unlocked(mock: Mock, page: Page) -> None:
    await post(mock, "/lock", caller="me")
    refused = await mock.http.post(f"/{ENDPOINT}", json=GOOD, headers=KEY)
    button = (await page(PATH)).one("ul", class_="accounts").one("button")
    await post(mock, "/unlock", **{button["name"]: button["value"]})

    assert refused.status_code == 403
    await mock.submit()


async def test_all_accounts_are_locked_but_one(mock: Mock, page: Page) -> None:
    button = (await page(PATH)).one("button", id="everyone")
    await post(mock, "/lock", **{button["name"]: button["value"]})
    await post(mock, "/unlock", caller="you")

    shown = (await page(PATH)).one("div", id="locks")

    assert (mock.emulator.locks.is_locked("me"), mock.emulator.locks.is_locked("you")) == (True, False)
    assert "All accounts are locked except:" in shown.text
    assert [each.text for each in shown.one("ul").all("span")] == ["you"]
    assert (shown.one("button", id="everyone").text, shown.one("button", id="lock").text) == (
        "Unlock all",
        "Unlock",
    )


async def test_a_lock_without_a_key_id_is_explained(mock: Mock) -> None:
    answer = await post(mock, "/lock")

    assert (answer.status_code, mock.emulator.locks.everyone) == (422, False)


# Reset


async def test_a_reset_deletes_all_requests_after_a_second_click(mock: Mock, page: Page) -> None:
    await mock.submit()
    await add(mock, fault="requeued")
    shown = await page(PATH)
    confirmation = shown.one("details", class_="confirm")

    await mock.http.post(confirmation.one("form")["action"])

    assert "open" not in confirmation.attributes
    assert "entries: 1 now" in shown.one("p", id="reset-what").text
    assert (mock.emulator.store.count_requests(), mock.emulator.rule_set.rules()) == ((0, 0), [])


@pytest.mark.parametrize(("field", "value"), [("test", "checkout"), ("caller", "you")])
async def test_a_reset_of_a_test_or_a_caller_keeps_the_others(mock: Mock, field: str, value: str) -> None:
    await mock.submit()
    headers = {"x-falmock-test": value} if field == "test" else {"Authorization": f"Key {value}:secret"}
    await mock.submit(headers=headers)

    await post(mock, "/reset", **{field: value})

    assert [getattr(request, field) for request in mock.emulator.store.requests()] != [value]
    assert mock.emulator.store.count_requests() == (1, 1)
