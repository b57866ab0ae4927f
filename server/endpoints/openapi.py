"""OpenAPI: /openapi/v3, /openapi/v3/GROUP-VERSION and /openapi/v2.

Built from the kinds and their schemas when first asked for, in a thread, and kept only as
compressed bytes. A document's hash depends on what it is built from and not on its bytes, so
that the index costs nothing. v2 is offered in protobuf as well, for kubectl up to 1.28.
"""

import asyncio
import gzip
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import orjson

from edgek.api.errors import MethodNotAllowed, NotAcceptable, NotFound
from edgek.kinds.kind import Kind
from edgek.schema.facts import load_facts
from edgek.schema.schema import Schema, Types
from server.endpoints import openapi_gnostic
from server.endpoints.openapi_custom import add_custom
from server.endpoints.openapi_paths import META, Document, operations, write_paths
from server.endpoints.openapi_prose import find_prose
from server.endpoints.openapi_schemas import Schemas
from server.request.model import Request, Response

FORMAT = 1
"""Counts changes of how documents are built, so that clients drop what they have cached."""
V2_PROTOBUF = openapi_gnostic.OLD_PATH
PROTOBUF = openapi_gnostic.MEDIA_TYPE
JSON_TYPES = ("", "*/*", "application/json", "application/*")


@dataclass(frozen=True, kw_only=True, slots=True)
class Packed:
    """A built document: gzip bytes and its ETag."""

    zipped: bytes
    etag: str


class OpenApi:
    """Answers /openapi/*. What ``kinds`` gives may change; documents follow by their hash."""

    def __init__(self, kinds: Callable[[], Sequence[Kind]]) -> None:
        self._kinds = kinds
        self._packed: dict[str, Packed] = {}
        self._building = asyncio.Lock()

    async def handle(self, request: Request) -> Response:
        if request.method not in ("GET", "HEAD"):
            raise MethodNotAllowed(
                "the server does not allow this method on the requested resource"
            )
        path = request.path.strip("/").removeprefix("openapi/")
        kinds = self._kinds()
        if path == openapi_gnostic.OLD_PATH:
            return await self._document(request, V2_PROTOBUF, kinds)
        form = form_of(request.header("accept"), protobuf=path == "v2")
        if path == "v3":
            return Response(obj={"paths": index(kinds)})
        if path == "v2":
            return await self._document(request, V2_PROTOBUF if form == PROTOBUF else path, kinds)
        found = kinds_at(kinds, path.removeprefix("v3/")) if path.startswith("v3/") else ()
        if not found:
            raise NotFound.path()
        return await self._document(request, path, found)

    async def _document(self, request: Request, path: str, kinds: Sequence[Kind]) -> Response:
        digest = fingerprint(kinds)
        asked = request.query.get("hash", "")
        if asked and asked != digest:
            location = f"{request.path}?hash={digest}"
            return Response(status=301, headers={"Location": location}, body=b"")
        etag = f'"{digest}"'
        headers = {"ETag": etag, "Vary": "Accept-Encoding, Accept"}
        headers["Cache-Control"] = "public, immutable" if asked else "no-cache, private"
        if etag in request.header("if-none-match"):
            return Response(status=304, headers=headers, body=b"")
        packed = await self._pack(path, kinds, etag)
        media = PROTOBUF if path == V2_PROTOBUF else "application/json"
        body = packed.zipped
        if "gzip" in request.header("accept-encoding"):
            headers["Content-Encoding"] = "gzip"
        else:
            body = await asyncio.to_thread(gzip.decompress, packed.zipped)
        return Response(headers=headers, content_type=media, body=body)

    async def _pack(self, path: str, kinds: Sequence[Kind], etag: str) -> Packed:
        """One document is built at a time: their raw form is what costs memory."""
        async with self._building:
            packed = self._packed.get(path)
            if packed is None or packed.etag != etag:
                zipped = await asyncio.to_thread(build, tuple(kinds), path)
                packed = self._packed[path] = Packed(zipped=zipped, etag=etag)
            return packed


def form_of(accept: str, *, protobuf: bool) -> str:
    """The first form the client takes and we have: "" for JSON. Raises NotAcceptable."""
    for item in accept.split(","):
        wanted = item.partition(";")[0].strip().lower()
        if wanted in JSON_TYPES:
            return ""
        if protobuf and wanted in (openapi_gnostic.ASKED, PROTOBUF):
            return PROTOBUF
    raise NotAcceptable("only the following media types are accepted: application/json")


def path_of(kind: Kind) -> str:
    return kind.root.removeprefix("/")


def index(kinds: Sequence[Kind]) -> Document:
    return {
        path: {"serverRelativeURL": f"/openapi/v3/{path}?hash={fingerprint(kinds_at(kinds, path))}"}
        for path in dict.fromkeys(path_of(k) for k in kinds)
    }


def kinds_at(kinds: Sequence[Kind], path: str) -> Sequence[Kind]:
    return tuple(k for k in kinds if path_of(k) == path)


def fingerprint(kinds: Sequence[Kind]) -> str:
    """A hash over everything that a document of these kinds is made of."""
    shape = [
        [k.api_version, k.kind, k.plural, k.namespaced, list(k.verbs), k.schema or _digest(k)]
        + [[s.name, list(s.verbs), s.group, s.version, s.kind] for s in k.subresources]
        for k in kinds
    ]
    source = orjson.dumps([FORMAT, load_facts().release, shape])
    return hashlib.sha256(source).hexdigest().upper()


def build(kinds: Sequence[Kind], path: str) -> bytes:
    """The document at a path below /openapi, gzip-compressed. Runs in a thread; its types are
    thrown away after it."""
    version = 3 if path.startswith("v3") else 2
    types = Types(load_facts())
    schemas = Schemas(version=version, prose=find_prose())
    found = [op for kind in kinds for op in operations(kind, type_name=_type_name(types, kind))]

    custom = {custom_name(kind): kind for kind in kinds if kind.shape is not None}
    for name, kind in custom.items():
        add_custom(schemas, kind, name, version=version)

    def refer(name: str) -> Document:
        if name in custom or name.removesuffix("List") in custom:
            return {"$ref": schemas.prefix + name}
        schema = _resolve(types, name)
        return schemas.refer(schema) if schema is not None else {"type": "object"}

    paths = write_paths(found, version=version, refer=refer)
    for name in ("Status", "WatchEvent", "APIResourceList"):
        refer(META + name)
    info = {"title": "Kubernetes", "version": f"v{load_facts().release}"}
    if version == 3:
        head: Document = {"openapi": "3.0.0", "info": info, "paths": paths}
        document = head | {"components": {"schemas": schemas.write_all()}}
    else:
        head = {"swagger": "2.0", "info": info, "paths": paths}
        document = head | {"definitions": schemas.write_all()}
    if path == V2_PROTOBUF:
        return gzip.compress(openapi_gnostic.encode_document(document), 6, mtime=0)
    return gzip.compress(orjson.dumps(document), 6, mtime=0)


def _digest(kind: Kind) -> str:
    return kind.shape.digest if kind.shape is not None else ""


def custom_name(kind: Kind) -> str:
    """As upstream names a custom type: the group backwards, version and kind."""
    return ".".join((*reversed(kind.group.split(".")), kind.version, kind.kind))


def _type_name(types: Types, kind: Kind) -> str:
    if kind.shape is not None:
        return custom_name(kind)
    return kind.schema or types.facts.kinds.get((kind.group, kind.version, kind.kind), "")


def _resolve(types: Types, name: str) -> Schema | None:
    """By type name, or by the GVK text that names a subresource's type."""
    if "/" in name:
        group, version, kind = name.split("/")
        return types.of(group, version, kind)
    return types.named(name) if name in types.facts.types else None
