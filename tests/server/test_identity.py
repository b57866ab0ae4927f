"""The server's files: made once, kept, healed, renewed; the user told what cannot be healed."""

import os
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from edgek.client.kubeconfig import load_kubeconfig
from edgek.pki.certificates import describe
from edgek.pki.tokens import ca_hash, parse_join_token
from edgek.roles import StartError, UsageError
from server.config import OPTIONS, ServerConfig, parse_config
from server.identity import ServerIdentity, prepare_identity

NOW = datetime(2026, 5, 1, tzinfo=UTC)


@pytest.fixture
def settings(tmp_path: Path) -> dict:
    defaults = {o.key: () if o.multiple else o.default for o in OPTIONS}
    paths = {"data_dir": str(tmp_path / "data"), "write_kubeconfig": str(tmp_path / "etc/k.yaml")}
    return {**defaults, **paths, "advertise_address": "192.0.2.1"}


def prepare(settings: dict, *, now: datetime = NOW, **more: object) -> ServerIdentity:
    return prepare_identity(config(settings, **more), now=now, hostname="pi")


def config(settings: dict, **more: object) -> ServerConfig:
    return parse_config({**settings, **more})


def tls(settings: dict) -> Path:
    return Path(settings["data_dir"]) / "server/tls"


def contents(settings: dict) -> dict[str, bytes]:
    root = Path(settings["data_dir"])
    return {str(p): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def test_a_second_start_changes_no_file(settings: dict):
    first = prepare(settings)
    before = contents(settings)
    assert prepare(settings) == first
    assert contents(settings) == before


def test_everything_secret_is_readable_by_root_only(settings: dict):
    prepare(settings)
    root = Path(settings["data_dir"]) / "server"
    open_files = [p.name for p in root.rglob("*") if p.is_file() and p.stat().st_mode & 0o077]
    assert sorted(open_files) == [
        "admin.crt", "client-ca.crt", "front-proxy.crt", "request-header-ca.crt", "server-ca.crt",
        "serving.crt",
    ]  # fmt: skip
    assert root.stat().st_mode & 0o777 == 0o700
    assert Path(settings["write_kubeconfig"]).stat().st_mode & 0o777 == 0o600


def test_the_serving_certificate_has_every_name_a_client_may_use(settings: dict):
    prepare(settings, tls_san=("lab.example", "203.0.113.5"), node_ip=("192.0.2.1",))
    assert describe((tls(settings) / "serving.crt").read_bytes()).names == {
        "localhost", "127.0.0.1", "::1", "pi", "192.0.2.1", "lab.example", "203.0.113.5",
        "10.43.0.1", "kubernetes", "kubernetes.default", "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local",
    }  # fmt: skip


def test_new_names_and_near_expiry_renew_the_leaf_and_keep_the_ca(settings: dict):
    first = prepare(settings)
    serving = tls(settings) / "serving.crt"
    one = serving.read_bytes()
    prepare(settings, tls_san=("new.example",))
    two = serving.read_bytes()
    last = prepare(settings, tls_san=("new.example",), now=NOW + timedelta(days=276))
    assert len({one, two, serving.read_bytes()}) == 3
    assert last.server_ca == first.server_ca
    assert last.renew_at > first.renew_at


def test_a_clock_that_is_behind_makes_nothing_anew(settings: dict):
    """As of a board without a battery: what it signed would have ended when it hears the time."""
    prepare(settings)
    before = contents(settings)
    prepare(settings, now=NOW - timedelta(days=800))
    assert contents(settings) == before


def test_what_a_clock_that_was_ahead_has_signed_is_made_anew(settings: dict):
    prepare(settings)
    prepare(settings, now=NOW + timedelta(days=800))
    prepare(settings)
    for name in ("serving", "admin", "front-proxy"):
        found = describe((tls(settings) / f"{name}.crt").read_bytes())
        assert found.not_before <= NOW < found.not_after


ORDER = ("server-ca", "client-ca", "request-header-ca", "serving", "admin")


@pytest.mark.parametrize("last", [f"{n}.{end}" for n in ORDER for end in ("key", "crt")])
def test_a_first_start_cut_off_after_any_file_is_healed(settings: dict, last: str):
    prepare(settings)
    written = [f"{n}.{end}" for n in ORDER for end in ("key", "crt")]
    for name in written[written.index(last) + 1 :]:
        (tls(settings) / name).unlink()
    identity = prepare(settings)
    identity.tls_context()
    text = Path(settings["write_kubeconfig"]).read_text()
    assert identity.token.ca_hash == ca_hash(identity.ca_pem)
    assert text.startswith("apiVersion")


def test_a_certificate_without_its_own_key_is_issued_again(settings: dict):
    prepare(settings)
    (tls(settings) / "serving.key").write_bytes((tls(settings) / "admin.key").read_bytes())
    with pytest.raises(ssl.SSLError):
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(
            tls(settings) / "serving.crt", tls(settings) / "serving.key"
        )
    prepare(settings).tls_context()


@pytest.mark.parametrize("half", ["key", "crt"])
def test_a_ca_that_lost_a_half_is_not_replaced_in_silence(settings: dict, half: str):
    prepare(settings)
    (tls(settings) / f"client-ca.{half}").unlink()
    with pytest.raises(StartError, match=r"client-ca\.key are missing.*restore both"):
        prepare(settings)


def test_tokens_are_stored_in_full_and_follow_the_setting(settings: dict):
    root = Path(settings["data_dir"]) / "server"
    made = prepare(settings)
    assert parse_join_token((root / "token").read_text()) == made.token
    assert parse_join_token((root / "node-token").read_text()) == made.agent_token
    assert made.agent_token.secret == made.token.secret
    changed = prepare(settings, token="mine", agent_token="theirs")
    assert (changed.token.secret, changed.agent_token.secret) == ("mine", "theirs")
    assert "::node:theirs" in (root / "node-token").read_text()
    assert prepare(settings).token.secret == "mine"


def test_a_token_of_another_cluster_is_refused(settings: dict):
    with pytest.raises(UsageError, match="--token: pins the certificate of another cluster"):
        prepare(settings, token="K10" + "0" * 64 + "::server:x")


def test_the_admin_kubeconfig_leads_to_this_server_as_masters(settings: dict):
    identity = prepare(settings, https_listen_port=7443)
    access = load_kubeconfig(Path(settings["write_kubeconfig"])).access
    assert (access.server, access.ca) == ("https://127.0.0.1:7443", identity.ca_pem)
    assert describe(access.client_cert).organizations == ("system:masters",)


def test_a_data_dir_that_is_a_file_is_told_in_one_line(settings: dict, tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=r"--data-dir: .*/file is not writable: File exists"):
        prepare(settings, data_dir=str(tmp_path / "file"))


@pytest.mark.skipif(not os.path.ismount("/proc"), reason="needs /proc as a place to write nothing")
def test_a_kubeconfig_that_cannot_be_written_is_told_in_one_line(settings: dict):
    with pytest.raises(UsageError, match="--write-kubeconfig: cannot write /proc/x/k"):
        prepare(settings, write_kubeconfig="/proc/x/k")
