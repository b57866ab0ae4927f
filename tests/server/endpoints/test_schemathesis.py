"""What our own OpenAPI lets a client send never ends in a server error, nor in a hang.

schemathesis makes requests from the documents that the server publishes, a fixed number for each
operation; paths name objects that are there, so that requests get past "not found".
"""

import asyncio
import contextlib
import gzip
import json
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.core import NotSet

from edgek.api import errors
from edgek.kinds import ALL
from server.app import Api
from server.endpoints.openapi import build
from server.request.model import Request, Response
from tests.support.api import ADMIN, admin, open_api

EXAMPLES = 2
SECONDS = 10.0
ROOTS = list(dict.fromkeys(kind.root for kind in ALL))
pytestmark = pytest.mark.timeout(300)


def operations(root: str) -> Iterator[Any]:
    kinds = [kind for kind in ALL if kind.root == root]
    document = orjson.loads(gzip.decompress(build(kinds, "v3" + root)))
    for found in schemathesis.openapi.from_dict(document).get_all_operations():
        yield found.ok()


@pytest.mark.parametrize("root", ROOTS)
def test_no_request_of_the_documents_is_a_server_error(root: str) -> None:
    with asyncio.Runner() as runner:
        opened = open_api(user=ADMIN)
        api = runner.run(opened.__aenter__())
        try:
            names = runner.run(make_examples(api, root))
            for operation in operations(root):
                try_operation(runner, api, operation, names)
        finally:
            runner.run(opened.__aexit__(None, None, None))


async def make_examples(api: Api, root: str) -> dict[str, str]:
    """An object of each kind, by plural."""
    client, names = admin(api), {}
    for kind in (k for k in ALL if k.root == root and k.example and not k.virtual):
        example = orjson.loads(orjson.dumps(dict(kind.example)))
        if kind.namespaced:
            example["metadata"]["namespace"] = "default"
        with contextlib.suppress(errors.Invalid, errors.Forbidden, errors.AlreadyExists):
            await client.create(kind, example)
        names[kind.plural] = example["metadata"]["name"]
    return names


def try_operation(runner: asyncio.Runner, api: Api, operation: Any, names: dict[str, str]) -> None:
    @given(case=operation.as_strategy())
    @settings(
        max_examples=EXAMPLES, deadline=None, database=None, derandomize=True,
        suppress_health_check=list(HealthCheck), phases=[Phase.generate],
    )  # fmt: skip
    def send(case: Any) -> None:
        request = request_of(case, operation, names)
        response = runner.run(answer(api, request))
        assert response.status < 500, (operation.label, request, response)

    send()


async def answer(api: Api, request: Request) -> Response:
    async with asyncio.timeout(SECONDS):
        response = await api.handle(request)
        if response.watch is not None:
            await response.watch.aclose()  # type: ignore[attr-defined]
        return response


def request_of(case: Any, operation: Any, names: dict[str, str]) -> Request:
    path: str = operation.path.replace("{namespace}", "default")
    if "{name}" in path:
        plural = path.partition("/{name}")[0].rpartition("/")[2]
        path = path.replace("{name}", names.get(plural, "a"))
    media = case.media_type or ""
    body = b"" if isinstance(case.body, NotSet) else json.dumps(case.body).encode()
    return Request(
        method=case.method.upper(),
        path=path,
        query={name: str(value) for name, value in (case.query or {}).items()},
        headers={"content-type": "application/json" if media == "*/*" else media},
        raw_body=body,
    )
