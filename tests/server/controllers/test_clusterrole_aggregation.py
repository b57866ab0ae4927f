"""Aggregated ClusterRoles follow the roles they select."""

from typing import Any

import pytest

from edgek.api.meta import Obj
from edgek.kinds import CLUSTER_ROLE
from edgek.kinds.aggregation import aggregated_rules, summed_up
from server.authz.default_user_roles import USER_ROLES
from server.controllers import clusterrole_aggregation
from tests.support.loops import running
from tests.support.memory_api import MemoryApi


def rule(verb: str) -> Obj:
    return {"apiGroups": [""], "resources": ["pods"], "verbs": [verb]}


def role(name: str, *verbs: str, labels: Any = None, selects: Any = None) -> Obj:
    found: Obj = {
        "apiVersion": CLUSTER_ROLE.api_version,
        "kind": "ClusterRole",
        "metadata": {"name": name, "labels": labels or {}},
        "rules": [rule(verb) for verb in verbs],
    }
    if selects:
        found["aggregationRule"] = {"clusterRoleSelectors": [{"matchLabels": s} for s in selects]}
    return found


A, B = {"to": "a"}, {"to": "b"}


def test_rules_come_in_order_of_selectors_then_names_and_once_each() -> None:
    parts = [
        role("y", "list", "get", labels=A),
        role("x", "get", labels=A),
        role("w", "watch", labels=B),
        role("other", "delete"),
    ]
    total = role("total", "old", labels=A, selects=[B, A])
    assert aggregated_rules(total, [*parts, total]) == [rule("watch"), rule("get"), rule("list")]


def test_an_aggregated_role_may_be_part_of_another_one() -> None:
    total, part = role("a", selects=[A]), role("b", labels=A, selects=[B])
    sums = {r["metadata"]["name"]: r["rules"] for r in summed_up([total, part, role("c", "get",
        labels=B)])}  # fmt: skip
    assert sums["a"] == sums["b"] == [rule("get")]


def test_the_defaults_are_what_the_controller_would_make_of_them() -> None:
    assert summed_up(USER_ROLES) == USER_ROLES
    admin = next(r for r in USER_ROLES if r["metadata"]["name"] == "admin")
    assert any("rolebindings" in r["resources"] for r in admin["rules"])
    assert any("secrets" in r["resources"] for r in admin["rules"])


def rules_of(api: MemoryApi, name: str) -> list[Obj]:
    found = api.one(CLUSTER_ROLE, "", name)
    assert found is not None
    return list(found["rules"])


@pytest.mark.looptime
async def test_rules_come_and_go_with_the_roles_selected() -> None:
    api = MemoryApi()
    api.put(CLUSTER_ROLE, role("total", "forged", selects=[A]))
    api.put(CLUSTER_ROLE, role("middle", labels=A, selects=[B]))
    async with running(api, clusterrole_aggregation.build) as loops:
        assert rules_of(api, "total") == []
        api.put(CLUSTER_ROLE, role("new", "get", labels=B))
        await loops.settle()
        assert rules_of(api, "total") == rules_of(api, "middle") == [rule("get")]
        api.put(CLUSTER_ROLE, role("new", "get"))
        await loops.settle()
        assert rules_of(api, "total") == rules_of(api, "middle") == []
