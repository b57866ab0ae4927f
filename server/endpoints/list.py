"""GET of a collection, whole or page by page."""

from collections.abc import Mapping

from edgek.api import errors
from server.endpoints.env import Env
from server.endpoints.negotiate import negotiate
from server.endpoints.pages import parse_token
from server.endpoints.query import number, revision
from server.endpoints.route import Target
from server.endpoints.select import Selection
from server.registry.errors import store_errors
from server.request.model import Request, Response
from server.storage.store import HistoryGone, RevisionUnknown


async def list_(env: Env, request: Request, target: Target) -> Response:
    query = request.query
    selection = Selection.of(target.kind, target.key.namespace, query)
    token = parse_token(query["continue"]) if query.get("continue") else None
    _check_revision(env, target, query, paging=token is not None)
    if request.in_process and query.get("resourceVersion") == "0":  # a cache, about to watch
        selection.hold(env.registry.store)
    limit = number(query, "limit")
    entries, meta = await env.pages.page(env.registry, selection, limit=limit, token=token)
    return negotiate(env, request, target.kind).many(entries, meta)


def _check_revision(env: Env, target: Target, query: Mapping[str, str], *, paging: bool) -> None:
    """We always answer with the newest state, which is "not older than" anything but the future;
    an Exact revision is only there while nothing has changed since."""
    asked = revision(query)
    match = query.get("resourceVersionMatch", "")
    if match and match not in ("Exact", "NotOlderThan"):
        raise errors.Invalid(
            f'resourceVersionMatch: Unsupported value: "{match[:40]}": supported values: '
            '"Exact", "NotOlderThan"'
        )
    if match and asked is None:
        raise errors.Invalid(
            "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden unless "
            "resourceVersion is provided"
        )
    if paging and asked:
        raise errors.BadRequest("specifying resource version is not allowed when using continue")
    if not asked:
        return
    store, section = env.registry.store, target.kind.storage_prefix
    with store_errors(target.kind):
        if asked > store.revision_of(section):
            raise RevisionUnknown(asked, store.revision_of(section))
        if match == "Exact" and asked < store.last_change(section):
            raise HistoryGone(asked, store.last_change(section))
