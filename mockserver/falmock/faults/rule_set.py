"""All rules of an emulator, with their counters."""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import dataclass, field
from operator import attrgetter
from typing import TYPE_CHECKING

from falmock.faults.effects import Injection
from falmock.faults.vocabulary import ALWAYS, parse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from falmock.faults.rules import Rule, Scenario
    from falmock.faults.vocabulary import Fault, MatchContext


@dataclass(slots=True)
class RuleState:
    """A rule with its counters."""

    id: int
    rule: Rule
    matched: int = 0  # requests and calls that the rule matched
    injected: int = 0  # faults that were chosen, "ok" included
    observed: int = 0  # faults that took effect, "ok" included
    _sequel: list[Fault | None] = field(default_factory=list)
    _fault: Fault | None = None

    def __post_init__(self) -> None:
        self._fault = parse(self.rule.fault)
        self._sequel = self.rule.sequel()

    @property
    def spent(self) -> bool:
        """Whether the rule chooses no more faults."""
        return self.rule.times != ALWAYS and self.injected >= self.rule.times + len(self._sequel)

    def injection(self, seed: int) -> Fault | None:
        """Count a match; return its fault, or None to let it pass."""
        self.matched += 1
        if self.matched <= self.rule.after or self.spent or not self._hit(seed):
            return None
        turn = self.injected
        self.injected += 1
        if self.rule.times == ALWAYS or turn < self.rule.times:
            return self._fault
        fault = self._sequel[turn - self.rule.times]
        self.observed += fault is None
        return fault

    def _hit(self, seed: int) -> bool:
        if self.rule.share == 1:
            return True
        return random.Random(f"{seed}:{self.id}:{self.matched}").random() < self.rule.share  # noqa: S311


class RuleSet:
    """All rules of one emulator. The seed decides which matches get a fault from rules with a share."""

    def __init__(self, seed: int, scenarios: Iterable[Scenario] = ()) -> None:
        self._seed = seed
        self._initial = tuple(scenarios)
        self._states: dict[int, RuleState] = {}
        # Rules that are not spent, by place and request id (None: any request), because each poll looks here.
        self._active: defaultdict[str, dict[str | None, dict[int, RuleState]]] = defaultdict(dict)
        self._of_request: defaultdict[str, set[int]] = defaultdict(set)
        self._last = 0
        for scenario in self._initial:
            self.load(scenario)

    def add(self, rule: Rule) -> int:
        """Append a rule; return its id."""
        self._last += 1
        state = self._states[self._last] = RuleState(self._last, rule)
        self._activate(state)
        if rule.request is not None:
            self._of_request[rule.request].add(state.id)
        return state.id

    def load(self, scenario: Scenario) -> list[int]:
        return [self.add(rule) for rule in scenario.rules]

    def remove(self, rule_id: int) -> None:
        """Remove a rule.

        Raises:
            KeyError: the id is unknown.
        """
        state = self._states.pop(rule_id)
        self._deactivate(state)
        if (request := state.rule.request) is not None:
            self._of_request[request].discard(rule_id)
            if not self._of_request[request]:
                del self._of_request[request]

    def forget(self, request_id: str) -> None:
        for rule_id in tuple(self._of_request.get(request_id, ())):
            self.remove(rule_id)

    def clear(self, test: str | None = None) -> None:
        """Remove all rules, or those of one test."""
        for state in self.rules():
            if test in {None, state.rule.test}:
                self.remove(state.id)

    def reset(self) -> None:
        """Replace all rules by the initial ones."""
        self.clear()
        for scenario in self._initial:
            self.load(scenario)

    def checkpoint(self) -> Callable[[], None]:
        """Return a function that removes newer rules and restores the counters of the others."""
        counters = [(state, state.matched, state.injected, state.observed) for state in self._states.values()]
        last = self._last

        def restore() -> None:
            for rule_id in self._states.keys() - {state.id for state, *_ in counters}:
                self.remove(rule_id)
            for state, matched, injected, observed in counters:
                state.matched, state.injected, state.observed = matched, injected, observed
                if state.id in self._states and not state.spent:
                    self._activate(state)
            self._last = last

        return restore

    def rules(self) -> list[RuleState]:
        return list(self._states.values())

    def unobserved(self) -> list[RuleState]:
        """Return the rules without a fault that took effect."""
        return [state for state in self.rules() if not state.observed]

    def watches(self, place: str, request_id: str | None = None) -> bool:
        """Return whether a rule for this request, or for all, is still active at a place."""
        active = self._active.get(place)
        return active is not None and (None in active or request_id in active)

    def injection(self, context: MatchContext) -> Injection | None:
        """Return the fault of the first rule that gives one."""
        return next(self._chosen(context), None)

    def injections(self, context: MatchContext) -> list[Injection]:
        """Return the faults of all rules."""
        return list(self._chosen(context))

    def observed(self, injection: Injection) -> None:
        """Count a fault that took effect."""
        state = self._states.get(injection.rule)
        if state is not None:
            state.observed += 1
            if state.rule.request is not None and state.spent:
                self.remove(state.id)

    def _chosen(self, context: MatchContext) -> Iterator[Injection]:
        for state in self._candidates(context):
            if state.rule.matches(context):
                fault = state.injection(self._seed)
                if state.spent:
                    self._deactivate(state)
                if fault is not None:
                    yield Injection(fault, state.id)

    def _candidates(self, context: MatchContext) -> list[RuleState]:
        """Return the active rules at the place in order, without those for other requests."""
        active = self._active.get(context.place, {})
        found = [state for request in {None, context.request} for state in active.get(request, {}).values()]
        return sorted(found, key=attrgetter("id"))

    def _activate(self, state: RuleState) -> None:
        for place in state.rule.places():
            self._active[place].setdefault(state.rule.request, {})[state.id] = state

    def _deactivate(self, state: RuleState) -> None:
        for place in state.rule.places():
            active = self._active[place]
            of_request = active.get(state.rule.request, {})
            of_request.pop(state.id, None)
            if not of_request:
                active.pop(state.rule.request, None)
