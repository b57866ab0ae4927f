"""Bodies become values or a bad request; nothing in them can hurt the server."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgek.api.errors import BadRequest
from edgek.schema.decode import decode_json
from edgek.schema.decode_yaml import decode_yaml

JSON = st.recursive(
    st.none() | st.integers(0, 9) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
BILLION = b"a: &a [x,x,x,x,x,x,x,x,x]\n" + b"".join(
    b"%c: &%c [%s]\n" % (c, c, b",".join([b"*%c" % (c - 1)] * 9)) for c in range(98, 107)
)


@pytest.mark.parametrize("raw", [
    b"", b"{", b"[NaN]", b"\xff", b'"\xed\xa0\x80"', b"[" * 100_000, b"[" * 400 + b"]" * 400,
    b"9" * 400, b'{"a":1}{"b":2}',
])  # fmt: skip
def test_malformed_json_is_a_bad_request(raw: bytes) -> None:
    with pytest.raises(BadRequest):
        decode_json(raw)


def test_duplicate_fields_are_told_with_their_paths_and_the_last_wins() -> None:
    raw = b'{"a":1,"a":2,"s":{"l":[{"c":1},{"c":1,"c":3,"c":4}]}}'
    assert decode_json(raw) == ({"a": 2, "s": {"l": [{"c": 1}, {"c": 4}]}}, ["a", "s.l[1].c"])
    assert decode_json(raw, strict_duplicates=False)[1] == []


@given(JSON)
def test_every_value_comes_back_from_json_and_has_no_duplicates(value: Any) -> None:
    assert decode_json(orjson.dumps(value)) == (value, [])
    assert decode_json(orjson.dumps(value, option=orjson.OPT_INDENT_2)) == (value, [])


@pytest.mark.parametrize(("raw", "value"), [
    (b"a: 2026-01-02", {"a": "2026-01-02"}),
    (b"a: 1:30", {"a": "1:30"}),
    (b"a: 1e3", {"a": 1000.0}),
    (b"a: 0644", {"a": 0o644}),
    (b"a: 0x1f", {"a": 31}),
    (b"a: -5", {"a": -5}),
    (b"a: 1.10", {"a": 1.1}),
    (b"a: '1'", {"a": "1"}),
    (b"a: yes", {"a": True}),
    (b"a: 100m", {"a": "100m"}),
    (b"a: ~", {"a": None}),
    (b"1: x\ntrue: y", {"1": "x", "true": "y"}),
    (b"a: &x {b: 1}\nc: *x", {"a": {"b": 1}, "c": {"b": 1}}),
    (b"a: &x {b: 1}\nc:\n  <<: *x\n  d: 2", {"a": {"b": 1}, "c": {"b": 1, "d": 2}}),
])  # fmt: skip
def test_yaml_means_what_it_means_upstream(raw: bytes, value: Any) -> None:
    assert decode_yaml(raw) == (value, [])


def test_yaml_that_is_small_only_by_its_aliases_is_refused() -> None:
    """What is checked and stored has each of them written out."""
    few = b"a: &x '%s'\nb: [*x, *x]\n" % (b"y" * 1_000_000)
    assert len(decode_yaml(few)[0]["b"]) == 2
    for more in (b"c: [*x]\n", b"c: {*x : 1}\n"):
        with pytest.raises(BadRequest, match="excessive aliasing"):
            decode_yaml(few + more + b"d: [*x]\n")


def test_yaml_tells_keys_that_came_twice() -> None:
    assert decode_yaml(b"a: 1\na: 2\n") == ({"a": 2}, ["a"])


@pytest.mark.parametrize("raw", [
    BILLION, b"a: [", b"a: *nope", b"a: !!python/object:os.system x", b"&a [*a]",
    b"[" * 100_000, b"{a: " * 5000, b"- " * 50_000, b"a: 1\n---\nb: 2", b"[a]: b", b"\x00",
    b"\n".join(b" " * i + b"a:" for i in range(3000)), b"? " * 50_000, b"a: .nan", b"a: 08",
], ids=range(15))  # fmt: skip
def test_hostile_yaml_is_a_bad_request_or_harmless(raw: bytes) -> None:
    try:
        value, _ = decode_yaml(raw)
    except BadRequest:
        return
    assert value in ({"a": ".nan"}, {"a": "08"})


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("18446744073709551615", 2**64 - 1),
        ("18446744073709551616", float(2**64)),
        ("-9223372036854775809", float(-(2**63) - 1)),
        ("0x10000000000000000", float(2**64)),
    ],
)
def test_a_yaml_number_beyond_64_bits_is_a_float_as_in_json(text: str, value: float) -> None:
    got, _ = decode_yaml(f"n: {text}".encode())
    assert got == {"n": value}
    assert type(got["n"]) is type(value)


@pytest.mark.parametrize("text", [b"9" * 400, b"1e999", b"-1.0e999"])
def test_a_yaml_number_that_nothing_holds_is_refused(text: bytes) -> None:
    with pytest.raises(BadRequest):
        decode_yaml(b"n: " + text)
