"""The price of the requests at fal: a summary of totals, and a bill with a charge for each request.

Prices are fal's list prices, each with its source. A request is billed for the units that its result names;
waiting and 5xx cost nothing. fal has no idempotency keys, so a submit that is sent twice is billed twice;
such doubles are listed.
"""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from falmock.engine.observer import Warned
from falmock.inspection.entries import submit_identity
from falmock.protocol import bodies
from falmock.protocol.authorities import Authority
from falmock.protocol.bodies import BodyTooComplexError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Mapping

    from falmock.catalogue import Catalogue, Model, Price
    from falmock.engine.rows import Request
    from falmock.engine.store import Store
    from falmock.inspection.entries import SubmitIdentity

Result = TypeVar("Result")

GOOD: Final = 200
DOUBLE_WITHIN: Final = 60.0  # seconds
NAMED: Final = ("refused", "models", "keys", "inputs")  # the fields of an account that are lists


@dataclass(frozen=True, slots=True)
class Account:
    """The summary of the calls: totals since the start. `control.schemas.AccountView` explains the fields."""

    requests: int = 0
    results: int = 0
    failures: int = 0
    webhooks: int = 0
    usd: float = 0.0
    calls: dict[str, int] = field(default_factory=dict)
    refused: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()

    def since(self, before: Account) -> Account:
        """Return the difference from an earlier account."""
        return Account(
            requests=self.requests - before.requests,
            results=self.results - before.results,
            failures=self.failures - before.failures,
            webhooks=self.webhooks - before.webhooks,
            usd=self.usd - before.usd,
            calls={
                host: count - before.calls.get(host, 0)
                for host, count in self.calls.items()
                if count > before.calls.get(host, 0)
            },
            **{
                name: tuple(each for each in getattr(self, name) if each not in getattr(before, name))
                for name in NAMED
            },
        )

    def to_json(self) -> dict[str, Any]:
        """Return the account as a JSON object."""
        return asdict(self)

    @classmethod
    def from_json(cls, body: dict[str, Any]) -> Self:
        """Read what `to_json` returned."""
        return cls(**{**body, **{name: tuple(body[name]) for name in NAMED}})

    def __str__(self) -> str:
        parts = [
            _count(self.requests, "request"),
            _count(self.results, "result"),
            *([_count(self.failures, "failure")] if self.failures else []),
            _count(self.webhooks, "webhook"),
            f"${self.usd:.2f} not spent",
            *([f"{_count(len(self.models), 'model')} not emulated"] if self.models else []),
            *([f"{_count(len(self.keys), 'wrong form')} of a key"] if self.keys else []),
            *([f"{_count(len(self.inputs), 'input')} not fetched"] if self.inputs else []),
            *([f"REFUSED: calls to {', '.join(self.refused)}"] if self.refused else []),
        ]
        return ", ".join(parts)


@dataclass(frozen=True, slots=True)
class Charge:
    """The cost of one request.

    Attributes:
        at: time of the submit, unix seconds of the emulator's clock.
        status: HTTP status of the outcome; None before it.
        units: billed units; before the outcome, those of a successful result.
        usd: units times the price; 0 if the price is unknown.
    """

    request_id: str
    endpoint: str
    caller: str
    test: str | None
    at: float
    status: int | None
    units: float
    usd: float

    @property
    def due(self) -> float:
        """US dollars so far: a request without an outcome costs nothing yet."""
        return 0.0 if self.status is None else self.usd


@dataclass(frozen=True, slots=True)
class Double:
    """A submit that soon repeats an equal one (see `submit_identity`).

    Attributes:
        seconds: between them, on the emulator's clock.
        usd: price of the second, if it succeeds.
    """

    first: str
    second: str
    endpoint: str
    caller: str
    test: str | None
    seconds: float
    usd: float

    def __str__(self) -> str:
        return (
            f"{self.second} repeats {self.first} after {self.seconds:g} s: "
            f"{self.endpoint}, key {self.caller}, ${self.usd:.2f} extra"
        )


@dataclass(frozen=True, slots=True)
class Bill:
    """The cost of requests in US dollars.

    Attributes:
        by_caller, by_test: sums for each key id and each test; requests without a test are under "".
        prices: the price of each endpoint in the bill.
    """

    usd: float
    by_caller: dict[str, float]
    by_test: dict[str, float]
    prices: dict[str, Price]
    charges: tuple[Charge, ...]
    doubles: tuple[Double, ...]


class Ledger:
    """Counts the calls of one emulator and prices the requests in its store.

    Args:
        warned: the subjects of warnings, by `Warned`.
    """

    def __init__(
        self,
        store: Store,
        body: Callable[[Request], bytes],
        catalogue: Catalogue,
        warned: Mapping[str, Iterable[str]] | None = None,
    ) -> None:
        self._store = store
        self._body = body
        self._catalogue = catalogue
        self._warned = {} if warned is None else warned
        self.calls: Counter[str] = Counter()
        self._refused: dict[str, None] = {}

    def refuse(self, host: str) -> None:
        """Record that a call for a host was refused."""
        self._refused[str(Authority(host))] = None  # an IPv6 address in brackets

    def account(self) -> Account:
        return _run(self.accounting())

    def accounting(self) -> Generator[None, None, Account]:
        """Compute the account in steps of a few ms."""
        requests = results = failures = 0
        usd = 0.0
        for page in self._store.request_pages():
            completed = [request for request in page if request.status is not None]
            good = sum(request.status == GOOD for request in completed)
            requests += len(page)
            results += good
            failures += len(completed) - good
            usd += sum(self.charge(request).due for request in completed)
            yield
        return Account(
            requests=requests,
            results=results,
            failures=failures,
            webhooks=self._store.delivered(),
            usd=usd,
            calls=dict(self.calls),
            refused=tuple(self._refused),
            **{kind: tuple(self._warned.get(kind, ())) for kind in Warned if kind in NAMED},
        )

    def bill(
        self, *, test: str | None = None, caller: str | None = None, window: float = DOUBLE_WITHIN
    ) -> Bill:
        """Return the bill, of one test or key id if given.

        Args:
            window: seconds of the emulator's clock within which an equal submit is a double.
        """
        return _run(self.billing(test=test, caller=caller, window=window))

    def billing(
        self, *, test: str | None = None, caller: str | None = None, window: float = DOUBLE_WITHIN
    ) -> Generator[None, None, Bill]:
        """Compute the bill in steps of a few ms."""
        charges: list[Charge] = []
        doubles = _DoubleFinder(window)
        by_caller: defaultdict[str, float] = defaultdict(float)
        by_test: defaultdict[str, float] = defaultdict(float)
        for page in self._store.request_pages():
            for request in page:
                if test not in {None, request.test} or caller not in {None, request.caller}:
                    continue
                charges.append(charge := self.charge(request))
                doubles.add(request, charge)
                by_caller[charge.caller] += charge.due
                by_test[charge.test or ""] += charge.due
            yield
        endpoints = {charge.endpoint for charge in charges}
        return Bill(
            usd=sum(charge.due for charge in charges),
            by_caller=dict(by_caller),
            by_test=dict(by_test),
            prices=self._prices(endpoints),
            charges=tuple(charges),
            doubles=tuple(doubles.found),
        )

    def _prices(self, endpoints: Iterable[str]) -> dict[str, Price]:
        models = filter(None, map(self._catalogue.get, sorted(endpoints)))
        return {model.endpoint: model.entry.price for model in models if model.entry.price is not None}

    def charge(self, request: Request) -> Charge:
        """Return the cost of one request."""
        model = self._catalogue.get(request.endpoint)
        price = model.entry.price if model else None
        units = (
            _expected(model, request, self._body(request))
            if request.status is None
            else billed(request.headers)
        )
        return Charge(
            request_id=request.id,
            endpoint=request.endpoint,
            caller=request.caller,
            test=request.test,
            at=request.submitted_at,
            status=request.status,
            units=units,
            usd=units * price.usd if price else 0.0,
        )


def billed(headers: str) -> float:
    """Return the units in the headers of a result, or its seconds if the model is billed by time."""
    named = json.loads(headers)
    return float(named.get("x-fal-billable-units", named.get("x-fal-raw-time", 0)))


def _expected(model: Model | None, request: Request, body: bytes) -> float:
    """Return the units of a successful result, or its seconds; 0 for an invalid input."""
    if model is None:
        return 0.0
    from pydantic import ValidationError  # noqa: PLC0415 - pydantic loads slowly, and calls are counted without it

    try:
        bodies.measure(body)
        model_input = model.input.model_validate_json(body)
    except (ValidationError, BodyTooComplexError):
        return 0.0
    if model.entry.price is not None and model.entry.price.is_by_time:
        return request.run_seconds if math.isfinite(request.run_seconds) else 0.0
    return float(model.expected_units(model_input) or 0.0)


class _DoubleFinder:
    """Finds submits that repeat the latest equal one within a window of seconds."""

    def __init__(self, window: float) -> None:
        self.found: list[Double] = []
        self._window = window
        self._latest: dict[SubmitIdentity, Request] = {}

    def add(self, request: Request, charge: Charge) -> None:
        """Take the next request, in the order of submits."""
        identity = submit_identity(request)
        first = self._latest.get(identity)
        self._latest[identity] = request
        if first is not None and (seconds := request.submitted_at - first.submitted_at) <= self._window:
            self.found.append(
                Double(first.id, request.id, charge.endpoint, charge.caller, charge.test, seconds, charge.usd)
            )


def _run(steps: Generator[None, None, Result]) -> Result:
    """Run a generator to its end and return its result."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: Result = end.value
            return result


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")
