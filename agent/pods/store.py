"""The pods of this node by uid, and their containers as last observed: sync's memory.

Pods come from the informer, or from the checkpoint until the server has answered. A uid is the
key everywhere: two pods may follow each other under one name while the first still stops.
"""

from collections.abc import Callable, Iterable

from agent.pods.state import POD_UID
from agent.runtime.runtime import Container, Runtime
from edgek.api.meta import Obj, resource_version, uid


class Pods:
    """``changed(uid)`` is called on every change of a pod."""

    def __init__(self, changed: Callable[[str], None]) -> None:
        self._changed = changed
        self._pods: dict[str, Obj] = {}
        self.removed: dict[str, Obj] = {}
        """Pods that left the API before we were done with them."""
        self.synced = False
        """Whether the server has named all our pods; until then nothing is an orphan."""

    def get(self, pod_uid: str) -> Obj | None:
        return self._pods.get(pod_uid)

    def all(self) -> list[Obj]:
        return list(self._pods.values())

    def restore(self, pods: Iterable[Obj]) -> None:
        for pod in pods:
            self._pods[uid(pod)] = pod
            self._changed(uid(pod))

    def sync(self, pods: Iterable[Obj]) -> None:
        """The server has answered: what it does not name is gone."""
        named = {uid(pod) for pod in pods}
        self.synced = True
        for pod_uid in [u for u in self._pods if u not in named]:
            self._drop(pod_uid)

    def on_change(self, old: Obj | None, new: Obj | None) -> None:
        """An informer's handler."""
        if new is not None:
            self.adopt(new)
        elif old is not None:
            self._drop(uid(old))

    def adopt(self, pod: Obj, *, own: bool = False) -> None:
        """Takes a pod unless a newer form of it is here. ``own``: it is the answer to a write of
        our status, which alone is no reason to look at the pod again; the informer's echo of it
        then comes too late to count."""
        known = self._pods.get(uid(pod))
        if known is not None and _number(pod) <= _number(known):
            return
        self._pods[uid(pod)] = pod
        if not own or known is None or _wanted(known) != _wanted(pod):
            self._changed(uid(pod))

    def _drop(self, pod_uid: str) -> None:
        pod = self._pods.pop(pod_uid, None)
        if pod is not None:
            self.removed[pod_uid] = pod
            self._changed(pod_uid)


def _wanted(pod: Obj) -> Obj:
    """All but the status."""
    without = ("resourceVersion", "managedFields")
    return {
        "metadata": {k: v for k, v in pod["metadata"].items() if k not in without},
        "spec": pod.get("spec"),
    }


def _number(pod: Obj) -> int:
    version = resource_version(pod)
    return int(version) if version.isdecimal() else 0


class Containers:
    """What the runtime said last of each container that is ours."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._pods: dict[str, dict[str, Container]] = {}
        self._news: list[dict[str, Container | None]] = []
        """For each listing under way, what became known meanwhile."""
        self.on_drop: Callable[[Container], None] = lambda container: None
        """Told of each container that is gone."""

    def of(self, pod_uid: str) -> list[Container]:
        return list(self._pods.get(pod_uid, {}).values())

    def uids(self) -> list[str]:
        return list(self._pods)

    def pod_of(self, container_id: str) -> str:
        return next((u for u, found in self._pods.items() if container_id in found), "")

    async def list(self) -> None:
        """Everything anew."""
        news: dict[str, Container | None] = {}
        self._news.append(news)
        try:
            listed = {c.id: c for c in await self._runtime.containers()}
        finally:
            self._news.remove(news)
        fresh: dict[str, dict[str, Container]] = {}
        # What was looked at or dropped meanwhile is newer than the list, and may not be in it.
        for container in (listed | news).values():
            if container is not None:
                fresh.setdefault(container.labels.get(POD_UID, ""), {})[container.id] = container
        self._pods = fresh

    async def look(self, container_id: str) -> str:
        """One container anew; the uid of its pod, "" where it is nobody's."""
        found = await self._runtime.inspect(container_id)
        known = self.pod_of(container_id)
        pod_uid = known or (found.labels.get(POD_UID, "") if found else "")
        if found is None:
            self.drop(container_id)
        elif pod_uid:
            self._tell(container_id, found)
            self._pods.setdefault(pod_uid, {})[container_id] = found
        return pod_uid

    def _tell(self, container_id: str, found: Container | None) -> None:
        for news in self._news:
            news[container_id] = found

    def drop(self, container_id: str) -> None:
        self._tell(container_id, None)
        pod_uid = self.pod_of(container_id)
        if pod_uid:
            self.on_drop(self._pods[pod_uid].pop(container_id))
            if not self._pods[pod_uid]:
                del self._pods[pod_uid]
