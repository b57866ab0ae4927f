"""What a patch says that the object cannot hold, in upstream's words for each kind of patch."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support.api import ADMIN, open_api
from tests.support.wire import JSON_PATCH, MERGE, STRATEGIC, Wire

MAPS = "/api/v1/namespaces/default/configmaps"


@pytest.fixture
async def wire() -> AsyncIterator[Wire]:
    async with open_api(user=ADMIN) as api:
        wire = Wire(api)
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}
        await wire.ok("POST", MAPS, body)
        yield wire


UNKNOWN: Any = [
    (MERGE, {"dta": {"a": "b"}}, 'unknown field "dta"'),
    (STRATEGIC, {"dta": {"a": "b"}}, 'unknown field "dta"'),
    (JSON_PATCH, [{"op": "add", "path": "/dta", "value": "x"}], 'unknown field "dta"'),
    (MERGE, b'{"data":{"a":"b","a":"c"}}', 'duplicate field "data.a"'),
    (STRATEGIC, b'{"data":{"a":"b","a":"c"}}', 'duplicate field "data.a"'),
    (
        JSON_PATCH,
        b'[{"op":"add","path":"/data","value":{"a":"b"},"note":1}]',
        'json patch unknown field "[0].note"',
    ),
    (
        JSON_PATCH,
        b'[{"op":"add","path":"/data","value":{"a":"b"},"op":"add"}]',
        'json patch duplicate field "[0].op"',
    ),
]


@pytest.mark.parametrize(("media_type", "body", "problem"), UNKNOWN)
async def test_unknown_and_double_fields_warn_or_fail(
    wire: Wire, media_type: str, body: Any, problem: str
) -> None:
    path = f"{MAPS}/a"
    status, refused = await wire("PATCH", path, body, type=media_type, fieldValidation="Strict")
    assert (status, refused["reason"]) == (422, "Invalid")
    assert refused["message"].startswith(' "" is invalid: patch: Invalid value: "')
    assert refused["message"].endswith(f"strict decoding error: {problem}")
    assert refused["details"]["causes"][0]["field"] == "patch"
    assert (await wire("PATCH", path, body, type=media_type, fieldValidation="Ignore"))[0] == 200
    assert not wire.warnings
    assert (await wire("PATCH", path, body, type=media_type, fieldValidation="Warn"))[0] == 200
    assert list(wire.warnings) == [problem]


async def test_what_is_shown_is_the_patch_or_what_it_made(wire: Wire) -> None:
    body = {"dta": [True, None, {"b": 1}]}
    query = {"fieldValidation": "Strict"}
    _, strategic = await wire("PATCH", f"{MAPS}/a", body, type=STRATEGIC, **query)
    assert 'Invalid value: "map[dta:[true <nil> map[b:1]]]"' in strategic["message"]
    _, merge = await wire("PATCH", f"{MAPS}/a", body, type=MERGE, **query)
    assert 'Invalid value: "{\\"apiVersion\\":\\"v1\\"' in merge["message"]


async def test_a_value_of_another_type_is_no_bad_request(wire: Wire) -> None:
    status, refused = await wire("PATCH", f"{MAPS}/a", {"data": 3}, type=MERGE)
    assert status == 422
    assert "json: cannot unmarshal number into Go struct field" in refused["message"]


JSON_REFUSED: Any = [
    ({}, 400, "error decoding patch: "),
    ([{"op": "sell", "path": "/data"}], 400, "error decoding patch: "),
    ([{"op": "test", "path": "/data", "value": 3}], 422, "the server rejected our request"),
    ([{"op": "remove", "path": "/nothing"}], 422, "the server rejected our request"),
    (
        [{"op": "test", "path": "/kind", "value": "ConfigMap"}] * 10_001, 413,
        "The allowed maximum operations in a JSON patch is 10000, got 10001",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("body", "code", "message"), JSON_REFUSED)
async def test_json_patches_that_are_refused(
    wire: Wire, body: Any, code: int, message: str
) -> None:
    status, refused = await wire("PATCH", f"{MAPS}/a", body, type=JSON_PATCH)
    assert (status, refused["message"][: len(message)]) == (code, message)
