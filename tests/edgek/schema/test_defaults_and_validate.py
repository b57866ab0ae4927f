"""What a schema alone says of a value: its defaults, what it requires, what it allows."""

import copy
from typing import Any

from edgek.api.validation import FieldErrors
from edgek.kinds import POD
from edgek.schema import Schema, schema_of
from edgek.schema.defaults import apply_defaults
from edgek.schema.validate import required_and_enums

TEXT = Schema(type="string")
COLOUR = Schema(type="string", enum=("green", "red"))
SIZE = Schema(type="object", fields={"unit": Schema(type="string", default="cm")})
WIDGET = Schema(
    type="object",
    name="Widget",
    required=frozenset({"name"}),
    fields={
        "name": TEXT,
        "colour": COLOUR,
        "tags": Schema(type="object", default={"a": []}, fields={"a": Schema(type="any")}),
        "sizes": Schema(type="list", items=SIZE),
        "parts": Schema(
            type="map",
            items=Schema(type="object", required=frozenset({"id"}), fields={"id": TEXT}),
        ),
    },
)


def problems(value: Any, schema: Schema = WIDGET) -> list[str]:
    errors = FieldErrors()
    required_and_enums(value, schema, errors)
    return [str(e) for e in errors]


def test_missing_and_unsupported_values_are_told_with_their_paths() -> None:
    assert problems({"name": "a", "colour": "red"}) == []
    assert problems({"name": "", "colour": "blue", "parts": {"x": {}}}) == [
        "name: Required value",
        'colour: Unsupported value: "blue": supported values: "green", "red"',
        "parts[x].id: Required value",
    ]


def test_built_in_enums_are_known() -> None:
    pod = {"spec": {"containers": [{"name": "c", "imagePullPolicy": "Often"}]}}
    assert problems(pod, schema_of(POD)) == [
        'spec.containers[0].imagePullPolicy: Unsupported value: "Often": supported values: '
        '"Always", "IfNotPresent", "Never"'
    ]


def test_defaults_fill_what_is_absent_and_only_there() -> None:
    widget: Any = {"sizes": [{}, {"unit": "m"}], "name": "a"}
    apply_defaults(widget, WIDGET)
    assert widget == {"sizes": [{"unit": "cm"}, {"unit": "m"}], "name": "a", "tags": {"a": []}}
    empty: Any = {}
    apply_defaults(empty, WIDGET)
    assert empty == {"tags": {"a": []}}


def test_defaulting_twice_changes_nothing_and_shares_nothing() -> None:
    first: Any = {}
    apply_defaults(first, WIDGET)
    again = copy.deepcopy(first)
    apply_defaults(again, WIDGET)
    assert again == first
    first["tags"]["a"].append(1)
    other: Any = {}
    apply_defaults(other, WIDGET)
    assert other == {"tags": {"a": []}}


def test_container_ports_get_their_protocol() -> None:
    pod: Any = {"spec": {"containers": [{"name": "c", "ports": [{"containerPort": 80}]}]}}
    apply_defaults(pod, schema_of(POD))
    assert pod["spec"]["containers"][0]["ports"] == [{"containerPort": 80, "protocol": "TCP"}]
