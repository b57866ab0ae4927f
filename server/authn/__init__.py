"""Who asks: one authenticator per credential, and the order they are asked in.

``default_authenticators`` is that order. The first that knows the request's credential answers;
``Anonymous`` comes last and refuses a credential that none of them knew.
"""

from edgek.aio.clock import Clock
from server.authn.anonymous import Anonymous
from server.authn.authenticator import Authenticator
from server.authn.join_token import JoinTokenAuthenticator
from server.authn.service_account import ServiceAccountAuthenticator
from server.authn.tokens import TokenIssuer
from server.authn.union import Union
from server.authn.x509 import X509Authenticator
from server.identity import ServerIdentity
from server.request.reader import Reader


def default_authenticators(
    identity: ServerIdentity, *, issuer: TokenIssuer, reader: Reader, clock: Clock
) -> Authenticator:
    return Union(
        (
            X509Authenticator(clock=clock),
            JoinTokenAuthenticator(identity.token, identity.agent_token),
            ServiceAccountAuthenticator(issuer=issuer, reader=reader, clock=clock),
            Anonymous(),
        )
    )
