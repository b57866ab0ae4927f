"""A container's termination message: what it says of its own end.

As kuberuntime_container.go: each attempt has a file of its own mounted at terminationMessagePath,
and what is in it at the end becomes the message of the terminated state. With
FallbackToLogsOnError the end of the log stands in for an empty file of a container that failed.
"""

import asyncio
from pathlib import Path

from agent.runtime.logs import LogOptions, read_log
from agent.runtime.runtime import Container
from edgek.api.meta import Obj

LIMIT = 4096
LOG_LIMIT, LOG_LINES = 2048, 80
DEFAULT_PATH = "/dev/termination-log"


def message_file(pod_dir: Path, name: str, attempt: int | str) -> Path:
    return pod_dir / "containers" / name / f"{attempt}"


def make_message_file(path: Path) -> None:
    """Blocking. Any user of the container may write to it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    path.chmod(0o666)


async def read_message(file: Path, container: Obj, ended: Container) -> str:
    """ "" where it said nothing."""
    data = await asyncio.to_thread(_head, file)
    fallback = container.get("terminationMessagePolicy") == "FallbackToLogsOnError"
    if not data and fallback and ended.exit_code and ended.log_path:
        data = await _log_end(Path(ended.log_path))
    return data.decode(errors="replace")


def _head(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            return opened.read(LIMIT)
    except OSError:
        return b""


async def _log_end(log: Path) -> bytes:
    over = asyncio.Event()
    over.set()
    data = b""
    try:
        async for chunk in read_log(log, LogOptions(tail=LOG_LINES), ended=over):
            data = (data + chunk)[-LOG_LIMIT:]
    except OSError:
        return b""
    return data
