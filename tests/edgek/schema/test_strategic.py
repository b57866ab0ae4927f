"""Strategic merge patches merge lists by key and obey every directive."""

import copy
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgek.api.errors import BadRequest, Invalid
from edgek.kinds import DEPLOYMENT, POD, SERVICE
from edgek.schema import schema_of
from edgek.schema.strategic import strategic_patch

POD_OBJ = {
    "metadata": {"name": "a", "labels": {"x": "1"}, "finalizers": ["f1", "f2"]},
    "spec": {
        "containers": [
            {"name": "c1", "image": "i1", "ports": [{"containerPort": 80, "name": "http"}]},
            {"name": "c2", "image": "i2"},
        ],
        "volumes": [{"name": "v", "emptyDir": {}}],
        "tolerations": [{"key": "k"}],
    },
}


def patched(patch: Any, obj: Any = POD_OBJ, kind: Any = POD) -> Any:
    before = copy.deepcopy(obj)
    result = strategic_patch(obj, patch, schema_of(kind))
    assert obj == before, "the original was changed"
    return result


def names(items: Any) -> list[str]:
    return [i["name"] for i in items]


def test_list_items_merge_by_key_in_the_order_of_the_patch() -> None:
    patch = {"spec": {"containers": [{"name": "c1", "image": "new"}, {"name": "c3"}]}}
    containers = patched(patch)["spec"]["containers"]
    assert names(containers) == ["c1", "c3", "c2"]
    assert containers[0]["image"] == "new"
    assert containers[0]["ports"] == [{"containerPort": 80, "name": "http"}]


def test_a_list_without_merge_strategy_is_replaced() -> None:
    assert patched({"spec": {"tolerations": []}})["spec"]["tolerations"] == []


def test_ports_are_keyed_by_number() -> None:
    patch = {
        "spec": {"containers": [{"name": "c1", "ports": [{"containerPort": 80, "name": "w"}]}]}
    }
    assert patched(patch)["spec"]["containers"][0]["ports"] == [{"containerPort": 80, "name": "w"}]


def test_null_deletes_a_field() -> None:
    assert "labels" not in patched({"metadata": {"labels": None}})["metadata"]
    assert patched({"metadata": {"labels": {"x": None, "y": "2"}}})["metadata"]["labels"] == {
        "y": "2"
    }


def test_delete_directive_removes_a_list_item() -> None:
    patch = {"spec": {"containers": [{"name": "c1", "$patch": "delete"}]}}
    assert names(patched(patch)["spec"]["containers"]) == ["c2"]


def test_replace_directive_replaces_a_list_or_a_map() -> None:
    patch: Any = {"spec": {"containers": [{"$patch": "replace"}, {"name": "only"}]}}
    assert patched(patch)["spec"]["containers"] == [{"name": "only"}]
    patch = {"metadata": {"labels": {"$patch": "replace", "n": "1"}}}
    assert patched(patch)["metadata"]["labels"] == {"n": "1"}


def test_primitive_lists_gain_and_lose_items() -> None:
    patch = {"metadata": {"finalizers": ["f3"], "$deleteFromPrimitiveList/finalizers": ["f1"]}}
    assert patched(patch)["metadata"]["finalizers"] == ["f3", "f2"]
    only = {"metadata": {"$deleteFromPrimitiveList/finalizers": ["f2"]}}
    assert patched(only)["metadata"]["finalizers"] == ["f1"]


def test_set_element_order_sorts_the_items_it_names() -> None:
    patch = {"spec": {
        "$setElementOrder/containers": [{"name": "c3"}, {"name": "c2"}, {"name": "c1"}],
        "containers": [{"name": "c3", "image": "i3"}],
    }}  # fmt: skip
    assert names(patched(patch)["spec"]["containers"]) == ["c3", "c2", "c1"]


@pytest.mark.parametrize(
    ("live", "patch", "order", "result"),
    [
        ("ab", "c", "", "cab"),  # upstream puts what is new in front
        ("ab", "cb", "", "cab"),
        ("ab", "ba", "", "ba"),
        ("abc", "b", "", "abc"),
        ("abc", "", "ca", "bca"),
        ("abc", "d", "adb", "adbc"),
        ("abcd", "xd", "xda", "xbcda"),
        ("", "ba", "ba", "ba"),
    ],
)
def test_items_of_the_live_list_go_in_between(
    live: str, patch: str, order: str, result: str
) -> None:
    """As mergeSortedSlice: each before the first item that stood behind it."""

    def items(text: str) -> list[Any]:
        return [{"name": name} for name in text]

    asked: Any = {"containers": items(patch)} if patch else {}
    if order:
        asked["$setElementOrder/containers"] = items(order)
    obj = {"spec": {"containers": items(live)}}
    assert "".join(names(patched({"spec": asked}, obj)["spec"]["containers"])) == result


REFUSED: Any = [
    ({"metadata": {"$retainKeys": "x"}}, "invalid patch format of retainKeys"),
    ({"metadata": {"$retainKeys": ["a"], "b": 1}}, "invalid patch format of retainKeys"),
    (
        {"metadata": {"$deleteFromPrimitiveList/finalizers": 3}},
        "invalid patch format of primitive list",
    ),
    (
        {"spec": {"$setElementOrder/containers": 3, "containers": [{"name": "c1"}]}},
        "invalid patch format of setElementOrder list",
    ),
    (
        {"spec": {"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}],
                  "containers": [{"name": "a"}, {"name": "b"}]}},
        "The order in patch list:\n[map[name:a] map[name:b]]\n doesn't match $setElementOrder "
        "list:\n[map[name:b] map[name:a]]\n",
    ),
    (
        {"spec": {"containers": [{"image": "x"}]}},
        "map: map[image:x] does not contain declared merge key: name",
    ),
    ({"spec": {"$patch": "sell"}}, "unknown patch type: sell in map: map[$patch:sell]"),
    (
        {"spec": {"containers": [{"name": "c1", "$patch": "sell"}]}},
        "unknown patch type: sell in map: map[$patch:sell name:c1]",
    ),
    (
        {"metadata": {"finalizers": [1]}},
        "list element types are not identical: [[f1 f2] [1]]",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("patch", "message"), REFUSED)
def test_what_is_wrong_is_told_in_upstreams_words(patch: Any, message: str) -> None:
    with pytest.raises(BadRequest) as refused:
        patched(patch)
    assert refused.value.message == message


def test_lists_in_lists_are_not_supported() -> None:
    with pytest.raises(Invalid, match="lists of lists are not supported"):
        patched({"metadata": {"finalizers": [["x"]]}})


def test_a_list_is_replaced_by_what_stands_beside_the_directive() -> None:
    patch = {"spec": {"containers": [{"name": "x"}, {"name": "gone", "$patch": "replace"}]}}
    assert patched(patch)["spec"]["containers"] == [{"name": "x"}]


def test_retain_keys_changes_the_member_of_a_union() -> None:
    deployment = {"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}}
    patch = {"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}}
    assert patched(patch, deployment, DEPLOYMENT)["spec"]["strategy"] == {"type": "Recreate"}
    volume = {"name": "v", "hostPath": {"path": "/x"}, "$retainKeys": ["name", "hostPath"]}
    assert patched({"spec": {"volumes": [volume]}})["spec"]["volumes"] == [
        {"name": "v", "hostPath": {"path": "/x"}}
    ]


def test_service_ports_are_keyed_by_port() -> None:
    service = {"spec": {"ports": [{"port": 80, "name": "a"}, {"port": 81, "name": "b"}]}}
    patch = {"spec": {"ports": [{"port": 81, "targetPort": 8081}]}}
    ports = patched(patch, service, SERVICE)["spec"]["ports"]
    assert ports[1] == {"port": 81, "name": "b", "targetPort": 8081}


@pytest.mark.parametrize("patch", [
    [], "x", {"spec": {"containers": [{"image": "no key"}]}}, {"spec": {"containers": ["x"]}},
    {"spec": {"$patch": "frobnicate"}}, {"metadata": {"$retainKeys": "x"}},
    {"metadata": {"$deleteFromPrimitiveList/finalizers": 3}},
    {"spec": {"$setElementOrder/containers": [{"name": "a"}], "containers": [{"name": "c1"}]}},
])  # fmt: skip
def test_a_patch_that_makes_no_sense_is_a_bad_request(patch: Any) -> None:
    with pytest.raises(BadRequest):
        patched(patch)


WORDS = st.sampled_from(["c1", "c2", "f1", "delete", "replace", "merge", "name", "containers", "x"])
KEYS = st.sampled_from([
    "metadata", "spec", "containers", "finalizers", "labels", "name", "image", "volumes", "$patch",
    "$retainKeys", "$setElementOrder/containers", "$deleteFromPrimitiveList/finalizers", "bogus",
    "$setElementOrder/bogus", "$deleteFromPrimitiveList/name",
])  # fmt: skip
ANYTHING = st.recursive(
    st.none() | st.integers(0, 3) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)
PATCHES = st.fixed_dictionaries(
    {}, optional={
        "metadata": st.dictionaries(KEYS, ANYTHING, max_size=3),
        "spec": st.dictionaries(KEYS, ANYTHING, max_size=3),
        "$patch": WORDS,
    },
)  # fmt: skip


def test_long_lists_merge_in_time_proportional_to_them() -> None:
    """A body of 1 MB held up the server for seconds, one of 3 MB for minutes."""
    many = range(20_000)
    containers = [{"name": f"c{i}", "image": "x"} for i in many]
    texts = [f"f{i}" for i in many]
    patch: Any = {
        "metadata": {
            "finalizers": texts,
            "$setElementOrder/finalizers": texts,
            "$deleteFromPrimitiveList/finalizers": texts[1:],
        },
        "spec": {"containers": [*containers, {"name": "c2", "$patch": "delete"}]},
    }
    begun = time.process_time()
    result = patched(patch)
    assert time.process_time() - begun < 5
    assert result["metadata"]["finalizers"] == ["f0"]
    assert len(result["spec"]["containers"]) == len(many) - 1


@given(PATCHES)
@settings(max_examples=300, deadline=None)
def test_any_patch_gives_an_object_without_directives_or_a_bad_request(patch: Any) -> None:
    try:
        result = patched(patch)
    except (BadRequest, Invalid):
        return
    assert isinstance(result, dict)
    assert not directives(result), result


def directives(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [k for k in value if k.startswith("$")]
        return own + [d for v in value.values() for d in directives(v)]
    return [d for v in value for d in directives(v)] if isinstance(value, list) else []
