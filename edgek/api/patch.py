"""JSON merge patch (RFC 7386) and JSON patch (RFC 6902), with upstream's answers to bad ones.

Nothing given is changed. Strategic merge patches need a schema and live in edgek/schema.
"""

import copy
import json
from collections.abc import Iterable
from typing import Any

from edgek.api.errors import BadRequest, Invalid, RequestEntityTooLarge

MAX_OPERATIONS = 10_000
"""As apiserver handlers/patch.go maxJSONPatchOperations."""
MAX_COPIED = 3 * 1024 * 1024
MAX_DEPTH = 254


def merge_patch(target: Any, patch: Any, *, depth: int = 0) -> Any:
    """``target`` with ``patch`` over it: null deletes, objects merge, all else replaces."""
    if not isinstance(patch, dict):
        return patch
    if depth > MAX_DEPTH:
        raise BadRequest("the patch is nested too deeply")
    out = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            out.pop(key, None)
        else:
            out[key] = merge_patch(out.get(key), value, depth=depth + 1)
    return out


def json_patch(target: Any, operations: Any) -> Any:
    """``target`` after all operations. Raises BadRequest for a malformed patch, Invalid where
    it does not fit the object (a failed ``test``, a path that is not there)."""
    if not isinstance(operations, list) or not all(isinstance(o, dict) for o in operations):
        raise BadRequest(
            "error decoding patch: json: cannot unmarshal object into Go value of type "
            "jsonpatch.Patch"
        )
    if len(operations) > MAX_OPERATIONS:
        raise RequestEntityTooLarge(
            f"The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, "
            f"got {len(operations)}"
        )
    return _apply(target, operations)


def _apply(target: Any, operations: list[dict[str, Any]]) -> Any:
    from jsonpatch import InvalidJsonPatch, JsonPatchException
    from jsonpointer import JsonPointerException

    try:
        return _apply_each(copy.deepcopy(target), operations)
    except InvalidJsonPatch as err:
        raise BadRequest(f"error decoding patch: {err}") from None
    except (
        JsonPatchException, JsonPointerException, TypeError, ValueError, KeyError, IndexError,
        RecursionError,
    ) as err:  # fmt: skip
        # 422 with a bare sentence: patch.go answers NewGenericServerResponse here.
        raise Invalid(
            "the server rejected our request due to an error in our request",
            details={"causes": [{"message": str(err)}]},
        ) from None


def _apply_each(value: Any, operations: list[dict[str, Any]]) -> Any:
    """One by one, because only between them is it known how much a ``copy`` copies: each can
    double the object, so what they copy together is bounded (as AccumulatedCopySizeLimit)."""
    from jsonpatch import JsonPatch
    from jsonpointer import JsonPointer

    copied = 0
    for operation in operations:
        if operation.get("op") == "copy":
            source = JsonPointer(str(operation.get("from"))).resolve(value)
            copied += len(json.dumps(source))
            if copied > MAX_COPIED:
                raise ValueError(f"the copies of this patch are larger than {MAX_COPIED} bytes")
        value = JsonPatch([operation]).apply(value, in_place=True)
        if operation.get("op") == "copy":
            value = copy.deepcopy(value)
    if _deeper_than(value, MAX_DEPTH):
        raise ValueError("the patched object is nested too deeply")
    return value


def _deeper_than(root: Any, limit: int) -> bool:
    level = [root]
    for _ in range(limit):
        level = [inner for value in level for inner in _children(value)]
        if not level:
            return False
    return True


def _children(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()
