"""The contract of nftables' door: the kernel's and the fake keep the same promises."""

import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from netplug.model import Endpoint, NodeConfig, Service
from netplug.nft.fake import FakeNft
from netplug.nft.nft import (
    KernelNft,
    LibraryRunner,
    Nft,
    NftError,
    NftExists,
    NftNotFound,
    ProgramRunner,
    error_of,
)
from netplug.nft.objects import Change, Elements, Table
from netplug.nft.sync import TableSync
from netplug.rules import chain_of, table
from netplug.services import plan_elements

NODE = NodeConfig(
    node_ip="192.0.2.1",
    pod_cidr="10.42.1.0/24",
    cluster_cidr="10.42.0.0/16",
    service_cidr="10.43.0.0/16",
    local_addresses=("10.43.0.10",),
)
TABLE = table(NODE)
A, B = Endpoint("10.42.1.5", 8080), Endpoint("10.42.2.6", 8080)
VIP = ("10.43.0.1", "tcp", 80)


def service(*endpoints: Endpoint, affinity: int = 0, node_port: int = 30080) -> Service:
    return Service(
        ip=VIP[0], protocol="tcp", port=80, endpoints=endpoints, affinity_seconds=affinity,
        node_port=node_port,
    )  # fmt: skip


def elements(*services: Service) -> dict[str, dict]:
    return plan_elements(services, (), pod_cidr=NODE.pod_cidr).elements


def own_namespace() -> None:
    os_unshare = 0x40000000
    import ctypes

    if ctypes.CDLL(None, use_errno=True).unshare(os_unshare):
        raise OSError(ctypes.get_errno(), "unshare")


class InNamespace:
    """Calls an Nft in a thread that has a network namespace for itself."""

    def __init__(self, make: Callable[[], Nft]) -> None:
        self._thread = ThreadPoolExecutor(1, initializer=own_namespace)
        self._nft = self._thread.submit(make).result(10)

    def __getattr__(self, name: str) -> Callable[..., object]:
        method = getattr(self._nft, name)
        return lambda *args: self._thread.submit(method, *args).result(20)

    def close(self) -> None:
        self._thread.shutdown()


@pytest.fixture(
    params=[
        pytest.param("fake", id="fake"),
        pytest.param(LibraryRunner, id="library", marks=pytest.mark.host),
        pytest.param(ProgramRunner, id="program", marks=pytest.mark.host),
    ]
)
def nft(request: pytest.FixtureRequest) -> Iterator[Nft]:
    if request.param == "fake":
        yield FakeNft()
        return
    if os.geteuid() or not shutil.which("nft"):
        pytest.skip("needs root and nft")
    made = InNamespace(lambda: KernelNft(request.param()))
    yield made  # type: ignore[misc]
    made.close()


def test_what_was_loaded_is_read_back(nft: Nft) -> None:
    wanted = elements(service(A, B, affinity=10800))
    nft.replace(TABLE, wanted)
    assert nft.elements(TABLE) == wanted
    assert nft.learned(TABLE, "aff") == {}


def test_a_change_replaces_values_in_one_transaction(nft: Nft) -> None:
    nft.replace(TABLE, elements(service(A, B)))
    wanted = elements(service(B))
    nft.change(change(elements(service(A, B)), wanted))
    assert nft.elements(TABLE) == wanted


def change(before: Elements, after: Elements) -> Change:
    from netplug.nft.sync import plan_change

    return plan_change(TABLE, loaded=before, wanted=after)


def test_a_change_that_does_not_fit_holds_not_at_all(nft: Nft) -> None:
    loaded = elements(service(A))
    nft.replace(TABLE, loaded)
    absent = {"svc": {("10.43.9.9", "tcp", 1): ("goto", "n1")}}
    added = {"svc": {("10.43.8.8", "tcp", 1): ("goto", "n1")}}
    with pytest.raises(NftNotFound):
        nft.change(Change(table=TABLE, remove=absent, add=added))
    with pytest.raises(NftExists):
        nft.change(Change(table=TABLE, add={"svc": {VIP: ("goto", "n2")}}))
    assert nft.elements(TABLE) == loaded


def test_the_layout_tells_rules_apart_but_not_elements(nft: Nft) -> None:
    assert nft.layout(TABLE) == ""
    nft.replace(TABLE, {})
    bare = nft.layout(TABLE)
    nft.replace(TABLE, elements(service(A)))
    assert nft.layout(TABLE) == bare
    other = Table(name=TABLE.name, maps=TABLE.maps, chains=(*TABLE.chains, chain_of("n99")))
    nft.replace(other, {})
    assert nft.layout(TABLE) != bare
    nft.delete(TABLE.name)
    nft.delete(TABLE.name)
    assert nft.layout(TABLE) == ""


def sync(nft: Nft, tmp_path: Path) -> TableSync:
    return TableSync(nft, tmp_path / "note", chain_of=chain_of)


def apply(to: TableSync, *services: Service) -> Change:
    desired = plan_elements(services, (), pod_cidr=NODE.pod_cidr)
    return to.apply(desired.chains, desired.elements)


def test_a_successor_takes_over_and_sends_only_the_difference(nft: Nft, tmp_path: Path) -> None:
    first = sync(nft, tmp_path)
    assert first.adopt(TABLE) is False
    apply(first, service(A))
    second = sync(nft, tmp_path)
    assert second.adopt(TABLE) is True
    assert not apply(second, service(A))
    assert apply(second, service(B)).add == {
        "ep": {(*VIP, 0): tuple(B)},
        "npep": {("tcp", 30080, 0): tuple(B)},
    }
    assert nft.elements(TABLE) == elements(service(B))


def test_foreign_rules_are_replaced_and_services_carried_over(nft: Nft, tmp_path: Path) -> None:
    many = tuple(Endpoint("10.42.1.5", port) for port in range(1, 21))
    apply_first = sync(nft, tmp_path)
    apply_first.adopt(TABLE)
    apply(apply_first, service(*many, affinity=77))
    other = NodeConfig(
        node_ip="192.0.2.2", pod_cidr="10.42.1.0/24", cluster_cidr="10.42.0.0/16",
        service_cidr="10.43.0.0/16",
    )  # fmt: skip
    successor = sync(nft, tmp_path)
    assert successor.adopt(table(other)) is False
    assert nft.elements(TABLE) == elements(service(*many, affinity=77))
    assert not apply(successor, service(*many, affinity=77))


def test_what_others_removed_is_loaded_again_with_the_next_change(nft: Nft, tmp_path: Path) -> None:
    mine = sync(nft, tmp_path)
    mine.adopt(TABLE)
    apply(mine, service(A))
    nft.delete(TABLE.name)
    apply(mine, service(B))
    assert nft.elements(TABLE) == elements(service(B))


def test_a_usual_change_never_loads_the_whole_table(tmp_path: Path) -> None:
    fake = FakeNft()
    mine = sync(fake, tmp_path)
    mine.adopt(TABLE)
    for endpoints in ((A,), (A, B), (B,), ()):
        apply(mine, service(*endpoints))
    assert (fake.replaced, fake.transactions) == (1, 5)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Error: Could not process rule: No such file or directory\ndelete ...", NftNotFound),
        ("Error: Could not process rule: File exists", NftExists),
        ("Error: syntax error, unexpected string", NftError),
        ("", NftError),
    ],
)
def test_errors_are_told_apart_and_kept_to_a_line(text: str, kind: type[NftError]) -> None:
    error = error_of(text)
    assert type(error) is kind
    assert "\n" not in str(error)
