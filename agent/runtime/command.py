"""Commands that run to their end in a container: probes and hooks, by ``crun exec``.

6 ms where an exec through Podman takes 68 and leaves two conmon processes behind for a while.
The command gets the container's environment, directory and cgroup.
"""

import asyncio
import contextlib
import json
import os
import signal
from pathlib import Path

from agent.runtime.oom import ordinary
from agent.runtime.runtime import ExecResult, RuntimeFailure

OUTPUT_BYTES = 16 * 1024
MAX_TREE = 1000
_CRUN_FAILED = (1, 255)
"""A command may exit with these too, but does not end on a line of crun's log."""


async def run_in_container(
    container_id: str,
    argv: tuple[str, ...],
    *,
    enter: tuple[str, ...],
    timeout: float,
    program: str = "crun",
) -> ExecResult:
    """``enter`` is the way into Podman's mount namespace. Raises TimeoutError, RuntimeFailure."""
    try:
        process = await asyncio.create_subprocess_exec(
            *ordinary(), *enter, program, "--log-format=json", "exec", container_id, *argv,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT, cwd="/",
        )  # fmt: skip
    except OSError as err:
        raise RuntimeFailure(f"cannot run {program}: {err}") from err
    try:
        async with asyncio.timeout(timeout):
            output = await _read_bounded(process)
            code = await process.wait()
    except BaseException:
        await _kill(process)
        raise
    return plan_result(code, output)


def plan_result(code: int, output: bytes) -> ExecResult:
    """128+n by signal. Raises RuntimeFailure where the command could not be started: it is missing,
    may not run, or the container does not. As the CRI's ExecSync with containerd."""
    if code < 0:
        return ExecResult(exit_code=128 - code, output=output)
    error = _crun_error(output) if code in _CRUN_FAILED else ""
    if not error:
        return ExecResult(exit_code=code, output=output)
    raise RuntimeFailure(error)


def _crun_error(output: bytes) -> str:
    last = output.strip().rpartition(b"\n")[2]
    try:
        entry = json.loads(last)
        return str(entry["msg"]) if entry["level"] == "error" and entry["time"] else ""
    except (ValueError, KeyError, TypeError):
        return ""


async def _read_bounded(process: asyncio.subprocess.Process) -> bytes:
    """Reads to the end, so that a talkative command can end, but keeps only the beginning."""
    assert process.stdout is not None
    kept = bytearray()
    while data := await process.stdout.read(65536):
        kept += data[: OUTPUT_BYTES - len(kept)]
    return bytes(kept)


async def _kill(process: asyncio.subprocess.Process) -> None:
    """The command inside as well, with all that it started: it is crun's child and would live on
    without it."""
    if process.returncode is not None:
        return
    kill_tree(process.pid)
    # Its pipe may be held by a grandchild: wait for the process alone, and not for ever.
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(5):
            await process.wait()


def kill_tree(root: int) -> None:
    """A crun that runs a command, and the command with all that it started."""
    for pid in _stopped_tree(root):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _stopped_tree(root: int) -> list[int]:
    """The process and all below it. Each is stopped before its children are read, so that it
    makes no more meanwhile; what has left the tree already is the container's own."""
    found: list[int] = []
    waiting = [root]
    while waiting and len(found) < MAX_TREE:
        pid = waiting.pop()
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGSTOP)
            found.append(pid)
            for children in Path(f"/proc/{pid}/task").glob("*/children"):  # of each thread
                waiting += [int(child) for child in children.read_text().split()]
    return found
