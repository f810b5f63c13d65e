"""Rules: which requests and calls get a fault, and how often."""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import dataclass, field
from operator import attrgetter
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from falmock.faults.injections import Injection
from falmock.faults.vocabulary import FILE, JOB, OK, PLACES, WEBHOOK, Fault, parse
from falmock.protocol.patterns import LONGEST as LONGEST_PATTERN
from falmock.protocol.patterns import matches
from falmock.protocol.validation import check_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

ALWAYS: Final = "always"
OF_A_REQUEST: Final = (JOB, WEBHOOK, FILE)  # faults in these places are chosen when a request is accepted
MOST: Final = 1_000_000_000  # the highest count in a rule
LONGEST_SEQUEL: Final = 1_000  # faults in `then`

Pattern = Annotated[str, Field(max_length=LONGEST_PATTERN)]


class Rule(BaseModel):
    """A fault and its conditions. A rule matches if all of its conditions hold.

    Attributes:
        fault: as in `vocabulary.parse`.
        on: the place; without it, the default places of the fault.
        endpoint: a pattern, in which `*` matches any text.
        prompt: a text that the prompt contains.
        input: values of input fields.
        caller: a pattern for key ids.
        test: a test's name.
        request: a request id.
        after: how many matches pass before the first fault.
        times: how many matches get the fault, or "always".
        share: the probability of a fault for each match; the seed decides.
        then: faults for the matches after that, one each; "ok" is no fault.
    """

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        json_schema_extra={"examples": [{"fault": "content_policy_violation", "prompt": "battle"}]},
    )

    fault: str
    on: Literal[PLACES] | None = None  # type: ignore[valid-type]  # the vocabulary defines the places
    endpoint: Pattern | None = None
    prompt: str | None = None
    input: dict[str, Any] = Field(default_factory=dict)
    caller: Pattern | None = None
    test: str | None = None
    request: str | None = None
    after: Annotated[int, Field(ge=0, le=MOST)] = 0
    times: Annotated[int, Field(ge=1, le=MOST)] | Literal["always"] = 1
    share: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] = 1.0
    then: Annotated[tuple[str, ...], Field(max_length=LONGEST_SEQUEL)] = ()

    @model_validator(mode="after")
    def _check(self) -> Self:
        check_json(self.model_dump())
        if self.then and self.times == ALWAYS:
            raise ValueError("`then` never comes after times = 'always'")
        for fault in (parse(self.fault), *self.sequel()):
            if fault is not None and self.on is not None and self.on not in fault.kind.may:
                may = ", ".join(place for place in PLACES if place in fault.kind.may)
                raise ValueError(f"{fault.name} cannot occur on {self.on}: only on {may}")
        return self

    def sequel(self) -> list[Fault | None]:
        """Return the faults of `then`; None is no fault."""
        return [None if text == OK else parse(text) for text in self.then]

    def places(self) -> tuple[str, ...]:
        """Return the places where the fault occurs."""
        return (self.on,) if self.on is not None else parse(self.fault).kind.on

    def matches(self, context: MatchContext) -> bool:
        """Check the conditions, those on the input last: they need a parsed body."""
        return (
            self.request in {None, context.request}
            and self.test in {None, context.test}
            and _fits(context.caller, self.caller)
            and _fits(context.endpoint, self.endpoint)
            and (self.prompt is None or self.prompt in str(context.model_input().get("prompt", "")))
            and (not self.input or self.input.items() <= context.model_input().items())
        )


class Scenario(BaseModel):
    """Named rules.

    Attributes:
        name: of the preset, or of the file without its suffix.
        teaches: one line for people: the lesson for an application.
        rules: in the order in which they are tried.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    teaches: str = ""
    rules: tuple[Rule, ...]

    @model_validator(mode="after")
    def _check(self) -> Self:
        check_json([self.name, self.teaches])
        return self


@dataclass(frozen=True, slots=True)
class MatchContext:
    """A request or call to match rules with.

    Attributes:
        place: as in `vocabulary.PLACES`.
        endpoint: the endpoint, or the application where only that is known.
        caller: the key id.
        test: the test's name.
        request: the request id.
        model_input: returns the input if that is a JSON object, otherwise an empty one.
    """

    place: str
    endpoint: str | None = None
    caller: str | None = None
    test: str | None = None
    request: str | None = None
    model_input: Callable[[], Mapping[str, Any]] = dict


@dataclass(slots=True)
class RuleState:
    """A rule with its counters.

    Attributes:
        id: of the rule.
        rule: as it was added.
        matched: matches of the rule.
        injected: faults chosen, "ok" included.
        observed: faults that took effect, "ok" included.
    """

    id: int
    rule: Rule
    matched: int = 0
    injected: int = 0
    observed: int = 0
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
    """All rules of one emulator.

    Args:
        seed: for rules with a share.
        scenarios: the initial rules.
    """

    def __init__(self, seed: int, scenarios: Iterable[Scenario] = ()) -> None:
        self._seed = seed
        self._initial = tuple(scenarios)
        self._states: dict[int, RuleState] = {}
        # Rules that are not spent, by place and request id (None: any request). Each poll looks here.
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
        """Append the rules of a scenario; return their ids."""
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
        """Remove the rules for one request."""
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
        """Return the rules of which no fault has taken effect."""
        return [state for state in self.rules() if not state.observed]

    def watches(self, place: str, request_id: str | None = None) -> bool:
        """Return whether a rule for this request, or for all, is still active at a place."""
        active = self._active.get(place)
        return active is not None and (None in active or request_id in active)

    def injection(self, context: MatchContext) -> Injection | None:
        """Return the fault of the first rule that chooses one."""
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


def _fits(value: str | None, pattern: str | None) -> bool:
    return pattern is None or (value is not None and matches(value, pattern))
