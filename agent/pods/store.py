"""The pods of this node by uid, and their containers as last observed: sync's memory.

Pods come from the informer, or from the checkpoint until the server has answered; static ones from
files (``static_files.py``). A uid is the key everywhere: two pods may follow each other under one
name while the first still stops. Mirrors, which show static pods in the API, are kept apart: they
are never run.
"""

from collections.abc import Callable, Iterable

from agent.pods.state import POD_UID
from agent.pods.static import is_mirror, shows
from agent.runtime.runtime import Container, Runtime
from edgek.api.meta import Key, Obj, is_deleting, key_of, resource_version, uid


class Pods:
    """``changed(uid)`` is called on every change of a pod."""

    def __init__(self, changed: Callable[[str], None]) -> None:
        self._changed = changed
        self._pods: dict[str, Obj] = {}
        self._static: dict[Key, str] = {}
        self._held: dict[Key, Obj] = {}
        """Static pods that wait for the end of the one before them: both have one name."""
        self.mirrors: dict[Key, Obj] = {}
        self.on_static: Callable[[Key], None] = lambda key: None
        """Called when a static pod or a mirror of that name came, changed or went."""
        self.removed: dict[str, Obj] = {}
        """Pods that left the API, or their file, before we were done with them."""
        self.synced = False
        """Whether the server has named all our pods; until then nothing is an orphan."""

    def get(self, pod_uid: str) -> Obj | None:
        return self._pods.get(pod_uid)

    def all(self) -> list[Obj]:
        return list(self._pods.values())

    def from_server(self) -> list[Obj]:
        """Without static ones, which files tell of."""
        return [pod for pod_uid, pod in self._pods.items() if not self.is_static(pod_uid)]

    def restore(self, pods: Iterable[Obj]) -> None:
        for pod in pods:
            self._pods[uid(pod)] = pod
            self._changed(uid(pod))

    def sync(self, pods: Iterable[Obj]) -> None:
        """The server has answered: what it does not name is gone."""
        named = {uid(pod) for pod in pods}
        self.synced = True
        for pod_uid in [u for u in self._pods if u not in named and not self.is_static(u)]:
            self._drop(pod_uid)
        for key in {*self._static, *self.mirrors}:
            self.on_static(key)

    def on_change(self, old: Obj | None, new: Obj | None) -> None:
        """An informer's handler."""
        if new is not None:
            self.adopt(new)
        elif old is not None and not is_mirror(old):
            self._drop(uid(old))
        elif old is not None:
            self.mirrors.pop(key_of(old), None)
            self.on_static(key_of(old))

    def adopt(self, pod: Obj, *, own: bool = False) -> None:
        """Takes a pod unless a newer form of it is here. ``own``: it is the answer to a write of
        our status, which alone is no reason to look at the pod again; the informer's echo of it
        then comes too late to count."""
        if is_mirror(pod):
            self._adopt_mirror(pod)
            return
        known = self._pods.get(uid(pod))
        if known is not None and _number(pod) <= _number(known):
            return
        self._pods[uid(pod)] = pod
        if not own or known is None or _wanted(known) != _wanted(pod):
            self._changed(uid(pod))

    def _adopt_mirror(self, pod: Obj) -> None:
        known = self.mirrors.get(key_of(pod))
        if known is None or _number(pod) > _number(known):
            self.mirrors[key_of(pod)] = pod
            self.on_static(key_of(pod))

    def _drop(self, pod_uid: str) -> None:
        pod = self._pods.pop(pod_uid, None)
        if pod is not None:
            self.removed[pod_uid] = pod
            self._changed(pod_uid)

    def forget(self, pod_uid: str) -> None:
        """Nothing is left here of a pod that was removed."""
        pod = self.removed.pop(pod_uid, None)
        if pod is not None:
            if (follows := self._held.pop(key_of(pod), None)) is not None:
                self._take_static(follows)
            self.on_static(key_of(pod))

    # -- static pods -----------------------------------------------------------------------

    def set_static(self, pods: Iterable[Obj]) -> None:
        """These are the pods of the manifests now. One that changed is another pod, and waits
        for the end of the one before it."""
        wanted = {key_of(pod): pod for pod in pods}
        uids = {key: uid(pod) for key, pod in wanted.items()}
        for key in [k for k, u in self._static.items() if uids.get(k) != u]:
            self._drop(self._static.pop(key))
            self.on_static(key)
        self._held = {key: pod for key, pod in wanted.items() if self.ending(key)}
        for key, pod in wanted.items():
            if key not in self._held and key not in self._static:
                self._take_static(pod)

    def is_static(self, pod_uid: str) -> bool:
        return pod_uid in self._static.values()

    def statics(self) -> list[Key]:
        return list(self._static)

    def static(self, key: Key) -> Obj | None:
        return self._pods.get(self._static.get(key, ""))

    def ending(self, key: Key) -> bool:
        """Whether a pod of that name is still being ended."""
        return any(key_of(pod) == key for pod in self.removed.values())

    def _take_static(self, pod: Obj) -> None:
        self._static[key_of(pod)] = uid(pod)
        self._pods[uid(pod)] = pod
        self._changed(uid(pod))
        self.on_static(key_of(pod))

    def keep_status(self, pod_uid: str, status: Obj) -> None:
        """A static pod's own memory of its status: nobody else tells it."""
        self._pods[pod_uid] = self._pods[pod_uid] | {"status": status}

    def shown(self, pod_uid: str) -> Obj | None:
        """The object that shows the pod in the API: itself, or the mirror of a static one. None
        where there is none."""
        pod = self._pods.get(pod_uid)
        if pod is None or not self.is_static(pod_uid):
            return pod
        mirror = self.mirrors.get(key_of(pod))
        there = mirror is not None and shows(mirror, pod) and not is_deleting(mirror)
        return mirror if there else None

    def run_uid(self, api_uid: str) -> str:
        """The uid that containers carry of the pod that the API knows under this one."""
        for key, mirror in self.mirrors.items():
            pod = self.static(key)
            if uid(mirror) == api_uid and pod is not None and shows(mirror, pod):
                return uid(pod)
        return api_uid


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
        self.on_change: Callable[[], None] = lambda: None
        """Told when one came, went or is otherwise than it was."""

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
        return self.saw(container_id, await self._runtime.inspect(container_id))

    def saw(self, container_id: str, found: Container | None) -> str:
        """That is what one container is now; the uid of its pod, "" where it is nobody's."""
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
        self.on_change()

    def drop(self, container_id: str) -> None:
        self._tell(container_id, None)
        pod_uid = self.pod_of(container_id)
        if pod_uid:
            self.on_drop(self._pods[pod_uid].pop(container_id))
            if not self._pods[pod_uid]:
                del self._pods[pod_uid]
