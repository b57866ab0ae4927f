"""Requests as they come over HTTP, answered in process: bytes in, (status, object) out."""

import json
from dataclasses import dataclass
from typing import Any

from edgek.api.meta import Obj
from server.app import Api
from server.request.model import Request

APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
JSON_PATCH = "application/json-patch+json"


@dataclass
class Wire:
    """Of one program: ``agent`` is its User-Agent. ``warnings`` are those of the last answer."""

    api: Api
    agent: str = "tests/1.0"
    warnings: tuple[str, ...] = ()

    async def __call__(
        self, method: str, path: str, body: Any = None, *, type: str = "", **query: str
    ) -> tuple[int, Any]:
        raw = (
            body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        )
        request = Request(
            method=method,
            path=path,
            query=query,
            headers={"content-type": type or "application/json", "user-agent": self.agent},
            raw_body=raw,
        )
        response = await self.api.handle(request)
        self.warnings = tuple(request.warnings)
        obj: Any = response.obj if response.obj is not None else json.loads(response.body or b"{}")
        return response.status, obj

    async def ok(self, method: str, path: str, body: Any = None, **query: str) -> Obj:
        status, obj = await self(method, path, body, **query)
        assert status < 300, obj
        found: Obj = obj
        return found

    async def apply(self, path: str, body: Any, manager: str, **query: str) -> tuple[int, Any]:
        return await self("PATCH", path, body, type=APPLY, fieldManager=manager, **query)

    async def applied(self, path: str, body: Any, manager: str, **query: str) -> Obj:
        status, obj = await self.apply(path, body, manager, **query)
        assert status < 300, obj
        found: Obj = obj
        return found


def owners(obj: Obj) -> dict[str, Any]:
    """The sets of an object by "manager operation [subresource]"."""
    return {
        " ".join(filter(None, (e["manager"], e["operation"], e.get("subresource")))): e["fieldsV1"]
        for e in obj["metadata"].get("managedFields", ())
    }
