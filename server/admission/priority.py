"""Priority: a pod's priority and preemption policy are those of its PriorityClass; there is one
default class at most.

As plugin/pkg/admission/priority. That a system class cannot be deleted is said upstream by its
REST storage (pkg/registry/scheduling/priorityclass/storage); here it is said too.
"""

from edgek.api.meta import Key, Obj, name
from edgek.kinds.pod import POD
from edgek.kinds.priority_class import PRIORITY_CLASS, SYSTEM_CLASSES
from server.admission.chain import Attributes
from server.admission.refusal import forbidden
from server.request.reader import Reader

_NO_CLASS: Obj = {"value": 0, "preemptionPolicy": "PreemptLowerPriority"}
_FIELDS = ("priority", "preemptionPolicy")
_SYSTEM_NAMES = {name(system) for system in SYSTEM_CLASSES}


class Priority:
    kinds = (POD, PRIORITY_CLASS)

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._freshness = reader.freshness(PRIORITY_CLASS)
        self._default: Obj | None = None

    async def admit(self, attributes: Attributes) -> None:
        a = attributes
        if a.kind != POD or a.subresource:
            return
        if a.operation == "CREATE":
            self._set(a, a.obj.setdefault("spec", {}))
        elif a.operation == "UPDATE" and a.old is not None:
            before = a.old.get("spec") or {}
            for field in _FIELDS:
                if a.obj["spec"].get(field) is None and before.get(field) is not None:
                    a.obj["spec"][field] = before[field]

    def _set(self, a: Attributes, spec: Obj) -> None:
        of = self._class_of(a, spec)
        if of is not _NO_CLASS:
            spec["priorityClassName"] = name(of)
        value, policy = of.get("value") or 0, of.get("preemptionPolicy")
        given = spec.get("priority")
        if given is not None and given != value:
            raise forbidden(
                a,
                f"the integer value of priority ({given}) must not be provided in pod spec; "
                f"priority admission controller computed {value} from the given PriorityClass name",
            )
        spec["priority"] = value
        given = spec.get("preemptionPolicy")
        if policy and given and given != policy:
            raise forbidden(
                a,
                f"the string value of PreemptionPolicy ({given}) must not be provided in pod spec; "
                f"priority admission controller computed {policy} from the given PriorityClass "
                "name",
            )
        if policy:
            spec["preemptionPolicy"] = policy

    def _class_of(self, a: Attributes, spec: Obj) -> Obj:
        wanted = spec.get("priorityClassName")
        if not wanted:
            return self._default_class() or _NO_CLASS
        found = self._reader.get(PRIORITY_CLASS, Key("", wanted))
        if found is None:
            raise forbidden(a, f"no PriorityClass with name {wanted} was found")
        return found

    def _default_class(self) -> Obj | None:
        """Where a race made several, that of the lowest value."""
        if self._freshness.stale:
            found = [c for c in self._reader.list(PRIORITY_CLASS) if c.get("globalDefault")]
            self._default = min(found, key=lambda c: c.get("value") or 0, default=None)
            self._freshness.stale = False
        return self._default

    async def validate(self, attributes: Attributes) -> None:
        a = attributes
        if a.kind.storage_prefix != PRIORITY_CLASS.storage_prefix or a.subresource:
            return
        if a.operation == "DELETE":
            if a.name in _SYSTEM_NAMES:
                raise forbidden(a, "this is a system priority class and cannot be deleted")
            return
        default = self._default_class() if a.obj.get("globalDefault") else None
        if default is not None and (a.operation == "CREATE" or name(default) != name(a.obj)):
            raise forbidden(
                a,
                f"PriorityClass {name(default)} is already marked as default. Only one default "
                "can exist",
            )
