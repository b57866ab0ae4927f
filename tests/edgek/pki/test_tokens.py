"""Join tokens: k3s's form in and out, and no secret in an error."""

import pytest

from edgek.pki.tokens import JoinToken, ca_hash, parse_join_token


def test_a_full_token_survives_the_round_trip():
    token = JoinToken(secret="s3cret", user="node", ca_hash=ca_hash(b"pem"))
    assert parse_join_token(f" {token}\n") == token


def test_a_bare_secret_pins_nothing():
    assert parse_join_token("s3cret") == JoinToken(secret="s3cret")


@pytest.mark.parametrize("text", ["", "two words", "K10abc::node:hidden", "K10" + "0" * 64])
def test_a_damaged_token_is_refused_without_being_quoted(text: str):
    with pytest.raises(ValueError, match=r"cut off|must not") as caught:
        parse_join_token(text)
    assert "hidden" not in str(caught.value)


def test_the_secret_does_not_show_in_a_repr():
    assert "s3cret" not in repr(JoinToken(secret="s3cret"))
