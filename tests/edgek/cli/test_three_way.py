"""The patch of apply, as a property: sent to the server's own patching it gives what is wanted."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from edgek.api.patch import merge_patch
from edgek.cli.three_way import LAST_APPLIED, last_applied, plan_patch, with_last_applied
from edgek.kinds import DEPLOYMENT
from edgek.schema.schema import schema_of
from edgek.schema.strategic import strategic_patch

NAMES = st.sampled_from("abcd")
MAPS = st.dictionaries(NAMES, st.sampled_from("xyz"), max_size=3)
ENVIRONMENT = st.lists(
    st.builds(lambda n, v: {"name": n, "value": v}, NAMES, st.sampled_from("xyz")),
    max_size=3, unique_by=lambda e: e["name"],
)  # fmt: skip
CONTAINERS = st.lists(
    st.fixed_dictionaries(
        {"name": NAMES, "image": st.sampled_from(["i", "j"])},
        optional={"env": ENVIRONMENT, "args": st.lists(NAMES, max_size=2)},
    ),
    max_size=3, unique_by=lambda c: c["name"],
)  # fmt: skip
OBJECTS = st.builds(
    lambda labels, finalizers, containers: {
        "metadata": {"labels": labels, "finalizers": finalizers},
        "spec": {"template": {"spec": {"containers": containers}}},
    },
    MAPS, st.lists(NAMES, max_size=3, unique=True), CONTAINERS,
)  # fmt: skip
SCHEMA = schema_of(DEPLOYMENT)


def by_name(items: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {i["name"]: i for i in items}


def containers(obj: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return by_name(obj["spec"]["template"]["spec"]["containers"])


@given(last=OBJECTS, wanted=OBJECTS, live=OBJECTS)
def test_what_is_wanted_is_there_and_what_is_no_more_is_gone(
    last: dict[str, Any], wanted: dict[str, Any], live: dict[str, Any]
) -> None:
    made = strategic_patch(live, plan_patch(last, wanted, live, SCHEMA), SCHEMA)
    labels = made["metadata"]["labels"]
    for key, value in wanted["metadata"]["labels"].items():
        assert labels[key] == value
    given_up = last["metadata"]["labels"].keys() - wanted["metadata"]["labels"].keys()
    assert not given_up & labels.keys()
    others = live["metadata"]["labels"].keys() - last["metadata"]["labels"].keys()
    assert others <= labels.keys()
    found, gone = containers(made), containers(last).keys() - containers(wanted).keys()
    assert not gone & found.keys()
    assert containers(live).keys() - containers(last).keys() <= found.keys()
    for name, container in containers(wanted).items():
        assert found[name]["image"] == container["image"]
        assert (
            by_name(found[name].get("env", [])).items() >= by_name(container.get("env", [])).items()
        )
        assert found[name].get("args", []) == container.get("args", found[name].get("args", []))
    assert set(wanted["metadata"]["finalizers"]) <= set(made["metadata"]["finalizers"])


@given(last=OBJECTS, wanted=OBJECTS, live=OBJECTS)
def test_applying_twice_changes_nothing(
    last: dict[str, Any], wanted: dict[str, Any], live: dict[str, Any]
) -> None:
    made = strategic_patch(live, plan_patch(last, wanted, live, SCHEMA), SCHEMA)
    assert plan_patch(wanted, wanted, made, SCHEMA) == {}


@given(last=MAPS, wanted=MAPS, live=MAPS)
def test_without_a_schema_it_is_a_merge_patch(
    last: dict[str, str], wanted: dict[str, str], live: dict[str, str]
) -> None:
    made = merge_patch(live, plan_patch(last, wanted, live, None))
    assert made == {k: v for k, v in live.items() if k not in last} | wanted


def test_the_annotation_says_what_was_applied_without_itself() -> None:
    obj = {"kind": "X", "metadata": {"name": "a", "annotations": {LAST_APPLIED: "old"}}}
    noted = with_last_applied(obj)
    assert last_applied(noted) == {"kind": "X", "metadata": {"annotations": {}, "name": "a"}}
    assert obj["metadata"]["annotations"] == {LAST_APPLIED: "old"}
    assert last_applied({"metadata": {"annotations": {LAST_APPLIED: "nonsense"}}}) is None


def test_a_list_whose_key_is_not_unique_is_replaced_only_when_it_differs() -> None:
    def service(*ports: tuple[int, str]) -> dict[str, Any]:
        return {"spec": {"ports": [{"port": p, "protocol": t} for p, t in ports]}}

    from edgek.kinds import SERVICE

    schema = schema_of(SERVICE)
    both = service((53, "TCP"), (53, "UDP"))
    live = {"spec": {"ports": [{**p, "targetPort": 53} for p in both["spec"]["ports"]]}}
    assert plan_patch(both, both, live, schema) == {}
    wanted = service((53, "TCP"), (53, "UDP"), (80, "TCP"))
    made = strategic_patch(live, plan_patch(both, wanted, live, schema), schema)
    assert made == wanted
