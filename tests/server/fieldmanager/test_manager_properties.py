"""Laws of ownership, whoever applies or writes what in which order."""

import copy
from collections.abc import Coroutine
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from edgek.api.errors import ApiError, Conflict
from edgek.kinds import DEPLOYMENT
from edgek.schema import schema_of
from edgek.schema.fieldpath import normalized
from edgek.schema.fieldset import contains, difference, intersection, leaves
from edgek.schema.typed import compare, everything, extract
from server.fieldmanager.entries import Writer, fields_of, held_by, in_order
from server.fieldmanager.manager import FieldManager
from server.fieldmanager.reset import SERVER_META, STRIPPED, TYPE_META

SCHEMA = schema_of(DEPLOYMENT)
FIELDS = FieldManager()
WORDS = st.sampled_from("abc")
# Nothing is empty here: upstream has quirks of its own there (an empty list is nobody's).
ENV: Any = st.lists(
    st.fixed_dictionaries({"name": WORDS}, optional={"value": WORDS}),
    min_size=1, max_size=3, unique_by=lambda e: e["name"],
)  # fmt: skip
PORTS: Any = st.lists(
    st.fixed_dictionaries({"containerPort": st.integers(1, 3)}),
    min_size=1, max_size=2, unique_by=lambda p: p["containerPort"],
)  # fmt: skip
CONTAINERS: Any = st.lists(
    st.fixed_dictionaries(
        {"name": WORDS},
        optional={
            "image": WORDS, "env": ENV, "args": st.lists(WORDS, max_size=2), "ports": PORTS,
        },
    ),
    min_size=1, max_size=3, unique_by=lambda c: c["name"],
)  # fmt: skip
TEMPLATES = st.builds(lambda containers: {"spec": {"containers": containers}}, CONTAINERS)
SPECS = st.fixed_dictionaries(
    {"replicas": st.integers(0, 2)}, optional={"paused": st.booleans(), "template": TEMPLATES}
)
METAS = st.fixed_dictionaries(
    {},
    optional={
        "labels": st.dictionaries(WORDS, WORDS, min_size=1, max_size=3),
        "finalizers": st.lists(WORDS, min_size=1, max_size=3, unique=True),
    },
)
CONFIGS = st.builds(
    lambda meta, spec: {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {**meta, "name": "web"},
        "spec": spec,
    },
    METAS, SPECS,
)  # fmt: skip
NOTHING: Any = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}}
MANAGERS = st.sampled_from(["one", "two", "three"])


def done(work: Coroutine[Any, Any, Any]) -> Any:
    """The result of what asks no conversion, and so never waits."""
    try:
        work.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("it waits")


def apply(live: Any, config: Any, manager: str, *, force: bool = True) -> Any:
    writer = Writer(manager, "apps/v1", "2026-01-01T00:00:00Z")
    before = copy.deepcopy((live, config))
    got = done(FIELDS.applied(DEPLOYMENT, live, config, writer, force=force))
    assert (live, config) == before, "nothing given is changed"
    got["metadata"].setdefault("uid", "u")
    return got


def write(live: Any, obj: Any, manager: str) -> Any:
    writer = Writer(manager, "apps/v1", "2026-01-01T00:00:00Z")
    obj = copy.deepcopy(obj)
    obj["metadata"].setdefault("uid", "u")
    if live is None:
        FIELDS.created(DEPLOYMENT, obj, writer)
    else:
        done(FIELDS.updated(DEPLOYMENT, live, obj, writer))
    return obj


def sets(obj: Any) -> dict[str, Any]:
    return {f"{e['manager']} {e['operation']}": fields_of(e) for e in held_by(obj)}


@given(CONFIGS)
@settings(deadline=None)
def test_applying_again_changes_nothing(config: Any) -> None:
    first = apply(None, config, "one")
    assert apply(first, config, "one") == first


@given(CONFIGS, CONFIGS)
@settings(deadline=None)
def test_what_was_applied_is_there_and_owned(one: Any, two: Any) -> None:
    got = apply(apply(None, one, "one"), two, "two")
    wanted = leaves(extract(two, SCHEMA))
    seen = compare(two, got, SCHEMA)
    assert not intersection(seen.modified, wanted)
    assert not intersection(seen.removed, wanted)
    owned = sets(got)["two Apply"]
    assert contains(owned, difference(wanted, STRIPPED))


@given(CONFIGS, CONFIGS)
@settings(deadline=None)
def test_a_configuration_that_is_taken_back_leaves_nothing(one: Any, two: Any) -> None:
    """What one applied and nobody else has is gone when one applies nothing any more."""
    alone = apply(None, two, "two")
    got = apply(apply(apply(None, one, "one"), two, "two"), NOTHING, "one")
    assert sets(got) == sets(alone)
    assert extract(got, SCHEMA) == extract(alone, SCHEMA)


@given(CONFIGS, CONFIGS)
@settings(deadline=None)
def test_without_conflict_the_order_does_not_matter(one: Any, two: Any) -> None:
    try:
        there = apply(apply(None, one, "one"), two, "two", force=False)
        back = apply(apply(None, two, "two"), one, "one", force=False)
    except Conflict:
        return
    assert extract(there, SCHEMA) == extract(back, SCHEMA)
    assert sets(there) == sets(back)


STEPS = st.lists(st.tuples(st.booleans(), MANAGERS, CONFIGS), min_size=1, max_size=6)


@given(STEPS)
@settings(deadline=None)
def test_every_entry_stays_sound(steps: list[tuple[bool, str, Any]]) -> None:
    live: Any = None
    for applies, manager, config in steps:
        live = apply(live, config, manager) if applies else write(live, config, manager)
        there = everything(live, SCHEMA)
        for fields in sets(live).values():
            assert fields, "no entry is empty"
            assert normalized(fields) == fields
            assert contains(there, fields), "nobody owns what is not there"
            assert not fields.keys() & {"f:" + name for name in TYPE_META}
            meta = fields.get("f:metadata", {})
            assert not meta.keys() & {".", *("f:" + name for name in SERVER_META)}
        assert list(held_by(live)) == in_order(held_by(live))


ANY = st.recursive(
    st.none() | st.booleans() | st.integers(0, 2) | WORDS,
    lambda inner: st.lists(inner, max_size=2)
    | st.dictionaries(
        st.sampled_from(["name", "spec", "containers", "labels", "template", "env", "x"]),
        inner, max_size=3,
    ),
    max_leaves=10,
)  # fmt: skip


@given(CONFIGS, ANY, ANY)
@settings(deadline=None)
def test_whatever_is_applied_is_taken_or_refused(live: Any, meta: Any, spec: Any) -> None:
    made = apply(None, live, "one")
    config = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": spec}
    try:
        apply(made, config, "two")
    except ApiError:
        return
