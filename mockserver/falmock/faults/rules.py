"""What shall go wrong, as data: which call or request it meets, how often, after what, and what then.

A rule names a fault and whom it strikes. A plan has the rules of one emulator, from a scenario's
file, from the control API and from inputs that ask for faults themselves (`triggers`).
"""

from __future__ import annotations

import json
import random
import tomllib
from collections import defaultdict
from dataclasses import dataclass, field
from functools import cache, lru_cache
from importlib import resources
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from falmock.faults.vocabulary import FILE, JOB, OK, PLACES, WEBHOOK, Fault, parse
from falmock.protocol import bodies
from falmock.protocol.patterns import LONGEST as LONGEST_PATTERN
from falmock.protocol.patterns import matches
from falmock.protocol.validation import check_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

ALWAYS: Final = "always"
OF_A_REQUEST: Final = (JOB, WEBHOOK, FILE)  # decided once, when the request is accepted
MOST: Final = 1_000_000_000  # what a rule may count to
LONGEST_SEQUEL: Final = 1_000  # faults in `then`
LONGEST_CACHED: Final = 500  # characters of faults as the store keeps them


Pattern = Annotated[str, Field(max_length=LONGEST_PATTERN)]


class ScenarioError(ValueError):
    """A scenario that cannot be played; the text is one line that says what to do."""


class Rule(BaseModel):
    """One thing that goes wrong.

    Attributes:
        fault: what; see `faults`.
        on: where it strikes, in place of the fault's own place.
        endpoint: only for these, with `*` for anything.
        prompt: only when the prompt has this text in it.
        input: only when these input fields have these values.
        caller: only for these key ids, with `*` for anything.
        test: only for this test.
        request: only for the request of this id.
        after: so many that match pass unharmed first.
        times: so many are struck; "always" never ends.
        share: of those that match, this part is struck; the seed decides which.
        then: what strikes those that match after that, one each; "ok" lets one pass.
    """

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        json_schema_extra={"examples": [{"fault": "content_policy_violation", "prompt": "battle"}]},
    )

    fault: str
    on: Literal[PLACES] | None = None  # type: ignore[valid-type]  # the vocabulary is told in one place
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
    def _makes_sense(self) -> Self:
        check_json(self.model_dump())
        if self.then and self.times == ALWAYS:
            raise ValueError("`then` never comes after times = 'always'")
        for fault in (parse(self.fault), *self.sequel()):
            if fault is not None and self.on is not None and self.on not in fault.kind.may:
                may = ", ".join(place for place in PLACES if place in fault.kind.may)
                raise ValueError(f"{fault.name} cannot strike on {self.on}: only on {may}")
        return self

    def sequel(self) -> list[Fault | None]:
        """Return what strikes after `times`."""
        return [None if text == OK else parse(text) for text in self.then]

    def places(self) -> tuple[str, ...]:
        """Return where it strikes."""
        return (self.on,) if self.on is not None else parse(self.fault).kind.on

    def matches(self, context: MatchContext) -> bool:
        """Tell whether a moment is one of those that the rule is for. The cheap questions come first."""
        return (
            self.request in {None, context.request}
            and self.test in {None, context.test}
            and _fits(context.caller, self.caller)
            and _fits(context.endpoint, self.endpoint)
            and (self.prompt is None or self.prompt in str(context.asked().get("prompt", "")))
            and (not self.input or self.input.items() <= context.asked().items())
        )


class Scenario(BaseModel):
    """Rules under a name.

    Attributes:
        name: how it is asked for.
        teaches: one line on what an application learns from it.
        rules: what goes wrong.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    teaches: str = ""
    rules: tuple[Rule, ...]

    @model_validator(mode="after")
    def _can_be_told(self) -> Self:
        check_json([self.name, self.teaches])
        return self


@dataclass(frozen=True, slots=True)
class MatchContext:
    """Something that could go wrong now.

    Attributes:
        place: as in `faults`.
        endpoint: the full id, or the application where no more is known.
        caller: the key id.
        test: whose it is.
        request: its id.
        asked: returns the request's input as far as it is a JSON object, else an empty one.
    """

    place: str
    endpoint: str | None = None
    caller: str | None = None
    test: str | None = None
    request: str | None = None
    asked: Callable[[], Mapping[str, Any]] = dict


@dataclass(frozen=True, slots=True)
class Injection:
    """A fault that strikes, and the rule that it is from; 0 is none's."""

    fault: Fault
    rule: int = 0


@dataclass(slots=True)
class RuleState:
    """A rule and what has become of it.

    Attributes:
        id: of the rule.
        rule: see there.
        met: how many moments it matched.
        armed: how many of these it has struck, or will when their time comes.
        fired: how many faults have shown.
    """

    id: int
    rule: Rule
    matched: int = 0
    injected_count: int = 0
    observed: int = 0
    _sequel: list[Fault | None] = field(default_factory=list)
    _fault: Fault | None = None

    def __post_init__(self) -> None:
        self._fault = parse(self.rule.fault)
        self._sequel = self.rule.sequel()

    @property
    def spent(self) -> bool:
        """Tell whether it will strike no more."""
        return self.rule.times != ALWAYS and self.injected_count >= self.rule.times + len(self._sequel)

    def injection(self, seed: int) -> Fault | None:
        """Return what strikes a moment that matches, or None to let it pass."""
        self.matched += 1
        if self.matched <= self.rule.after or self.spent or not self._hit(seed):
            return None
        turn = self.injected_count
        self.injected_count += 1
        if self.rule.times == ALWAYS or turn < self.rule.times:
            return self._fault
        fault = self._sequel[turn - self.rule.times]
        self.observed += fault is None
        return fault

    def _hit(self, seed: int) -> bool:
        if self.rule.share == 1:
            return True
        return random.Random(f"{seed}:{self.id}:{self.matched}").random() < self.rule.share  # noqa: S311 - play


class RuleSet:
    """The rules of one emulator.

    Args:
        seed: decides where a rule has a share.
        scenarios: whose rules it has from the start.
    """

    def __init__(self, seed: int, scenarios: Iterable[Scenario] = ()) -> None:
        self._seed = seed
        self._from_the_start = tuple(scenarios)
        self._standings: dict[int, RuleState] = {}
        # Those that are not spent, by where they strike and by their request (None for any).
        self._waiting: defaultdict[str, dict[str | None, dict[int, RuleState]]] = defaultdict(dict)
        self._of_request: defaultdict[str, set[int]] = defaultdict(set)
        self._last = 0
        for scenario in self._from_the_start:
            self.load(scenario)

    def add(self, rule: Rule) -> int:
        """Put a rule after the others, and return its id."""
        self._last += 1
        standing = self._standings[self._last] = RuleState(self._last, rule)
        for place in rule.places():
            self._waiting[place].setdefault(rule.request, {})[standing.id] = standing
        if rule.request is not None:
            self._of_request[rule.request].add(standing.id)
        return standing.id

    def load(self, scenario: Scenario) -> list[int]:
        """Put all rules of a scenario after the others."""
        return [self.add(rule) for rule in scenario.rules]

    def remove(self, rule_id: int) -> None:
        """Forget a rule.

        Raises:
            KeyError: there is none of that id.
        """
        standing = self._standings.pop(rule_id)
        self._retire(standing)
        if (request := standing.rule.request) is not None:
            self._of_request[request].discard(rule_id)
            if not self._of_request[request]:
                del self._of_request[request]

    def forget(self, request_id: str) -> None:
        """Forget the rules that are for one request, which is gone."""
        for rule_id in tuple(self._of_request.get(request_id, ())):
            self.remove(rule_id)

    def clear(self, test: str | None = None) -> None:
        """Forget all rules, or those of one test."""
        for standing in self.rules():
            if test in {None, standing.rule.test}:
                self.remove(standing.id)

    def reset(self) -> None:
        """Have the rules that were there from the start, untouched, and no others."""
        self.clear()
        for scenario in self._from_the_start:
            self.load(scenario)

    def checkpoint(self) -> Callable[[], None]:
        """Return what has rules and counters be again as they are now."""
        counters = [
            (each, each.matched, each.injected_count, each.observed) for each in self._standings.values()
        ]
        last = self._last

        def restore() -> None:
            for rule_id in self._standings.keys() - {each.id for each, *_ in counters}:
                self.remove(rule_id)
            for each, matched, injected_count, observed in counters:
                each.matched, each.injected_count, each.observed = matched, injected_count, observed
            self._last = last

        return restore

    def rules(self) -> list[RuleState]:
        """Return the rules in order."""
        return list(self._standings.values())

    def unobserved(self) -> list[RuleState]:
        """Return the rules that nothing has come of."""
        return [standing for standing in self.rules() if not standing.observed]

    def watches(self, place: str, request_id: str | None = None) -> bool:
        """Tell whether a rule for any request, or for this one, can still strike there; each poll asks."""
        waiting = self._waiting.get(place)
        return waiting is not None and (None in waiting or request_id in waiting)

    def injection(self, context: MatchContext) -> Injection | None:
        """Return what goes wrong now: the first rule that has something to say."""
        return next(self._strikes(context), None)

    def injections(self, context: MatchContext) -> list[Injection]:
        """Return all that goes wrong with a request that is accepted now."""
        return list(self._strikes(context))

    def observed(self, injection: Injection) -> None:
        """Note that a fault has shown."""
        standing = self._standings.get(injection.rule)
        if standing is not None:
            standing.observed += 1
            if standing.rule.request is not None and standing.spent:
                self.remove(standing.id)

    def _strikes(self, context: MatchContext) -> Iterator[Injection]:
        for standing in self._candidates(context):
            if standing.rule.matches(context):
                fault = standing.injection(self._seed)
                if standing.spent:
                    self._retire(standing)
                if fault is not None:
                    yield Injection(fault, standing.id)

    def _candidates(self, context: MatchContext) -> list[RuleState]:
        """Return the rules that could strike, in order, without a look at those for other requests."""
        waiting = self._waiting.get(context.place, {})
        requests = {None, context.request}
        found = [standing for request in requests for standing in waiting.get(request, {}).values()]
        return sorted(found, key=attrgetter("id")) if len(requests) > 1 else found

    def _retire(self, standing: RuleState) -> None:
        """Ask a rule no more; it stays in the list until it is removed."""
        for place in standing.rule.places():
            waiting = self._waiting[place]
            of_request = waiting.get(standing.rule.request, {})
            of_request.pop(standing.id, None)
            if not of_request:
                waiting.pop(standing.rule.request, None)


def dump(injections: Sequence[Injection]) -> str | None:
    """Return injections as the store keeps them."""
    return (
        json.dumps([[injection.rule, str(injection.fault)] for injection in injections])
        if injections
        else None
    )


def load(text: str | None) -> Mapping[str, Injection]:
    """Return strikes, by the name of their fault, as the store kept them."""
    return _load(text) if len(text or "") <= LONGEST_CACHED else _load.__wrapped__(text)


@lru_cache(maxsize=1024)
def _load(text: str | None) -> Mapping[str, Injection]:
    pairs = json.loads(text) if text else []
    injections = (Injection(parse(fault), rule) for rule, fault in pairs)
    return {injection.fault.name: injection for injection in injections}


def find(name: str) -> Scenario:
    """Return a scenario by the name of a preset or by the path of a TOML file.

    Raises:
        ScenarioError: there is none, or it cannot be played.
    """
    preset = presets().get(name)
    if preset is not None:
        return preset
    path = Path(name)
    if not path.is_file():
        raise ScenarioError(
            f"there is no scenario {name!r}: name a TOML file or one of {', '.join(presets())}"
        )
    return read(path.read_text(encoding="utf-8", errors="replace"), name=path.stem, where=name)


def read(text: str, *, name: str, where: str) -> Scenario:
    """Return the scenario that a TOML text describes.

    Raises:
        ScenarioError: it is none; `where` says whose fault that is.
    """
    try:
        told = tomllib.loads(text)
        bodies.measure(json.dumps(told, default=str).encode())
        return Scenario.model_validate({"name": name, **told})
    except RecursionError:
        raise ScenarioError(f"{where} is nested too deep") from None
    except ValidationError as invalid:
        first = invalid.errors()[0]
        place = ".".join(map(str, first["loc"])) or "it"
        raise ScenarioError(f"{where}: {place}: {first['msg'].removeprefix('Value error, ')}") from None
    except ValueError as error:  # no TOML, beyond the limits, or a number with more digits than Python reads
        raise ScenarioError(f"{where} is not TOML: {error}") from None


@cache
def presets() -> dict[str, Scenario]:
    """Return the scenarios that come along."""
    folder = resources.files("falmock") / "presets"
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".toml")), key=lambda f: f.name)
    named = ((file.name.removesuffix(".toml"), file) for file in files)
    return {name: read(file.read_text(encoding="utf-8"), name=name, where=file.name) for name, file in named}


def _fits(value: str | None, pattern: str | None) -> bool:
    return pattern is None or (value is not None and matches(value, pattern))
