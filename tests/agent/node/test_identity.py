"""The stored identity: read again without reading certificates, and never another's."""

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agent.node.identity import IdentityStore, NodeIdentity, identity_of, user_of
from edgek.pki.certificates import Profile, new_ca, new_pair

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


def make_identity(store: IdentityStore, *, node: str = "n1") -> NodeIdentity:
    ca = new_ca("ca", now=NOW)
    pair = new_pair(ca, Profile(common_name=user_of(node), client=True), now=NOW)
    return identity_of(node, ca=ca.certificate, certificate=pair.certificate, key=pair.key)


@pytest.fixture
def store(tmp_path: Path) -> IdentityStore:
    return IdentityStore(tmp_path)


@pytest.fixture
def identity(store: IdentityStore, tmp_path: Path) -> NodeIdentity:
    made = make_identity(store)
    store.save(made)
    (tmp_path / "agent/node.key").write_bytes(made.key)
    return made


def test_what_was_saved_is_read_again(store: IdentityStore, identity: NodeIdentity) -> None:
    assert store.load("n1") == identity


def test_a_start_with_a_stored_identity_loads_no_cryptography(
    identity: NodeIdentity, tmp_path: Path
) -> None:
    program = (
        "import sys; from pathlib import Path; from agent.node.identity import IdentityStore\n"
        f"assert IdentityStore(Path({str(tmp_path)!r})).load('n1')\n"
        "assert not [m for m in sys.modules if m.startswith('cryptography')]"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_the_note_does_not_stand_in_for_another_certificate(
    store: IdentityStore, identity: NodeIdentity, tmp_path: Path
) -> None:
    other = make_identity(store)
    (tmp_path / "agent/node.crt").write_bytes(other.certificate)
    assert store.load("n1") is None  # not the key's
    (tmp_path / "agent/node.key").write_bytes(other.key)
    assert store.load("n2") is None
    found = store.load("n1")
    assert found is not None
    assert found.certificate == other.certificate


@pytest.mark.parametrize("note", ["", "[]", "{}", '{"node": "n1", "sha256": 3}'])
def test_a_damaged_note_is_made_again(
    store: IdentityStore, identity: NodeIdentity, tmp_path: Path, note: str
) -> None:
    path = tmp_path / "agent/node.json"
    good = path.read_text()
    path.write_text(note)
    assert store.load("n1") == identity
    assert path.read_text() == good
