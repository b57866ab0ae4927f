"""PATCH of an object, or of its status: JSON Patch, merge patch, strategic merge patch.

The patch is applied to whatever is stored at the moment of the write, so two patches that
touch different fields never conflict.
"""

from collections.abc import Callable, Mapping
from typing import Any

import orjson

from edgek.api import errors
from edgek.api.meta import Obj
from edgek.api.patch import json_patch, merge_patch
from edgek.api.validation import FieldErrors, FieldPath
from edgek.kinds.kind import Kind
from edgek.schema.check import strict_problems
from edgek.schema.scalars import go_text
from edgek.schema.strategic import strategic_patch
from server.endpoints.apply import APPLY, apply
from server.endpoints.body import check_type, complete, decode_patch, media_type, schema_for
from server.endpoints.env import Env
from server.endpoints.negotiate import negotiate
from server.endpoints.query import write_context
from server.endpoints.route import Target
from server.registry.write import MAIN, STATUS, How, copy_of
from server.request.model import Request, Response

Apply = Callable[[Kind, Obj, Any], Any]


def _json(kind: Kind, obj: Obj, patch: Any) -> Any:
    return json_patch(obj, patch)


def _merge(kind: Kind, obj: Obj, patch: Any) -> Any:
    if not isinstance(patch, dict):
        raise errors.BadRequest("error decoding patch: the patch is no JSON object")
    return merge_patch(obj, patch)


def _strategic(kind: Kind, obj: Obj, patch: Any) -> Any:
    return strategic_patch(obj, patch, schema_for(kind))


JSON_PATCH = "application/json-patch+json"
MAX_SHOWN = 16 * 1024
"""Of an object that a patch made and that is no good; upstream shows all of it."""
STRATEGIC = "application/strategic-merge-patch+json"
"""Needs the merge keys of built-in types; custom ones have none."""
APPLIERS: Mapping[str, Apply] = {
    JSON_PATCH: _json,
    "application/merge-patch+json": _merge,
    STRATEGIC: _strategic,
}


async def patch(env: Env, request: Request, target: Target) -> Response:
    return await patch_with(env, request, target, MAIN)


async def patch_status(env: Env, request: Request, target: Target) -> Response:
    return await patch_with(env, request, target, STATUS)


async def patch_with(env: Env, request: Request, target: Target, how: How) -> Response:
    """Any kind of patch, of the (sub)resource that ``how`` writes."""
    if media_type(request) == APPLY:
        return await apply(env, request, target, how)
    view = negotiate(env, request, target.kind)
    context = write_context(request)
    transform = patcher(request, target.kind)
    entry = await env.registry.update(target.kind, target.key, transform, context, how=how)
    return view.one(entry)


def patcher(request: Request, kind: Kind) -> Callable[[Obj], Obj]:
    """The request's patch as a function of the stored object. Raises BadRequest,
    UnsupportedMediaType at once; what it returns raises where the patch does not fit."""
    given = media_type(request)
    apply = APPLIERS.get(given)
    if apply is None or (kind.custom and given == STRATEGIC):
        types = (m for m in (*APPLIERS, APPLY) if m != STRATEGIC or not kind.custom)
        supported = ", ".join(types)
        raise errors.UnsupportedMediaType(
            f"the body of the request was in an unknown format - accepted media types include: "
            f"{supported}"
        )
    body, twice = decode_patch(request)
    problems = _strict_problems(body, twice, given)
    before = len(request.warnings)

    def transform(stored: Obj) -> Obj:
        del request.warnings[before:]  # those of a try that lost against another write
        patched = apply(kind, copy_of(stored), copy_of(body))
        if not isinstance(patched, dict):
            raise errors.Invalid("patch makes the object something else than an object")
        check_type(patched, kind)

        def refuse(why: str) -> errors.ApiError:
            shown = go_text(body) if given == STRATEGIC else orjson.dumps(patched).decode()
            return _invalid_patch(shown, why)

        return complete(request, kind, patched, problems=problems, refuse=refuse)

    return transform


_OPERATION = ("op", "path", "from", "value")


def _strict_problems(body: Any, twice: list[str], media_type: str) -> list[str]:
    """What strict decoding would say of the patch itself (handlers/patch.go applyJSPatch)."""
    if media_type != JSON_PATCH:
        return strict_problems([], twice)
    stray = [
        f"[{index}].{name}"
        for index, operation in enumerate(body if isinstance(body, list) else ())
        for name in (operation if isinstance(operation, dict) else ())
        if name not in _OPERATION
    ]
    return [f"json patch {text}" for text in strict_problems(stray, twice)]


def _invalid_patch(shown: str, why: str) -> errors.Invalid:
    """As upstream: an Invalid of no kind, with what the patch made of the object."""
    problems = FieldErrors()
    problems.invalid(FieldPath("patch"), shown[:MAX_SHOWN], why)
    causes = [problem.cause() for problem in problems]
    text = ", ".join(str(problem) for problem in problems)
    return errors.Invalid(f' "" is invalid: {text}', details={"causes": causes})
