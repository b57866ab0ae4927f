"""Every way a request can fail, as one class per Status reason.

The same classes travel both ways: the server writes ``to_status()``, a client reads
``from_status()``. As apimachinery pkg/api/errors; two quirks of upstream are kept:
``details.kind`` holds the *plural* for NotFound, AlreadyExists, Conflict and Forbidden, but the
*Kind* for Invalid.

    ApiError
      BadRequest 400   Unauthorized 401   Forbidden 403   NotFound 404   MethodNotAllowed 405
      NotAcceptable 406   AlreadyExists 409   Conflict 409   Expired 410
      RequestEntityTooLarge 413   UnsupportedMediaType 415   Invalid 422   TooManyRequests 429
      InternalError 500   ServerTimeout 500   ServiceUnavailable 503   Timeout 504
"""

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Protocol

from edgek.api.validation import FieldError


class KindName(Protocol):
    """What an error needs to know of a kind; ``edgek.kinds.Kind`` fits."""

    @property
    def group(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def plural(self) -> str: ...


def qualified(plural: str, group: str) -> str:
    """``deployments.apps``, or ``pods`` for the core group."""
    return f"{plural}.{group}" if group else plural


class ApiError(Exception):
    """A failed request: what the Status object says of it."""

    code: int = 500
    reason: str = "Unknown"

    def __init__(self, message: str, *, details: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.details: dict[str, Any] = dict(details or {})
        self.metadata: dict[str, Any] = {}
        """ListMeta of the Status: an Expired list carries a token to go on with."""

    @property
    def retry_after(self) -> int | None:
        """Seconds after which a client may try again, if the server named them."""
        return self.details.get("retryAfterSeconds")

    def to_status(self) -> dict[str, Any]:
        status: dict[str, Any] = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": self.metadata,
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
        }
        # Also where there are none: kubectl debug looks into them without looking for them.
        status["details"] = self.details
        return status | {"code": self.code}


class BadRequest(ApiError):
    code, reason = 400, "BadRequest"


class Unauthorized(ApiError):
    code, reason = 401, "Unauthorized"

    def __init__(self, message: str = "Unauthorized", *, details: Any = None) -> None:
        super().__init__(message, details=details)


class Forbidden(ApiError):
    code, reason = 403, "Forbidden"

    @classmethod
    def of(cls, kind: KindName, name: str, why: str) -> "Forbidden":
        what = qualified(kind.plural, kind.group)
        message = f'{what} "{name}" is forbidden: {why}' if name else f"{what} is forbidden: {why}"
        return cls(message, details=_details(kind, name))


class NotFound(ApiError):
    code, reason = 404, "NotFound"

    @classmethod
    def of(cls, kind: KindName, name: str) -> "NotFound":
        what = qualified(kind.plural, kind.group)
        return cls(f'{what} "{name}" not found', details=_details(kind, name))

    @classmethod
    def path(cls) -> "NotFound":
        """The answer for a URL that names nothing we serve."""
        return cls("the server could not find the requested resource")


class MethodNotAllowed(ApiError):
    code, reason = 405, "MethodNotAllowed"


class NotAcceptable(ApiError):
    code, reason = 406, "NotAcceptable"


class AlreadyExists(ApiError):
    code, reason = 409, "AlreadyExists"

    @classmethod
    def of(cls, kind: KindName, name: str) -> "AlreadyExists":
        what = qualified(kind.plural, kind.group)
        return cls(f'{what} "{name}" already exists', details=_details(kind, name))


class Conflict(ApiError):
    code, reason = 409, "Conflict"
    MODIFIED: ClassVar[str] = (
        "the object has been modified; please apply your changes to the latest version "
        "and try again"
    )

    @classmethod
    def of(cls, kind: KindName, name: str, why: str = MODIFIED) -> "Conflict":
        what = qualified(kind.plural, kind.group)
        message = f'Operation cannot be fulfilled on {what} "{name}": {why}'
        return cls(message, details=_details(kind, name))


class Expired(ApiError):
    """A resourceVersion or continue token older than the history kept: list again."""

    code, reason = 410, "Expired"


class RequestEntityTooLarge(ApiError):
    code, reason = 413, "RequestEntityTooLarge"


class UnsupportedMediaType(ApiError):
    code, reason = 415, "UnsupportedMediaType"


class Invalid(ApiError):
    code, reason = 422, "Invalid"

    @classmethod
    def of(cls, kind: KindName, name: str, errors: Iterable[FieldError]) -> "Invalid":
        causes = list(errors)
        texts = [str(e) for e in causes]
        shown = texts[0] if len(texts) == 1 else "[" + ", ".join(texts) + "]"
        what = qualified(kind.kind, kind.group)
        details = {
            "name": name,
            "group": kind.group,
            "kind": kind.kind,
            "causes": [e.cause() for e in causes],
        }
        message = f'{what} "{name}" is invalid: {shown}'
        return cls(message, details={k: v for k, v in details.items() if v})


class TooManyRequests(ApiError):
    code, reason = 429, "TooManyRequests"

    @classmethod
    def after(cls, message: str, seconds: int) -> "TooManyRequests":
        return cls(message, details={"retryAfterSeconds": seconds})


class InternalError(ApiError):
    code, reason = 500, "InternalError"


class ServerTimeout(ApiError):
    code, reason = 500, "ServerTimeout"


class ServiceUnavailable(ApiError):
    code, reason = 503, "ServiceUnavailable"


class Timeout(ApiError):
    code, reason = 504, "Timeout"


class Refused(ApiError):
    """What somebody else has decided, a webhook: with any code, any reason or none."""

    def __init__(self, status: Mapping[str, Any]) -> None:
        super().__init__(str(status.get("message") or ""), details=status.get("details"))
        self.code = int(status.get("code") or 500)
        self.reason = str(status.get("reason") or "")

    def to_status(self) -> dict[str, Any]:
        return {k: v for k, v in super().to_status().items() if k != "reason" or v}


def _details(kind: KindName, name: str) -> dict[str, Any]:
    details = {"name": name, "group": kind.group, "kind": kind.plural}
    return {k: v for k, v in details.items() if v}


ALL: tuple[type[ApiError], ...] = (
    BadRequest, Unauthorized, Forbidden, NotFound, MethodNotAllowed, NotAcceptable,
    AlreadyExists, Conflict, Expired, RequestEntityTooLarge, UnsupportedMediaType, Invalid,
    TooManyRequests, InternalError, ServerTimeout, ServiceUnavailable, Timeout,
)  # fmt: skip
_BY_REASON = {cls.reason: cls for cls in ALL}
_BY_CODE = {cls.code: cls for cls in reversed(ALL)}


def from_status(status: Mapping[str, Any], *, code: int = 0) -> ApiError:
    """The error a Status object describes; by reason, else by HTTP code, else InternalError."""
    number = int(status.get("code") or code or 500)
    cls = _BY_REASON.get(str(status.get("reason"))) or _BY_CODE.get(number) or InternalError
    return cls(str(status.get("message") or cls.reason), details=status.get("details"))
