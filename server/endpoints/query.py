"""Query parameters, read once with upstream's errors."""

from collections.abc import Mapping

from edgek.api import errors
from edgek.api.meta import Obj
from edgek.api.selectors import FieldSelector, Selector, parse_field_selector, parse_selector
from edgek.api.validation import FieldErrors, FieldPath
from edgek.kinds.kind import Kind
from edgek.kinds.metadata import MAX_MANAGER, validate_field_manager
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
_PERFORMED = {"PatchOptions": "UpdateOptions"}
"""What admission is told a request does (patchToUpdateOptions)."""
_FIELD_VALIDATION = ("", "Ignore", "Strict", "Warn")


def write_context(request: Request, *, apply: bool = False) -> WriteContext:
    """Who writes and how, of a create, update or patch (``apply``: a server-side apply). Raises
    Invalid."""
    query = request.query
    manager = query.get("fieldManager", "")
    options = _OPTIONS.get(request.info.verb, "")
    if not _PLAIN.issuperset(query) or manager or apply:
        _check_options(query, options, apply=apply)
    return WriteContext(
        user=request.user,
        dry_run=query.get("dryRun") == "All",
        manager=manager or _agent(request),
        options=_options(query, _PERFORMED.get(options, options)),
        warnings=request.warnings,
    )


_PLAIN = frozenset({"pretty", "timeout"})
"""Query parameters that have nothing to check."""


def _options(query: Mapping[str, str], kind: str) -> Obj:
    options: Obj = {"kind": kind, "apiVersion": "meta.k8s.io/v1"}
    if query.get("dryRun"):
        options["dryRun"] = ["All"]
    for name in ("fieldManager", "fieldValidation"):
        if query.get(name):
            options[name] = query[name]
    return options


def _check_options(query: Mapping[str, str], kind: str, *, apply: bool) -> None:
    """As metav1/validation ValidateCreateOptions, ValidateUpdateOptions, ValidatePatchOptions."""
    problems = FieldErrors()
    if apply and not query.get("fieldManager"):
        problems.required(FieldPath("fieldManager"), "is required for apply patch")
    if not apply and "force" in query and kind == "PatchOptions":
        problems.forbidden(FieldPath("force"), "may not be specified for non-apply patch")
    validate_field_manager(query.get("fieldManager", ""), FieldPath("fieldManager"), problems)
    if query.get("dryRun", "") not in ("", "All"):
        problems.not_supported(FieldPath("dryRun"), query["dryRun"][:40], ["All"])
    if query.get("fieldValidation", "") not in _FIELD_VALIDATION:
        wanted = query["fieldValidation"][:40]
        problems.not_supported(FieldPath("fieldValidation"), wanted, _FIELD_VALIDATION)
    if problems:
        of = Kind(group="meta.k8s.io", version="v1", kind=kind, plural=kind.lower())
        raise errors.Invalid.of(of, "", problems)


def _agent(request: Request) -> str:
    """As apiserver handlers managerOrUserAgent: what a User-Agent says before its slash."""
    name = request.header("user-agent").partition("/")[0] or request.user.name
    if not name.isprintable():
        name = "".join(c for c in name if c.isprintable())
    return name[:MAX_MANAGER]
