"""A pod's names: what it is called, whom it knows, whom it asks."""

from typing import Any

import pytest

from agent.pods.etc import (
    DnsSettings,
    Resolv,
    host_resolv,
    hostname,
    hosts_text,
    kernel_hostname,
    pod_resolv,
    within_limits,
)
from agent.pods.state import SandboxError
from edgek.api.meta import Obj
from tests.support.pods import make_pod

DOMAIN = "cluster.local"
DNS = DnsSettings(cluster_dns="10.43.0.10", cluster_domain=DOMAIN)
HOST = Resolv(nameservers=("192.0.2.53",), searches=("lan",), options=("timeout:1",))
OWN = ("default.svc.cluster.local", "svc.cluster.local", "cluster.local")


@pytest.mark.parametrize(
    ("spec", "plain", "kernel"),
    [
        ({}, "web", "web"),
        ({"hostname": "front"}, "front", "front"),
        ({"hostname": "front", "subdomain": "shop"}, "front", "front"),
        ({"subdomain": "shop", "setHostnameAsFQDN": True}, "web",
         "web.shop.default.svc.cluster.local"),
        ({"setHostnameAsFQDN": True}, "web", "web"),
        ({"hostnameOverride": "a.example.com", "hostname": "front", "subdomain": "shop"},
         "a.example.com", "a.example.com"),
        ({"hostnameOverride": "a" * 62 + ".b"}, "a" * 62, "a" * 62),
    ],
)  # fmt: skip
def test_a_pods_name_is_its_own_or_the_one_it_asks_for(
    spec: dict[str, Any], plain: str, kernel: str
) -> None:
    pod = make_pod(**spec)
    assert (hostname(pod), kernel_hostname(pod, DOMAIN)) == (plain, kernel)


def test_a_full_name_that_the_kernel_cannot_hold_is_refused() -> None:
    pod = make_pod(subdomain="s" * 50, setHostnameAsFQDN=True)
    with pytest.raises(SandboxError, match="is too long \\(64 characters is the max, 80 "):
        kernel_hostname(pod, DOMAIN)


def hosts(pod: Obj) -> list[str]:
    text = hosts_text(pod, pod_ip="10.42.0.2", domain=DOMAIN, host_hosts="127.0.0.1\tnode\n")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def test_the_hosts_file_knows_the_pod_and_its_aliases() -> None:
    aliases = [{"ip": "192.0.2.9", "hostnames": ["db", "db.example.com"]}]
    found = hosts(make_pod(hostAliases=aliases, subdomain="shop"))
    assert "10.42.0.2\tweb.shop.default.svc.cluster.local\tweb" in found
    assert "192.0.2.9\tdb\tdb.example.com" in found
    assert hosts(make_pod(hostNetwork=True))[0] == "127.0.0.1\tnode"


@pytest.mark.parametrize(
    ("spec", "nameservers", "searches"),
    [
        ({}, ("10.43.0.10",), (*OWN, "lan")),
        ({"dnsPolicy": "Default"}, ("192.0.2.53",), ("lan",)),
        ({"hostNetwork": True}, ("192.0.2.53",), ("lan",)),
        ({"hostNetwork": True, "dnsPolicy": "ClusterFirstWithHostNet"}, ("10.43.0.10",),
         (*OWN, "lan")),
        ({"dnsPolicy": "None", "dnsConfig": {"nameservers": ["192.0.2.1"], "searches": ["x"]}},
         ("192.0.2.1",), ("x",)),
        ({"dnsConfig": {"nameservers": ["192.0.2.1"], "searches": ["x"]}},
         ("10.43.0.10", "192.0.2.1"), (*OWN, "lan", "x")),
    ],
)  # fmt: skip
def test_whom_a_pod_asks_for_names(
    spec: dict[str, Any], nameservers: tuple[str, ...], searches: tuple[str, ...]
) -> None:
    found = pod_resolv(make_pod(**spec), dns=DNS, host=HOST)
    assert (found.nameservers, found.searches) == (nameservers, searches)


def test_options_of_ones_own_win() -> None:
    options = [{"name": "ndots", "value": "2"}, {"name": "edns0"}]
    found = pod_resolv(make_pod(dnsConfig={"options": options}), dns=DNS, host=HOST)
    assert found.options == ("ndots:2", "edns0")


def test_what_resolvers_cannot_read_is_left_out_and_told() -> None:
    asked = {"nameservers": [f"192.0.2.{i}" for i in range(4)],
             "searches": ["x" * 254, *(f"s{i:02}.example.com" for i in range(40))]}  # fmt: skip
    pod = make_pod(dnsPolicy="None", dnsConfig=asked)
    fits, said = within_limits(pod_resolv(pod, dns=DNS, host=HOST))
    assert fits.nameservers == tuple(asked["nameservers"][:3])
    assert fits.searches == tuple(asked["searches"][1:32])
    assert said[0] == ("Nameserver limits were exceeded, some nameservers have been omitted, "
                       "the applied nameserver line is: 192.0.2.0 192.0.2.1 192.0.2.2")  # fmt: skip
    assert said[1].startswith("Search Line limits were exceeded, some search paths have been ")
    long = pod_resolv(
        make_pod(dnsConfig={"searches": [f"{i:02}{'x' * 200}" for i in range(12)]}),
        dns=DNS, host=HOST,
    )  # fmt: skip
    assert len(" ".join(within_limits(long)[0].searches)) <= 2048
    plain = pod_resolv(make_pod(), dns=DNS, host=HOST)
    assert within_limits(plain) == (plain, ())


def test_a_resolver_on_the_hosts_loopback_is_not_given_to_pods() -> None:
    behind = "nameserver 192.0.2.53\nsearch lan\n"
    assert host_resolv("nameserver 127.0.0.53\n", behind).nameservers == ("192.0.2.53",)
    assert host_resolv("nameserver 192.0.2.1\n", behind).nameservers == ("192.0.2.1",)
    assert host_resolv("nameserver 127.0.0.1\n", "").nameservers == ("127.0.0.1",)
