"""Who this machine is to the server, as kept in ``<data-dir>/agent``::

    node.key  node.crt  server-ca.crt  token  node.json

Each file is written whole or not at all; the certificate after what it needs, so that where it
is, the others are too. With them an agent starts without its server. ``node.json`` says what the
certificate of this hash says, because to read a certificate costs the process 8 MB for good; where
it is missing or of other files, they are read. How all are got is in ``join.py``.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import orjson

from edgek.api.meta import Obj
from edgek.api.time import format_micro_time, parse_time
from edgek.client.http import Access
from edgek.pki import files
from edgek.pki.certificates import describe
from edgek.pki.keys import key_fingerprint
from edgek.pki.tokens import JoinToken, parse_join_token
from edgek.roles import StartError

SERVER_NAME = "kubernetes"
"""What the serving certificate is checked for: whatever address leads to the server through NAT
and port forwarding, this name is always in it, and our CA signs no other servers."""


@dataclass(frozen=True, kw_only=True, repr=False)
class NodeIdentity:
    node_name: str
    ca: bytes
    certificate: bytes
    key: bytes
    not_after: datetime
    renew_at: datetime
    """At two thirds of the certificate's life."""

    def is_due(self, now: datetime) -> bool:
        """To be renewed: it will end, or has not begun by a clock that was set back."""
        begins = self.not_after - 3 * (self.not_after - self.renew_at)
        return not begins <= now < self.renew_at

    def __repr__(self) -> str:
        return f"NodeIdentity({self.node_name!r}, until {self.not_after})"

    def access(self, server: str) -> Access:
        return Access(
            server=server,
            ca=self.ca,
            client_cert=self.certificate,
            client_key=self.key,
            server_name=SERVER_NAME,
        )


def user_of(node_name: str) -> str:
    return f"system:node:{node_name}"


def identity_of(node_name: str, *, ca: bytes, certificate: bytes, key: bytes) -> NodeIdentity:
    """Raises ValueError where the certificate cannot be read, or is not this node's and key's."""
    described = describe(certificate)
    if described.key != key_fingerprint(key) or described.common_name != user_of(node_name):
        raise ValueError("the certificate is another node's or key's")
    life = described.not_after - described.not_before
    return NodeIdentity(
        node_name=node_name,
        ca=ca,
        certificate=certificate,
        key=key,
        not_after=described.not_after,
        renew_at=described.not_before + life * 2 / 3,
    )


class IdentityStore:
    """The files. Raises StartError where the directory cannot be used."""

    def __init__(self, data_dir: Path) -> None:
        self.home = data_dir / "agent"
        try:
            files.make_private_dir(self.home)
        except OSError as err:
            raise StartError(f"cannot use {self.home}: {err.strerror}") from err

    def load(self, node_name: str) -> NodeIdentity | None:
        """None where there is none, or what is there is damaged or another node's."""
        ca, certificate, key = self.ca(), self._read("node.crt"), self._read("node.key")
        if not ca or not certificate or not key:
            return None
        note = self._read("node.json") or b""
        if known := noted(note, node_name, ca=ca, certificate=certificate, key=key):
            return known
        try:
            identity = identity_of(node_name, ca=ca, certificate=certificate, key=key)
        except ValueError:
            return None
        self._write("node.json", noted_text(identity))
        return identity

    def ca(self) -> bytes | None:
        return self._read("server-ca.crt")

    def key(self) -> bytes | None:
        return self._read("node.key")

    def save_key(self, key: bytes) -> None:
        """Made once: it is how the server knows this machine again."""
        self._write("node.key", key)

    def token(self) -> JoinToken | None:
        stored = self._read("token")
        try:
            return parse_join_token(stored.decode()) if stored else None
        except ValueError:
            return None

    def save(self, identity: NodeIdentity, *, token: JoinToken | None = None) -> None:
        self._write("server-ca.crt", identity.ca)
        if token is not None:
            self._write("token", f"{token}\n".encode())
        self._write("node.crt", identity.certificate)
        self._write("node.json", noted_text(identity))

    def _read(self, name: str) -> bytes | None:
        try:
            return files.read(self.home / name)
        except OSError as err:
            raise StartError(f"cannot read {self.home / name}: {err.strerror}") from err

    def _write(self, name: str, data: bytes) -> None:
        try:
            files.write_if_changed(self.home / name, data)
        except OSError as err:
            raise StartError(f"cannot write {self.home / name}: {err.strerror}") from err


def noted_text(identity: NodeIdentity) -> bytes:
    return orjson.dumps(
        {
            "node": identity.node_name,
            "sha256": _hash(identity.certificate, identity.key),
            "notAfter": format_micro_time(identity.not_after),
            "renewAt": format_micro_time(identity.renew_at),
        }
    )


def noted(
    note: bytes, node_name: str, *, ca: bytes, certificate: bytes, key: bytes
) -> NodeIdentity | None:
    """None where the note is not of these files."""
    try:
        said: Obj = orjson.loads(note)
        if (said["node"], said["sha256"]) != (node_name, _hash(certificate, key)):
            return None
        not_after, renew_at = parse_time(said["notAfter"]), parse_time(said["renewAt"])
    except (ValueError, KeyError, TypeError):
        return None
    return NodeIdentity(
        node_name=node_name,
        ca=ca,
        certificate=certificate,
        key=key,
        not_after=not_after,
        renew_at=renew_at,
    )


def _hash(*parts: bytes) -> str:
    return hashlib.sha256(b"\n".join(parts)).hexdigest()
