"""One attempt of a probe: exec, httpGet, tcpSocket or grpc, worded as pkg/probe words it.

An attempt that cannot even be made (no such port, the container does not run) is Result.ERROR:
the kubelet throws such a result away and only tells of it.
"""

import asyncio
import enum
from dataclasses import dataclass

from agent.pods.http_get import (
    HttpError,
    PortNotFound,
    dial_error,
    find_port,
    http_get,
    joined,
    make_request,
)
from agent.runtime.runtime import Runtime, RuntimeFailure
from edgek.api.meta import Obj

MAX_OUTPUT = 10 * 1024
"""As pkg/probe/exec."""


class Result(enum.Enum):
    """As pkg/probe/probe.go; a WARNING is a success that is told of."""

    SUCCESS = "success"
    WARNING = "warning"
    FAILURE = "failure"
    ERROR = "unknown"


@dataclass(frozen=True, kw_only=True)
class Attempted:
    result: Result
    said: str = ""


GOOD = Attempted(result=Result.SUCCESS)


@dataclass(frozen=True, kw_only=True)
class Target:
    """A running container to probe. ``adopted``: it ran before this agent did."""

    pod: Obj
    container: Obj
    container_id: str
    pod_ip: str
    age: float = 0.0
    adopted: bool = False
    was_ready: bool = False
    was_started: bool = False


async def attempt(runtime: Runtime, probe: Obj, target: Target, *, seconds: float) -> Attempted:
    """Raises nothing; takes no longer than ``seconds``, and a moment to kill a command."""
    try:
        if action := probe.get("exec"):
            return await _exec(runtime, action, target, seconds)
        if action := probe.get("httpGet"):
            return await _http(action, target, seconds)
        if action := probe.get("tcpSocket"):
            return await _tcp(action, target, seconds)
        return await _grpc(probe["grpc"], target, seconds)
    except (RuntimeFailure, PortNotFound) as err:
        return Attempted(result=Result.ERROR, said=str(err))


def failed(said: str) -> Attempted:
    return Attempted(result=Result.FAILURE, said=said)


async def _exec(runtime: Runtime, action: Obj, target: Target, seconds: float) -> Attempted:
    command = tuple(action.get("command") or ())
    try:
        got = await runtime.exec(target.container_id, command, timeout=seconds)
    except TimeoutError:
        words = " ".join(command)
        return failed(f'command timed out: "{words}" timed out after {_seconds(seconds)}')
    if got.exit_code == 0:
        return GOOD
    return failed(got.output[:MAX_OUTPUT].decode(errors="replace"))


async def _http(action: Obj, target: Target, seconds: float) -> Attempted:
    request = make_request(action, target.container, pod_ip=target.pod_ip)
    try:
        async with asyncio.timeout(seconds):
            answer = await http_get(request)
    except TimeoutError:
        slow = "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
        return failed(f'Get "{request.url}": {slow}')
    except HttpError as err:
        return failed(str(err))
    if 200 <= answer.status < 300:
        return GOOD
    if 300 <= answer.status < 400:
        said = f"Probe terminated redirects, Response body: {answer.body}"
        return Attempted(result=Result.WARNING, said=said)
    return failed(f"HTTP probe failed with statuscode: {answer.status}")


async def _tcp(action: Obj, target: Target, seconds: float) -> Attempted:
    host = str(action.get("host") or target.pod_ip)
    port = find_port(target.container, action["port"])
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(seconds):
            transport, _ = await loop.create_connection(asyncio.Protocol, host, port)
    except TimeoutError:
        return failed(f"dial tcp {joined(host, port)}: i/o timeout")
    except OSError as err:
        return failed(dial_error(err, host, port))
    transport.abort()
    return GOOD


async def _grpc(action: Obj, target: Target, seconds: float) -> Attempted:
    from agent.pods.probe_grpc import check_health  # h2 is loaded by whom needs it

    host = f"[{target.pod_ip}]" if ":" in target.pod_ip else target.pod_ip
    wrong = await check_health(
        f"{host}:{int(action['port'])}", str(action.get("service") or ""),
        seconds=seconds, within=_seconds(seconds),
    )  # fmt: skip
    return GOOD if wrong is None else failed(wrong)


def _seconds(seconds: float) -> str:
    """As Go prints a time.Duration of whole seconds."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"
