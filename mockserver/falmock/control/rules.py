"""Operations on the rule set."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException
from starlette.responses import Response, StreamingResponse

from falmock.control.api import Part, operation
from falmock.control.schemas import OfTest, RuleFilter, RuleList, RuleView, ScenarioIn
from falmock.faults import scenarios
from falmock.faults.rules import Rule  # noqa: TC001 - read at run time, by `operation`
from falmock.faults.vocabulary import ScenarioError
from falmock.http.listing import document, in_pieces

if TYPE_CHECKING:
    from collections.abc import Collection

    from falmock.faults.rules import Scenario


class RuleControl(Part):
    """Lists and changes the rules of an emulator."""

    @operation("GET", "/rules", gives=RuleList)
    async def list_rules(self, query: RuleFilter) -> StreamingResponse:
        """List rules with their counters."""
        rule_set = self._emulator.rule_set
        states = rule_set.unobserved() if query.unobserved else rule_set.rules()
        chosen = [state for state in states if query.test in {None, state.rule.test}]
        views = in_pieces(chosen, lambda state: RuleView.model_validate(state).model_dump(mode="json"))
        return StreamingResponse(document({}, {"rules": views}), media_type="application/json")

    @operation("POST", "/rules", status=201)
    async def add(self, body: Rule) -> RuleView:
        """Add a rule after the others."""
        return self._views([self._emulator.rule_set.add(body)])[0]

    @operation("POST", "/rules/load", status=201)
    async def load(self, body: ScenarioIn) -> RuleList:
        """Add the rules of a scenario after the others."""
        return RuleList(rules=self._views(self._emulator.rule_set.load(_scenario(body))))

    @operation("DELETE", "/rules", status=204)
    async def clear(self, query: OfTest) -> Response:
        """Remove all rules, or those of a test."""
        self._emulator.rule_set.clear(query.test)
        return Response(status_code=204)

    @operation("DELETE", "/rules/{id}", status=204, refusals={404: "there is no such rule"})
    async def remove(self, rule_id: str) -> Response:
        """Remove a rule."""
        try:
            self._emulator.rule_set.remove(int(rule_id))
        except (KeyError, ValueError):
            raise HTTPException(404, f"there is no rule {rule_id}") from None
        return Response(status_code=204)

    def _views(self, ids: Collection[int]) -> list[RuleView]:
        return [
            RuleView.model_validate(state) for state in self._emulator.rule_set.rules() if state.id in ids
        ]


def _scenario(body: ScenarioIn) -> Scenario:
    try:
        if body.toml is not None:
            return scenarios.read(body.toml, name="posted", where="the text")
        return scenarios.presets()[str(body.preset)]
    except ScenarioError as error:
        raise HTTPException(422, str(error)) from None
    except KeyError:
        presets = ", ".join(scenarios.presets())
        raise HTTPException(422, f"there is no preset {body.preset!r}; the presets are {presets}") from None
