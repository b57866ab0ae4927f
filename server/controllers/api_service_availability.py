"""API service availability: whether the server behind an APIService answers.

As kube-aggregator pkg/controllers/status. Looks when the APIService, its Service or the Service's
endpoints change, and again and again, ever more rarely, while the server does not answer; never
while it does and nothing changes.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass

from edgek.api.conditions import with_condition
from edgek.api.meta import Key, Obj, get_path, key_of
from edgek.api.time import format_time
from edgek.control.controller import DONE, Context, ForKind, Mapped, Result, Watch
from edgek.kinds import API_SERVICE, ENDPOINT_SLICE, SERVICE
from edgek.kinds.api_service import AVAILABLE, available_condition, is_local, local_condition

SERVICE_NAME = "kubernetes.io/service-name"
_FIRST_WAIT = 1.0
_LONGEST_WAIT = 60.0

Check = Callable[[Obj], Awaitable[str]]
"""Asks the server of an APIService; what is wrong with it, "" for nothing."""


@dataclass(frozen=True)
class Verdict:
    """``check``: all that can be seen from here is well; the server itself is to be asked."""

    status: str = ""
    reason: str = ""
    message: str = ""
    check: bool = False


def plan_verdict(api_service: Obj, service: Obj | None, slices: Sequence[Obj]) -> Verdict:
    """What Service and endpoints already say."""
    ref = api_service["spec"]["service"]
    name, namespace, port = ref.get("name"), ref.get("namespace"), ref.get("port") or 443
    what = f'service/{name} in "{namespace}"'
    if service is None:
        return Verdict("False", "ServiceNotFound", f"{what} is not present")
    if get_path(service, "spec", "type", default="ClusterIP") != "ClusterIP":
        return Verdict(check=True)
    ports = get_path(service, "spec", "ports", default=())
    found = next((p for p in ports if p.get("port") == port), None)
    if found is None:
        return Verdict("False", "ServicePortError", f"{what} is not listening on port {port}")
    if not slices:
        return Verdict("False", "EndpointsNotFound", f"cannot find endpointslices for {what}")
    wanted = found.get("name") or ""
    if not any(_has_ready(s, wanted) for s in slices):
        why = f'endpoints for {what} have no addresses with port name "{wanted}"'
        return Verdict("False", "MissingEndpoints", why)
    return Verdict(check=True)


def _has_ready(slice_: Obj, port_name: str) -> bool:
    named = any((p.get("name") or "") == port_name for p in slice_.get("ports") or ())
    endpoints = slice_.get("endpoints") or ()
    ready = (get_path(e, "conditions", "ready", default=True) is not False for e in endpoints)
    return named and any(ready)


def build(context: Context, *, check: Check) -> "ApiServiceAvailability":
    return ApiServiceAvailability(context, check)


class ApiServiceAvailability:
    name = "available-condition-controller"
    kind = API_SERVICE

    def __init__(self, context: Context, check: Check) -> None:
        self._client = context.client
        self._clock = context.clock
        self._check = check
        self._waits: dict[Key, float] = {}
        self._api_services = context.informers.get(API_SERVICE)
        self._services = context.informers.get(SERVICE)
        self._slices = context.informers.get(ENDPOINT_SLICE)
        self.watches: Sequence[Watch] = (
            ForKind(API_SERVICE, when=_differs),
            Mapped(SERVICE, self._users),
            Mapped(ENDPOINT_SLICE, self._users_of_slice),
        )

    def _users(self, service: Obj) -> Iterable[Key]:
        return self._of(key_of(service))

    def _users_of_slice(self, slice_: Obj) -> Iterable[Key]:
        name = (slice_["metadata"].get("labels") or {}).get(SERVICE_NAME, "")
        return self._of(Key(slice_["metadata"].get("namespace") or "", name))

    def _of(self, service: Key) -> Iterable[Key]:
        for obj in self._api_services.list():
            if not is_local(obj) and _service_key(obj) == service:
                yield key_of(obj)

    async def reconcile(self, key: Key) -> Result:
        obj = self._api_services.get(key)
        if obj is None:
            self._waits.pop(key, None)
            return DONE
        verdict = await self._verdict(obj)
        await self._write(obj, verdict)
        if verdict.status == "True" or not verdict.check:
            self._waits.pop(key, None)
            return DONE
        wait = self._waits.get(key, _FIRST_WAIT)
        self._waits[key] = min(wait * 2, _LONGEST_WAIT)
        return Result(requeue_after=wait)

    async def _verdict(self, obj: Obj) -> Verdict:
        if is_local(obj):
            local = local_condition(None)
            return Verdict(local["status"], local["reason"], local["message"])
        service = _service_key(obj)
        slices = [
            s
            for s in self._slices.list(service.namespace)
            if (s["metadata"].get("labels") or {}).get(SERVICE_NAME) == service.name
        ]
        seen = plan_verdict(obj, self._services.get(service), slices)
        if not seen.check:
            return seen
        if problem := await self._check(obj):
            return Verdict("False", "FailedDiscoveryCheck", problem, check=True)
        return Verdict("True", "Passed", "all checks passed", check=True)

    async def _write(self, obj: Obj, verdict: Verdict) -> None:
        before = available_condition(obj) or {}
        said = {"status": verdict.status, "reason": verdict.reason, "message": verdict.message}
        if {field: before.get(field) for field in said} == said:
            return
        conditions = with_condition(
            get_path(obj, "status", "conditions"),
            {"type": AVAILABLE, **said},
            now=format_time(self._clock.now()),
        )
        status = {**(obj.get("status") or {}), "conditions": conditions}
        await self._client.update_status(API_SERVICE, {**obj, "status": status})


def _differs(old: Obj | None, new: Obj | None) -> bool:
    """Not our own writes of the status."""
    return old is None or new is None or old.get("spec") != new.get("spec")


def _service_key(obj: Obj) -> Key:
    ref = obj["spec"]["service"]
    return Key(ref.get("namespace") or "", ref.get("name") or "")
