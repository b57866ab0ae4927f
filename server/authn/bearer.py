"""The bearer token of a request."""

from server.request.model import Request

MAX_LENGTH = 16 * 1024


def bearer_token(request: Request) -> str:
    """ "" where there is none, or one too long to be ours."""
    scheme, _, token = request.header("authorization").partition(" ")
    token = token.strip()
    return token if scheme.lower() == "bearer" and len(token) <= MAX_LENGTH else ""
