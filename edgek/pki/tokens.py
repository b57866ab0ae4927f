"""Join tokens: ``K10<sha256 of the server's CA file>::<user>:<secret>``, as k3s has them.

The hash pins the server: a joining node compares it with what it is shown before it sends
anything secret. A bare secret is a token too, with nothing to pin; the node must then take the
first answer on trust.
"""

import hashlib
import re
import secrets
from dataclasses import dataclass

_FULL = re.compile(r"K10([0-9a-f]{64})::([^:\s]+):(\S+)")
_SECRET = re.compile(r"[!-~]+")


@dataclass(frozen=True, kw_only=True, repr=False)
class JoinToken:
    """``ca_hash`` and ``user`` are "" in a bare secret. The repr hides the secret."""

    secret: str
    user: str = ""
    ca_hash: str = ""

    def __str__(self) -> str:
        """The text to send or to store: full where a hash is known."""
        return f"K10{self.ca_hash}::{self.user}:{self.secret}" if self.ca_hash else self.secret

    def __repr__(self) -> str:
        return f"JoinToken(user={self.user!r})"


def parse_join_token(text: str) -> JoinToken:
    """Raises ValueError with a sentence that never quotes the token."""
    text = text.strip()
    if match := _FULL.fullmatch(text):
        ca_hash, user, secret = match.groups()
        return JoinToken(secret=secret, user=user, ca_hash=ca_hash)
    if text.startswith("K10"):
        raise ValueError(
            "is cut off or damaged: expected K10<64 hex digits>::<user>:<secret>, "
            "as in the file node-token of the server"
        )
    if not _SECRET.fullmatch(text):
        raise ValueError("must not be empty or contain white space")
    return JoinToken(secret=text)


def new_secret() -> str:
    return secrets.token_hex(16)


def ca_hash(ca_pem: bytes) -> str:
    """Of the bytes the server gives out under /cacerts."""
    return hashlib.sha256(ca_pem).hexdigest()
