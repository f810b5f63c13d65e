"""What an emulator has done, in a few numbers: told when it ends, and at `/account`."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final, Self

from falmock.models import MODELS

if TYPE_CHECKING:
    from falmock.store import Request, Store

GOOD: Final = 200


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


class Ledger:
    """Keeps account of one emulator."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._calls: Counter[str] = Counter()
        self._refused: dict[str, None] = {}

    def arrive(self, host: str) -> None:
        """Note a call for a host."""
        self._calls[host] += 1

    def refuse(self, host: str) -> None:
        """Note that a call for a host was refused."""
        self._refused[host] = None

    def account(self) -> Account:
        """Return the numbers as they are now."""
        requests = self._store.requests()
        completed = [request for request in requests if request.status is not None]
        good = [request for request in completed if request.status == GOOD]
        return Account(
            requests=len(requests),
            results=len(good),
            failures=len(completed) - len(good),
            webhooks=self._store.delivered(),
            usd=sum(map(_cost, good)),
            calls=dict(self._calls),
            refused=tuple(self._refused),
        )


def _cost(request: Request) -> float:
    """Return what fal would have asked for a result, in US dollars."""
    model = MODELS.get("/".join(filter(None, (request.application, request.path))))
    units = float(json.loads(request.headers).get("x-fal-billable-units", 0))
    return units * model.price.usd if model else 0.0


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")
