"""The door between a Client and an API server.

A transport carries one call and gives back a decoded object, or a stream of watch events.
``HttpTransport`` (edgek/client/http.py) speaks HTTP over sockets of its own;
``InProcessTransport`` (server/inprocess.py) hands the same calls to the server's ``handle`` with
no socket and no JSON. Both raise ``edgek.api.errors`` and nothing of their own libraries.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from edgek.api.meta import Obj

JSON = "application/json"


class WatchEvent(NamedTuple):
    """``type`` is ADDED, MODIFIED, DELETED or BOOKMARK. An ERROR is raised, not handed out.

    ``obj`` may be shared with others: never mutate it.
    """

    type: str
    obj: Obj


@dataclass(frozen=True, kw_only=True)
class Call:
    """One API request. ``body`` is the decoded object; ``query`` has single text values.
    ``accept`` asks for another form of the answer (a Table, aggregated discovery); in process
    it is not heeded."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    content_type: str = JSON
    accept: str = JSON
    timeout: float = 30.0


class Transport(Protocol):
    async def call(self, call: Call) -> Obj:
        """The decoded answer. Raises ApiError; ServiceUnavailable where nobody answers, Timeout
        where the answer takes longer than ``call.timeout``."""

    def watch(self, call: Call) -> AbstractAsyncContextManager[AsyncIterator[WatchEvent]]:
        """Opens a watch. The iterator ends when the server closes it in good order; raises
        Expired on an ERROR event of that reason, ServiceUnavailable on a broken connection."""

    async def close(self) -> None:
        """Releases connections; calls under way fail."""
