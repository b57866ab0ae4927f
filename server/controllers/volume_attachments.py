"""Attachments: volumes of CSI drivers are attached where pods need them, and nowhere else.

Makes and deletes VolumeAttachments, which drivers act on, and tells nodes in their status what is
attached. A volume is detached once its node no longer mounts it; from a node that cannot say so
after six minutes, or at once where people say that it is out of service. As
pkg/controller/volume/attachdetach; the plan is in ``volume_attachments_plan``.
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress

from edgek.api.conditions import is_true
from edgek.api.errors import AlreadyExists, NotFound
from edgek.api.meta import Key, Obj, get_path, is_deleting, key_of, name
from edgek.api.taints import OUT_OF_SERVICE
from edgek.control.controller import DONE, Context, ForKind, Mapped, Result, Watch
from edgek.kinds import CSI_DRIVER, NODE, POD
from edgek.kinds import PERSISTENT_VOLUME as VOLUME
from edgek.kinds import PERSISTENT_VOLUME_CLAIM as CLAIM
from edgek.kinds import VOLUME_ATTACHMENT as ATTACHMENT
from edgek.kinds.pods import claims_of, node_name
from server.controllers.pod_gc import BY_NODE, index_by_node
from server.controllers.pvc_protection import BY_CLAIM, index_by_claim
from server.controllers.volume_attachments_plan import (
    AttachPlan,
    driver_of,
    is_attached,
    node_of,
    plan_attachments,
    still_uses,
    unique_name,
    volume_name,
)

MAX_WAIT = 360.0
"""As maxWaitForUnmountDuration: how long a node that is not well may take to let go."""
BY_VOLUME = "volume"
VOICE = "attachdetach-controller"


class VolumeAttachments:
    name = "persistentvolume-attach-detach-controller"
    kind = NODE

    def __init__(self, context: Context) -> None:
        self._client = context.client
        self._clock = context.clock
        self._events = context.events.source(VOICE)
        self._nodes = context.informers.get(NODE)
        self._pods = context.informers.get(POD)
        self._pods.add_index(BY_NODE, index_by_node)
        self._pods.add_index(BY_CLAIM, index_by_claim)
        self._claims = context.informers.get(CLAIM)
        self._volumes = context.informers.get(VOLUME)
        self._drivers = context.informers.get(CSI_DRIVER)
        self._attachments = context.informers.get(ATTACHMENT)
        self._attachments.add_index(BY_NODE, lambda a: (node_of(a),))
        self._attachments.add_index(BY_VOLUME, lambda a: (volume_name(a),))
        self._since: dict[str, float] = {}
        self.watches: Sequence[Watch] = (
            Mapped(POD, _node_of, when=_pod_matters),
            Mapped(CLAIM, self._users, when=_claim_matters),
            Mapped(ATTACHMENT, self._of_attachment),
            Mapped(CSI_DRIVER, lambda _: [Key("", n) for n in self._busy()]),
            ForKind(NODE, when=_node_matters),
        )

    def _busy(self) -> Iterable[str]:
        return dict.fromkeys(node_name(p) for p in self._pods.list() if claims_of(p))

    def _users(self, claim: Obj) -> list[Key]:
        return [k for p in self._pods.by_index(BY_CLAIM, str(key_of(claim))) for k in _node_of(p)]

    def _of_attachment(self, attachment: Obj) -> list[Key]:
        """Its node, and where its volume waits for it to go."""
        key = get_path(self._volumes.get(Key("", volume_name(attachment))), "spec", "claimRef")
        named = Key(get_path(key, "namespace", default=""), get_path(key, "name", default=""))
        users = [k for p in self._pods.by_index(BY_CLAIM, str(named)) for k in _node_of(p)]
        return [Key("", node_of(attachment)), *users]

    async def reconcile(self, key: Key) -> Result:
        node = self._nodes.get(key)
        wanted = self._wanted(key.name) if node is not None else {}
        here = self._attachments.by_index(BY_NODE, key.name)
        if not wanted and not here:
            if node is not None:
                await self._tell(node, here)
            return DONE
        found: dict[str, list[Obj]] = {}
        for named in dict.fromkeys((*wanted, *map(volume_name, here))):
            found[named] = self._attachments.by_index(BY_VOLUME, named)
        plan = plan_attachments(
            key.name, wanted, found, in_use=lambda named: self._in_use(node, named)
        )
        await self._apply(key.name, plan)
        if node is not None:
            await self._tell(node, here)
        return self._wait(node, plan)

    def _wanted(self, node: str) -> dict[str, Obj]:
        found: dict[str, Obj] = {}
        for pod in self._pods.by_index(BY_NODE, node):
            if still_uses(pod):
                found |= {name(v): v for v in map(self._volume, claims_of(pod)) if v is not None}
        return found

    def _volume(self, key: Key) -> Obj | None:
        """What is to be attached for a claim, if it is bound and its driver wants that."""
        claim = self._claims.get(key)
        if claim is None or get_path(claim, "status", "phase") != "Bound":
            return None
        volume = self._volumes.get(Key("", get_path(claim, "spec", "volumeName", default="")))
        if volume is None or not driver_of(volume):
            return None
        driver = self._drivers.get(Key("", driver_of(volume)))
        return volume if get_path(driver, "spec", "attachRequired", default=True) else None

    def _in_use(self, node: Obj | None, named: str) -> bool:
        if node is None or any(
            t.get("key") == OUT_OF_SERVICE for t in get_path(node, "spec", "taints", default=())
        ):
            return False
        volume = self._volumes.get(Key("", named))
        mounted = get_path(node, "status", "volumesInUse", default=())
        if volume is None or unique_name(volume) not in mounted:
            return False
        waited = self._waited(f"{name(node)}/{named}")
        return is_true(get_path(node, "status", "conditions"), "Ready") or waited < MAX_WAIT - 0.001

    def _waited(self, what: str) -> float:
        now = self._clock.monotonic()
        return now - self._since.setdefault(what, now)

    def _wait(self, node: Obj | None, plan: AttachPlan) -> Result:
        waits = {f"{name(node)}/{volume_name(a)}" for a in plan.waits} if node else set()
        own = f"{name(node)}/" if node else ""
        for what in [w for w in self._since if own and w.startswith(own) and w not in waits]:
            del self._since[what]
        left = [MAX_WAIT - self._waited(what) for what in waits]
        soon = [seconds for seconds in left if seconds > 0]
        return Result(requeue_after=min(soon)) if soon else DONE

    async def _apply(self, node: str, plan: AttachPlan) -> None:
        for attachment in plan.detach:
            with suppress(NotFound):
                await self._client.delete(ATTACHMENT, key_of(attachment))
        for attachment in plan.attach:
            with suppress(AlreadyExists):
                await self._client.create(ATTACHMENT, attachment)
        for volume in plan.refused:
            self._refuse(node, volume)

    def _refuse(self, node: str, volume: Obj) -> None:
        ref = get_path(volume, "spec", "claimRef", default={})
        claim = Key(ref.get("namespace") or "", ref.get("name") or "")
        users = [p for p in self._pods.by_index(BY_CLAIM, str(claim)) if still_uses(p)]
        others = sorted(name(p) for p in users if node_name(p) not in ("", node))
        why = "is already exclusively attached to one node and can't be attached to another"
        if others:
            why = f"is already used by pod(s) {', '.join(others)}"
        text = f'Multi-Attach error for volume "{name(volume)}" Volume {why}'
        for pod in users:
            if node_name(pod) == node:
                self._events.warning(pod, "FailedAttachVolume", text)

    async def _tell(self, node: Obj, here: Sequence[Obj]) -> None:
        found = [self._volumes.get(Key("", volume_name(a))) for a in here if _is_there(a)]
        names = sorted(unique_name(v) for v in found if v is not None)
        attached = [{"name": n, "devicePath": ""} for n in names]
        old = get_path(node, "status", "volumesAttached", default=[])
        if attached != old:
            body = {"status": {"volumesAttached": attached or None}}
            with suppress(NotFound):
                await self._client.patch(NODE, key_of(node), body, subresource="status")


def _is_there(attachment: Obj) -> bool:
    return is_attached(attachment) and not is_deleting(attachment)


def _node_of(pod: Obj) -> list[Key]:
    return [Key("", node_name(pod))] if node_name(pod) and claims_of(pod) else []


def _pod_matters(old: Obj | None, new: Obj | None) -> bool:
    if old is None or new is None:
        return True
    return (node_name(old), still_uses(old)) != (node_name(new), still_uses(new))


def _claim_matters(old: Obj | None, new: Obj | None) -> bool:
    def facts(claim: Obj | None) -> tuple[str, str]:
        return (
            get_path(claim, "status", "phase", default=""),
            get_path(claim, "spec", "volumeName", default=""),
        )

    return facts(old) != facts(new)


def _node_matters(old: Obj | None, new: Obj | None) -> bool:
    def facts(node: Obj | None) -> tuple[object, ...]:
        status = get_path(node, "status", default={})
        return (
            node is None,
            status.get("volumesInUse"),
            status.get("volumesAttached"),
            get_path(node, "spec", "taints"),
        )

    return facts(old) != facts(new)


def build(context: Context) -> VolumeAttachments:
    return VolumeAttachments(context)
