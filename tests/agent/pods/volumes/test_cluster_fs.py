"""What mount(8) is told for nfs, cephfs and glusterfs; a secret is never among it."""

from pathlib import Path
from typing import Any

import pytest

from agent.pods.environment import Surroundings
from agent.pods.mounts import HELPERS, MountError, missing_helper, mount
from agent.pods.payload import volume_payload
from agent.pods.volumes.cluster_fs import CephFs, GlusterFs
from agent.pods.volumes.empty_dir import EmptyDir
from agent.pods.volumes.nfs import Nfs
from agent.pods.volumes.nfs_directory import NfsDirectory
from agent.pods.volumes.plugin import VolumeError, VolumePlugin, Wanted
from edgek.api.meta import Obj
from tests.support.pods import make_pod


class Mounts:
    """A mounter that writes down what it is told, and what a secret file holds meanwhile."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str, tuple[str, ...]]] = []
        self.secret = ""

    async def __call__(
        self, source: str, target: Path, *, kind: str, options: tuple[str, ...] = ()
    ) -> None:
        self.told.append((kind, source, options))
        self._look_at_secrets(options)

    def _look_at_secrets(self, options: tuple[str, ...]) -> None:
        for option in options:
            file = Path(option.partition("=")[2])
            if option.startswith("secretfile=") and file.exists():
                assert file.stat().st_mode & 0o777 == 0o600
                self.secret = file.read_text()


def names_in(directory: Path) -> list[str]:
    return [p.name for p in directory.iterdir()]


KNOWN: dict[tuple[str, str, str], Obj] = {
    ("Secret", "default", "key"): {"kind": "Secret", "data": {"key": "aHVzaA=="}},
    ("Endpoints", "default", "gluster"): {
        "subsets": [{"addresses": [{"ip": "192.0.2.1"}, {"ip": "192.0.2.2"}]}]
    },
    ("ClusterTrustBundle", "", "ours"): {"spec": {"trustBundle": "PEM"}},
}


def around() -> Surroundings:
    return Surroundings(
        lookup=lambda kind, space, name: KNOWN.get((kind.kind, space, name)),
        allocatable={"memory": "64Mi"},
    )


def wanted(root: Path, kind: str, source: Obj, *, pod: Obj | None = None, **more: Any) -> Wanted:
    directory = root / "volumes" / kind / "v"
    return Wanted(pod=pod or make_pod(), name="v", type=kind, source=source, directory=directory,
                  around=around(), **more)  # fmt: skip


OPTIONS = {"spec": {"mountOptions": ["noatime"]}}


@pytest.mark.parametrize(
    ("source", "more", "expected"),
    [
        ({"monitors": ["a", "b:6789"]}, {},
         ("ceph", "a,b:6789:/", ("name=admin", "secretfile=/etc/ceph/admin.secret"))),
        ({"monitors": ["a"], "path": "/x", "user": "u", "secretFile": "/k"},
         {"read_only": True, "volume": OPTIONS},
         ("ceph", "a:/x", ("ro", "noatime", "name=u", "secretfile=/k"))),
    ],
)  # fmt: skip
async def test_cephfs(tmp_path: Path, source: Obj, more: Obj, expected: tuple[Any, ...]) -> None:
    mounts = Mounts()
    await CephFs(mounts).set_up(wanted(tmp_path, "cephfs", source, **more))
    assert mounts.told == [expected]


async def test_a_secret_is_in_a_file_for_as_long_as_the_mount_takes(tmp_path: Path) -> None:
    mounts = Mounts()
    source = {"monitors": ["a"], "secretRef": {"name": "key"}}
    await CephFs(mounts).set_up(wanted(tmp_path, "cephfs", source))
    assert mounts.secret == "hush"
    assert "hush" not in str(mounts.told)
    assert names_in(tmp_path) == ["volumes"]


async def test_glusterfs_asks_the_other_servers_too(tmp_path: Path) -> None:
    mounts = Mounts()
    source = {"endpoints": "gluster", "path": "vol"}
    await GlusterFs(mounts).set_up(wanted(tmp_path, "glusterfs", source))
    backup = ("backup-volfile-servers=192.0.2.2",)
    assert mounts.told == [("glusterfs", "192.0.2.1:vol", backup)]
    with pytest.raises(VolumeError, match="no endpoint address found"):
        await GlusterFs(mounts).set_up(
            wanted(tmp_path, "glusterfs", {"endpoints": "none", "path": "v"})
        )


async def test_nfs_takes_the_options_of_its_volume_and_ipv6_servers(tmp_path: Path) -> None:
    mounts = Mounts()
    plugin: VolumePlugin = Nfs(NfsDirectory(tmp_path / "shares", mount=mounts), mount=mounts)
    source = {"server": "2001:db8::1", "path": "/x"}
    await plugin.set_up(wanted(tmp_path, "nfs", source, volume=OPTIONS | {"metadata": {}}))
    assert mounts.told == [("nfs", "[2001:db8::1]:/x", ("noatime",))]


@pytest.mark.parametrize(
    ("source", "limit", "expected"),
    [
        ({"medium": "Memory"}, "", ("tmpfs", "tmpfs", ("mode=0777", "size=67108864"))),
        ({"medium": "Memory"}, "1Mi", ("tmpfs", "tmpfs", ("mode=0777", "size=1048576"))),
        ({"medium": "Memory", "sizeLimit": "1Ki"}, "1Mi",
         ("tmpfs", "tmpfs", ("mode=0777", "size=1024"))),
        ({"medium": "HugePages-2Mi"}, "", ("hugetlbfs", "nodev", ("pagesize=2097152",))),
    ],
)  # fmt: skip
async def test_memory_is_no_more_than_the_pod_may_use(
    tmp_path: Path, source: Obj, limit: str, expected: tuple[Any, ...]
) -> None:
    mounts, pod = Mounts(), make_pod()
    if limit:
        pod["spec"]["containers"][0]["resources"] = {"limits": {"memory": limit}}
    await EmptyDir(mounts).set_up(wanted(tmp_path, "emptyDir", source, pod=pod))
    assert mounts.told == [expected]


async def test_a_missing_helper_is_named_with_its_package(
    tmp_path: Path,
) -> None:
    kind = next((k for k in HELPERS if missing_helper(k)), "")
    if not kind:
        pytest.skip("this machine has every helper")
    with pytest.raises(MountError, match=f"install the package {HELPERS[kind]}"):
        await mount("x:/y", tmp_path, kind=kind)


def test_a_trust_bundle_is_a_file() -> None:
    def files(**source: Any) -> Any:
        volume = {"projected": {"sources": [{"clusterTrustBundle": {"path": "ca", **source}}]}}
        return volume_payload(make_pod(), volume, around(), token=lambda own: b"")

    assert files(name="ours")["ca"].data == b"PEM"
    assert files(name="none", optional=True)["ca"].data == b""
    for wrong in ({"name": "none"}, {"signerName": "a/b"}):
        with pytest.raises(Exception, match=r"not found|signerName"):
            files(**wrong)
