"""Definitions: the table of kinds follows the stored CustomResourceDefinitions.

It is changed in the very step in which a definition's commit becomes visible: nobody can read
that a definition is established and then find its kind not served. What has to be known of a
definition between requests is little; its schema stays in the stored bytes until it is used.
"""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

import orjson

from edgek.api.errors import MethodNotAllowed
from edgek.api.meta import Obj, is_deleting, name
from edgek.kinds import CUSTOM_RESOURCE_DEFINITION as CRD
from edgek.kinds.built_in import is_built_in
from edgek.kinds.custom import (
    ConversionFor,
    is_established,
    kinds_of,
    no_conversion,
    schema_of_version,
)
from edgek.kinds.custom_shape import RulesFor, no_rules
from edgek.kinds.kind import Kind
from edgek.schema.structural import Props
from server.registry.kind_table import KindTable
from server.storage.section import Follower
from server.storage.store import Change, Entry, Store

log = logging.getLogger(__name__)


class FollowedStore(Store, Protocol):
    """A store that tells of changes as they become visible."""

    def follow(self, section: str, follower: Follower) -> None: ...

    def end_watches(self, section: str) -> None: ...

    def forget(self, section: str) -> None: ...


@dataclass(frozen=True, kw_only=True)
class _Known:
    """What a definition adds at one of its generations."""

    group: str
    accepted: Mapping[str, Any]
    kinds: tuple[Kind, ...]
    generation: int
    deleting: bool
    established: bool


class Definitions:
    def __init__(
        self,
        store: FollowedStore,
        table: KindTable,
        *,
        conversion_for: ConversionFor = no_conversion,
        rules_for: RulesFor = no_rules,
    ) -> None:
        """Serves what is stored already, before anybody asks."""
        self._store = store
        self._table = table
        self._conversion_for = conversion_for
        self._rules_for = rules_for
        self._known: dict[str, _Known] = {}
        for entry in store.entries(CRD.storage_prefix):
            self._put(entry)
        store.follow(CRD.storage_prefix, self._changed)

    def accepted_names(self, group: str, *, besides: str) -> Iterable[Mapping[str, Any]]:
        """What the other definitions of a group are called."""
        for other, known in self._known.items():
            if known.group == group and other != besides:
                yield known.accepted

    def check_new(self, kind: Kind) -> None:
        """Raises MethodNotAllowed where no object of ``kind`` may be made any more. NB: who
        empties a definition that ends counts on it: what is not there by then never comes."""
        if kind.custom:
            found = self._table.find(kind.group, kind.version, kind.plural)
            if found is None or "create" not in found.verbs:
                raise MethodNotAllowed(
                    "create not allowed while custom resource definition is terminating"
                )

    def _changed(self, change: Change) -> None:
        try:
            if change.type == "DELETED":
                self._drop(change.new.name)
            else:
                self._put(change.new)
        except Exception:  # a bug of ours: the commit has happened and must be told on
            log.exception("a definition is not served name=%s", change.new.name)

    def _put(self, entry: Entry) -> None:
        crd: Obj = entry.shared()
        known = _Known(
            group=crd["spec"]["group"],
            accepted=(crd.get("status") or {}).get("acceptedNames") or {},
            kinds=(),
            generation=crd["metadata"].get("generation") or 0,
            deleting=is_deleting(crd),
            established=is_established(crd),
        )
        before = self._known.get(name(crd))
        if before is not None and replace(before, kinds=()) == known:
            return
        # Their names are refused already; but somebody may have written the status himself.
        found = self._kinds(crd, entry.raw)
        made = tuple(k for k in found if not is_built_in(k.group, k.plural))
        known = self._known[name(crd)] = replace(known, kinds=made)
        for kind in before.kinds if before else ():
            self._table.remove(kind)
        for kind in known.kinds:
            self._table.add(kind)
        if before and before.generation != known.generation:
            for kind in before.kinds[:1]:
                self._store.end_watches(kind.storage_prefix)

    def _kinds(self, crd: Obj, raw: bytes) -> tuple[Kind, ...]:
        def load(version: str) -> Props:
            versions = orjson.loads(raw)["spec"]["versions"]
            return schema_of_version(next(v for v in versions if v["name"] == version))

        return kinds_of(
            crd, load=load, conversion_for=self._conversion_for, rules_for=self._rules_for
        )

    def _drop(self, crd_name: str) -> None:
        known = self._known.pop(crd_name, None)
        for kind in known.kinds if known else ():
            self._table.remove(kind)
        for kind in known.kinds[:1] if known else ():
            self._store.forget(kind.storage_prefix)
