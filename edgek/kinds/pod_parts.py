"""What the subresources share that write one part of a pod's spec."""

from typing import Any

from edgek.api.meta import Obj


def with_same_empties(value: Any) -> Any:
    """Without what is empty: absent, null and empty are one and the same in Go."""
    if isinstance(value, dict):
        pruned = {k: with_same_empties(v) for k, v in value.items()}
        return {k: v for k, v in pruned.items() if v not in (None, "", [], {})}
    return [with_same_empties(v) for v in value] if isinstance(value, list) else value


def keep_all_but_spec(pod: Obj, old: Obj, spec: Obj) -> None:
    """Makes ``pod`` in place what ``old`` is, with another spec, whose changes are counted. Of
    its metadata only the managed fields are new."""
    meta = dict(old["metadata"])
    if "managedFields" in pod["metadata"]:
        meta["managedFields"] = pod["metadata"]["managedFields"]
    if with_same_empties(spec) != with_same_empties(old.get("spec")):
        meta["generation"] = meta.get("generation", 0) + 1
    pod.clear()
    pod |= {**old, "metadata": meta, "spec": spec}
