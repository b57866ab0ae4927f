"""What of a request, and of an answer, goes on to the other side of a proxy. Pure."""

from collections.abc import Iterable, Mapping
from urllib.parse import quote

from server.request.model import Request

HOP_BY_HOP = frozenset(
    (
        *("connection", "keep-alive", "proxy-authenticate", "proxy-authorization"),
        *("proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", "content-length"),
    )
)
_OURS = frozenset(("authorization", "host", "x-remote-user", "x-remote-uid", "x-remote-group"))
_PREFIXES = ("x-remote-extra-", "impersonate-")


def target_of(request: Request) -> str:
    """Path and query as they were in the URL."""
    path, query = quote_path(request.path), query_of(request)
    return f"{path}?{query}" if query else path


def quote_path(path: str) -> str:
    return quote(path, safe="/:@!$&'()*+,;=~-._")


def query_of(request: Request) -> str:
    if request.raw_query or not request.query:
        return request.raw_query
    return "&".join(f"{quote(k)}={quote(v)}" for k, v in request.query.items())  # in process


def passed_headers(headers: Mapping[str, str]) -> list[tuple[str, str]]:
    """What goes on: not what is meant for us, nor what only we may say."""
    return [
        (name, value)
        for name, value in headers.items()
        if name not in HOP_BY_HOP
        and name not in _OURS
        and name != "x-forwarded-for"
        and not name.startswith(_PREFIXES)
    ]


def forwarded_for(request: Request) -> list[tuple[str, str]]:
    before = request.header("x-forwarded-for")
    way = f"{before}, {request.remote}" if before and request.remote else before or request.remote
    return [("X-Forwarded-For", way)] if way else []


def answered_headers(
    headers: Iterable[tuple[str, str]], *, without: Iterable[str] = ()
) -> dict[str, str]:
    """An answer's headers as the rest of the server looks for them; repeated ones are joined, but
    cookies by line feeds: a comma may be part of one."""
    left_out = {*HOP_BY_HOP, "content-type", "date", *without}
    found: dict[str, str] = {}
    for name, value in headers:
        if name.lower() in left_out:
            continue
        key = name.title()
        between = "\n" if key == "Set-Cookie" else ", "
        found[key] = f"{found[key]}{between}{value}" if key in found else value
    return found
