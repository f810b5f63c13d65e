"""Steer the emulator: its clock, the rules for faults, locked accounts, and a reset."""

from __future__ import annotations

import asyncio
import math
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Final

from falmock.engine.clock import LAST
from falmock.faults import scenarios
from falmock.faults.rules import Scenario
from falmock.http.listing import in_turns
from falmock.web import rules
from falmock.web.answers import Done, Rejected, form
from falmock.web.live import Page, Regions
from falmock.web.site import seconds as span

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from markupsafe import Markup
    from starlette.requests import Request
    from starlette.responses import Response

    from falmock.faults.rule_set import RuleState
    from falmock.web.site import Site

PATH: Final = "/ui/steer"
SPEEDS: Final = (0.0, 0.1, 1.0, 10.0, 100.0)
STEPS: Final = {1: "1 s", 10: "10 s", 60: "1 min", 600: "10 min", 3600: "1 h"}  # by their seconds
LONGEST_STEP: Final = 10 * 365 * 86_400  # seconds
WITHIN: Final = 30.0  # real seconds that a step may take
ROWS: Final = 50  # rules, or accounts, that are shown


class SteerPage(Page):
    """The page that changes what happens next. The chosen fault is in its address."""

    path = PATH

    def __init__(self, site: Site) -> None:
        super().__init__(site)
        self.actions = {
            f"{PATH}/clock/speed": self._set_speed,
            f"{PATH}/clock/step": self._step,
            f"{PATH}/clock/next": self._step_to_next,
            f"{PATH}/clock/settle": self._settle,
            f"{PATH}/rules": self._add_rule,
            f"{PATH}/rules/clear": self._clear_rules,
            f"{PATH}/rules/{{id}}/remove": self._remove_rule,
            f"{PATH}/presets/{{name}}/on": self._load_preset,
            f"{PATH}/presets/{{name}}/off": self._unload_preset,
            f"{PATH}/lock": partial(self._lock, locked=True),
            f"{PATH}/unlock": partial(self._lock, locked=False),
            f"{PATH}/reset": self._reset,
        }

    async def show(self, request: Request) -> Response:
        kind = rules.kind_of(request.query_params.get("fault", rules.FIRST))
        return self.page(
            request,
            "steer.html",
            title="Steer",
            regions=await self.look(request),
            groups=rules.GROUPS,
            kind=kind,
            options=rules.options_of(kind),
            places=rules.places_of(kind),
            steps=STEPS,
            now=self._emulator.clock.now(),
        )

    async def look(self, request: Request) -> Regions:  # noqa: ARG002
        states = self._emulator.rule_set.rules()
        shown = states[-ROWS:]
        parts = {
            "clock": self._site.clock(),
            "clock-state": self._clock_state(),
            "rules-state": self._site.render(
                "steer_rules.html", total=len(states), left_out=len(states) - len(shown)
            ),
            "scenario": self._scenario(shown),
            "presets": self._presets(states),
            "locks": self._locks(),
            "reset-what": self._site.render(
                "steer_reset.html", requests=self._emulator.store.count_requests()[0]
            ),
        }
        rows = {f"rule-{state.id}": self._rule(state) async for state in in_turns(shown)}
        return Regions(parts, {"rules": rows})

    def _clock_state(self) -> Markup:
        clock, due = self._emulator.clock, self._emulator.timeline.next_at()
        return self._site.render(
            "steer_clock.html",
            scale=clock.scale,
            speeds=sorted({*SPEEDS, clock.scale}),
            due=None if due == math.inf else due,
        )

    def _rule(self, state: RuleState) -> Markup:
        presets = [
            name for name, preset in scenarios.presets().items() if rules.is_among(state.rule, preset.rules)
        ]
        return self._site.render(
            "steer_rule.html",
            state=state,
            conditions=rules.conditions(state.rule),
            chances=rules.chances(state.rule),
            presets=presets,
        )

    def _scenario(self, states: Sequence[RuleState]) -> Markup:
        """Return the rules as a file, without those for single requests."""
        kept = tuple(state.rule for state in states if state.rule.request is None)
        text = scenarios.text(Scenario(name="steered", rules=kept)) if kept else ""
        return self._site.render("steer_scenario.html", text=text)

    def _presets(self, states: Sequence[RuleState]) -> Markup:
        """Return the presets. One is on while each of its rules is in force."""
        in_force = [state.rule for state in states]
        presets = [
            (preset, all(rules.is_among(rule, in_force) for rule in preset.rules))
            for preset in scenarios.presets().values()
        ]
        return self._site.render("steer_presets.html", presets=presets)

    def _locks(self) -> Markup:
        locks = self._emulator.locks
        exceptions = sorted(locks.exceptions)
        return self._site.render(
            "steer_locks.html", everyone=locks.everyone, exceptions=exceptions[:ROWS], total=len(exceptions)
        )

    # Clock

    async def _set_speed(self, request: Request) -> Done:
        scale = _number((await form(request)).get("scale"), 0, 1e6, "A speed")
        async with _in_time():
            await self._emulator.timeline.run_at(scale)
        return Done(
            "The clock is paused." if scale == 0 else f"The clock runs at {scale:g} times real time.", PATH
        )

    async def _step(self, request: Request) -> Done:
        seconds = _number((await form(request)).get("seconds"), 0, LONGEST_STEP, "A step")
        return await self._pass(seconds)

    async def _step_to_next(self, request: Request) -> Done:  # noqa: ARG002
        self._emulator.advance()
        due = self._emulator.timeline.next_at()
        if due == math.inf:
            raise Rejected(409, "Nothing is due: no request and no webhook moves on by itself.")
        return await self._pass(max(due - self._emulator.clock.now(), 0.0))

    async def _pass(self, seconds: float) -> Done:
        if self._emulator.clock.now() + seconds > LAST:
            raise Rejected(409, "Emulated time ends with the year 2999.")
        async with _in_time():
            await self._emulator.timeline.pass_time(seconds)
        return Done(f"The clock has moved by {span(seconds)}.", PATH)

    async def _settle(self, request: Request) -> Done:  # noqa: ARG002
        async with _in_time():
            await self._emulator.timeline.settle()
        return Done("All renderings and webhook attempts are done.", PATH)

    # Rules

    async def _add_rule(self, request: Request) -> Done:
        rule = rules.read(await form(request))
        added = self._emulator.rule_set.add(rule)
        return Done(f"Rule {added} is in force: {rule.fault}.", f"{PATH}?fault={rule.fault.split()[0]}")

    async def _remove_rule(self, request: Request) -> Done:
        rule_id = request.path_params["id"]
        try:
            self._emulator.rule_set.remove(int(rule_id))
        except (KeyError, ValueError):
            raise Rejected(404, f"There is no rule {rule_id}: it is removed already.") from None
        return Done(f"Rule {rule_id} is removed.", PATH)

    async def _clear_rules(self, request: Request) -> Done:  # noqa: ARG002
        self._emulator.rule_set.clear()
        return Done("All rules are removed.", PATH)

    async def _load_preset(self, request: Request) -> Done:
        preset = _preset(request)
        self._emulator.rule_set.load(preset)
        return Done(f"{preset.name} is on.", PATH)

    async def _unload_preset(self, request: Request) -> Done:
        preset = _preset(request)
        for state in self._emulator.rule_set.rules():
            if rules.is_among(state.rule, preset.rules):
                self._emulator.rule_set.remove(state.id)
        return Done(f"{preset.name} is off.", PATH)

    # Accounts and the whole state

    async def _lock(self, request: Request, *, locked: bool) -> Done:
        given = await form(request)
        key_id = None if "everyone" in given else given.get("caller")
        if key_id is None and "everyone" not in given:
            raise Rejected(422, "Which account? Give its key id, the part of the key before the colon.")
        change = self._emulator.manual.lock if locked else self._emulator.manual.unlock
        change(key_id)
        who = "All accounts are" if key_id is None else "The account is"
        return Done(f"{who} {'locked' if locked else 'not locked'}.", PATH)

    async def _reset(self, request: Request) -> Done:
        given = await form(request)
        deleted = await self._emulator.manual.reset(test=given.get("test"), caller=given.get("caller"))
        return Done(f"{deleted:,} request{'' if deleted == 1 else 's'} deleted.", PATH)


@asynccontextmanager
async def _in_time() -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(WITHIN):
            yield
    except TimeoutError:
        text = f"That is not done after {WITHIN:g} s; the clock goes on from the time that it has reached."
        raise Rejected(408, text) from None


def _preset(request: Request) -> Scenario:
    try:
        return scenarios.presets()[request.path_params["name"]]
    except KeyError:
        raise Rejected(404, "There is no such preset.") from None


def _number(text: str | None, low: float, high: float, what: str) -> float:
    try:
        number = float(text or "")
    except ValueError:
        number = math.nan
    if not low <= number <= high:  # false for NaN, too
        raise Rejected(422, f"{what} is a number from {low:,g} to {high:,g}.")
    return number
