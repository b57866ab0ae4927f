"""Paths and operations of the kinds, as far as clients read them.

kubectl looks for ``fieldValidation`` among the parameters of a kind's PATCH before it lets the
server validate, and finds the kind by x-kubernetes-group-version-kind; generators read the rest.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from edgek.kinds.kind import Kind, Subresource

Document = dict[str, Any]
META = "io.k8s.apimachinery.pkg.apis.meta.v1."
STRATEGIC = "application/strategic-merge-patch+json"
PATCHES = (
    "application/json-patch+json",
    "application/merge-patch+json",
    STRATEGIC,
    "application/apply-patch+yaml",
)
LIST = (
    ("allowWatchBookmarks", "boolean"), ("continue", "string"), ("fieldSelector", "string"),
    ("labelSelector", "string"), ("limit", "integer"), ("resourceVersion", "string"),
    ("resourceVersionMatch", "string"), ("sendInitialEvents", "boolean"),
    ("timeoutSeconds", "integer"), ("watch", "boolean"),
)  # fmt: skip
WRITE = (("dryRun", "string"), ("fieldManager", "string"), ("fieldValidation", "string"))
DELETE = (
    ("dryRun", "string"), ("gracePeriodSeconds", "integer"), ("orphanDependents", "boolean"),
    ("propagationPolicy", "string"),
)  # fmt: skip
PARAMETERS = {
    "list": LIST,
    "post": WRITE,
    "put": WRITE,
    "patch": (*WRITE, ("force", "boolean")),
    "delete": DELETE,
    "deletecollection": (*LIST[1:], *DELETE),
    "get": (),
}
METHODS = {"list": "get", "deletecollection": "delete"}
COLLECTION = (("list", "list"), ("create", "post"), ("deletecollection", "deletecollection"))
OBJECT = (("get", "get"), ("update", "put"), ("patch", "patch"), ("delete", "delete"))
SUBRESOURCE = (("get", "get"), ("create", "post"), ("update", "put"), ("patch", "patch"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Operation:
    """``action`` is x-kubernetes-action; ``takes``/``gives`` are type names, "" for none."""

    path: str
    action: str
    id: str
    gvk: tuple[str, str, str]
    takes: str = ""
    gives: str = ""
    custom: bool = False

    @property
    def patches(self) -> Sequence[str]:
        """The media types of patches; custom kinds have no merge keys for strategic ones."""
        return tuple(p for p in PATCHES if p != STRATEGIC or not self.custom)

    @property
    def method(self) -> str:
        return METHODS.get(self.action, self.action)

    def query(self) -> Iterator[tuple[str, str]]:
        yield from PARAMETERS[self.action]
        yield "pretty", "string"

    def variables(self) -> list[str]:
        return [v for v in ("namespace", "name") if "{" + v + "}" in self.path]


def operations(kind: Kind, *, type_name: str) -> Iterator[Operation]:
    """All operations of a kind, by the verbs that it has."""
    root = kind.path("{namespace}")
    if kind.namespaced and "list" in kind.verbs:
        yield _operation(kind, kind.path(), "list", type_name, "ForAllNamespaces")
    for verb, action in COLLECTION:
        if verb in kind.verbs:
            yield _operation(kind, root, action, type_name)
    for verb, action in OBJECT:
        if verb in kind.verbs:
            yield _operation(kind, f"{root}/{{name}}", action, type_name)
    for sub in kind.subresources:
        yield from _subresource(kind, sub, f"{root}/{{name}}/{sub.name}", type_name)


def _operation(kind: Kind, path: str, action: str, type_name: str, suffix: str = "") -> Operation:
    takes = {"post": type_name, "put": type_name, "patch": META + "Patch"}.get(action, "")
    gives = {"list": type_name + "List"}.get(action, type_name)
    if action in ("delete", "deletecollection"):
        takes, gives = META + "DeleteOptions", META + "Status"
    return Operation(
        path=path, action=action, id=f"{action}{_id(kind)}{suffix}", takes=takes, gives=gives,
        gvk=(kind.group, kind.version, kind.kind), custom=kind.custom,
    )  # fmt: skip


def _subresource(kind: Kind, sub: Subresource, path: str, type_name: str) -> Iterator[Operation]:
    own = bool(sub.kind) and (sub.group, sub.version, sub.kind) != (
        kind.group, kind.version, kind.kind,
    )  # fmt: skip
    gvk = (sub.group, sub.version, sub.kind) if own else (kind.group, kind.version, kind.kind)
    name = sub_type_name(gvk) if own else type_name
    for verb, action in SUBRESOURCE:
        if verb in sub.verbs:
            takes = {"patch": META + "Patch", "get": ""}.get(action, name)
            yield Operation(
                path=path, action=action, id=f"{action}{_id(kind)}{sub.name.capitalize()}",
                gvk=gvk, takes=takes, gives=name, custom=kind.custom and not own,
            )  # fmt: skip


def sub_type_name(gvk: tuple[str, str, str]) -> str:
    """A GVK for the caller to resolve, as text that cannot be a type name."""
    return "/".join(gvk)


def _id(kind: Kind) -> str:
    group = kind.group.partition(".")[0].capitalize() or "Core"
    scope = "Namespaced" if kind.namespaced else ""
    return f"{group}{kind.version.capitalize()}{scope}{kind.kind}"


def write_paths(found: Sequence[Operation], *, version: int, refer: Any) -> dict[str, Document]:
    """``refer(type name)`` gives a reference object, or {} for a type not known."""
    paths: dict[str, Document] = {}
    for operation in found:
        write = _write_v3 if version == 3 else _write_v2
        item = paths.setdefault(operation.path, {})
        item[operation.method] = _common(operation) | write(operation, refer)
        item["parameters"] = [_variable(v, version) for v in operation.variables()]
    return dict(sorted(paths.items()))


def _common(operation: Operation) -> Document:
    group, version, kind = operation.gvk
    return {
        "operationId": operation.id,
        "tags": [f"{group.partition('.')[0] or 'core'}_{version}"],
        "x-kubernetes-action": operation.action,
        "x-kubernetes-group-version-kind": {"group": group, "kind": kind, "version": version},
    }


def _variable(name: str, version: int) -> Document:
    base = {"name": name, "in": "path", "required": True}
    return base | ({"schema": {"type": "string"}} if version == 3 else {"type": "string"})


def _write_v3(operation: Operation, refer: Any) -> Document:
    out: Document = {
        "parameters": [
            {"name": name, "in": "query", "schema": {"type": kind, "uniqueItems": True}}
            for name, kind in operation.query()
        ],
        "responses": {"200": {"description": "OK", "content": _content(operation.gives, refer)}},
    }
    if operation.takes:
        kinds = operation.patches if operation.action == "patch" else ("*/*",)
        schema = {"schema": refer(operation.takes)}
        out["requestBody"] = {"content": dict.fromkeys(kinds, schema)}
    return out


def _content(name: str, refer: Any) -> Document:
    return {"application/json": {"schema": refer(name)}}


def _write_v2(operation: Operation, refer: Any) -> Document:
    parameters: list[Document] = [
        {"name": name, "in": "query", "type": kind, "uniqueItems": True}
        for name, kind in operation.query()
    ]
    if operation.takes:
        parameters.append({"name": "body", "in": "body", "schema": refer(operation.takes)})
    return {
        "consumes": list(operation.patches) if operation.action == "patch" else ["*/*"],
        "produces": ["application/json", "application/yaml"],
        "parameters": parameters,
        "responses": {"200": {"description": "OK", "schema": refer(operation.gives)}},
    }
