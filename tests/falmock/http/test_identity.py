"""A process proves which one it is without telling its token."""

from __future__ import annotations

import pytest

from falmock.http.identity import Identity, challenge


def test_the_process_with_the_token_proves_it() -> None:
    identity, asked = Identity(), challenge()

    assert Identity(identity.token).accepts(asked, identity.prove(asked))


def test_another_process_does_not() -> None:
    asked = challenge()

    assert not Identity().accepts(asked, Identity().prove(asked))


def test_a_proof_is_good_for_one_challenge() -> None:
    identity = Identity()

    assert not identity.accepts(challenge(), identity.prove(challenge()))


def test_a_proof_does_not_tell_the_token() -> None:
    identity, asked = Identity(), challenge()

    assert identity.token not in str(identity.prove(asked))


@pytest.mark.parametrize("asked", ["", "0" * 31, "0" * 129, "x" * 64, "A" * 64, "\ud800" * 64])
def test_what_is_no_challenge_is_not_answered(asked: str) -> None:
    assert Identity().prove(asked) is None


@pytest.mark.parametrize("proof", [None, 1, [], "", "0" * 64, "\ud800"])
def test_what_is_no_proof_is_not_accepted(proof: object) -> None:
    assert not Identity().accepts(challenge(), proof)
