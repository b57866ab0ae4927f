"""What ``plan`` decided for a pod, as values; ``actions`` carries it out."""

from dataclasses import dataclass
from datetime import datetime

from agent.pods.state import Attempt


@dataclass(frozen=True, kw_only=True)
class Start:
    """Make and start attempt ``number`` of a container; ``after`` is the one it replaces."""

    name: str
    number: int
    after: Attempt | None = None


@dataclass(frozen=True, kw_only=True)
class Stop:
    """``why``: the Killing event's sentence, where it is not the usual one. ``restart``: another
    attempt follows whatever the restart policy says. ``abrupt``: without its preStop hook."""

    container_id: str
    name: str
    grace_seconds: int
    why: str = ""
    restart: bool = False
    abrupt: bool = False


@dataclass(frozen=True, kw_only=True)
class PodActions:
    """In the order they are applied. ``ending``: nothing of the pod is started any more.
    ``pre_stop``: their hooks begin though their stop waits for others. ``reset``: the containers
    that had everything removed, to begin anew. ``finished``: nothing runs nor will run again."""

    ending: bool = False
    pre_stop: tuple[Stop, ...] = ()
    stop: tuple[Stop, ...] = ()
    remove: tuple[str, ...] = ()
    reset: tuple[str, ...] = ()
    create_sandbox: bool = False
    start: tuple[Start, ...] = ()
    wait_until: datetime | None = None
    finished: bool = False
