"""Every field of a pod's spec has a place in the table; what is refused is refused by name."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.pods.coverage import CONTAINERS, State, refused_fields
from agent.pods.coverage_table import TABLE
from edgek.schema.facts import load_facts
from tests.support.pods import make_pod

ROOT = Path(__file__).parents[3]
CORE = "io.k8s.api.core.v1."


def leaves(type_name: str, prefix: str = "", above: tuple[str, ...] = ()) -> Iterator[str]:
    """Paths of all fields that hold a value themselves, without marks of lists."""
    facts = load_facts()
    for field, (shape, *_) in facts.type(type_name)["f"].items():
        base = shape
        while base[:2] in ("[]", "{}"):
            base = base[2:]
        if base in facts.types and facts.type(base).get("f") and base not in above:
            yield from leaves(base, f"{prefix}{field}.", (*above, base))
        else:
            yield prefix + field


def as_in_the_table(path: str) -> str:
    first, _, rest = path.partition(".")
    return f"containers.{rest}" if first in CONTAINERS else path


def fields() -> set[str]:
    return {as_in_the_table(path) for path in leaves(f"{CORE}PodSpec")}


def holds(rule_path: str, field: str) -> bool:
    return field == rule_path or field.startswith(f"{rule_path}.")


def test_every_field_of_a_pod_has_exactly_one_place_in_the_table() -> None:
    paths = [path for rule in TABLE for path in rule.paths()]
    assert [path for path, count in Counter(paths).items() if count > 1] == []
    missing = [f for f in sorted(fields()) if not any(holds(path, f) for path in paths)]
    assert missing == []
    unknown = [path for path in paths if not any(holds(path, f) for f in fields())]
    assert unknown == []


def test_what_is_honoured_is_named_by_itself_and_shown_by_a_test() -> None:
    every = fields()
    for rule in TABLE:
        if rule.state is State.HONOURED:
            assert [path for path in rule.paths() if path not in every] == []
            told = (ROOT / rule.proof).read_text()
            silent = [p for p in rule.paths() if not any(w in told for w in p.split(".")[-2:])]
            assert silent == [], rule.proof


@pytest.mark.parametrize(
    ("spec", "named"),
    [
        ({"resourceClaims": [{"name": "gpu"}]}, "spec.resourceClaims[0]"),
        ({"schedulingGroup": {"podGroupName": "g"}}, "spec.schedulingGroup"),
        ({"securityContext": {"windowsOptions": {"hostProcess": True}}},
         "spec.securityContext.windowsOptions"),
        ({"initContainers": [{"name": "i", "resources": {"claims": [{"name": "gpu"}]}}]},
         "spec.initContainers[0].resources.claims[0]"),
        ({"volumes": [{"name": "v", "configMap": {"items": [{}, {"user": 7}]}}]},
         "spec.volumes[0].configMap.items[1].user"),
        ({"volumes": [{"name": "v", "emptyDir": {"mode": 0o700}}]},
         "spec.volumes[0].emptyDir.mode"),
    ],
)  # fmt: skip
def test_a_refused_field_is_named_where_it_stands(spec: dict[str, object], named: str) -> None:
    assert [path for path, _ in refused_fields(make_pod(**spec), TABLE)] == [named]


def test_a_plain_pod_has_no_refused_field() -> None:
    pod = make_pod(volumes=[{"name": "v", "emptyDir": {}}], resourceClaims=[], securityContext={})
    assert list(refused_fields(pod, TABLE)) == []
