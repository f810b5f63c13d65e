"""Rules: what shall go wrong, and what has come of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from starlette.exceptions import HTTPException
from starlette.responses import Response, StreamingResponse

from falmock.control.api import JSON, Operation
from falmock.control.schemas import Query
from falmock.faults import scenarios
from falmock.faults.rules import Rule
from falmock.faults.scenarios import ScenarioError
from falmock.http.listing import document, in_pieces

LONGEST_TOML: Final = 64 * 1024  # characters: Python's parser takes some 40 ms for so many
MOST_DOTS: Final = 1000  # a key with 32,000 of them takes Python's parser half a minute

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from falmock.engine.emulator import Emulator
    from falmock.faults.rules import RuleState


class RuleFilter(Query):
    """Which rules."""

    test: str | None = None
    unobserved: bool = Field(default=False, description="only those that nothing has come of")


class RuleView(BaseModel):
    """A rule, how many moments it met, how many of these it struck or will, how many faults have shown."""

    id: int
    rule: Rule
    matched: int
    injected: int
    observed: int


class RuleList(BaseModel):
    """Rules, in the order in which they are asked."""

    rules: list[RuleView]


class RulesOfTest(Query):
    """Whose; all if nothing is said."""

    test: str | None = None


class ScenarioIn(Query):
    """The name of a preset, or the text of a scenario's file."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"preset": "outage"}, {"toml": '[[rules]]\nfault = "no_media_generated"'}]
        }
    )

    preset: str | None = None
    toml: str | None = Field(None, max_length=LONGEST_TOML)

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.preset is None) == (self.toml is None):
            raise ValueError("say one of preset and toml")
        if (self.toml or "").count(".") > MOST_DOTS:
            raise ValueError(
                f"toml has more than {MOST_DOTS} dots: put it into a file, and start with --scenario"
            )
        return self


class Rules:
    """Lists the rules of an emulator's plan, and changes them."""

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator

    @property
    def operations(self) -> list[Operation]:
        """What can be asked for."""
        return [
            Operation(
                "GET", "/rules", "List rules, and what came of them", self._list_rules, RuleFilter, RuleList
            ),
            Operation("POST", "/rules", "Add a rule after the others", self._add_rule, Rule, RuleView, 201),
            Operation(
                "POST",
                "/rules/load",
                "Add the rules of a scenario after the others",
                self._load_scenario,
                ScenarioIn,
                RuleList,
                201,
            ),
            Operation("DELETE", "/rules", "Forget rules", self._clear_rules, RulesOfTest, status=204),
            Operation(
                "DELETE",
                "/rules/{id}",
                "Forget a rule",
                self._remove_rule,
                status=204,
                refusals={404: "there is no such rule"},
            ),
        ]

    async def _list_rules(self, asked: RuleFilter) -> Response:
        plan = self._emulator.plan
        found = plan.unobserved() if asked.unobserved else plan.rules()
        wanted = [each for each in found if asked.test in {None, each.rule.test}]
        rules = in_pieces(wanted, lambda each: _rule(each).model_dump(mode="json"))
        return StreamingResponse(document({}, {"rules": rules}), media_type=JSON)

    async def _add_rule(self, asked: Rule) -> RuleView:
        return self._rules([self._emulator.plan.add(asked)]).rules[0]

    async def _load_scenario(self, asked: ScenarioIn) -> RuleList:
        try:
            if asked.toml is not None:
                scenario = scenarios.read(asked.toml, name="posted", where="the text")
            else:
                scenario = scenarios.presets()[str(asked.preset)]
        except ScenarioError as error:
            raise HTTPException(422, str(error)) from None
        except KeyError:
            presets = ", ".join(scenarios.presets())
            raise HTTPException(422, f"there is no preset {asked.preset!r}, but {presets}") from None
        return self._rules(self._emulator.plan.load(scenario))

    async def _clear_rules(self, asked: RulesOfTest) -> Response:
        self._emulator.plan.clear(asked.test)
        return Response(status_code=204)

    async def _remove_rule(self, rule_id: str) -> Response:
        try:
            self._emulator.plan.remove(int(rule_id))
        except (KeyError, ValueError):
            raise HTTPException(404, f"there is no rule {rule_id}") from None
        return Response(status_code=204)

    def _rules(self, ids: Collection[int]) -> RuleList:
        return _told(each for each in self._emulator.plan.rules() if each.id in ids)


def _told(standings: Iterable[RuleState]) -> RuleList:
    return RuleList(rules=list(map(_rule, standings)))


def _rule(each: RuleState) -> RuleView:
    return RuleView(
        id=each.id,
        rule=each.rule,
        matched=each.matched,
        injected=each.injected,
        observed=each.observed,
    )
