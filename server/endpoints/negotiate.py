"""How an answer looks: the objects themselves, a Table, or metadata only, by Accept.

As apiserver pkg/endpoints/handlers/response.go and negotiation: the first acceptable clause
wins. Answers are JSON, or YAML where that is asked for first; a client that takes neither gets
406.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import orjson

from edgek.api import errors
from edgek.api.meta import Obj
from edgek.api.remembered import remembered
from edgek.kinds.kind import Kind
from server.endpoints.env import Env
from server.endpoints.table import render_table
from server.request.model import Request, Response
from server.storage.store import Entry


@dataclass(frozen=True)
class ListMeta:
    """``remaining`` is None where it is not known (selectors) or nothing remains."""

    resource_version: str
    token: str = ""
    remaining: int | None = None

    def as_dict(self) -> Obj:
        meta: Obj = {"resourceVersion": self.resource_version}
        if self.token:
            meta["continue"] = self.token
        if self.remaining is not None:
            meta["remainingItemCount"] = self.remaining
        return meta


class View(Protocol):
    """One way for an answer to look."""

    def one(self, entry: Entry, *, status: int = 200) -> Response: ...

    def many(self, entries: Sequence[Entry], meta: ListMeta) -> Response: ...

    def line(self, type_: str, entry: Entry, *, first: bool) -> bytes:
        """One watch event on the wire."""

    def bookmark(self, resource_version: str, *, initial_end: bool) -> bytes: ...


def line_of(type_: str, raw: bytes) -> bytes:
    return b'{"type":"%s","object":%s}\n' % (type_.encode(), raw)


def bookmark_object(api_version: str, kind: str, revision: str, *, initial_end: bool) -> Obj:
    meta: Obj = {"resourceVersion": revision, "creationTimestamp": None}
    if initial_end:
        meta["annotations"] = {"k8s.io/initial-events-end": "true"}
    return {"kind": kind, "apiVersion": api_version, "metadata": meta}


@dataclass(frozen=True)
class ObjectView:
    """The stored bytes as they are: a list is one join, a watch event one copy for all."""

    kind: Kind
    in_process: bool = False

    def one(self, entry: Entry, *, status: int = 200) -> Response:
        if self.in_process:
            return Response(status=status, obj=entry.decoded())
        return Response(status=status, body=entry.raw)

    def many(self, entries: Sequence[Entry], meta: ListMeta) -> Response:
        if self.in_process:
            items = [e.shared() for e in entries]
            return Response(obj={**self._head(meta), "items": items})
        items = [e.raw for e in entries] or [b""]
        # Head and end go into the one join: another one would copy the whole list again.
        items[0] = orjson.dumps(self._head(meta))[:-1] + b',"items":[' + items[0]
        items[-1] += b"]}"
        return Response(body=b",".join(items))

    def _head(self, meta: ListMeta) -> Obj:
        kind = self.kind.kind + "List"
        return {"kind": kind, "apiVersion": self.kind.api_version, "metadata": meta.as_dict()}

    def line(self, type_: str, entry: Entry, *, first: bool) -> bytes:
        return line_of(type_, entry.raw)

    def bookmark(self, resource_version: str, *, initial_end: bool) -> bytes:
        obj = bookmark_object(
            self.kind.api_version, self.kind.kind, resource_version, initial_end=initial_end
        )
        return line_of("BOOKMARK", orjson.dumps(obj))


@dataclass(frozen=True)
class YamlView(ObjectView):
    """For people with curl: single answers only, a watch has no YAML form here."""

    def one(self, entry: Entry, *, status: int = 200) -> Response:
        return _as_yaml(entry.decoded(), status=status)

    def many(self, entries: Sequence[Entry], meta: ListMeta) -> Response:
        return _as_yaml({**self._head(meta), "items": [e.decoded() for e in entries]})


def _as_yaml(obj: Obj, *, status: int = 200) -> Response:
    import yaml

    text = yaml.safe_dump(obj, allow_unicode=True, sort_keys=False)
    return Response(status=status, content_type=YAML, body=text.encode())


@dataclass(frozen=True)
class TableView:
    """meta.k8s.io Table: what kubectl get prints."""

    env: Env
    kind: Kind
    version: str
    include: str

    def _table(self, entries: Sequence[Entry], *, headers: bool = True) -> Obj:
        objects = [e.decoded() for e in entries]
        now = self.env.clock.now()
        return render_table(
            self.kind,
            objects,
            version=self.version,
            include=self.include,
            now=now,
            headers=headers,
        )

    def one(self, entry: Entry, *, status: int = 200) -> Response:
        table = self._table([entry])
        table["metadata"] = {"resourceVersion": str(entry.revision)}
        return Response(status=status, body=orjson.dumps(table))

    def many(self, entries: Sequence[Entry], meta: ListMeta) -> Response:
        table = self._table(entries)
        table["metadata"] = meta.as_dict()
        return Response(body=orjson.dumps(table))

    def line(self, type_: str, entry: Entry, *, first: bool) -> bytes:
        # As upstream: column definitions only in the first event of a watch.
        table = self._table([entry], headers=first)
        table["metadata"] = {"resourceVersion": str(entry.revision)}
        return line_of(type_, orjson.dumps(table))

    def bookmark(self, resource_version: str, *, initial_end: bool) -> bytes:
        table = self._table([], headers=False)
        table["metadata"] = {"resourceVersion": resource_version}
        if initial_end:
            obj = bookmark_object(
                self.kind.api_version, self.kind.kind, resource_version, initial_end=True
            )
            table["rows"] = [{"cells": [], "object": obj}]
        return line_of("BOOKMARK", orjson.dumps(table))


@dataclass(frozen=True)
class MetadataView:
    """PartialObjectMetadata(List): what garbage collectors and metadata clients ask."""

    version: str
    kind: Kind

    def _partial(self, obj: Obj) -> Obj:
        return {
            "kind": "PartialObjectMetadata",
            "apiVersion": f"meta.k8s.io/{self.version}",
            "metadata": obj["metadata"],
        }

    def one(self, entry: Entry, *, status: int = 200) -> Response:
        return Response(status=status, body=orjson.dumps(self._partial(entry.decoded())))

    def many(self, entries: Sequence[Entry], meta: ListMeta) -> Response:
        out = {
            "kind": "PartialObjectMetadataList",
            "apiVersion": f"meta.k8s.io/{self.version}",
            "metadata": meta.as_dict(),
            "items": [self._partial(e.decoded()) for e in entries],
        }
        return Response(body=orjson.dumps(out))

    def line(self, type_: str, entry: Entry, *, first: bool) -> bytes:
        return line_of(type_, orjson.dumps(self._partial(entry.decoded())))

    def bookmark(self, resource_version: str, *, initial_end: bool) -> bytes:
        obj = bookmark_object("", "", resource_version, initial_end=initial_end)
        return line_of("BOOKMARK", orjson.dumps(self._partial(obj)))


@dataclass(frozen=True)
class _Clause:
    media_type: str
    form: str = ""
    group: str = ""
    version: str = ""


@remembered(256)
def _clauses(accept: str) -> tuple[_Clause, ...]:
    out = []
    for clause in accept.split(",")[:32]:
        media_type, *params = (part.strip() for part in clause.split(";"))
        given = dict(p.split("=", 1) for p in params if "=" in p)
        out.append(_Clause(media_type, given.get("as", ""), given.get("g", ""), given.get("v", "")))
    return tuple(out)


_JSON = ("application/json", "application/*", "*/*", "")
YAML = "application/yaml"


def negotiate(env: Env, request: Request, kind: Kind) -> View:
    """Raises NotAcceptable where nothing the client takes can be made."""
    accept = request.header("accept")
    if request.in_process or not accept or accept in _JSON:
        return ObjectView(kind, request.in_process)
    for clause in _clauses(accept):
        if clause.media_type == YAML and request.info.verb != "watch" and not clause.form:
            return YamlView(kind)
        if clause.media_type not in _JSON:
            continue
        if (view := _view(env, request, kind, clause)) is not None:
            return view
    raise errors.NotAcceptable(
        "only the following media types are accepted: application/json, application/yaml, "
        "application/json;as=Table;v=v1;g=meta.k8s.io"
    )


def _view(env: Env, request: Request, kind: Kind, clause: _Clause) -> View | None:
    if not clause.form:
        return ObjectView(kind)
    if clause.group != "meta.k8s.io" or clause.version not in ("v1", "v1beta1"):
        return None
    if clause.form == "Table":
        include = request.query.get("includeObject", "") or "Metadata"
        return TableView(env, kind, clause.version, include)
    if clause.form in ("PartialObjectMetadata", "PartialObjectMetadataList"):
        return MetadataView(clause.version, kind)
    return None
