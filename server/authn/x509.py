"""Client certificates: common name is the user, organizations are the groups.

TLS has verified the chain against our client CA already; the dates are checked here, on every
request, so that a connection kept open does not outlive its certificate.
"""

import hashlib
import logging
from datetime import datetime
from functools import lru_cache

from edgek.aio.clock import Clock
from edgek.api.errors import Unauthorized
from edgek.pki.certificates import describe
from server.request.model import Request, User
from server.request.principals import AUTHENTICATED, CREDENTIAL_ID

log = logging.getLogger(__name__)


class X509Authenticator:
    """Reads each certificate once; some hundred of them are remembered."""

    def __init__(self, *, clock: Clock) -> None:
        self._clock = clock
        self._read = lru_cache(maxsize=512)(_read)

    async def authenticate(self, request: Request) -> User | None:
        if request.peer_certificate is None:
            return None
        try:
            user, not_before, not_after = self._read(request.peer_certificate)
        except ValueError as err:
            raise Unauthorized from err
        if not not_before <= self._clock.now() <= not_after:
            log.warning(
                "client certificate has expired or is not valid yet user=%s from=%s until=%s "
                "remote=%s", user.name, not_before, not_after, request.remote,
            )  # fmt: skip
            raise Unauthorized
        return user


def _read(der: bytes) -> tuple[User, datetime, datetime]:
    described = describe(der)
    if not described.common_name.strip():
        raise ValueError("the certificate has no common name")
    user = User(
        name=described.common_name,
        groups=(*described.organizations, AUTHENTICATED),
        extra={CREDENTIAL_ID: (f"X509SHA256={hashlib.sha256(der).hexdigest()}",)},
    )
    return user, described.not_before, described.not_after
