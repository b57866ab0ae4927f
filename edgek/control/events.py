"""EventRecorder: tells users what happened to an object, as core/v1 Events.

Recording never waits and never fails: records go to a bounded queue (the oldest is dropped) and
one task writes them. As client-go tools/record: the same event again within the cache raises
``count`` and ``lastTimestamp`` of the first instead of making another; more than ten alike that
differ in message only are combined; and each source has, per object, 25 events and one more
every five minutes.

Who records under one component name takes a ``Source`` from ``EventRecorder.source``.
"""

import asyncio
import logging
from collections import OrderedDict, deque
from collections.abc import Hashable
from contextlib import suppress
from dataclasses import dataclass
from typing import Generic, TypeVar

from edgek.aio.clock import Clock
from edgek.api.errors import AlreadyExists, ApiError, NotFound, ServiceUnavailable, Timeout
from edgek.api.meta import Key, Obj
from edgek.api.time import format_time
from edgek.client.client import Client
from edgek.kinds.event import EVENT

log = logging.getLogger(__name__)

MAX_QUEUED = 1000
CACHE_SIZE = 1024
# As record/events_cache.go and record/event.go.
SPAM_BURST = 25
SPAM_PER_SECOND = 1 / 300
AGGREGATE_LIMIT = 10
AGGREGATE_WINDOW = 600.0
MAX_TRIES = 12
RETRY_SECONDS = 10.0
MESSAGE_LIMIT = 1024
NAME_LIMIT = 253 - 17
COMBINED = "(combined from similar events): "

V = TypeVar("V")


class _Recent(Generic[V]):
    """The most recently used entries, no more than CACHE_SIZE."""

    def __init__(self) -> None:
        self._items: OrderedDict[Hashable, V] = OrderedDict()

    def get(self, key: Hashable) -> V | None:
        if key in self._items:
            self._items.move_to_end(key)
        return self._items.get(key)

    def put(self, key: Hashable, value: V) -> None:
        self._items[key] = value
        self._items.move_to_end(key)
        if len(self._items) > CACHE_SIZE:
            self._items.popitem(last=False)


@dataclass
class _Bucket:
    tokens: float
    at: float


@dataclass
class _Alike:
    messages: set[str]
    last: float


@dataclass
class _Written:
    name: str
    count: int


@dataclass(frozen=True, kw_only=True)
class Record:
    """One thing that happened, before it becomes an Event or a count of one."""

    component: str
    host: str
    involved: tuple[tuple[str, str], ...]
    type: str
    reason: str
    message: str
    at: str

    def about(self, *without: str) -> Hashable:
        """Who speaks of what, as a cache key; ``without`` fields of the reference."""
        fields = tuple(f for f in self.involved if f[0] not in without)
        return self.component, self.host, fields

    @property
    def key(self) -> Key:
        """Events of cluster-scoped objects live in namespace default."""
        involved = dict(self.involved)
        return Key(involved.get("namespace") or "default", involved["name"])


@dataclass(frozen=True)
class Source:
    """A component's voice; ``host`` is its node, where it has one."""

    recorder: "EventRecorder"
    component: str
    host: str = ""

    def normal(self, obj: Obj, reason: str, message: str, *, field_path: str = "") -> None:
        self.recorder.record(self, obj, "Normal", reason, message, field_path)

    def warning(self, obj: Obj, reason: str, message: str, *, field_path: str = "") -> None:
        self.recorder.record(self, obj, "Warning", reason, message, field_path)


def involved_object(obj: Obj, field_path: str = "") -> tuple[tuple[str, str], ...]:
    """The reference to ``obj`` that an event carries, hashable."""
    meta = obj["metadata"]
    fields = {
        "kind": obj.get("kind"),
        "namespace": meta.get("namespace"),
        "name": meta["name"],
        "uid": meta.get("uid"),
        "apiVersion": obj.get("apiVersion"),
        "resourceVersion": meta.get("resourceVersion"),
        "fieldPath": field_path,
    }
    return tuple((key, value) for key, value in fields.items() if value)


class EventRecorder:
    """``run`` writes until cancelled; what is queued then is lost, as events may be. ``linger``:
    for so many seconds what is more urgent than its telling goes first."""

    def __init__(self, client: Client, clock: Clock, *, linger: float = 0.0) -> None:
        self._linger = linger
        self._client = client
        self._clock = clock
        self._queue: deque[Record] = deque(maxlen=MAX_QUEUED)
        self._wake = asyncio.Event()
        self._buckets: _Recent[_Bucket] = _Recent()
        self._alike: _Recent[_Alike] = _Recent()
        self._written: _Recent[_Written] = _Recent()
        self._last_stamp = 0

    def source(self, component: str, *, host: str = "") -> Source:
        return Source(self, component, host)

    def record(
        self, source: Source, obj: Obj, type_: str, reason: str, message: str, field_path: str = ""
    ) -> None:
        """Never waits, never raises; prefer ``Source.normal`` and ``Source.warning``."""
        record = Record(
            component=source.component,
            host=source.host,
            involved=involved_object(obj, field_path),
            type=type_,
            reason=reason,
            message=message[:MESSAGE_LIMIT],
            at=format_time(self._clock.now()),
        )
        self._queue.append(record)
        self._wake.set()

    async def run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            await asyncio.sleep(self._linger)
            while self._queue:
                await self._write(self._queue.popleft())

    async def _write(self, record: Record) -> None:
        if not self._allowed(record):
            return
        event = self._event(record)
        for attempt in range(MAX_TRIES):
            try:
                await self._send(record, event)
                return
            except (ServiceUnavailable, Timeout):
                if attempt + 1 < MAX_TRIES:
                    await asyncio.sleep(RETRY_SECONDS)
            except ApiError as err:  # such as a namespace that is going away
                log.debug(
                    "event refused object=%s reason=%s err=%s", record.key, record.reason, err
                )
                return
        log.debug("event dropped object=%s reason=%s", record.key, record.reason)

    def _allowed(self, record: Record) -> bool:
        """A token bucket per source and object, whatever the version of the object."""
        now = self._clock.monotonic()
        key = record.about("resourceVersion", "fieldPath")
        bucket = self._buckets.get(key) or _Bucket(SPAM_BURST, now)
        bucket.tokens = min(SPAM_BURST, bucket.tokens + (now - bucket.at) * SPAM_PER_SECOND)
        bucket.at = now
        self._buckets.put(key, bucket)
        if bucket.tokens < 1:
            return False
        bucket.tokens -= 1
        return True

    def _combines(self, record: Record) -> bool:
        """Whether too many alike came before it, as EventAggregator finds."""
        now = self._clock.monotonic()
        key = record.about("resourceVersion"), record.type, record.reason
        alike = self._alike.get(key)
        if alike is None or now - alike.last > AGGREGATE_WINDOW:
            alike = _Alike(set(), now)
        alike.last = now
        self._alike.put(key, alike)
        if len(alike.messages) < AGGREGATE_LIMIT or record.message in alike.messages:
            alike.messages.add(record.message)
            return False
        return True

    async def _send(self, record: Record, event: Obj) -> None:
        combined = event["message"] != record.message
        distinct = None if combined else record.message
        key = record.about("resourceVersion"), record.type, record.reason, distinct
        known = self._written.get(key)
        if known is not None:
            try:
                await self._count(record, known, event["message"])
                return
            except NotFound:  # expired in the server: begin anew
                pass
        with suppress(AlreadyExists):  # our answer was lost and we tried again
            await self._client.create(EVENT, event)
        self._written.put(key, _Written(event["metadata"]["name"], 1))

    async def _count(self, record: Record, known: _Written, message: str) -> None:
        body = {"count": known.count + 1, "lastTimestamp": record.at, "message": message}
        await self._client.patch(EVENT, Key(record.key.namespace, known.name), body)
        known.count += 1

    def _event(self, record: Record) -> Obj:
        key = record.key
        source = {"component": record.component} | ({"host": record.host} if record.host else {})
        prefix = COMBINED if self._combines(record) else ""
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {
                "name": f"{key.name[:NAME_LIMIT]}.{self._stamp():x}",
                "namespace": key.namespace,
            },
            "involvedObject": dict(record.involved),
            "reason": record.reason,
            "message": prefix + record.message,
            "source": source,
            "firstTimestamp": record.at,
            "lastTimestamp": record.at,
            "count": 1,
            "type": record.type,
            "eventTime": None,
            "reportingComponent": record.component,
            "reportingInstance": record.host,
        }

    def _stamp(self) -> int:
        """Nanoseconds, as upstream names events by; never the same twice."""
        self._last_stamp = max(int(self._clock.now().timestamp() * 1e9), self._last_stamp + 1)
        return self._last_stamp
