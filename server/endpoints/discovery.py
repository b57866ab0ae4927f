"""Discovery: which groups, versions and resources there are (/api, /apis and below).

Pure functions of the kinds, in the old form (one document per group-version) and in the
aggregated one (apidiscovery.k8s.io v2 and v2beta1, asked for by Accept), which newer clients
take first. Which kinds exist is asked at each request; nothing here knows where they come from.
"""

import base64
import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import orjson

from edgek.api.errors import MethodNotAllowed, NotAcceptable, NotFound
from edgek.kinds.api_priority import priority_of
from edgek.kinds.kind import Kind, Subresource
from server.request.model import Request, Response

AGGREGATED_GROUP = "apidiscovery.k8s.io"
AGGREGATED_VERSIONS = ("v2", "v2beta1")
Document = dict[str, Any]


class Discovery:
    """Answers every discovery path; NotFound.path() for groups and versions there are not."""

    def __init__(self, kinds: Callable[[], Sequence[Kind]]) -> None:
        self._kinds = kinds

    async def handle(self, request: Request) -> Response:
        if request.method not in ("GET", "HEAD"):
            raise MethodNotAllowed(
                "the server does not allow this method on the requested resource"
            )
        parts = tuple(p for p in request.path.split("/") if p)
        version = negotiate(request.header("accept"), aggregated=len(parts) == 1)
        kinds = self._kinds()
        if version:
            return aggregated(request, kinds, version=version, core=parts == ("api",))
        return Response(obj=document(kinds, parts, host=request.header("host")))


def document(kinds: Sequence[Kind], parts: tuple[str, ...], *, host: str) -> Document:
    """The old form of one path, given as its segments."""
    match parts:
        case ("api",):
            return api_versions(kinds, host=host)
        case ("apis",):
            return api_group_list(kinds)
        case ("apis", group):
            return {"kind": "APIGroup", "apiVersion": "v1", **api_group(kinds, group)}
        case ("api", version):
            return resource_list(kinds, group="", version=version)
        case ("apis", group, version):
            return resource_list(kinds, group=group, version=version)
    raise NotFound.path()


def api_versions(kinds: Sequence[Kind], *, host: str) -> Document:
    address = [{"clientCIDR": "0.0.0.0/0", "serverAddress": host}]
    return {
        "kind": "APIVersions",
        "versions": versions_of(kinds, ""),
        "serverAddressByClientCIDRs": address,
    }


def api_group_list(kinds: Sequence[Kind]) -> Document:
    groups = [api_group(kinds, group) for group in groups_of(kinds) if group]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}


def api_group(kinds: Sequence[Kind], group: str) -> Document:
    versions = [
        {"groupVersion": f"{group}/{version}", "version": version}
        for version in versions_of(kinds, group)
    ]
    if not versions or not group:
        raise NotFound.path()
    return {"name": group, "versions": versions, "preferredVersion": versions[0]}


def groups_of(kinds: Iterable[Kind]) -> list[str]:
    """In the order in which clients look for a short name in them."""
    groups = dict.fromkeys(k.group for k in kinds)
    return sorted(groups, key=lambda group: -priority_of(group, "").group)


def versions_of(kinds: Iterable[Kind], group: str) -> list[str]:
    """The group's versions, the preferred one first."""
    versions = dict.fromkeys(k.version for k in kinds if k.group == group)
    return sorted(versions, key=lambda version: -priority_of(group, version).version)


def resource_list(kinds: Sequence[Kind], *, group: str, version: str) -> Document:
    found = [k for k in kinds if (k.group, k.version) == (group, version)]
    if not found:
        raise NotFound.path()
    resources = [entry for kind in found for entry in resource_entries(kind)]
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": found[0].api_version,
        "resources": sorted(resources, key=lambda r: str(r["name"])),
    }


def resource_entries(kind: Kind) -> list[Document]:
    entry = {
        "name": kind.plural,
        "singularName": kind.singular,
        "namespaced": kind.namespaced,
        "kind": kind.kind,
        "verbs": list(kind.verbs),
        "shortNames": list(kind.short_names),
        "categories": list(kind.categories),
        "storageVersionHash": storage_version_hash(kind),
    }
    main = {k: v for k, v in entry.items() if v not in ([], "")}
    return [main, *(subresource_entry(kind, s) for s in kind.subresources)]


def subresource_entry(kind: Kind, sub: Subresource) -> Document:
    entry = {
        "name": f"{kind.plural}/{sub.name}",
        "singularName": "",
        "namespaced": kind.namespaced,
        "kind": sub.kind or kind.kind,
        "verbs": list(sub.verbs),
    }
    if sub.version and (sub.group, sub.version) != (kind.group, kind.version):
        entry |= {"group": sub.group, "version": sub.version}
    return entry


def storage_version_hash(kind: Kind) -> str:
    """As apiserver endpoints/discovery StorageVersionHash: clients compare, nobody reads it."""
    digest = hashlib.sha256(f"{kind.group}/{kind.version}/{kind.kind}".encode()).digest()
    return base64.b64encode(digest[:8]).decode()


# -- the aggregated form -----------------------------------------------------------------


def negotiate(accept: str, *, aggregated: bool) -> str:
    """The aggregated version to answer with, or "" for the old form. First match wins."""
    wanted = [_media_type(item) for item in accept.split(",") if item.strip()]
    for kind, options in wanted or [("*/*", {})]:
        if kind not in ("application/json", "application/*", "*/*"):
            continue
        if "as" not in options:
            return ""
        asks = (options.get("g"), options["as"])
        if aggregated and asks == (AGGREGATED_GROUP, "APIGroupDiscoveryList"):
            version = options.get("v", "")
            if version in AGGREGATED_VERSIONS:
                return version
    raise NotAcceptable(
        "only the following media types are accepted: application/json",
    )


def _media_type(item: str) -> tuple[str, Mapping[str, str]]:
    kind, *options = (part.strip() for part in item.split(";"))
    pairs = (option.partition("=") for option in options)
    return kind.lower(), {name.strip(): value.strip() for name, _, value in pairs}


def aggregated(request: Request, kinds: Sequence[Kind], *, version: str, core: bool) -> Response:
    document = group_discovery_list(kinds, version=version, core=core)
    return aggregated_response(request, document, version=version)


def aggregated_response(request: Request, document: Document, *, version: str) -> Response:
    """With an ETag, so that a client that knows it already gets 304."""
    body = orjson.dumps(document)
    etag = f'"{hashlib.sha256(body).hexdigest().upper()}"'
    headers = {"ETag": etag, "Vary": "Accept", "Cache-Control": "public"}
    if etag in request.header("if-none-match"):
        return Response(status=304, headers=headers, body=b"")
    media = f"application/json;g={AGGREGATED_GROUP};v={version};as=APIGroupDiscoveryList"
    return Response(headers=headers, content_type=media, body=body)


def group_discovery_list(kinds: Sequence[Kind], *, version: str, core: bool) -> Document:
    items = [group_discovery(kinds, g) for g in groups_of(kinds) if (g == "") is core]
    return {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": f"{AGGREGATED_GROUP}/{version}",
        "metadata": {},
        "items": items,
    }


def group_discovery(kinds: Sequence[Kind], group: str) -> Document:
    versions = [
        {
            "version": version,
            "resources": [
                resource_discovery(k)
                for k in sorted(kinds, key=lambda k: k.plural)
                if (k.group, k.version) == (group, version)
            ],
            "freshness": "Current",
        }
        for version in versions_of(kinds, group)
    ]
    metadata: Document = {"name": group} if group else {}
    return {"metadata": {**metadata, "creationTimestamp": None}, "versions": versions}


def resource_discovery(kind: Kind) -> Document:
    entry = {
        "resource": kind.plural,
        "responseKind": {"group": kind.group, "version": kind.version, "kind": kind.kind},
        "scope": "Namespaced" if kind.namespaced else "Cluster",
        "singularResource": kind.singular,
        "verbs": list(kind.verbs),
        "shortNames": list(kind.short_names),
        "categories": list(kind.categories),
        "subresources": [subresource_discovery(kind, s) for s in kind.subresources],
    }
    return {k: v for k, v in entry.items() if v != []}


def subresource_discovery(kind: Kind, sub: Subresource) -> Document:
    group, version = (sub.group, sub.version) if sub.version else (kind.group, kind.version)
    return {
        "subresource": sub.name,
        "responseKind": {"group": group, "version": version, "kind": sub.kind or kind.kind},
        "verbs": list(sub.verbs),
    }
