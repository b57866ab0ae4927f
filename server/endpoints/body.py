"""Request bodies: bytes of any accepted encoding to a checked, defaulted object.

The one way in for HTTP and in-process callers alike: decode (JSON, YAML, protobuf), check
against the schema (``fieldValidation`` decides about unknown and duplicate fields), default.
"""

from collections.abc import Callable, Sequence
from typing import Any

from edgek.api import errors
from edgek.api.meta import Obj
from edgek.api.validation import FieldErrors, FieldPath
from edgek.kinds.kind import Kind
from edgek.schema import Schema, builtin_types, schema_of
from edgek.schema.check import Checker, cannot_handle, raise_or_warn, strict_problems
from edgek.schema.decode import decode_json
from server.request.model import Request

JSON = "application/json"
YAML = "application/yaml"
PROTOBUF = "application/vnd.kubernetes.protobuf"
DELETE_OPTIONS = "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions"
DELETE_KIND = Kind(
    group="meta.k8s.io", version="v1", kind="DeleteOptions", plural="deleteoptions", virtual=True
)
_CHECKER = Checker()
_FIELD_VALIDATION = ("", "Ignore", "Warn", "Strict")


def media_type(request: Request) -> str:
    return request.header("content-type").partition(";")[0].strip().lower()


def schema_for(kind: Kind) -> Schema:
    return schema_of(kind)


async def read_object(request: Request, kind: Kind) -> Obj:
    """The body as an object of ``kind``; the caller's own. Raises BadRequest,
    UnsupportedMediaType."""
    if kind.custom and media_type(request) == PROTOBUF:
        raise _unknown_format(JSON, YAML)
    obj, duplicates = _decode(request)
    check_type(obj, kind)
    return complete(request, kind, obj, duplicates=duplicates)


Refuse = Callable[[str], errors.ApiError]


def complete(
    request: Request,
    kind: Kind,
    obj: Obj,
    *,
    duplicates: Sequence[str] = (),
    problems: Sequence[str] = (),
    refuse: Refuse | None = None,
) -> Obj:
    """``obj`` checked, pruned and defaulted. ``problems`` are strict ones found before;
    ``refuse`` makes the error of what cannot be decoded (None: a BadRequest)."""
    version = kind.version
    try:
        obj, unknown = _checked(kind, obj)
        strict = [*problems, *strict_problems(unknown, list(duplicates))]
        wanted = _field_validation(request)
        request.warnings += raise_or_warn(strict, wanted, version=version, kind=kind.kind)
    except errors.BadRequest as err:
        if refuse is None:
            raise
        known = cannot_handle("", version=version, kind=kind.kind).message
        raise refuse(err.message.removeprefix(known)) from None
    obj["apiVersion"], obj["kind"] = kind.api_version, kind.kind
    if not isinstance(obj.get("metadata"), dict):
        obj["metadata"] = {}
    kind.default(obj)
    return obj


def _checked(kind: Kind, obj: Obj) -> tuple[Obj, list[str]]:
    if kind.shape is not None:
        return obj, kind.shape.prune(obj)
    checked = _CHECKER.check(obj, schema_for(kind), version=kind.version, kind=kind.kind)
    return checked.obj, checked.unknown


def _field_validation(request: Request) -> str:
    wanted = request.query.get("fieldValidation", "")
    if wanted not in _FIELD_VALIDATION:
        raise errors.Invalid(
            f'fieldValidation: Unsupported value: "{wanted[:40]}": supported values: '
            '"Ignore", "Strict", "Warn"'
        )
    return wanted or "Warn"


async def read_typed(
    request: Request, api_version: str, kind: str, *, also: Sequence[str] = ()
) -> Obj:
    """The body as a type that is no kind of ours (Binding, Scale, TokenRequest), checked against
    its schema; not defaulted. ``also`` are older versions of the same shape."""
    obj, duplicates = _decode(request)
    given = (obj.get("apiVersion") or api_version, obj.get("kind") or kind)
    if given not in [(version, kind) for version in (api_version, *also)]:
        raise errors.BadRequest(
            f"the body is a {given[1]} of {given[0]}, expected a {kind} of {api_version}"
        )
    group, _, version = api_version.rpartition("/")
    schema = builtin_types().of(group, version, kind)
    assert schema is not None, f"no schema of {api_version} {kind}"
    checked = _CHECKER.check(obj, schema, version=version, kind=kind)
    problems = strict_problems(checked.unknown, duplicates)
    wanted = _field_validation(request)
    request.warnings += raise_or_warn(problems, wanted, version=version, kind=kind)
    return checked.obj


async def read_delete_options(request: Request) -> Obj:
    """DeleteOptions from the body, or from the query where there is no body (as kubectl proxies
    and old clients send them)."""
    query = request.query
    options: Obj = {}
    if request.body is not None or request.raw_body.strip():
        options, _ = _decode(request)
        if options.get("kind", "DeleteOptions") != "DeleteOptions":
            raise errors.BadRequest(
                f"the object provided is unrecognized: expected DeleteOptions, got "
                f"{options.get('kind')}"
            )
        schema = builtin_types().named(DELETE_OPTIONS)
        options = _CHECKER.check(options, schema, version="v1", kind="DeleteOptions").obj
    if "gracePeriodSeconds" in query:
        try:
            options["gracePeriodSeconds"] = int(query["gracePeriodSeconds"])
        except ValueError as err:
            raise errors.BadRequest("invalid gracePeriodSeconds") from err
    if "propagationPolicy" in query:
        options["propagationPolicy"] = query["propagationPolicy"]
    if "orphanDependents" in query:
        options["orphanDependents"] = query["orphanDependents"] == "true"
    if query.get("dryRun"):
        options["dryRun"] = [query["dryRun"]]
    return _checked_delete_options(options)


_POLICIES = ("Background", "Foreground", "Orphan", "nil")


def _checked_delete_options(options: Obj) -> Obj:
    """As metav1/validation ValidateDeleteOptions. Raises Invalid."""
    problems = FieldErrors()
    policy, path = options.get("propagationPolicy"), FieldPath("propagationPolicy")
    if policy is not None and options.get("orphanDependents") is not None:
        why = "orphanDependents and deletionPropagation cannot be both set"
        problems.invalid(path, policy, why)
    if policy is not None and policy not in _POLICIES[:-1]:
        problems.not_supported(path, policy, _POLICIES)
    for given in options.get("dryRun") or ():
        if given != "All":
            problems.not_supported(FieldPath("dryRun"), given, ["All"])
    if problems:
        raise errors.Invalid.of(DELETE_KIND, "", problems)
    return options


def decode_patch(request: Request) -> tuple[Any, list[str]]:
    """A patch body, any JSON value, and the paths that came more than once."""
    if request.body is not None:
        return request.body, []
    return decode_json(request.raw_body)


def _decode(request: Request) -> tuple[Obj, list[str]]:
    if request.body is not None:
        return request.body, []
    kind = media_type(request) or JSON
    if not request.raw_body:
        raise errors.BadRequest("no body was sent; an object is expected")
    duplicates: list[str] = []
    if kind == JSON:
        obj, duplicates = decode_json(request.raw_body)
    elif kind == PROTOBUF:
        from edgek.schema.protobuf import builtin_codec

        obj = builtin_codec().decode(request.raw_body)
    elif kind == YAML:
        from edgek.schema.decode_yaml import decode_yaml

        obj, duplicates = decode_yaml(request.raw_body)
    else:
        raise _unknown_format(JSON, YAML, PROTOBUF)
    if not isinstance(obj, dict):
        raise errors.BadRequest("the body is no object")
    return obj, duplicates


def _unknown_format(*accepted: str) -> errors.UnsupportedMediaType:
    return errors.UnsupportedMediaType(
        "the body of the request was in an unknown format - accepted media types include: "
        + ", ".join(accepted)
    )


def check_type(obj: Obj, kind: Kind) -> None:
    """Raises BadRequest where the object says it is another kind."""
    version, name = obj.get("apiVersion") or kind.api_version, obj.get("kind") or kind.kind
    if name != kind.kind:
        raise errors.BadRequest(
            f'{name} in version "{version}" cannot be handled as a {kind.kind}: no kind '
            f'"{name}" is registered for {kind.api_version} at this path'
        )
    if version != kind.api_version:
        raise errors.BadRequest(
            f"the API version in the data ({version}) does not match the expected API version "
            f"({kind.api_version})"
        )
