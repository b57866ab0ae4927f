"""What nodes use, asked of their agents: many at once, each within a limit, each once in a while.

An agent's report is good for some seconds, so twenty clients cost it one question. Nodes that do
not answer are left out, and not asked again at once either.
"""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from edgek.api.errors import ApiError
from server.endpoints.proxy.kubelet import ask_kubelet
from server.endpoints.subresources.backend import Backend

FRESH_SECONDS = 5.0
SECONDS = 10.0
"""As metrics-server. An agent that is asked for the first time needs one for its second look, and a
small board that is busy some more."""
Report = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class _Asked:
    at: float
    answer: "asyncio.Task[Report | None]"


class UsageReports:
    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._asked: dict[str, _Asked] = {}

    async def of(self, nodes: Iterable[str]) -> dict[str, Report]:
        """Of those that answer. Whoever goes away does not take the answer from the others."""
        asked = {node: self._ask(node) for node in dict.fromkeys(nodes)}
        if asked:
            await asyncio.wait(asked.values())
        answers = {node: task.result() for node, task in asked.items() if not task.cancelled()}
        return {node: answer for node, answer in answers.items() if answer is not None}

    def _ask(self, node: str) -> "asyncio.Task[Report | None]":
        now = asyncio.get_running_loop().time()
        found = self._asked.get(node)
        if found is None or now - found.at > FRESH_SECONDS:
            self._forget_old(now)
            task = asyncio.create_task(self._report(node), name=f"usage-{node}")
            found = self._asked[node] = _Asked(at=now, answer=task)
        return found.answer

    def _forget_old(self, now: float) -> None:
        """So that no more is kept than is asked for."""
        old = [n for n, asked in self._asked.items() if now - asked.at > FRESH_SECONDS]
        for node in old:
            del self._asked[node]

    async def _report(self, node: str) -> Report | None:
        try:
            async with asyncio.timeout(SECONDS):
                answer = await ask_kubelet(self._backend, node, "/usage")
                found = orjson.loads(await answer.whole())
            return checked(found) if answer.status == 200 else None
        except (ApiError, TimeoutError, OSError, ValueError, KeyError, TypeError, AttributeError):
            return None


def checked(found: Any) -> Report:
    """As agent/stats/report.py makes it, whoever sent it: one odd node must not cost the others
    their answer. A node may not count both, a container does. Raises KeyError and the like."""
    return {
        "timestamp": _bounded(found["timestamp"], 1 << 33),
        "window": _bounded(found["window"], 1 << 20),
        "node": _figures(found["node"]),
        "pods": [
            {
                **{key: str(pod[key]) for key in ("name", "namespace", "uid")},
                "containers": {str(c): _both(of) for c, of in pod["containers"].items()},
            }
            for pod in found["pods"]
        ],
    }


def _bounded(number: Any, most: int) -> float:
    if not 0 <= number <= most:
        raise ValueError(f"not a time: {number}")
    return float(number)


def _both(found: Mapping[str, Any]) -> dict[str, int]:
    return {key: int(found[key]) for key in ("cpu", "memory")}


def _figures(found: Mapping[str, Any]) -> dict[str, int]:
    return {key: int(found[key]) for key in ("cpu", "memory") if key in found}
