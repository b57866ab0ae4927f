"""Names that fit the kernel and are recognised again."""

from netplug import names


def test_a_host_link_fits_the_kernels_limit_and_is_known_again() -> None:
    link = names.veth("0b1b2b3b-1234-5678-9abc-def012345678")
    assert len(link) <= 15
    assert names.is_veth(link)


def test_other_links_are_never_taken_for_ours() -> None:
    for other in ("eth0", "ek", "eklipse0", "edgek-vx", "ek0123456789ag", "veth0123456789"):
        assert not names.is_veth(other)


def test_addresses_derive_from_the_ip() -> None:
    assert names.node_mac("10.98.0.11") == "0a:58:0a:62:00:0b"
    assert names.router_ip("10.42.3.0/24") == "10.42.3.0"
