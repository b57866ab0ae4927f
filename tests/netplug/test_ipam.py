"""Addresses: unique, kept, never leaked."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netplug.ipam import LeaseFile, Leases, acquire, reconcile, release, retire
from netplug.model import NetplugError

CIDR = "10.42.1.0/29"  # .1 to .6


def taken(count: int, leases: Leases = Leases.none()) -> Leases:  # noqa: B008
    for number in range(count):
        leases, _ = acquire(leases, f"p{number}", CIDR)
    return leases


def test_the_first_and_last_address_are_never_given() -> None:
    assert sorted(taken(6).held.values()) == [f"10.42.1.{n}" for n in range(1, 7)]
    with pytest.raises(NetplugError, match=r"no free address in 10.42.1.0/29: 6 in use"):
        acquire(taken(6), "more", CIDR)


def test_a_name_keeps_its_address() -> None:
    leases, ip = acquire(Leases.none(), "a", CIDR)
    again, same = acquire(leases, "a", CIDR)
    assert (again, same) == (leases, ip)


def test_a_released_address_is_used_again_last() -> None:
    leases = release(taken(2), "p0")
    order = []
    for number in range(5):
        leases, ip = acquire(leases, f"q{number}", CIDR)
        order.append(ip)
    assert order == ["10.42.1.3", "10.42.1.4", "10.42.1.5", "10.42.1.6", "10.42.1.1"]


def test_an_idle_lease_waits_for_its_name_until_addresses_run_out() -> None:
    leases = reconcile(taken(2), {"p1": "10.42.1.2"}, ["p1"])
    assert (leases.held, leases.idle) == ({"p1": "10.42.1.2"}, {"p0": "10.42.1.1"})
    back, ip = acquire(leases, "p0", CIDR)
    assert (ip, back.idle) == ("10.42.1.1", {})
    for number in range(5):
        leases, ip = acquire(leases, f"q{number}", CIDR)
    assert (ip, leases.idle) == ("10.42.1.1", {})


def test_a_retired_lease_is_its_names_own_and_others_have_it_last() -> None:
    leases = retire(taken(3), "p0")
    back, ip = acquire(leases, "p0", CIDR)
    assert (ip, back.idle) == ("10.42.1.1", {})
    order = []
    for number in range(4):
        leases, ip = acquire(leases, f"q{number}", CIDR)
        order.append(ip)
    assert order == ["10.42.1.4", "10.42.1.5", "10.42.1.6", "10.42.1.1"]
    assert retire(leases, "unknown") == leases


def test_the_kernel_wins_over_the_file() -> None:
    leases = reconcile(taken(2), {"x": "10.42.1.1"}, ["x", "p1"])
    assert leases.held == {"p1": "10.42.1.2", "x": "10.42.1.1"}
    assert leases.idle == {}


def test_a_new_range_gives_new_addresses() -> None:
    leases, _ = acquire(Leases.none(), "a", "10.42.7.0/24")
    _, ip = acquire(leases, "a", CIDR)
    assert ip == "10.42.1.1"


@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), st.booleans()), max_size=60))
def test_no_address_is_held_twice_whatever_happens(steps: list[tuple[str, bool]]) -> None:
    leases = Leases.none()
    for name, arrives in steps:
        if not arrives:
            leases = release(leases, name)
        elif len(leases.held.keys() | {name}) <= 6:
            leases, ip = acquire(leases, name, CIDR)
            assert leases.held[name] == ip
        all_ips = [*leases.held.values(), *leases.idle.values()]
        assert len(set(all_ips)) == len(all_ips)


def test_the_file_gives_back_what_was_written(tmp_path: Path) -> None:
    file = LeaseFile(tmp_path / "deep/ipam.json")
    with file.locked():
        assert file.read() == Leases.none()
        leases = replace(taken(2), idle={"z": "10.42.1.6"})
        file.write(leases)
        assert file.read() == leases
    file.remove()
    assert list((tmp_path / "deep").iterdir()) == []


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"held": {}}', '{"held": {"a": "x"}, "idle": {}, "last": ""}']
)
def test_a_torn_file_counts_as_empty(tmp_path: Path, text: str) -> None:
    (tmp_path / "ipam.json").write_text(text)
    assert LeaseFile(tmp_path / "ipam.json").read() == Leases.none()
