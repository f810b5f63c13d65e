"""Proofs of a process's identity."""

from __future__ import annotations

import pytest

from falmock.http.identity import Identity, challenge


def test_a_proof_with_the_same_token_is_accepted() -> None:
    identity, sent = Identity(), challenge()

    assert Identity(identity.token).accepts(sent, identity.prove(sent))


def test_a_proof_with_another_token_is_rejected() -> None:
    sent = challenge()

    assert not Identity().accepts(sent, Identity().prove(sent))


def test_a_proof_for_another_challenge_is_rejected() -> None:
    identity = Identity()

    assert not identity.accepts(challenge(), identity.prove(challenge()))


def test_a_proof_does_not_contain_the_token() -> None:
    identity, sent = Identity(), challenge()

    assert identity.token not in str(identity.prove(sent))


@pytest.mark.parametrize("sent", ["", "0" * 31, "0" * 129, "x" * 64, "A" * 64, "\ud800" * 64])
def test_an_invalid_challenge_gets_no_proof(sent: str) -> None:
    assert Identity().prove(sent) is None


@pytest.mark.parametrize("proof", [None, 1, [], "", "0" * 64, "\ud800"])
def test_an_invalid_proof_is_rejected(proof: object) -> None:
    assert not Identity().accepts(challenge(), proof)
