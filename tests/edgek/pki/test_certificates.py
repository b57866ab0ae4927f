"""Certificates work in real TLS handshakes, and only for what they were issued for."""

import contextlib
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from edgek.pki.certificates import KeyPair, Profile, describe, is_signed_by, new_ca, new_pair

NOW = datetime.now(UTC)


def shake(server: ssl.SSLContext, client: ssl.SSLContext, name: str) -> None:
    """A handshake in memory; raises what either side raises."""
    wires = [ssl.MemoryBIO() for _ in range(4)]
    left = client.wrap_bio(wires[0], wires[1], server_hostname=name)
    right = server.wrap_bio(wires[2], wires[3], server_side=True)
    for _ in range(6):
        for side, outgoing, incoming in ((left, wires[1], wires[2]), (right, wires[3], wires[0])):
            with contextlib.suppress(ssl.SSLWantReadError):
                side.do_handshake()
            incoming.write(outgoing.read())
    left.do_handshake()
    right.do_handshake()


def contexts(tmp_path: Path, ca: KeyPair, leaf: KeyPair) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    (tmp_path / "leaf.pem").write_bytes(leaf.certificate + leaf.key)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(tmp_path / "leaf.pem")
    return server, ssl.create_default_context(cadata=ca.certificate.decode())


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "::1"])
def test_a_serving_certificate_is_accepted_under_each_of_its_names(tmp_path: Path, name: str):
    ca = new_ca("ca", now=NOW)
    names = ("localhost", "127.0.0.1", "::1")
    leaf = new_pair(ca, Profile(common_name="s", names=names, server=True), now=NOW)
    shake(*contexts(tmp_path, ca, leaf), name)


@pytest.mark.parametrize(
    ("profile", "name"),
    [
        pytest.param({"server": True}, "elsewhere", id="another name"),
        pytest.param({"client": True}, "localhost", id="a client's certificate"),
        pytest.param({"server": True, "duration": timedelta(hours=-1)}, "localhost", id="expired"),
    ],
)
def test_a_certificate_is_refused_for_what_it_is_not(tmp_path: Path, profile: dict, name: str):
    ca = new_ca("ca", now=NOW)
    leaf = new_pair(ca, Profile(common_name="s", names=("localhost",), **profile), now=NOW)
    with pytest.raises(ssl.SSLCertVerificationError):
        shake(*contexts(tmp_path, ca, leaf), name)


def test_describe_reads_back_what_was_issued():
    ca = new_ca("ca", now=NOW)
    profile = Profile(common_name="me", organizations=("a", "b"), names=("x.y", "::1"), client=True)
    found = describe(new_pair(ca, profile, now=NOW).certificate)
    assert (found.common_name, found.organizations, found.issuer) == ("me", ("a", "b"), "ca")
    assert found.names == {"x.y", "::1"}


def test_a_leaf_does_not_outlive_its_ca():
    ca = new_ca("ca", now=NOW, days=10)
    leaf = new_pair(ca, Profile(common_name="x"), now=NOW)
    assert describe(leaf.certificate).not_after == describe(ca.certificate).not_after


def test_a_ca_of_the_same_name_does_not_vouch_for_the_leaf():
    ca, other = new_ca("ca", now=NOW), new_ca("ca", now=NOW)
    leaf = new_pair(ca, Profile(common_name="x"), now=NOW).certificate
    assert is_signed_by(leaf, ca.certificate)
    assert not is_signed_by(leaf, other.certificate)


def test_a_private_key_never_shows_in_a_repr():
    assert "PRIVATE" not in repr(new_ca("ca", now=NOW))
