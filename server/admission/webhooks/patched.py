"""A webhook's patch on the object under admission: applied, then made a proper object again.

As upstream decodes what a patch gives into its type: what the type does not have is dropped, what
it has defaults for is filled in, and what cannot be is an error of the webhook, a 500.
"""

from collections.abc import Sequence
from typing import Any

import orjson

from edgek.api.errors import ApiError
from edgek.api.meta import Obj
from edgek.api.patch import json_patch
from edgek.kinds.kind import Kind
from edgek.schema import builtin_types, schema_of
from edgek.schema.check import Checker
from server.admission.asked import object_type
from server.admission.webhooks.ask import internal_error

_CHECKER = Checker()


def patched(obj: Obj, patch: Sequence[Any], kind: Kind, subresource: str) -> Obj:
    """A new object. Raises InternalError."""
    try:
        result = json_patch(orjson.loads(orjson.dumps(obj)), list(patch))
        if not isinstance(result, dict):
            raise internal_error("the patched object is no object")
        return completed(result, kind, subresource)
    except ApiError as err:
        if err.code == 500:
            raise
        raise internal_error(err.message) from err


def completed(obj: Obj, kind: Kind, subresource: str) -> Obj:
    """Checked, pruned and defaulted, as a body that a client sends. Raises BadRequest."""
    group, version, name = object_type(kind, subresource).values()
    own = (group, version, name) == (kind.group, kind.version, kind.kind)
    if own and kind.shape is not None:
        kind.shape.prune(obj)
    else:
        schema = schema_of(kind) if own else builtin_types().of(group, version, name)
        if schema is not None:
            obj = _CHECKER.check(obj, schema, version=version, kind=name).obj
    obj["apiVersion"], obj["kind"] = (f"{group}/{version}" if group else version), name
    if own:
        if not isinstance(obj.get("metadata"), dict):
            obj["metadata"] = {}
        kind.default(obj)
    return obj
