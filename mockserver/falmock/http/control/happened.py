"""What has happened: the journal, what it would have cost, and what an app did wrong."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, Field
from starlette.responses import Response

from falmock.calls import Operation as Asking  # noqa: TC001 - pydantic reads it
from falmock.har import archive
from falmock.http.control.asking import Asked
from falmock.http.described import JSON, Operation
from falmock.journal import Wanted, lines
from falmock.ledger import DOUBLE_WITHIN, Charge, Double, Ledger
from falmock.lint import Finding, check
from falmock.models import Price  # noqa: TC001 - likewise
from falmock.patterns import LONGEST

if TYPE_CHECKING:
    from falmock.emulator import Emulator

LINES = "application/x-ndjson"


class JournalAsked(Asked):
    """Which entries: those that fit all that is given; and how to write them."""

    format: Literal["jsonl", "har"] = Field("jsonl", description="JSON lines, or an HTTP archive")
    request: str | None = Field(None, description="a request id")
    endpoint: str | None = Field(
        None, max_length=LONGEST, description='an endpoint id, or a pattern as "fal-ai/*"'
    )
    test: str | None = None
    key: str | None = Field(None, description="a key id")
    operation: Asking | None = None
    since: float | None = Field(None, description="unix seconds of the emulator's clock")
    until: float | None = Field(None, description="likewise; not included")


class LedgerAsked(Asked):
    """Whose requests, and what counts as a double submit."""

    test: str | None = None
    key: str | None = Field(None, description="a key id")
    window: float = Field(DOUBLE_WITHIN, ge=0, description="seconds between equal submits")


class BillTold(BaseModel):
    """What requests would have cost at fal's list prices, in US dollars."""

    usd: float
    by_key: dict[str, float]
    by_test: dict[str, float]
    prices: dict[str, Price]
    charges: list[Charge]
    doubles: list[Double]


class LintAsked(Asked):
    """Whose doings."""

    test: str | None = None


class LintTold(BaseModel):
    """What was found, and how much the journal had to drop before anybody looked."""

    findings: list[Finding]
    dropped: int


class Happened:
    """Tells the journal, the ledger and the client check."""

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator

    @property
    def operations(self) -> list[Operation]:
        """What can be asked for."""
        return [
            Operation(
                "GET",
                "/journal",
                "Tell every call, step and webhook attempt, as JSON lines or as an HTTP archive",
                self._journal,
                takes=JournalAsked,
                gives=LINES,
            ),
            Operation(
                "GET",
                "/ledger",
                "Tell what it would have cost, and what was submitted twice",
                self._ledger,
                takes=LedgerAsked,
                gives=BillTold,
            ),
            Operation(
                "GET",
                "/lint",
                "Tell what the app did wrong",
                self._lint,
                takes=LintAsked,
                gives=LintTold,
            ),
        ]

    async def _journal(self, asked: JournalAsked) -> Response:
        self._emulator.advance()
        journal = self._emulator.journal
        wanted = asked.model_dump(exclude={"format", "key"})
        entries = journal.entries(Wanted(**wanted, caller=asked.key))
        if asked.format == "har":
            return Response(json.dumps(archive(entries, journal.dropped)), media_type=JSON)
        return Response("".join(lines(entries, journal.dropped)), media_type=LINES)

    async def _ledger(self, asked: LedgerAsked) -> BillTold:
        self._emulator.advance()
        ledger = Ledger(self._emulator.store, self._emulator.body)
        bill = ledger.bill(test=asked.test, caller=asked.key, window=asked.window)
        return BillTold(
            usd=bill.usd,
            by_key=bill.by_caller,
            by_test=bill.by_test,
            prices=bill.prices,
            charges=list(bill.charges),
            doubles=list(bill.doubles),
        )

    async def _lint(self, asked: LintAsked) -> LintTold:
        now = self._emulator.advance()
        journal = self._emulator.journal
        return LintTold(
            findings=check(journal.entries(Wanted(test=asked.test)), now=now), dropped=journal.dropped
        )
