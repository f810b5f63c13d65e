"""What has happened: the journal, what it would have cost, and what an app did wrong."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal

from pydantic import BaseModel, Field
from starlette.responses import Response, StreamingResponse

from falmock.control.api import JSON, Operation
from falmock.control.schemas import Query
from falmock.http.listing import completed, document, in_pieces, in_turns
from falmock.inspection import har
from falmock.inspection.journal import JournalFilter, heading, line
from falmock.inspection.ledger import DOUBLE_WITHIN, Charge, Double, Ledger
from falmock.inspection.lint import Finding, check
from falmock.models import Price  # noqa: TC001 - likewise
from falmock.protocol.calls import Operation as Asking  # noqa: TC001 - pydantic reads it
from falmock.protocol.patterns import LONGEST

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from falmock.engine.emulator import Emulator
    from falmock.inspection.journal import Entry

LINES: Final = "application/x-ndjson"


class JournalQuery(Query):
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


class LedgerQuery(Query):
    """Whose requests, and what counts as a double submit."""

    test: str | None = None
    key: str | None = Field(None, description="a key id")
    window: float = Field(DOUBLE_WITHIN, ge=0, description="seconds between equal submits")


class BillView(BaseModel):
    """What requests would have cost at fal's list prices, in US dollars."""

    usd: float
    by_key: dict[str, float]
    by_test: dict[str, float]
    prices: dict[str, Price]
    charges: list[Charge]
    doubles: list[Double]


class AccountTold(BaseModel):
    """Numbers since the emulator was started."""

    requests: int = Field(description="accepted")
    results: int = Field(description="of these, the ones that ended well")
    failures: int = Field(description="of these, the ones that ended with an error")
    webhooks: int = Field(description="delivered")
    usd: float = Field(description="what the results would have cost, by fal's list prices")
    calls: dict[str, int] = Field(description="how many came for each of fal's hosts")
    refused: list[str] = Field(description="hosts for which a call was refused")


class LintQuery(Query):
    """Whose doings."""

    test: str | None = None


class LintView(BaseModel):
    """What was found, and how much the journal had to drop before anybody looked."""

    findings: list[Finding]
    dropped: int


class Inspection:
    """Tells the journal, the ledger and the client check."""

    def __init__(self, emulator: Emulator, ledger: Ledger) -> None:
        self._emulator = emulator
        self._counted = ledger

    @property
    def operations(self) -> list[Operation]:
        """What can be asked for."""
        return [
            Operation(
                "GET",
                "/journal",
                "Tell every call, step and webhook attempt, as JSON lines or as an HTTP archive",
                self._journal,
                takes=JournalQuery,
                gives=LINES,
            ),
            Operation(
                "GET",
                "/ledger",
                "Tell what it would have cost, and what was submitted twice",
                self._ledger,
                takes=LedgerQuery,
                gives=BillView,
            ),
            Operation(
                "GET",
                "/account",
                "Count requests, results, failures, webhooks and calls since the start",
                self._account,
                gives=AccountTold,
            ),
            Operation(
                "GET",
                "/lint",
                "Tell what the app did wrong",
                self._lint,
                takes=LintQuery,
                gives=LintView,
            ),
        ]

    async def _journal(self, asked: JournalQuery) -> Response:
        self._emulator.advance()
        journal = self._emulator.journal
        wanted = asked.model_dump(exclude={"format", "key"})
        pieces = in_turns(journal.pieces(JournalFilter(**wanted, caller=asked.key)))
        if asked.format == "har":
            entries = (har.told(piece) async for piece in pieces)
            return StreamingResponse(_archive(har.head(journal.dropped), entries), media_type=JSON)
        return StreamingResponse(_lines(pieces, journal.dropped), media_type=LINES)

    async def _account(self) -> AccountTold:
        account = await completed(self._counted.accounting())
        refused = [self._emulator.journal.redact.text(host) for host in account.refused]
        return AccountTold(**{**account.to_json(), "refused": refused})

    async def _ledger(self, asked: LedgerQuery) -> Response:
        self._emulator.advance()
        ledger = Ledger(self._emulator.store, self._emulator.kept_body)
        bill = await completed(ledger.billing(test=asked.test, caller=asked.key, window=asked.window))
        redact = self._emulator.journal.redact
        members = {
            "usd": bill.usd,
            "by_key": bill.by_caller,
            "by_test": bill.by_test,
            "prices": {name: asdict(price) for name, price in bill.prices.items()},
        }

        def masked(item: Charge | Double) -> Any:
            return redact.json(asdict(item))

        arrays = {"charges": in_pieces(bill.charges, masked), "doubles": in_pieces(bill.doubles, masked)}
        return StreamingResponse(document(redact.json(members), arrays), media_type=JSON)

    async def _lint(self, asked: LintQuery) -> Response:
        now = self._emulator.advance()
        journal = self._emulator.journal
        dropped = journal.dropped
        pieces = in_turns(journal.pieces(JournalFilter(test=asked.test)))
        entries = [entry async for piece in pieces for entry in piece]
        # The rules are pure Python, so that the event loop gets its turn every few ms.
        found = await asyncio.to_thread(partial(check, entries, now=now))
        return StreamingResponse(
            document({"dropped": dropped}, {"findings": in_pieces(found, asdict)}), media_type=JSON
        )


async def _lines(pieces: AsyncIterator[list[Entry]], dropped: int) -> AsyncIterator[str]:
    yield heading(dropped)
    async for piece in pieces:
        if piece:
            yield "".join(map(line, piece))


async def _archive(head: dict[str, Any], entries: AsyncIterator[list[Any]]) -> AsyncIterator[str]:
    yield '{"log": '
    async for text in document(head, {"entries": entries}):
        yield text
    yield "}"
