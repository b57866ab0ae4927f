"""Query parameters, read once with upstream's errors."""

from collections.abc import Mapping

from edgek.api import errors
from edgek.api.meta import Obj
from edgek.api.selectors import FieldSelector, Selector, parse_field_selector, parse_selector
from edgek.kinds.kind import Kind
from server.registry.registry import WriteContext
from server.request.info import TRUE
from server.request.model import Request

_ALWAYS = ("metadata.name", "metadata.namespace")


def flag(query: Mapping[str, str], name: str) -> bool:
    return query.get(name, "") in TRUE


def number(query: Mapping[str, str], name: str) -> int:
    """A non-negative count; 0 where absent."""
    text = query.get(name, "")
    if not text:
        return 0
    if not _is_number(text):
        raise errors.BadRequest(f'invalid value "{text[:40]}" for query parameter {name}')
    return int(text)


def revision(query: Mapping[str, str]) -> int | None:
    """``resourceVersion``; None where absent or empty."""
    text = query.get("resourceVersion", "")
    if not text:
        return None
    if not _is_number(text):
        raise errors.BadRequest(
            f'Invalid value: "{text[:40]}": strconv.ParseUint: parsing "{text[:40]}": '
            "invalid syntax"
        )
    return int(text)


def _is_number(text: str) -> bool:
    """An unsigned number of 64 bits as Go reads it: int() takes spaces, underscores and other
    scripts' digits as well."""
    return text.isascii() and text.isdecimal() and len(text) <= 19


def label_selector(query: Mapping[str, str]) -> Selector:
    try:
        return parse_selector(query.get("labelSelector", ""))
    except ValueError as err:
        raise errors.BadRequest(f"unable to parse requirement: {err}") from err


def field_selector(query: Mapping[str, str], kind: Kind) -> FieldSelector:
    try:
        selector = parse_field_selector(query.get("fieldSelector", ""))
    except ValueError as err:
        raise errors.BadRequest(str(err)) from err
    for term in selector.terms:
        if term.path not in _ALWAYS and term.path not in kind.selectable:
            raise errors.BadRequest(f"field label not supported: {term.path}")
    return selector


def dry_run(query: Mapping[str, str]) -> bool:
    value = query.get("dryRun", "")
    if value not in ("", "All"):
        raise errors.Invalid(f'dryRun: Unsupported value: "{value[:40]}": supported values: "All"')
    return bool(value)


_OPTIONS = {"create": "CreateOptions", "update": "UpdateOptions", "patch": "PatchOptions"}
_MAX_MANAGER = 128


def write_context(request: Request) -> WriteContext:
    """Who writes and how, of a create, update or patch. Raises Invalid, BadRequest."""
    query = request.query
    dry, manager = dry_run(query), query.get("fieldManager", "")
    if len(manager) > _MAX_MANAGER:
        raise errors.Invalid(f"fieldManager: Too long: may not be more than {_MAX_MANAGER} bytes")
    options: Obj = {"kind": _OPTIONS.get(request.info.verb, ""), "apiVersion": "meta.k8s.io/v1"}
    if dry:
        options["dryRun"] = ["All"]
    if manager:
        options["fieldManager"] = manager
    if query.get("fieldValidation"):
        options["fieldValidation"] = query["fieldValidation"]
    return WriteContext(
        user=request.user,
        dry_run=dry,
        manager=manager or _agent(request),
        options=options,
        warnings=request.warnings,
    )


def _agent(request: Request) -> str:
    """As apiserver handlers managerOrUserAgent: what a User-Agent says before its slash."""
    name = request.header("user-agent").partition("/")[0] or request.user.name
    return "".join(c for c in name if c.isprintable())[:_MAX_MANAGER]
