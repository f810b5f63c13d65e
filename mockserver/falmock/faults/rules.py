"""Rules: which requests and calls get a fault, and how often. A scenario is a list of rules with a name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from falmock.faults.vocabulary import ALWAYS, OK, PLACES, Fault, parse
from falmock.protocol.patterns import LONGEST as LONGEST_PATTERN
from falmock.protocol.patterns import matches
from falmock.protocol.validation import check_json

if TYPE_CHECKING:
    from falmock.faults.vocabulary import MatchContext

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
        """Check the conditions; those on the input last, because they need a parsed body."""
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
        teaches: one line for the user: what an application can learn from it.
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


def _fits(value: str | None, pattern: str | None) -> bool:
    return pattern is None or (value is not None and matches(value, pattern))
