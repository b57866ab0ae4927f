"""ComponentStatuses: the parts of the control plane under the names that old tools look for.

They are one process here and end together, so whoever gets an answer gets a good one.
"""

import orjson

from edgek.api import errors
from edgek.api.meta import Obj
from edgek.kinds import COMPONENT_STATUS
from server.endpoints.env import Env
from server.endpoints.negotiate import ListMeta, negotiate
from server.endpoints.route import Target
from server.endpoints.select import Selection
from server.request.model import Request, Response
from server.storage.store import Entry

COMPONENTS = {
    "controller-manager": "ok",
    "etcd-0": "ok, an embedded datastore",
    "scheduler": "ok",
}


def component_status(name: str) -> Obj:
    condition = {"type": "Healthy", "status": "True", "message": COMPONENTS[name]}
    return {
        "apiVersion": COMPONENT_STATUS.api_version,
        "kind": COMPONENT_STATUS.kind,
        "metadata": {"name": name},
        "conditions": [condition],
    }


def _entry(name: str) -> Entry:
    obj = component_status(name)
    return Entry(
        name, namespace="", revision=0, raw=orjson.dumps(obj), obj=obj, decode=orjson.loads
    )


async def get_component(env: Env, request: Request, target: Target) -> Response:
    if target.key.name not in COMPONENTS:
        raise errors.NotFound.of(target.kind, target.key.name)
    return negotiate(env, request, target.kind).one(_entry(target.key.name))


async def list_components(env: Env, request: Request, target: Target) -> Response:
    selection = Selection.of(target.kind, "", request.query)
    found = [entry for entry in map(_entry, COMPONENTS) if selection.matches(entry.shared())]
    return negotiate(env, request, target.kind).many(found, ListMeta(""))
