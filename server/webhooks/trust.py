"""Trust: whose certificate a call takes and which it shows, and the TLS context made of that."""

import ssl
from dataclasses import dataclass, field
from functools import lru_cache

from edgek.client.http import Access, tls_context


@dataclass(frozen=True, kw_only=True)
class Trust:
    """Whose certificate we take and which we show. ``ca`` is PEM, b"" the system's authorities;
    ``certificate`` and ``key`` are our own, PEM. Hashable, because contexts are kept by it."""

    ca: bytes = b""
    certificate: bytes = b""
    key: bytes = field(default=b"", repr=False)
    insecure: bool = False


@lru_cache(maxsize=64)
def context_of(trust: Trust) -> ssl.SSLContext:
    """Raises ServiceUnavailable where a certificate cannot be read."""
    return tls_context(
        Access(
            server="",
            ca=trust.ca,
            client_cert=trust.certificate,
            client_key=trust.key,
            insecure=trust.insecure,
        )
    )
