"""CronTabs, the custom resource of our tests: its definition, its objects, a server with both."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from edgek.api.meta import Key, Obj, deep_copy
from edgek.client.client import Client
from edgek.kinds import CUSTOM_RESOURCE_DEFINITION as CRD
from edgek.kinds.kind import Kind
from server.app import Api
from tests.support.api import admin, open_api

GROUP, KEY = "stable.example.com", Key("default", "a")
NAME = Key("", "crontabs.stable.example.com")
TEXT: Obj = {"type": "string"}


def version(name: str, *, storage: bool = False, **fields: Obj) -> Obj:
    spec: Obj = {"type": "object", "properties": fields or {"cronSpec": TEXT}}
    schema: Obj = {"type": "object", "properties": {"spec": spec}}
    made = {"name": name, "served": True, "storage": storage}
    return {**made, "schema": {"openAPIV3Schema": schema}}


def definition(*versions: Obj, **spec: Any) -> Obj:
    crd = deep_copy(dict(CRD.example))
    crd["spec"] |= {"versions": list(versions) or [version("v1", storage=True)], **spec}
    return crd


def crontab(version: str = "v1", name: str = "a", **spec: Any) -> Obj:
    return {
        "apiVersion": f"{GROUP}/{version}",
        "kind": "CronTab",
        "metadata": {"name": name, "namespace": "default"},
        "spec": spec,
    }


def at(obj: Obj, seen: Obj) -> Obj:
    """``obj`` as an update of what was seen: custom objects are not updated blindly."""
    version_ = seen["metadata"]["resourceVersion"]
    return {**obj, "metadata": {**obj["metadata"], "resourceVersion": version_}}


def served(api: Api, version: str = "v1") -> Kind:
    kind = api.env.kinds.find(GROUP, version, "crontabs")
    assert kind is not None
    return kind


@asynccontextmanager
async def api_with(crd: Obj) -> AsyncIterator[tuple[Api, Client]]:
    async with open_api() as api:
        client = admin(api)
        await client.create(CRD, crd)
        yield api, client


async def change(client: Client, **spec: Any) -> Obj:
    crd = deep_copy(await client.get(CRD, NAME))
    crd["spec"] |= spec
    return await client.update(CRD, crd)
