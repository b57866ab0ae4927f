"""The default policy is put in place, mended and otherwise left alone; and it is valid."""

from edgek.api.meta import Key, key_of
from edgek.api.validation import FieldErrors
from edgek.kinds.cluster_role import CLUSTER_ROLE
from edgek.kinds.cluster_role_binding import CLUSTER_ROLE_BINDING
from server.authz.bootstrap import DEFAULTS, plan_bootstrap
from server.authz.policy import AUTOUPDATE, rule, user
from server.request.fake import FakeReader

VIEW = Key("", "view")
PARTS = Key("", "system:aggregate-to-view")


def filled() -> FakeReader:
    reader = FakeReader()
    for kind, obj in plan_bootstrap(reader).create:
        reader.put(kind, obj)
    return reader


def changed(reader: FakeReader, **fields: object) -> None:
    reader.put(CLUSTER_ROLE, {**reader.get(CLUSTER_ROLE, PARTS), **fields})


def test_a_second_start_has_nothing_to_write():
    plan = plan_bootstrap(filled())
    assert (list(plan.create), list(plan.update)) == ([], [])


def test_every_default_is_valid_and_named_once():
    seen = set()
    for kind, objs in DEFAULTS:
        for obj in objs:
            errors = FieldErrors()
            kind.validate(obj, errors)
            assert [str(e) for e in errors] == []
            seen.add((kind, key_of(obj)))
    assert len(seen) == sum(len(objs) for _, objs in DEFAULTS)


def test_every_bound_role_exists():
    reader = filled()
    for binding in reader.list(CLUSTER_ROLE_BINDING):
        assert reader.get(CLUSTER_ROLE, Key("", binding["roleRef"]["name"])), binding


def test_missing_rules_come_back_and_added_ones_stay():
    reader = filled()
    mine = rule("get", "example.com", "widgets")
    complete = reader.get(CLUSTER_ROLE, PARTS)["rules"]
    changed(reader, rules=[mine, *complete[1:]])
    ((_, updated),) = plan_bootstrap(reader).update
    assert updated["rules"] == [mine, *complete[1:], complete[0]]


def test_a_subject_taken_away_comes_back():
    reader = filled()
    binding = reader.get(CLUSTER_ROLE_BINDING, Key("", "cluster-admin"))
    reader.put(CLUSTER_ROLE_BINDING, {**binding, "subjects": [user("ann")]})
    ((_, updated),) = plan_bootstrap(reader).update
    assert [s["name"] for s in updated["subjects"]] == ["ann", "system:masters"]


def test_an_object_with_autoupdate_off_is_left_alone():
    reader = filled()
    meta = reader.get(CLUSTER_ROLE, PARTS)["metadata"]
    changed(reader, rules=[], metadata={**meta, "annotations": {AUTOUPDATE: "false"}})
    assert not plan_bootstrap(reader).update


def test_the_rules_of_an_aggregated_role_are_its_controllers():
    reader = filled()
    view = reader.get(CLUSTER_ROLE, VIEW)
    reader.put(CLUSTER_ROLE, {**view, "rules": [rule("get", "example.com", "widgets")]})
    assert not plan_bootstrap(reader).update
    selects = {"clusterRoleSelectors": [{"matchLabels": {"mine": "true"}}]}
    reader.put(CLUSTER_ROLE, {**view, "aggregationRule": selects})
    ((_, updated),) = plan_bootstrap(reader).update
    assert updated["aggregationRule"]["clusterRoleSelectors"] == [
        {"matchLabels": {"mine": "true"}},
        {"matchLabels": {"rbac.authorization.k8s.io/aggregate-to-view": "true"}},
    ]
