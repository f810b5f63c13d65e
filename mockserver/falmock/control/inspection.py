"""Operations that read the journal, the ledger and the client check."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from starlette.responses import StreamingResponse

from falmock.control.api import JSON, Part, operation
from falmock.control.schemas import AccountView, BillView, JournalQuery, LedgerQuery, LintView, OfTest
from falmock.http.listing import completed, document, in_pieces, in_turns
from falmock.inspection import har
from falmock.inspection.entries import JournalFilter, heading, line
from falmock.inspection.journal import journal_of
from falmock.inspection.ledger import NAMED
from falmock.inspection.lint import check

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from falmock.engine.emulator import Emulator
    from falmock.inspection.entries import JournalEntry
    from falmock.inspection.ledger import Charge, Double, Ledger

LINES: Final = "application/x-ndjson"


class InspectionControl(Part):
    """Returns journal, ledger, account and client check. Long answers are sent in pieces."""

    def __init__(self, emulator: Emulator, ledger: Ledger) -> None:
        super().__init__(emulator)
        self._ledger = ledger

    @operation("GET", "/journal", gives=LINES)
    async def journal(self, query: JournalQuery) -> StreamingResponse:
        """Return calls, transitions and webhook attempts, as JSON lines or as an HTTP archive."""
        self._emulator.advance()
        journal = journal_of(self._emulator)
        wanted = query.model_dump(exclude={"format", "key"})
        pieces = in_turns(journal.pieces(JournalFilter(**wanted, caller=query.key)))
        if query.format == "har":
            entries = (har.archived(piece) async for piece in pieces)
            return StreamingResponse(_archive(har.head(journal.dropped), entries), media_type=JSON)
        return StreamingResponse(_lines(pieces, journal.dropped), media_type=LINES)

    @operation("GET", "/ledger", gives=BillView)
    async def ledger(self, query: LedgerQuery) -> StreamingResponse:
        """Return the price of the requests at fal, and double submits."""
        self._emulator.advance()
        bill = await completed(self._ledger.billing(test=query.test, caller=query.key, window=query.window))
        members = {
            "usd": bill.usd,
            "by_key": bill.by_caller,
            "by_test": bill.by_test,
            "prices": {name: asdict(price) for name, price in bill.prices.items()},
        }

        def masked(item: Charge | Double) -> Any:
            return self._redact.json(asdict(item))

        arrays = {"charges": in_pieces(bill.charges, masked), "doubles": in_pieces(bill.doubles, masked)}
        return StreamingResponse(document(self._redact.json(members), arrays), media_type=JSON)

    @operation("GET", "/account")
    async def account(self) -> AccountView:
        """Count requests, results, failures, webhooks and calls since the start."""
        account = await completed(self._ledger.accounting())
        named = {name: list(map(self._redact.text, getattr(account, name))) for name in NAMED}
        return AccountView(**{**account.to_json(), **named})

    @operation("GET", "/lint", gives=LintView)
    async def lint(self, query: OfTest) -> StreamingResponse:
        """Return the mistakes of the application."""
        now = self._emulator.advance()
        journal = journal_of(self._emulator)
        dropped = journal.dropped
        pieces = in_turns(journal.pieces(JournalFilter(test=query.test)))
        entries = [entry async for piece in pieces for entry in piece]
        # In a thread: the rules are pure Python, so the event loop gets its turn every few ms.
        found = await asyncio.to_thread(partial(check, entries, catalogue=self._emulator.catalogue, now=now))
        return StreamingResponse(
            document({"dropped": dropped}, {"findings": in_pieces(found, asdict)}), media_type=JSON
        )


async def _lines(pieces: AsyncIterator[list[JournalEntry]], dropped: int) -> AsyncIterator[str]:
    yield heading(dropped)
    async for piece in pieces:
        if piece:
            yield "".join(map(line, piece))


async def _archive(head: dict[str, Any], entries: AsyncIterator[list[Any]]) -> AsyncIterator[str]:
    yield '{"log": '
    async for text in document(head, {"entries": entries}):
        yield text
    yield "}"
