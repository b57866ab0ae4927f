"""Discovery with the groups of other servers among our own, ordered by their priorities.

Without APIServices of others it is server/endpoints/discovery.py alone. Documents of single
remote group-versions (/apis/GROUP/VERSION) come from their servers, through the proxy.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from edgek.api.meta import Obj
from edgek.kinds.api_priority import priority_of
from edgek.kinds.kind import Kind
from server.aggregation.aggregator import Aggregator
from server.aggregation.services import GroupVersion
from server.endpoints.discovery import (
    Discovery,
    Document,
    aggregated_response,
    group_discovery_list,
    groups_of,
    negotiate,
    versions_of,
)
from server.request.model import Request, Response

Remote = Mapping[GroupVersion, Obj]


class MergedDiscovery:
    """Answers /api, /apis and what is below, but for remote group-versions."""

    def __init__(self, aggregator: Aggregator, kinds: Callable[[], Sequence[Kind]]) -> None:
        self._aggregator = aggregator
        self._kinds = kinds
        self._local = Discovery(kinds)

    async def handle(self, request: Request) -> Response:
        remote = self._aggregator.services.remote()
        parts = tuple(p for p in request.path.split("/") if p)
        concerned = parts == ("apis",) or any((parts[1:]) == (gv.group,) for gv in remote)
        if not remote or not concerned or request.method not in ("GET", "HEAD"):
            return await self._local.handle(request)
        kinds = self._kinds()
        version = negotiate(request.header("accept"), aggregated=len(parts) == 1)
        if version:
            document = group_discovery_list(kinds, version=version, core=False)
            known = await self._aggregator.resources()
            document["items"] = merged_items(document["items"], remote, known)
            return aggregated_response(request, document, version=version)
        groups = merged_groups(kinds, remote)
        if len(parts) == 1:
            listed = [g for g in groups if g["name"]]
            return Response(obj={"kind": "APIGroupList", "apiVersion": "v1", "groups": listed})
        found = next(g for g in groups if g["name"] == parts[1])
        return Response(obj={"kind": "APIGroup", "apiVersion": "v1", **found})


def priorities(kinds: Sequence[Kind], remote: Remote) -> dict[str, dict[str, tuple[int, int]]]:
    """By group, by version: (the group's priority as this version has it, the version's)."""
    found: dict[str, dict[str, tuple[int, int]]] = {}
    for group in groups_of(kinds):
        found[group] = {v: priority_of(group, v) for v in versions_of(kinds, group)}
    for key, service in remote.items():
        spec = service["spec"]
        both = (spec.get("groupPriorityMinimum") or 0, spec.get("versionPriority") or 0)
        found.setdefault(key.group, {})[key.version] = both
    return found


def ordered(kinds: Sequence[Kind], remote: Remote) -> list[tuple[str, list[str]]]:
    """Groups with their versions, the preferred ones first."""
    found = priorities(kinds, remote)
    groups = sorted(found, key=lambda g: -max(p[0] for p in found[g].values()))
    return [(g, sorted(found[g], key=lambda v: -found[g][v][1])) for g in groups]


def merged_groups(kinds: Sequence[Kind], remote: Remote) -> list[Document]:
    """APIGroups of the old form, without kind and apiVersion."""
    groups = []
    for group, names in ordered(kinds, remote):
        versions = [{"groupVersion": f"{group}/{v}", "version": v} for v in names]
        groups.append({"name": group, "versions": versions, "preferredVersion": versions[0]})
    return groups


def merged_items(
    local: Sequence[Document], remote: Remote, known: Mapping[GroupVersion, Obj | None]
) -> list[Document]:
    """Items of the aggregated form. A server that has never told what it has is Stale."""
    items = {item["metadata"].get("name", ""): item for item in local}
    ranks = {g: max(priority_of(g, "").group, 0) for g in items}
    for key, service in remote.items():
        empty: Document = {"metadata": {"name": key.group, "creationTimestamp": None}}
        item = items.setdefault(key.group, empty | {"versions": []})
        version = remote_version(key, known.get(key))
        weight = service["spec"].get("versionPriority") or 0
        item["versions"] = _inserted(item["versions"], version, weight, key.group, remote)
        rank = service["spec"].get("groupPriorityMinimum") or 0
        ranks[key.group] = max(ranks.get(key.group, 0), rank)
    return sorted(items.values(), key=lambda i: -ranks[i["metadata"].get("name", "")])


def _inserted(
    versions: Sequence[Document], new: Document, weight: int, group: str, remote: Remote
) -> list[Document]:
    def weigh(version: Document) -> int:
        service = remote.get(GroupVersion(group, version["version"]))
        if service is not None:
            return int(service["spec"].get("versionPriority") or 0)
        return priority_of(group, version["version"]).version

    kept = [v for v in versions if v["version"] != new["version"]]
    return sorted([*kept, new], key=lambda v: -(weight if v is new else weigh(v)))


def remote_version(key: GroupVersion, document: Obj | None) -> Document:
    """An APIVersionDiscovery, from the APIResourceList of the old form; None: it has not
    told any."""
    if document is None:
        return {"version": key.version, "freshness": "Stale"}
    listed = document.get("resources") or ()
    main = {r["name"]: _resource(r, key) for r in listed if "/" not in (r.get("name") or "/")}
    for entry in listed:
        parent, slash, sub = (entry.get("name") or "").partition("/")
        if slash and parent in main:
            main[parent].setdefault("subresources", []).append(_subresource(sub, entry, key))
    return {"version": key.version, "resources": list(main.values()), "freshness": "Current"}


def _resource(entry: Mapping[str, Any], key: GroupVersion) -> Document:
    found: Document = {
        "resource": entry["name"],
        "responseKind": _type(entry, key),
        "scope": "Namespaced" if entry.get("namespaced") else "Cluster",
        "singularResource": entry.get("singularName") or "",
        "verbs": list(entry.get("verbs") or ()),
    }
    for field in ("shortNames", "categories"):
        if entry.get(field):
            found[field] = list(entry[field])
    return found


def _subresource(name: str, entry: Mapping[str, Any], key: GroupVersion) -> Document:
    verbs = list(entry.get("verbs") or ())
    return {"subresource": name, "responseKind": _type(entry, key), "verbs": verbs}


def _type(entry: Mapping[str, Any], key: GroupVersion) -> Document:
    return {
        "group": entry.get("group") or key.group,
        "version": entry.get("version") or key.version,
        "kind": entry.get("kind") or "",
    }
