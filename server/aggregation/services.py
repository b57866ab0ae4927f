"""Which group-versions somebody else answers; read again only when an APIService has changed."""

from collections.abc import Mapping
from typing import NamedTuple

from edgek.api.meta import Obj
from edgek.kinds import API_SERVICE
from edgek.kinds.api_service import available_condition, is_local
from server.request.reader import Reader


class GroupVersion(NamedTuple):
    group: str
    version: str


class ApiServices:
    """While none changes, ``remote`` costs one look."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._freshness = reader.freshness(API_SERVICE)
        self._remote: Mapping[GroupVersion, Obj] = {}

    def remote(self) -> Mapping[GroupVersion, Obj]:
        if self._freshness.stale:
            self._remote = {
                group_version_of(obj): obj
                for obj in self._reader.list(API_SERVICE)
                if not is_local(obj)
            }
            self._freshness.stale = False
        return self._remote


def group_version_of(obj: Obj) -> GroupVersion:
    return GroupVersion(obj["spec"].get("group") or "", obj["spec"].get("version") or "")


def is_available(obj: Obj) -> bool:
    condition = available_condition(obj)
    return condition is not None and condition.get("status") == "True"
