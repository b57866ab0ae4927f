"""Audit filters: what is asked and what becomes of it goes to the audit log, as the policy says.

As apiserver pkg/endpoints/filters/audit.go and authn_audit.go. ``audit_refused`` stands before
authentication and tells of those whom it turns away, ``audit`` behind it of everybody else; both
are only there where there is a log.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import orjson

from edgek.aio.clock import Clock
from edgek.api.errors import ApiError, Unauthorized
from server.audit.event import Record, build_event, status_of
from server.audit.log import AuditLog
from server.audit.policy import Policy
from server.authz.authorizer import Authorizer, Decision
from server.request.model import Filter, Handler, Request, Response, User

T = TypeVar("T")

CLIENT_GONE = 499
"""The code of a request whose client did not wait for the answer, as proxies log it."""


@dataclass(frozen=True, kw_only=True)
class Audit:
    """What the two filters work with."""

    policy: Policy
    log: AuditLog
    clock: Clock

    def begin(self, request: Request, user: User | None) -> Record | None:
        """None where the policy says nothing of such requests."""
        detail = self.policy.detail_of(user, request.info)
        if not detail.at_least("Metadata"):
            return None
        return Record(
            audit_id=str(uuid.uuid4()),
            detail=detail,
            request=request,
            user=user,
            received=self.clock.now(),
        )

    def say(self, record: Record, stage: str) -> None:
        if stage not in record.detail.omitted:
            self.log.write(build_event(record, stage, now=self.clock.now()))


def audit_refused(audit: Audit) -> Filter:
    def wrap(handler: Handler) -> Handler:
        async def handle(request: Request) -> Response:
            try:
                return await handler(request)
            except Unauthorized as err:
                record = audit.begin(request, None)
                if record is not None:
                    record.status = status_of(err.code, err.to_status())
                    audit.say(record, "ResponseStarted")
                raise

        return handle

    return wrap


def audit(audit: Audit, authorizer: Authorizer) -> Filter:
    def wrap(handler: Handler) -> Handler:
        async def handle(request: Request) -> Response:
            record = audit.begin(request, request.user)
            if record is None:
                return await handler(request)
            audit.say(record, "RequestReceived")
            if record.detail.at_least("Request"):
                record.request_object = _asked(request)
            try:
                response = await handler(request)
            except ApiError as err:
                _note(record, authorizer, err.code, err.to_status())
                audit.say(record, "ResponseComplete")
                raise
            except asyncio.CancelledError:
                # What was asked for may be done all the same: hanging up must hide nothing.
                _note(record, authorizer, CLIENT_GONE, None)
                audit.say(record, "ResponseComplete")
                raise
            except Exception:
                _note(record, authorizer, 500, None)
                audit.say(record, "Panic")
                raise
            return _followed(audit, record, authorizer, response)

        return handle

    return wrap


def _note(record: Record, authorizer: Authorizer, code: int, answer: Any) -> None:
    """The answer, and why it was allowed or not; asked again, because nobody else needs to know
    why."""
    request = record.request
    record.status = status_of(code, answer)
    if record.detail.at_least("RequestResponse"):
        record.response_object = answer
    if request.user != record.user:
        record.impersonated = request.user
    verdict = authorizer.authorize(request.user, request.info, explain=True)
    allowed = verdict.decision is Decision.ALLOW
    record.annotations = {
        "authorization.k8s.io/decision": "allow" if allowed else "forbid",
        "authorization.k8s.io/reason": verdict.reason,
    }


def _asked(request: Request) -> Any:
    """The body as it came, before anybody changes it; None for what cannot be read."""
    if request.body is not None:
        return orjson.loads(orjson.dumps(request.body))
    if not request.raw_body:
        return None
    content_type = request.header("content-type")
    try:
        if "protobuf" in content_type:
            from edgek.schema.protobuf import builtin_codec

            return builtin_codec().decode(request.raw_body)
        if "yaml" in content_type:
            from edgek.schema.decode_yaml import decode_yaml

            return decode_yaml(request.raw_body)[0]
        return orjson.loads(request.raw_body)
    except (ApiError, ValueError):
        return None


def _followed(audit: Audit, record: Record, authorizer: Authorizer, response: Response) -> Response:
    """An answer that goes on says so at its begin and at its end."""
    goes_on = response.watch or response.stream or response.upgrade or response.raw_upgrade
    wanted = record.detail.at_least("RequestResponse") or response.status >= 400
    answer = _answered(response) if wanted and not goes_on else None
    _note(record, authorizer, response.status, answer)
    response.headers["Audit-Id"] = record.audit_id

    def complete() -> None:
        audit.say(record, "ResponseComplete")

    if not goes_on:
        complete()
        return response
    audit.say(record, "ResponseStarted")
    if response.watch is not None:
        response.watch = _Followed(response.watch, complete)
    elif response.stream is not None:
        response.stream = _Followed(response.stream, complete)
    elif response.upgrade is not None:
        response.upgrade = replace(
            response.upgrade, serve=_served(response.upgrade.serve, complete)
        )
    elif response.raw_upgrade is not None:
        response.raw_upgrade = replace(
            response.raw_upgrade, serve=_served(response.raw_upgrade.serve, complete)
        )
    return response


def _served(
    serve: Callable[[T], Awaitable[None]], complete: Callable[[], None]
) -> Callable[[T], Awaitable[None]]:
    async def served(connection: T) -> None:
        try:
            await serve(connection)
        finally:
            complete()

    return served


def _answered(response: Response) -> Any:
    if response.obj is not None:
        return response.obj
    if not response.body or "json" not in response.content_type:
        return None
    return orjson.loads(response.body)


class _Followed:
    """The same stream, which tells of its end: also to who closes it before its first item, where
    a generator would not even begin."""

    def __init__(self, stream: AsyncIterator[Any], complete: Callable[[], None]) -> None:
        self._stream = stream
        self._complete: Callable[[], None] | None = complete

    def __aiter__(self) -> "_Followed":
        return self

    async def __anext__(self) -> Any:
        try:
            return await anext(self._stream)
        except BaseException:
            self._end()
            raise

    async def aclose(self) -> None:
        self._end()
        if close := getattr(self._stream, "aclose", None):
            await close()

    def _end(self) -> None:
        complete, self._complete = self._complete, None
        if complete is not None:
            complete()
