"""Webhooks to receivers with TLS, to IPv6 addresses and to nobody: what arrives, and what reports say."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest
from processes import Receiver, served
from programs import falmock, one_line

from falmock.inspection.entries import Attempt
from falmock.inspection.ledger import Ledger
from falmock.intercept.certificates import open_ca

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from emulated import Mock

QUICK = ("--ephemeral", "--queue-seconds", "0", "--run-seconds", "0")


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    """A receiver at https://localhost, with a certificate of its own authority, in `tmp_path`."""
    with Receiver(tls=open_ca(tmp_path).context()) as receiver:
        yield receiver


@pytest.fixture
def closed_port() -> int:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as listener:
        port: int = listener.getsockname()[1]
    return port


async def attempt(mock: Mock, url: str) -> Attempt:
    """Return the first attempt at a webhook, from the journal."""
    await mock.submit(query=f"?fal_webhook={url}")
    await mock.pass_time(6)
    return next(entry for entry in mock.journal.entries() if isinstance(entry, Attempt))


def test_a_receiver_with_another_authority_is_trusted_if_ssl_cert_file_names_it(
    receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certificate" / "ca.pem"))

    with served(*QUICK) as server:
        submitted = server.submit(f"?fal_webhook={receiver.url}")

        assert receiver.next()["request_id"] == submitted["request_id"]


@pytest.mark.parametrize(
    ("content", "reason"), [(None, "No such file or directory"), ("no certificate", "it has no certificate")]
)
def test_unusable_ssl_cert_file_is_an_error_in_one_line(
    tmp_path: Path, content: str | None, reason: str
) -> None:
    path = tmp_path / "mine.pem"
    if content is not None:
        path.write_text(content)

    line = one_line(falmock("serve", "--port", "0", "--ephemeral", SSL_CERT_FILE=str(path)))

    assert f"cannot use SSL_CERT_FILE={path} ({reason}): correct or unset it" in line


async def test_journal_says_why_a_certificate_is_not_trusted(mock: Mock, receiver: Receiver) -> None:
    found = await attempt(mock, receiver.url)

    assert found.error == "certificate not trusted (unable to get local issuer certificate)"
    assert found.error in str(found)


async def test_journal_says_that_a_receiver_does_not_listen(mock: Mock, closed_port: int) -> None:
    found = await attempt(mock, f"http://[::1]:{closed_port}/hook")

    assert (found.error, found.url) == ("connection refused", f"http://[::1]:{closed_port}/hook")
    assert str(found).endswith("attempt 1: connection refused")


async def test_refusal_of_a_webhook_to_the_emulator_names_an_ipv6_address_in_brackets(mock: Mock) -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as listener:
        mock.emulator.dialler.own.add(listener)
        port = listener.getsockname()[1]

        why = await mock.emulator.dialler.objection(f"http://[::1]:{port}/hook")

    assert why == f"[::1] port {port} is falmock itself"


async def test_account_names_a_refused_ipv6_address_in_brackets(mock: Mock) -> None:
    ledger = Ledger(mock.emulator.store, mock.emulator.payloads.body, mock.emulator.catalogue)

    ledger.refuse("2001:db8::7")

    assert "calls to [2001:db8::7]" in str(ledger.account())
