"""Somebody the server calls: a real HTTPS server with a certificate of its own authority."""

import base64
import socket
import ssl
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from aiohttp import web

from edgek.api.meta import Obj
from edgek.pki.certificates import KeyPair, Profile, new_ca, new_pair

Handle = Callable[[web.Request], Awaitable[web.StreamResponse]]
NAMES = ("127.0.0.1", "hook.default.svc", "metrics.kube-system.svc")


@dataclass(frozen=True, kw_only=True)
class Peer:
    """``connections`` grows with each connection that is made."""

    port: int
    ca: KeyPair
    connections: list[object] = field(default_factory=list)

    @property
    def ca_bundle(self) -> str:
        return base64.b64encode(self.ca.certificate).decode()

    def config(self, path: str = "/hook") -> Obj:
        """A clientConfig by url."""
        return {"url": f"https://127.0.0.1:{self.port}{path}", "caBundle": self.ca_bundle}


def context_of(pair: KeyPair, *, client_ca: bytes = b"") -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pair.pem"
        path.write_bytes(pair.certificate + b"\n" + pair.key)
        context.load_cert_chain(path)
    if client_ca:
        context.load_verify_locations(cadata=client_ca.decode())
        context.verify_mode = ssl.CERT_REQUIRED
    return context


@asynccontextmanager
async def https_peer(
    handle: Handle,
    *,
    names: tuple[str, ...] = NAMES,
    client_ca: bytes = b"",
    now: datetime | None = None,
    max_size: int = 4 * 1024 * 1024,
) -> AsyncIterator[Peer]:
    """``client_ca``: who calls must show a certificate of it. ``now``: when it was made.
    ``max_size``: of bodies that it takes."""
    made = now or datetime.now(UTC)
    ca = new_ca("peer-ca", now=made)
    pair = new_pair(ca, Profile(common_name="peer", names=names, server=True), now=made)
    connections: list[object] = []

    async def noted(request: web.BaseRequest) -> web.StreamResponse:
        if request.transport not in connections:
            connections.append(request.transport)
        return await handle(request.clone(client_max_size=max_size))  # type: ignore[arg-type]

    runner = web.ServerRunner(
        web.Server(noted, access_log=None, handler_cancellation=True), shutdown_timeout=0.1
    )
    await runner.setup()
    site = web.TCPSite(runner, "0.0.0.0", 0, ssl_context=context_of(pair, client_ca=client_ca))
    await site.start()
    port = runner.addresses[0][1]
    try:
        yield Peer(port=port, ca=ca, connections=connections)
    finally:
        await runner.cleanup()


def own_address() -> str:
    """An address of this machine that is not loopback's, as endpoints must have."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # sends nothing: asks the kernel which way it would go
        address: str = probe.getsockname()[0]
        return address


def slice_of(
    service: str,
    namespace: str,
    port: int,
    *,
    ready: bool = True,
    address: str = "127.0.0.1",
) -> Obj:
    """An EndpointSlice that leads to this machine. NB: the API takes no loopback address."""
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"{service}-1",
            "namespace": namespace,
            "labels": {"kubernetes.io/service-name": service},
        },
        "addressType": "IPv4",
        "endpoints": [{"addresses": [address], "conditions": {"ready": ready}}],
        "ports": [{"name": "", "port": port}],
    }


def service_of(name: str, namespace: str, *, port: int = 443) -> Obj:
    """A Service without a selector: its slices are the test's."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"type": "ClusterIP", "ports": [{"port": port, "protocol": "TCP"}]},
    }
