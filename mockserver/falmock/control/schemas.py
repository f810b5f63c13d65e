"""The queries, bodies and responses of the control API."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from falmock.catalogue import Price  # noqa: TC001
from falmock.engine.clock import LAST
from falmock.engine.lifecycle import DeliveryState, State
from falmock.faults.rules import Rule  # noqa: TC001 - pydantic reads it, like the others
from falmock.inspection.ledger import DOUBLE_WITHIN, Charge, Double
from falmock.inspection.lint import Finding  # noqa: TC001
from falmock.protocol.calls import Operation  # noqa: TC001
from falmock.protocol.patterns import LONGEST
from falmock.protocol.validation import check_json

LONGEST_TOML: Final = 64 * 1024  # characters; Python's parser takes some 40 ms for them
MOST_DOTS: Final = 1000  # a key with 32,000 dots takes Python's parser half a minute

RealSeconds = Annotated[float, Field(gt=0, le=60, description="real seconds to wait")]
Limit = Annotated[int, Field(ge=1, le=10_000)]
EndpointPattern = Annotated[str, Field(max_length=LONGEST, description="an endpoint id; * matches any text")]
KeyId = Annotated[str, Field(description="a key id")]
SnapshotName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]


def examples(*bodies: dict[str, Any]) -> ConfigDict:
    """Return the configuration of a model with examples in its schema."""
    return ConfigDict(json_schema_extra={"examples": list(bodies)})


class Input(BaseModel):
    """A query or a body. Unknown fields are invalid."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _is_json(cls, value: Any) -> Any:
        check_json(value)
        return value


class OfTest(Input):
    """Selects the rules or calls of a test, or all."""

    test: str | None = None


class Within(Input):
    """How long to wait."""

    within: RealSeconds = 10.0


# Clock


class ClockReading(BaseModel):
    """The emulated time, in unix seconds and as text. `next` is the time of the next event, or null."""

    now: float
    iso: str
    wall: float
    scale: float
    next: float | None


class ClockChange(Within):
    """A new scale, a number of seconds to advance, or a time to advance to. Exactly one is required."""

    model_config = examples({"advance": 60}, {"scale": 0})

    scale: float | None = Field(None, ge=0, le=1e6)
    advance: float | None = Field(None, ge=0, lt=LAST)
    to: float | None = Field(None, lt=LAST)

    @model_validator(mode="after")
    def _one(self) -> Self:
        if [self.scale, self.advance, self.to].count(None) != 2:  # noqa: PLR2004 - all but one
            raise ValueError("give exactly one of scale, advance and to")
        return self


# Requests


class RequestFilter(Input):
    """Selects the newest `limit` requests that match all fields."""

    state: State | None = None
    endpoint: EndpointPattern | None = None
    caller: KeyId | None = None
    test: str | None = None
    limit: Limit = 100
    before: str | None = Field(None, description="a request id: only older requests")


class RequestView(BaseModel):
    """A request. Times are unix seconds of the emulator's clock."""

    id: str
    endpoint: str
    caller: str
    test: str | None
    state: State
    held: bool
    position: int | None
    submitted_at: float
    started_at: float | None
    completed_at: float | None
    attempts: int
    status: int | None
    error_type: str | None
    webhook: str | None
    faults: list[str]


class RequestList(BaseModel):
    """Requests, the oldest first. `before` selects the next page of older ones, or is null."""

    requests: list[RequestView]
    before: str | None


class RequestWait(Within):
    """The state to wait for."""

    state: State = State.COMPLETED


class Failure(Input):
    """The error that a request ends with."""

    model_config = examples({"fault": "content_policy_violation"})

    fault: str


# Webhooks


class WebhookFilter(Input):
    """Selects the newest `limit` webhooks that match all fields."""

    outcome: DeliveryState | None = None
    test: str | None = None
    limit: Limit = 100
    before: str | None = Field(None, description="a request id: only older webhooks")


class Redelivery(Input):
    """The fault that the webhook is sent again with, or none."""

    model_config = examples({}, {"fault": "webhook_bad_signature"})

    fault: str | None = None


class WebhookView(BaseModel):
    """A delivery. `last` is the result of the last attempt."""

    request_id: str
    url: str
    outcome: str
    attempts: int
    last: str | None
    next_at: float | None


class WebhookList(BaseModel):
    """Deliveries, the oldest first. `before` selects the next page of older ones, or is null."""

    webhooks: list[WebhookView]
    before: str | None


# Rules


class RuleFilter(Input):
    """Selects rules."""

    test: str | None = None
    unobserved: bool = Field(default=False, description="only rules none of whose faults took effect")


class RuleView(BaseModel):
    """A rule and its counters: calls it matched, faults it injected, faults that took effect."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    rule: Rule
    matched: int
    injected: int
    observed: int


class RuleList(BaseModel):
    """Rules, in the order in which they are tried."""

    rules: list[RuleView]


class ScenarioIn(Input):
    """The name of a preset, or the text of a scenario file."""

    model_config = examples({"preset": "outage"}, {"toml": '[[rules]]\nfault = "no_media_generated"'})

    preset: str | None = None
    toml: str | None = Field(None, max_length=LONGEST_TOML)

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.preset is None) == (self.toml is None):
            raise ValueError("give either preset or toml")
        if (self.toml or "").count(".") > MOST_DOTS:
            raise ValueError(
                f"toml has more than {MOST_DOTS} dots: put it into a file, and start with --scenario"
            )
        return self


# Journal, ledger and client check


class JournalQuery(Input):
    """Selects the entries that match all fields, and their format."""

    format: Literal["jsonl", "har"] = Field("jsonl", description="JSON lines, or an HTTP archive")
    request: str | None = Field(None, description="a request id")
    endpoint: EndpointPattern | None = None
    test: str | None = None
    key: KeyId | None = None
    operation: Operation | None = None
    since: float | None = Field(None, description="unix seconds of the emulator's clock")
    until: float | None = Field(None, description="unix seconds of the emulator's clock; excluded")


class LedgerQuery(Input):
    """Selects requests, and defines double submits."""

    test: str | None = None
    key: KeyId | None = None
    window: float = Field(DOUBLE_WITHIN, ge=0, description="seconds between equal submits")


class BillView(BaseModel):
    """The price of the requests at fal, in US dollars."""

    usd: float
    by_key: dict[str, float]
    by_test: dict[str, float]
    prices: dict[str, Price]
    charges: list[Charge]
    doubles: list[Double]


class AccountView(BaseModel):
    """Totals since the start of the emulator."""

    requests: int = Field(description="accepted")
    results: int = Field(description="requests that succeeded")
    failures: int = Field(description="requests that ended with an error")
    webhooks: int = Field(description="delivered")
    usd: float = Field(description="price of the results at fal")
    calls: dict[str, int] = Field(description="number of calls for each of fal's hosts")
    refused: list[str] = Field(description="hosts for which calls were refused")
    models: list[str] = Field(description="endpoints that were called and are not emulated")
    keys: list[str] = Field(description="wrong forms of keys that were refused")
    inputs: list[str] = Field(description="URLs of input files that were not fetched")


class LintView(BaseModel):
    """The findings, and the number of entries that the journal has dropped."""

    findings: list[Finding]
    dropped: int


# Locks


class Account(Input):
    """The account of a key id, or all accounts."""

    model_config = examples({"key": "me"}, {})

    key: KeyId | None = None


class LocksView(BaseModel):
    """Whether all accounts are locked or none is, and the key ids for which the opposite is true."""

    everyone: bool
    exceptions: list[str]


# State


class Reset(Input):
    """A test or a key id, or everything."""

    model_config = examples({}, {"test": "checkout"}, {"key": "me"})

    test: str | None = None
    key: KeyId | None = None


class ResetResult(BaseModel):
    """The number of requests that were removed."""

    requests: int


class SnapshotIn(Input):
    """The name of a new snapshot."""

    model_config = examples({"name": "logged-in"})

    name: SnapshotName


class SnapshotView(BaseModel):
    """A snapshot. `taken_at` is in unix seconds of the emulator's clock."""

    model_config = ConfigDict(from_attributes=True)

    name: str
    taken_at: float
    requests: int


class SnapshotList(BaseModel):
    """Snapshots, the oldest first."""

    snapshots: list[SnapshotView]
