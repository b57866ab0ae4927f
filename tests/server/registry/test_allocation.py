"""Cluster IPs and node ports are unique, in range, and leave the static band to explicit asks."""

import random

import pytest

from server.registry.allocation import AllocationError, IpAllocator, PortAllocator, static_band


def test_every_address_of_a_small_network_is_given_once_and_then_the_range_is_full() -> None:
    allocator = IpAllocator("10.0.0.0/29")
    given = {allocator.allocate_next() for _ in range(6)}
    assert given == {f"10.0.0.{n}" for n in range(1, 7)}
    with pytest.raises(AllocationError, match=r"^range is full$"):
        allocator.allocate_next()


def test_drawn_addresses_leave_the_static_band_until_nothing_else_is_free() -> None:
    allocator = IpAllocator("10.0.0.0/24", rng=random.Random(1))
    upper = [allocator.allocate_next() for _ in range(254 - 16)]
    assert min(int(a.rsplit(".", 1)[1]) for a in upper) == 17
    assert int(allocator.allocate_next().rsplit(".", 1)[1]) <= 16


def test_an_address_in_use_is_refused_until_it_is_released() -> None:
    allocator = IpAllocator("10.43.0.0/16", ["10.43.0.10"])
    with pytest.raises(AllocationError, match=r"^provided IP is already allocated$"):
        allocator.allocate("10.43.0.10")
    allocator.release("10.43.0.10")
    assert allocator.allocate("10.43.0.10") == "10.43.0.10"


@pytest.mark.parametrize("address", ["10.44.0.1", "10.43.0.0", "10.43.255.255", "fd00::1"])
def test_an_address_outside_is_refused_with_the_range_named(address: str) -> None:
    with pytest.raises(AllocationError) as err:
        IpAllocator("10.43.0.0/16").allocate(address)
    assert str(err.value) == (
        f"the provided IP ({address}) is not in the valid range. "
        "The range of valid IPs is 10.43.0.0/16"
    )


def test_ipv6_ranges_work_however_large() -> None:
    allocator = IpAllocator("fd00:43::/64", rng=random.Random(2))
    assert allocator.first() == "fd00:43::1"
    drawn = allocator.allocate_next()
    assert drawn.startswith("fd00:43::")
    assert allocator.has(drawn)


def test_node_ports_in_use_or_outside_are_refused() -> None:
    allocator = PortAllocator("30000-32767", [30080])
    with pytest.raises(AllocationError, match=r"^provided port is already allocated$"):
        allocator.allocate(30080)
    with pytest.raises(AllocationError) as err:
        allocator.allocate(80)
    assert str(err.value) == (
        "provided port is not in the valid range. The range of valid ports is 30000-32767"
    )


def test_drawn_node_ports_leave_the_first_86_to_explicit_asks() -> None:
    allocator = PortAllocator("30000-32767", rng=random.Random(3))
    drawn = {allocator.allocate_next() for _ in range(2768 - 86)}
    assert min(drawn) == 30086


@pytest.mark.parametrize(
    ("size", "expected"), [(16, 0), (17, 16), (254, 16), (1022, 63), (65534, 256)]
)
def test_the_static_band_is_a_sixteenth_within_bounds(size: int, expected: int) -> None:
    assert static_band(size, least=16, most=256, step=16) == expected
