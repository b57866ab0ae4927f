"""Groups of other servers among our own: which comes first, and what of them is told."""

from typing import Any

import pytest

from edgek.api.meta import Obj
from edgek.kinds import ALL
from server.aggregation.aggregator import resource_list
from server.aggregation.discovery import merged_groups, merged_items, ordered, remote_version
from server.aggregation.services import GroupVersion
from server.endpoints.discovery import group_discovery_list


def service(group_priority: int, version_priority: int) -> Obj:
    return {
        "metadata": {"name": "x"},
        "spec": {"groupPriorityMinimum": group_priority, "versionPriority": version_priority},
    }


METRICS = GroupVersion("metrics.k8s.io", "v1beta1")
RESOURCES = {
    "resources": [
        {"name": "nodes", "singularName": "", "namespaced": False, "kind": "NodeMetrics",
         "verbs": ["get", "list"], "shortNames": ["nm"]},
        {"name": "nodes/raw", "kind": "Raw", "group": "raw.k8s.io", "version": "v1",
         "verbs": ["get"]},
    ]
}  # fmt: skip


def test_groups_and_versions_stand_in_the_order_of_their_priorities() -> None:
    remote = {
        METRICS: service(100, 100),
        GroupVersion("first.example.com", "v1"): service(19000, 10),
        GroupVersion("batch", "v9"): service(10, 20),
        GroupVersion("batch", "v8"): service(10, 5),
    }
    found = ordered(ALL, remote)
    groups = [group for group, _ in found]
    assert groups[:4] == ["apiregistration.k8s.io", "first.example.com", "", "apps"]
    assert groups[-1] == "metrics.k8s.io"
    assert dict(found)["batch"] == ["v9", "v1", "v8"]
    batch = next(g for g in merged_groups(ALL, remote) if g["name"] == "batch")
    assert batch["preferredVersion"] == {"groupVersion": "batch/v9", "version": "v9"}


def test_both_forms_of_discovery_agree_on_the_order() -> None:
    remote = {METRICS: service(17450, 100), GroupVersion("batch", "v9"): service(10, 20)}
    local = group_discovery_list(ALL, version="v2", core=False)["items"]
    items = merged_items(local, remote, {})
    told = [(i["metadata"]["name"], [v["version"] for v in i["versions"]]) for i in items]
    assert told == [(g, v) for g, v in ordered(ALL, remote) if g]


@pytest.mark.parametrize(
    "resources",
    [3, ["pods"], [{"name": 5}], [{"name": "a", "verbs": 3}], [{"name": "a", "shortNames": "a"}]],
)
def test_nonsense_of_a_server_is_as_if_it_had_told_nothing(resources: Any) -> None:
    assert resource_list({"resources": resources}) is None
    assert resource_list(None) is None


def test_a_resource_without_a_name_is_left_out() -> None:
    for nameless in ({}, {"name": None}, {"name": ""}):
        told = resource_list({"resources": [nameless, {"name": "a"}], "later": 1})
        assert [r["resource"] for r in remote_version(METRICS, told)["resources"]] == ["a"]


def test_what_a_server_tells_of_its_resources_is_told_in_the_aggregated_form() -> None:
    assert remote_version(METRICS, RESOURCES) == {
        "version": "v1beta1",
        "freshness": "Current",
        "resources": [
            {
                "resource": "nodes",
                "responseKind": {
                    "group": "metrics.k8s.io", "version": "v1beta1", "kind": "NodeMetrics"
                },
                "scope": "Cluster",
                "singularResource": "",
                "verbs": ["get", "list"],
                "shortNames": ["nm"],
                "subresources": [
                    {
                        "subresource": "raw",
                        "responseKind": {"group": "raw.k8s.io", "version": "v1", "kind": "Raw"},
                        "verbs": ["get"],
                    }
                ],
            }
        ],
    }  # fmt: skip
    assert remote_version(METRICS, None) == {"version": "v1beta1", "freshness": "Stale"}
