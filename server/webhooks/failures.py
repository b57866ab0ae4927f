"""What went wrong with a call to somebody, in the words Go's clients have for it.

People search for these sentences, and controllers look for parts of them. Nothing here knows
HTTP libraries: causes are found along ``__cause__`` and by what every OSError carries.
"""

import errno
import socket
import ssl
from collections.abc import Iterator
from typing import Any

import orjson

DEADLINE = "context deadline exceeded"
_UNKNOWN_AUTHORITY = (18, 19, 20, 21)  # OpenSSL's codes of a chain that ends nowhere
_DATES = (9, 10)
_NAME = (62, 64)
_GENERIC = {
    400: "the server rejected our request for an unknown reason",
    401: "the server has asked for the client to provide credentials",
    403: "the server does not allow access to the requested resource",
    404: "the server could not find the requested resource",
    405: "the server does not allow this method on the requested resource",
    406: "the server was unable to respond with a content type that the client supports",
    409: "the server reported a conflict",
    415: "the server was unable to understand the request's content type",
    422: "the server rejected our request due to an error in our request",
    429: "the server has received too many requests and has asked us to try again later",
    500: "an error on the server ({}) has prevented the request from succeeding",
    503: "the server is currently unable to handle the request",
    504: "the server was unable to return a response in the time allotted, but may still be "
    "processing the request",
}


def connection_text(err: BaseException, *, host: str, port: int) -> str:
    """Why no answer came over a connection."""
    causes = list(_causes(err))
    for cause in causes:  # what TLS says comes first: it explains the broken connection around it
        if isinstance(cause, ssl.SSLError) and hasattr(cause, "reason"):
            return _tls_text(cause, host)
    for cause in causes:
        if isinstance(cause, socket.gaierror):
            return f"dial tcp: lookup {host}: no such host"
        if isinstance(cause, TimeoutError):
            return f"dial tcp {_joined(host, port)}: i/o timeout"
    for cause in causes:
        if isinstance(cause, OSError) and cause.errno:
            return _os_text(cause, host, port)
    return "EOF"


def _causes(err: BaseException) -> Iterator[BaseException]:
    seen: list[BaseException] = []
    waiting: list[Any] = [err]
    while waiting:
        cause = waiting.pop(0)
        if isinstance(cause, BaseException) and cause not in seen:
            seen.append(cause)
            yield cause
            waiting += [getattr(cause, "certificate_error", None), getattr(cause, "os_error", None)]
            waiting += [cause.__cause__, *getattr(cause, "exceptions", ())]


def _tls_text(err: ssl.SSLError, host: str) -> str:
    code = getattr(err, "verify_code", 0)
    if code in _UNKNOWN_AUTHORITY:
        why = "x509: certificate signed by unknown authority"
    elif code in _DATES:
        why = "x509: certificate has expired or is not yet valid"
    elif code in _NAME:
        why = f"x509: certificate is not valid for {host}"
    elif code:
        why = f"x509: {getattr(err, 'verify_message', '')}"
    else:
        return f"tls: {(err.reason or 'handshake failure').lower().replace('_', ' ')}"
    return f"tls: failed to verify certificate: {why}"


def _os_text(err: OSError, host: str, port: int) -> str:
    words = {
        errno.ECONNREFUSED: "connection refused",
        errno.EHOSTUNREACH: "no route to host",
        errno.ENETUNREACH: "network is unreachable",
    }
    if err.errno in words:
        return f"dial tcp {_joined(host, port)}: connect: {words[err.errno]}"
    if err.errno in (errno.ECONNRESET, errno.EPIPE):
        return "read: connection reset by peer"
    return (err.strerror or str(err) or "EOF").lower()


def _joined(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def status_text(code: int, body: bytes) -> str:
    """Of an answer that is no 2xx: its own message where it is a Status, else what client-go
    makes of the code (NewGenericServerResponse)."""
    try:
        decoded = orjson.loads(body)
    except ValueError:
        decoded = None
    if isinstance(decoded, dict) and decoded.get("kind") == "Status" and decoded.get("message"):
        return str(decoded["message"])
    said = _shown(body) if code >= 500 else ""
    if code in _GENERIC:
        return _GENERIC[code].format(said or '"unknown"')
    if code >= 500:
        return _GENERIC[500].format(said or '"unknown"')
    return f"the server responded with the status code {code} but did not return more information"


def _shown(body: bytes) -> str:
    text = body[:2048].decode(errors="replace").strip()
    return orjson.dumps(text).decode() if text else ""


def json_text(body: bytes) -> str:
    """Why a body is no JSON object, as Go's decoder begins to say it."""
    text = body.lstrip()[:1].decode(errors="replace")
    if not text:
        return "unexpected end of JSON input"
    if text in '{["-0123456789tfn':
        return "couldn't get version/kind; json parse error: the answer is no JSON object"
    why = f"invalid character '{text}' looking for beginning of value"
    return f"couldn't get version/kind; json parse error: {why}"
