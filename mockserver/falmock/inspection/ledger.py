"""What it would have cost: an account in a few numbers, and a bill with a line for each request.

Prices are fal's list prices, each with its source. A request is billed for the units that its result names;
waiting and 5xx cost nothing. A submit has no idempotency key at fal, so one that is sent twice is paid twice:
those are told apart.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from pydantic import ValidationError

from falmock.models import MODELS, Price
from falmock.protocol import bodies
from falmock.protocol.bodies import BodyTooComplexError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from falmock.engine.rows import Request
    from falmock.engine.store import Store
    from falmock.models import Model

Result = TypeVar("Result")

GOOD: Final = 200
DOUBLE_WITHIN: Final = 60.0  # seconds


@dataclass(frozen=True, slots=True)
class Account:
    """Numbers since the beginning.

    Attributes:
        requests: accepted.
        results: of these, the ones that ended well.
        failures: of these, the ones that ended with an error.
        webhooks: delivered.
        usd: what the results would have cost, by fal's list prices.
        calls: how many came for each of fal's hosts.
        refused: hosts for which a call was refused.
    """

    requests: int = 0
    results: int = 0
    failures: int = 0
    webhooks: int = 0
    usd: float = 0.0
    calls: dict[str, int] = field(default_factory=dict)
    refused: tuple[str, ...] = ()

    def since(self, before: Account) -> Account:
        """Return what came after an earlier account."""
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
            refused=tuple(host for host in self.refused if host not in before.refused),
        )

    def to_json(self) -> dict[str, Any]:
        """Return what `from_json` reads."""
        return asdict(self)

    @classmethod
    def from_json(cls, body: dict[str, Any]) -> Self:
        """Read back what `to_json` gave."""
        return cls(**{**body, "refused": tuple(body["refused"])})

    def __str__(self) -> str:
        told = [
            _count(self.requests, "request"),
            _count(self.results, "result"),
            *([_count(self.failures, "failure")] if self.failures else []),
            _count(self.webhooks, "webhook"),
            f"${self.usd:.2f} not spent",
            *([f"REFUSED: calls to {', '.join(self.refused)}"] if self.refused else []),
        ]
        return ", ".join(told)


@dataclass(frozen=True, slots=True)
class Charge:
    """What one request would have cost.

    Attributes:
        request_id, endpoint, caller, test: of the request.
        at: when it was accepted, unix seconds of the emulator's clock.
        status: of its outcome, HTTP's; None while there is none.
        units: that it is billed for; while it has no outcome, those that a good one would have.
        usd: units times the price; 0 for an endpoint whose price is not known.
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
        """What has to be paid as things stand: a request without an outcome costs nothing yet."""
        return 0.0 if self.status is None else self.usd


@dataclass(frozen=True, slots=True)
class Double:
    """A submit that repeats another: the same endpoint, input and key, soon after.

    Attributes:
        first, second: the request ids.
        endpoint, caller, test: of the second.
        seconds: between them, on the emulator's clock.
        usd: what the second costs, or will cost if it ends well.
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
    """What requests would have cost at fal's list prices, in US dollars.

    Attributes:
        usd: all together.
        by_caller, by_test: for each key id and each test; requests of no test are under "".
        prices: of each endpoint that is billed, with source and date.
        charges: for each request, in the order of the submits.
        doubles: what was submitted twice.
    """

    usd: float
    by_caller: dict[str, float]
    by_test: dict[str, float]
    prices: dict[str, Price]
    charges: tuple[Charge, ...]
    doubles: tuple[Double, ...]


class Ledger:
    """Keeps account of one emulator. What it says of requests it reads in the store, so it lasts as they do.

    Args:
        store: has the requests.
        body: returns the input of a request.
    """

    def __init__(self, store: Store, body: Callable[[Request], bytes]) -> None:
        self._store = store
        self._body = body
        self.calls: Counter[str] = Counter()
        self._refused: dict[str, None] = {}

    def refuse(self, host: str) -> None:
        """Note that a call for a host was refused."""
        self._refused[host] = None

    def account(self) -> Account:
        """Return the numbers as they are now."""
        return _run(self.accounting())

    def accounting(self) -> Generator[None, None, Account]:
        """Return what `account` does, in steps of a few ms."""
        requests = results = failures = 0
        usd = 0.0
        for page in self._store.request_pages():
            completed = [request for request in page if request.status is not None]
            good = sum(request.status == GOOD for request in completed)
            requests += len(page)
            results += good
            failures += len(completed) - good
            usd += sum(self._charge(request).due for request in completed)
            yield
        return Account(
            requests=requests,
            results=results,
            failures=failures,
            webhooks=self._store.delivered(),
            usd=usd,
            calls=dict(self.calls),
            refused=tuple(self._refused),
        )

    def bill(
        self, *, test: str | None = None, caller: str | None = None, window: float = DOUBLE_WITHIN
    ) -> Bill:
        """Return what has to be paid.

        Args:
            test: only for the requests of a test.
            caller: only for the requests of a key id.
            window: seconds of the emulator's clock within which an equal submit is a double one.
        """
        return _run(self.billing(test=test, caller=caller, window=window))

    def billing(
        self, *, test: str | None = None, caller: str | None = None, window: float = DOUBLE_WITHIN
    ) -> Generator[None, None, Bill]:
        """Return what `bill` does, in steps of a few ms."""
        charges: list[Charge] = []
        doubles = _Doubles(window)
        by_caller: defaultdict[str, float] = defaultdict(float)
        by_test: defaultdict[str, float] = defaultdict(float)
        for page in self._store.request_pages():
            for request in page:
                if test not in {None, request.test} or caller not in {None, request.caller}:
                    continue
                charges.append(charge := self._charge(request))
                doubles.read_picture(request, charge)
                by_caller[charge.caller] += charge.due
                by_test[charge.test or ""] += charge.due
            yield
        endpoints = {charge.endpoint for charge in charges}
        return Bill(
            usd=sum(charge.due for charge in charges),
            by_caller=dict(by_caller),
            by_test=dict(by_test),
            prices={name: model.price for name, model in MODELS.items() if name in endpoints},
            charges=tuple(charges),
            doubles=tuple(doubles.found),
        )

    def _charge(self, request: Request) -> Charge:
        model = MODELS.get(request.endpoint)
        units = _expected(model, self._body(request)) if request.status is None else _billed(request)
        return Charge(
            request_id=request.id,
            endpoint=request.endpoint,
            caller=request.caller,
            test=request.test,
            at=request.submitted_at,
            status=request.status,
            units=units,
            usd=units * model.price.usd if model else 0.0,
        )


def _billed(request: Request) -> float:
    return float(json.loads(request.headers).get("x-fal-billable-units", 0))


def _expected(model: Model | None, body: bytes) -> float:
    """Return the units of a good result; none for an input that there is no such result of."""
    if model is None:
        return 0.0
    try:
        bodies.measure(body)
        return float(model.units(model.input.model_validate_json(body)))
    except (ValidationError, BodyTooComplexError):
        return 0.0


class _Doubles:
    """Submits that repeat another, of requests in the order of their submits."""

    def __init__(self, window: float) -> None:
        self.found: list[Double] = []
        self._window = window
        self._latest: dict[tuple[str, str, str], Request] = {}

    def read_picture(self, request: Request, charge: Charge) -> None:
        same = (request.endpoint, request.caller, request.input_sha256)
        first = self._latest.get(same)
        if first is not None and (seconds := request.submitted_at - first.submitted_at) <= self._window:
            self.found.append(
                Double(first.id, request.id, charge.endpoint, charge.caller, charge.test, seconds, charge.usd)
            )
        self._latest[same] = request


def _run(steps: Generator[None, None, Result]) -> Result:
    """Return what a generator returns."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: Result = end.value
            return result


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")
