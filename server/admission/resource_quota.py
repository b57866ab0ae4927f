"""ResourceQuota: nothing is made that its namespace's quotas have no room for.

A write is charged to status.used before it is committed, so that many at once can not exceed a
quota; those that wait at the same time are charged with one update of the status. Others write
that status too (the quota controller counts anew when something goes): a charge is made on
condition of the status it was planned for, else planned again. What is charged and not yet there
to be counted is added to what the controller writes; what comes to nothing is given back. As
apiserver admission/plugin/resourcequota, which leaves the last two to a periodic count.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from edgek.aio.clock import Clock
from edgek.api.errors import ApiError, Conflict, InternalError, NotFound
from edgek.api.meta import Key, Obj, get_path, key_of, name, resource_version, uid, with_path
from edgek.kinds.resource_quota import RESOURCE_QUOTA
from server.admission.chain import Attributes
from server.admission.quota_plan import Charges, added, is_charged, plan_charges, used_of
from server.request.reader import Reader

WriteStatus = Callable[[Key, Callable[[Obj], Obj]], Awaitable[object]]
"""Changes one quota by ``transform(stored) -> new``, which may run several times."""
_TRIES = 20
_OPEN_SECONDS = 60.0
"""After that a charge whose write nobody told the end of (its request was cancelled) is no
longer taken for under way."""


@dataclass(eq=False)
class _Write:
    """A write that waits to be charged, or was."""

    attributes: Attributes
    answer: asyncio.Future[None]
    charged: Charges = field(default_factory=dict)
    expires: float = 0.0


class _Stale(Exception):
    """The quota is not the one the charge was planned for."""


class ResourceQuota:
    """``write`` goes past admission: it is admission that writes."""

    def __init__(self, reader: Reader, *, write: WriteStatus, clock: Clock) -> None:
        self._reader = reader
        self._write = write
        self._clock = clock
        self._waiting: dict[str, list[_Write]] = {}
        self._working: dict[str, asyncio.Task[None]] = {}
        self._open: dict[str, dict[_Write, None]] = {}
        self._freshness = reader.freshness(RESOURCE_QUOTA)
        self._any = False

    async def admit(self, attributes: Attributes) -> None:
        """Whoever counts cannot see what is charged and under way: it is added for them."""
        a = attributes
        if a.kind == RESOURCE_QUOTA and a.subresource == "status" and a.namespace in self._open:
            self._add_open(a.obj)

    async def validate(self, attributes: Attributes) -> None:
        a = attributes
        if not self._exist() or not is_charged(a) or not self._quotas(a.namespace):
            return
        if a.operation == "CREATE" and self._exists(a):
            return  # it will be refused for that; nothing is to be charged
        if a.dry_run:
            quotas = self._quotas(a.namespace)
            used = {name(q): used_of(q) for q in quotas}
            plan_charges(a, quotas, used, now=self._clock.now())
            return
        await self._charge(a)

    def _exist(self) -> bool:
        """Whether there are quotas anywhere: most clusters have none, and each write asks."""
        if self._freshness.stale:
            self._any = any(True for _ in self._reader.list(RESOURCE_QUOTA))
            self._freshness.stale = False
        return self._any

    def _quotas(self, namespace: str) -> Sequence[Obj]:
        return tuple(self._reader.list(RESOURCE_QUOTA, namespace))

    def _exists(self, a: Attributes) -> bool:
        key = Key(a.namespace, a.obj["metadata"].get("name") or "")
        return self._reader.get(a.kind, key) is not None

    # --- charging ----------------------------------------------------------------------------

    async def _charge(self, a: Attributes) -> None:
        """Returns once the quotas are charged. Raises Forbidden."""
        write = _Write(a, asyncio.get_running_loop().create_future())
        self._waiting.setdefault(a.namespace, []).append(write)
        if a.namespace not in self._working:
            work = asyncio.create_task(self._work(a.namespace), name="quota")
            self._working[a.namespace] = work
        await write.answer
        if write.charged:
            a.ended.append(lambda committed: self._end(write, committed=committed))

    async def _work(self, namespace: str) -> None:
        """Charges all that wait, together, until none does."""
        try:
            while batch := self._waiting.pop(namespace, None):
                await self._charge_or_fail(namespace, batch)
        finally:
            del self._working[namespace]

    async def _charge_or_fail(self, namespace: str, batch: list[_Write]) -> None:
        """Whatever happens (a full disk), nobody waits for ever."""
        try:
            await self._charge_all(namespace, batch)
        except Exception as err:
            why = err if isinstance(err, ApiError) else InternalError(f"quota: {err}")
            for write in batch:
                if not write.answer.done():
                    await self._refuse(write, why)

    async def _charge_all(self, namespace: str, batch: list[_Write]) -> None:
        left = batch
        for _ in range(_TRIES):
            left = await self._try(namespace, left)
            if not left:
                return
        for write in left:
            why = "the quotas of the namespace change all the time, please try again"
            await self._refuse(write, Conflict.of(RESOURCE_QUOTA, namespace, why))

    async def _try(self, namespace: str, batch: list[_Write]) -> list[_Write]:
        """One plan and its updates; gives back the writes that are to be planned again."""
        quotas = self._quotas(namespace)
        used = {name(q): used_of(q) for q in quotas}
        planned: list[tuple[_Write, Charges]] = []
        for write in batch:
            charges = await self._plan(write, quotas, used)
            if charges is not None:
                planned.append((write, charges))
                for quota, asked in charges.items():
                    used[quota] = added(used[quota], asked)
        stale = await self._update_all(quotas, used)
        again = []
        for write, charges in planned:
            write.charged |= {q: asked for q, asked in charges.items() if q not in stale}
            if stale.keys() & charges.keys():
                again.append(write)
            else:
                await self._accept(write)
        return again

    async def _plan(
        self, write: _Write, quotas: Sequence[Obj], used: dict[str, dict[str, str]]
    ) -> Charges | None:
        """None where it was refused. A quota that is charged already is not charged again."""
        open_ = [q for q in quotas if name(q) not in write.charged]
        try:
            return plan_charges(write.attributes, open_, used, now=self._clock.now())
        except ApiError as refusal:
            await self._refuse(write, refusal)
        return None

    async def _update_all(
        self, quotas: Sequence[Obj], used: dict[str, dict[str, str]]
    ) -> dict[str, None]:
        """Writes each status that differs; the names of the quotas that had changed meanwhile."""
        changed = [q for q in quotas if used_of(q) != used[name(q)]]
        written = await asyncio.gather(*(self._set_used(q, used[name(q)]) for q in changed))
        return {name(q): None for q, done in zip(changed, written, strict=True) if not done}

    async def _set_used(self, quota: Obj, used: dict[str, str]) -> bool:
        def charge(stored: Obj) -> Obj:
            if resource_version(stored) != resource_version(quota):
                raise _Stale
            return with_path(stored, ("status", "used"), used)

        try:
            await self._write(key_of(quota), charge)
        except (_Stale, Conflict, NotFound):
            return False
        return True

    # --- what becomes of a charge ------------------------------------------------------------

    async def _accept(self, write: _Write) -> None:
        if write.answer.cancelled():
            await self._give_back(write)
            return
        if write.charged:
            write.expires = asyncio.get_running_loop().time() + _OPEN_SECONDS
            self._open.setdefault(write.attributes.namespace, {})[write] = None
        write.answer.set_result(None)

    async def _refuse(self, write: _Write, why: ApiError) -> None:
        await self._give_back(write)
        if not write.answer.cancelled():
            write.answer.set_exception(why)

    async def _end(self, write: _Write, *, committed: bool) -> None:
        self._close(write)
        if not committed:
            await self._give_back(write)

    def _close(self, write: _Write) -> None:
        namespace = write.attributes.namespace
        of_namespace = self._open.get(namespace, {})
        of_namespace.pop(write, None)
        if not of_namespace:
            self._open.pop(namespace, None)

    async def _give_back(self, write: _Write) -> None:
        for quota, asked in write.charged.items():

            def lower(stored: Obj, asked: dict[str, str] = asked) -> Obj:
                used = added(used_of(stored), asked, sign=-1)
                return with_path(stored, ("status", "used"), used)

            # Where it cannot be written (a full disk) the next count mends it.
            with suppress(ApiError):
                await self._write(Key(write.attributes.namespace, quota), lower)
        write.charged = {}

    def _add_open(self, quota: Obj) -> None:
        namespace, now = quota["metadata"]["namespace"], asyncio.get_running_loop().time()
        for write in list(self._open[namespace]):
            if write.expires < now:
                self._close(write)
                continue
            asked = write.charged.get(name(quota))
            if asked and not self._is_visible(write.attributes):
                used = get_path(quota, "status", "used", default={})
                quota["status"] = {**quota["status"], "used": added(used, asked)}

    def _is_visible(self, a: Attributes) -> bool:
        stored = self._reader.get(a.kind, Key(a.namespace, name(a.obj)))
        if stored is None or uid(stored) != uid(a.obj):
            return False
        return a.old is None or resource_version(stored) != resource_version(a.old)
