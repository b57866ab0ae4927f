"""RuntimeClass: a pod that names one takes over what it costs and where it can run.

As plugin/pkg/admission/runtimeclass.
"""

from edgek.api.meta import Key, Obj, get_path
from edgek.api.quantity import add_resources
from edgek.kinds.pod import POD
from edgek.kinds.runtime_class import RUNTIME_CLASS
from server.admission.chain import Attributes
from server.admission.refusal import forbidden
from server.request.reader import Reader


class RuntimeClass:
    kinds = (POD,)

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    async def admit(self, attributes: Attributes) -> None:
        a = attributes
        if not _is_new(a) or not a.obj["spec"].get("runtimeClassName"):
            return
        spec, found = a.obj["spec"], self._class_of(a)
        if fixed := _fixed(found):
            if spec.get("overhead") and add_resources(spec["overhead"]) != add_resources(fixed):
                raise forbidden(a, _MISMATCH)
            spec["overhead"] = dict(fixed)
        _set_scheduling(a, spec, found.get("scheduling") or {})

    async def validate(self, attributes: Attributes) -> None:
        a = attributes
        if not _is_new(a):
            return
        named, overhead = a.obj["spec"].get("runtimeClassName"), a.obj["spec"].get("overhead")
        if not named and not overhead:
            return
        fixed = _fixed(self._class_of(a)) if named else None
        if not fixed and overhead:
            text = "Pod Overhead set without corresponding RuntimeClass defined Overhead"
            raise forbidden(a, f"pod rejected: {text}")
        if fixed and add_resources(overhead) != add_resources(fixed):
            raise forbidden(a, _MISMATCH)

    def _class_of(self, a: Attributes) -> Obj:
        wanted = a.obj["spec"]["runtimeClassName"]
        found = self._reader.get(RUNTIME_CLASS, Key("", wanted))
        if found is None:
            raise forbidden(a, f'pod rejected: RuntimeClass "{wanted}" not found')
        return found


_MISMATCH = "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead"


def _is_new(a: Attributes) -> bool:
    return a.operation == "CREATE" and not a.subresource


def _fixed(runtime_class: Obj) -> Obj:
    found: Obj = get_path(runtime_class, "overhead", "podFixed", default={})
    return found


def _set_scheduling(a: Attributes, spec: Obj, scheduling: Obj) -> None:
    wanted, own = scheduling.get("nodeSelector") or {}, spec.get("nodeSelector") or {}
    for key, value in wanted.items():
        if own.get(key, value) != value:
            raise forbidden(
                a,
                f"conflict: runtimeClass.scheduling.nodeSelector[{key}] = {value}; "
                f"pod.spec.nodeSelector[{key}] = {own[key]}",
            )
    if wanted:
        spec["nodeSelector"] = {**own, **wanted}
    if more := scheduling.get("tolerations"):
        spec["tolerations"] = merge_tolerations(spec.get("tolerations") or [], more)


def merge_tolerations(first: list[Obj], second: list[Obj]) -> list[Obj]:
    """Both, without those that another one includes; of equal ones the first stays."""
    every = [*first, *second]
    merged: list[Obj] = []
    for index, toleration in enumerate(every):
        later = (t for t in every[index + 1 :] if t != toleration)
        if not any(_includes(other, toleration) for other in (*merged, *later)):
            merged.append(dict(toleration))
    return merged


def _includes(wide: Obj, narrow: Obj) -> bool:
    """As pkg/util/tolerations isSuperset."""
    if wide == narrow:
        return True
    operator, effect = wide.get("operator") or "Equal", wide.get("effect") or ""
    key = wide.get("key") or ""
    if key != (narrow.get("key") or "") and (key or operator != "Exists"):
        return False
    if effect and effect != (narrow.get("effect") or ""):
        return False
    longest, asked = wide.get("tolerationSeconds"), narrow.get("tolerationSeconds")
    if effect == "NoExecute" and longest is not None and (asked is None or asked > longest):
        return False
    if operator == "Exists":
        return True
    same = (wide.get("value") or "") == (narrow.get("value") or "")
    return (narrow.get("operator") or "Equal") == operator == "Equal" and same
