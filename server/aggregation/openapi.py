"""OpenAPI with the documents of other servers beside our own.

Version 3 has a document for each group-version: theirs are listed with ours and fetched when asked
for. Version 2 is one document, into which the paths and definitions of theirs are put; what both
define stays ours. Where no APIService of others is, server/endpoints/openapi.py answers alone. As
kube-aggregator pkg/controllers/openapi and openapiv3, but nothing is fetched before it is asked
for; what was fetched is good for a minute, and then as long as its ETag.
"""

import asyncio
import gzip
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import orjson

from edgek.api.errors import ApiError
from edgek.api.meta import Obj
from server.aggregation.aggregator import Aggregator, Fetched
from server.aggregation.services import GroupVersion, is_available
from server.endpoints.root import Handle
from server.request.model import Request, Response

KEEP_SECONDS = 60.0
_MAX_KEPT = 64
_PATH = "/openapi/v3/"


class _Kept(NamedTuple):
    since: float
    etag: str
    document: Obj | None


_UNKNOWN = _Kept(-KEEP_SECONDS, "", None)


class MergedOpenApi:
    """Answers /openapi/*. ``local`` answers for what is ours."""

    def __init__(
        self, aggregator: Aggregator, local: Handle, *, keep: float = KEEP_SECONDS
    ) -> None:
        self._keep = keep
        self._aggregator = aggregator
        self._local = local
        self._fetched: dict[tuple[str, str], _Kept] = {}
        self._merged: tuple[str, bytes] = ("", b"")
        """The last merged version 2: what it was made of, and its gzip bytes."""

    async def handle(self, request: Request) -> Response:
        remote = self._aggregator.services.remote()
        if not remote or request.method not in ("GET", "HEAD"):
            return await self._local(request)
        path = request.path.rstrip("/")
        if path == "/openapi/v3":
            return await self._index(request, remote)
        if path == "/openapi/v2" and "protobuf" not in request.header("accept"):
            return await self._version_2(request, remote)
        service = remote.get(_group_version(path))
        if service is None:
            return await self._local(request)
        return await self._aggregator.passed_on(request, service)

    async def _index(self, request: Request, remote: Mapping[GroupVersion, Obj]) -> Response:
        response = await self._local(request)
        if response.obj is None:
            return response
        paths = dict(response.obj["paths"])
        indexes = await asyncio.gather(
            *(self._document(service, "/openapi/v3") for service in remote.values())
        )
        for key, index in zip(remote, indexes, strict=True):
            name = f"apis/{key.group}/{key.version}"
            entry = ((index or {}).get("paths") or {}).get(name)
            if isinstance(entry, dict) and entry.get("serverRelativeURL"):
                paths[name] = {"serverRelativeURL": str(entry["serverRelativeURL"])}
        return Response(obj={"paths": paths})

    async def _version_2(self, request: Request, remote: Mapping[GroupVersion, Obj]) -> Response:
        """Merged in a thread and kept: it is large, and asked for again and again."""
        found = await asyncio.gather(
            *(self._document(service, "/openapi/v2") for service in remote.values())
        )
        theirs = [
            (key, document)
            for key, document in zip(remote, found, strict=True)
            if document is not None
        ]
        plain = replace(request, headers={"accept-encoding": "gzip"}, query={})
        ours = await self._local(plain)
        if not theirs or ours.body is None:
            return await self._local(request)
        etag = f'"{_digest(ours, theirs)}"'
        headers = {"ETag": etag, "Vary": "Accept-Encoding, Accept"}
        if etag in request.header("if-none-match"):
            return Response(status=304, headers=headers, body=b"")
        if self._merged[0] != etag:
            self._merged = etag, await asyncio.to_thread(merged, ours.body, theirs)
        body = self._merged[1]
        if "gzip" in request.header("accept-encoding"):
            return Response(headers={**headers, "Content-Encoding": "gzip"}, body=body)
        return Response(headers=headers, body=await asyncio.to_thread(gzip.decompress, body))

    async def _document(self, service: Obj, path: str) -> Obj | None:
        """A document of an extension server; None where it has none, or does not answer."""
        key, now = (service["metadata"]["uid"], path), asyncio.get_running_loop().time()
        kept = self._fetched.get(key, _UNKNOWN)
        if now - kept.since < self._keep or not is_available(service):
            return kept.document
        try:
            async with asyncio.timeout(5):
                answer = await self._aggregator.fetch(service, path, etag=kept.etag)
        except (ApiError, TimeoutError):
            answer = Fetched(503, "", None)
        if answer.status == 304:
            kept = kept._replace(since=now)
        else:
            document = _well_formed(answer.document) if answer.status == 200 else None
            kept = _Kept(now, answer.etag if document is not None else "", document)
        if len(self._fetched) >= _MAX_KEPT:
            self._fetched.clear()
        self._fetched[key] = kept
        return kept.document


def _well_formed(document: Obj | None) -> Obj | None:
    """None where what is merged into ours is not of its form."""
    parts = ((document or {}).get(field) or {} for field in ("paths", "definitions"))
    return document if all(isinstance(part, dict) for part in parts) else None


def _group_version(path: str) -> GroupVersion:
    parts = path.removeprefix(_PATH).split("/") if path.startswith(_PATH) else []
    return GroupVersion(parts[1], parts[2]) if len(parts) == 3 else GroupVersion("", "")


def _digest(ours: Response, theirs: Sequence[tuple[GroupVersion, Obj]]) -> str:
    source = orjson.dumps([ours.headers.get("ETag"), [d for _, d in theirs]])
    return hashlib.sha256(source).hexdigest().upper()


def merged(ours: bytes, theirs: Sequence[tuple[GroupVersion, Obj]]) -> bytes:
    """gzip in, gzip out. Runs in a thread."""
    document: dict[str, Any] = orjson.loads(gzip.decompress(ours))
    paths, definitions = document["paths"], document["definitions"]
    for key, other in theirs:
        root = f"/apis/{key.group}/{key.version}/"
        for path, said in (other.get("paths") or {}).items():
            if path.startswith(root):
                paths.setdefault(path, said)
        for name, said in (other.get("definitions") or {}).items():
            definitions.setdefault(name, said)
    return gzip.compress(orjson.dumps(document), 6, mtime=0)
