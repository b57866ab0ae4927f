"""The server's own keys, certificates, join tokens and admin kubeconfig, kept in its data dir::

    server/token  agent-token  node-token         each the full K10...::user:secret
    server/tls/server-ca.{crt,key}                signs what the API serves with; its hash is pinned
    server/tls/client-ca.{crt,key}                signs users and nodes
    server/tls/request-header-ca.{crt,key}        signs the front proxy of aggregated APIs
    server/tls/serving.{crt,key}, admin.{crt,key}, front-proxy.{crt,key}
                                                  renewed at start, 90 days before they end
    server/tls/service-account.key                signs service-account tokens

``prepare_identity`` is idempotent and heals what a power cut left half done: authorities are
written before leaves and a key before its certificate, so an authority without a certificate,
where no leaf is either, was never used and is made anew; a leaf whose halves do not belong
together is issued again. It knows nothing of requests.
"""

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from edgek.pki import files
from edgek.pki.certificates import (
    Description,
    KeyPair,
    Profile,
    describe,
    is_signed_by,
    new_ca,
    new_pair,
)
from edgek.pki.keys import key_fingerprint, load_key, new_key
from edgek.pki.kubeconfig import build_kubeconfig
from edgek.pki.tokens import JoinToken, ca_hash, new_secret, parse_join_token
from edgek.roles import StartError, UsageError
from server.config import ServerConfig

RENEW_BEFORE = timedelta(days=90)
_NO_CHECK_TIME = 0x200000  # OpenSSL's X509_V_FLAG_NO_CHECK_TIME, which ssl has no name for


@dataclass(frozen=True, kw_only=True)
class ServerIdentity:
    server_ca: KeyPair
    client_ca: KeyPair
    request_header_ca: KeyPair
    service_account_key: bytes
    token: JoinToken
    agent_token: JoinToken
    tls_dir: Path
    renew_at: datetime
    """When to call ``prepare_identity`` again and ``load_serving`` what it made."""

    def __repr__(self) -> str:
        return "ServerIdentity(...)"

    @property
    def ca_pem(self) -> bytes:
        """What /cacerts gives out and join tokens pin."""
        return self.server_ca.certificate

    def front_proxy(self) -> KeyPair:
        """What we show to extension API servers, as it is renewed on disk."""
        return KeyPair(
            certificate=(self.tls_dir / "front-proxy.crt").read_bytes(),
            key=(self.tls_dir / "front-proxy.key").read_bytes(),
        )

    def extension_authentication(self) -> dict[str, str]:
        """What an extension API server must know to believe our users' certificates and the
        names that we pass on (kube-system/extension-apiserver-authentication)."""
        return {
            "client-ca-file": self.client_ca.certificate.decode(),
            "requestheader-client-ca-file": self.request_header_ca.certificate.decode(),
            "requestheader-allowed-names": f'["{FRONT_PROXY.common_name}"]',
            "requestheader-username-headers": '["X-Remote-User"]',
            "requestheader-uid-headers": '["X-Remote-Uid"]',
            "requestheader-group-headers": '["X-Remote-Group"]',
            "requestheader-extra-headers-prefix": '["X-Remote-Extra-"]',
        }

    def tls_context(self) -> ssl.SSLContext:
        """For the API's listener: client certificates are asked for, none is demanded.

        Their dates are left to the x509 authenticator, as in kube-apiserver: TLS could only cut
        the connection, while a 401 lets the client know, and the log say, who is too late.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_verify_locations(cadata=self.client_ca.certificate.decode())
        context.verify_mode = ssl.CERT_OPTIONAL
        context.verify_flags = ssl.VerifyFlags(context.verify_flags | _NO_CHECK_TIME)
        context.set_alpn_protocols(["http/1.1"])
        self.load_serving(context)
        return context

    def load_serving(self, context: ssl.SSLContext) -> None:
        """(Re)loads the serving certificate; connections made from now on get it."""
        context.load_cert_chain(self.tls_dir / "serving.crt", self.tls_dir / "serving.key")


def prepare_identity(
    config: ServerConfig, *, now: datetime, hostname: str | None = None
) -> ServerIdentity:
    """Raises UsageError where the data dir cannot be used, StartError where files are damaged."""
    tls = config.data_dir / "server" / "tls"
    make_data_dir(config.data_dir)
    with _explained(tls):
        server_ca = _ensure_ca(tls, "server-ca", now=now)
        client_ca = _ensure_ca(tls, "client-ca", now=now)
        request_header_ca = _ensure_ca(tls, "request-header-ca", now=now)
        serving = serving_profile(config, hostname=hostname or socket.gethostname())
        leaves = (
            _ensure_leaf(tls, "serving", serving, ca=server_ca, now=now),
            _ensure_leaf(tls, "admin", ADMIN, ca=client_ca, now=now),
            _ensure_leaf(tls, "front-proxy", FRONT_PROXY, ca=request_header_ca, now=now),
        )
        service_account_key = _ensure_key(tls / "service-account.key")
        token, agent_token = _ensure_tokens(config, ca_hash(server_ca.certificate))
    _write_kubeconfig(config, ca=server_ca.certificate, admin=leaves[1])
    return ServerIdentity(
        server_ca=server_ca,
        client_ca=client_ca,
        request_header_ca=request_header_ca,
        service_account_key=service_account_key,
        token=token,
        agent_token=agent_token,
        tls_dir=tls,
        renew_at=min(describe(p.certificate).not_after for p in leaves) - RENEW_BEFORE,
    )


FRONT_PROXY = Profile(common_name="front-proxy-client", client=True)
ADMIN = Profile(common_name="system:admin", organizations=("system:masters",), client=True)


def serving_profile(config: ServerConfig, *, hostname: str) -> Profile:
    """The names under which clients may find this server."""
    cluster = "kubernetes.default.svc"
    names = {
        "localhost", "127.0.0.1", "::1", hostname.lower(), config.advertise_address,
        "kubernetes", "kubernetes.default", cluster, f"{cluster}.{config.cluster_domain}",
        config.kubernetes_ip, *config.node_ips, *config.tls_sans,
    }  # fmt: skip
    if not ip_address(config.bind_address).is_unspecified:
        names.add(config.bind_address)
    return Profile(common_name="edgek-server", names=frozenset(names), server=True)


def make_data_dir(data_dir: Path) -> None:
    """Raises UsageError where it cannot be made or written."""
    tls = data_dir / "server" / "tls"
    try:
        files.make_private_dir(tls.parent)
        files.make_private_dir(tls)
        probe = tls / ".writable"
        probe.touch()  # a real write: what access(2) answers root is no promise
        probe.unlink()
    except OSError as err:
        raise UsageError(f"--data-dir: {data_dir} is not writable: {err.strerror}") from err


@contextmanager
def _explained(tls: Path) -> Iterator[None]:
    try:
        yield
    except OSError as err:
        raise StartError(f"cannot use {err.filename or tls}: {err.strerror}") from err


def _ensure_ca(tls: Path, name: str, *, now: datetime) -> KeyPair:
    certificate, key = files.read(tls / f"{name}.crt"), files.read(tls / f"{name}.key")
    if certificate is None and not (tls / "serving.crt").exists():
        pair = new_ca(f"edgek-{name}@{int(now.timestamp())}", now=now)
        _write_pair(tls, name, pair)
        return pair
    described = _described(certificate or b"")
    if not (certificate and key and described) or _fingerprint(key) != described.key:
        raise StartError(
            f"{tls}/{name}.crt and {name}.key are missing, damaged or no pair; restore both "
            "from a backup (without them nodes and users cannot be recognised)"
        )
    return KeyPair(certificate=certificate, key=key)


def _ensure_leaf(tls: Path, name: str, profile: Profile, *, ca: KeyPair, now: datetime) -> KeyPair:
    certificate, key = files.read(tls / f"{name}.crt"), files.read(tls / f"{name}.key")
    if certificate and key and _is_current(certificate, key, profile, ca=ca, now=now):
        return KeyPair(certificate=certificate, key=key)
    pair = new_pair(ca, profile, now=now)
    _write_pair(tls, name, pair)
    return pair


def _is_current(
    certificate: bytes, key: bytes, profile: Profile, *, ca: KeyPair, now: datetime
) -> bool:
    described = _described(certificate)
    return (
        described is not None
        and described.key == _fingerprint(key)
        and described.names == frozenset(profile.names)
        and (is_before(ca, now) or described.not_before <= now < described.not_after - RENEW_BEFORE)
        and is_signed_by(certificate, ca.certificate)
    )


def is_before(ca: KeyPair, now: datetime) -> bool:
    """The clock is behind, as of a board without a battery that was not told the time yet: what
    is signed now would be no more valid than what there is."""
    described = _described(ca.certificate)
    return described is not None and now < described.not_before


def _described(certificate: bytes) -> Description | None:
    try:
        return describe(certificate)
    except ValueError:
        return None


def _fingerprint(key: bytes) -> str:
    try:
        return key_fingerprint(key)
    except ValueError:
        return ""


def _write_pair(tls: Path, name: str, pair: KeyPair) -> None:
    """The key first: see the module's docstring."""
    files.write_atomic(tls / f"{name}.key", pair.key)
    files.write_atomic(tls / f"{name}.crt", pair.certificate, mode=0o644)


def _ensure_key(path: Path) -> bytes:
    key = files.read(path)
    if key is None:
        key = new_key()
        files.write_atomic(path, key)
    try:
        load_key(key)
    except ValueError as err:
        raise StartError(
            f"{path} is damaged; restore it from a backup, or remove it to invalidate all "
            "service-account tokens"
        ) from err
    return key


def _ensure_tokens(config: ServerConfig, pin: str) -> tuple[JoinToken, JoinToken]:
    """(server token, agent token): as set, else as stored, else new (the agent's: the same)."""
    home = config.data_dir / "server"
    secret = _secret(config.token, home / "token", pin) or new_secret()
    agent_secret = config.agent_token.secret if config.agent_token else secret
    token = JoinToken(secret=secret, user="server", ca_hash=pin)
    agent_token = JoinToken(secret=agent_secret, user="node", ca_hash=pin)
    for name, value in (
        ("token", token), ("agent-token", agent_token), ("node-token", agent_token)
    ):  # fmt: skip
        files.write_if_changed(home / name, f"{value}\n".encode())
    return token, agent_token


def _secret(given: JoinToken | None, path: Path, pin: str) -> str:
    if given is not None:
        if given.ca_hash not in ("", pin):
            raise UsageError("--token: pins the certificate of another cluster")
        return given.secret
    stored = files.read(path)
    if not stored:
        return ""
    try:
        return parse_join_token(stored.decode()).secret
    except ValueError as err:
        raise StartError(f"{path} {err}") from err


def _write_kubeconfig(config: ServerConfig, *, ca: bytes, admin: KeyPair) -> None:
    address = ip_address(config.bind_address)
    host = "127.0.0.1" if address.is_unspecified else str(address)
    host = f"[{host}]" if ":" in host else host
    content = build_kubeconfig(server=f"https://{host}:{config.port}", ca=ca, client=admin)
    path = config.write_kubeconfig
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write_if_changed(path, content, mode=config.write_kubeconfig_mode)
    except OSError as err:
        raise UsageError(f"--write-kubeconfig: cannot write {path}: {err.strerror}") from err
