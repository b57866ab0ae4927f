"""What mount(8) is told for nfs, cephfs and glusterfs; a secret is never among it."""

from pathlib import Path
from typing import Any

import pytest

from agent.pods.environment import Surroundings
from agent.pods.mounts import HELPERS, MountError, missing_helper
from agent.pods.volumes.cephfs import CephFs, explained
from agent.pods.volumes.daemons import Daemons
from agent.pods.volumes.empty_dir import EmptyDir
from agent.pods.volumes.glusterfs import GlusterFs
from agent.pods.volumes.nfs import Nfs
from agent.pods.volumes.nfs_directory import NfsDirectory
from agent.pods.volumes.plugin import VolumeError, VolumePlugin, Wanted
from agent.runtime.cgroups import Cgroups
from agent.runtime.machine import Machine
from edgek.api.meta import Obj
from tests.support.pods import make_pod


class Mounts:
    """A mounter that writes down what it is told, and what a secret file holds meanwhile."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str, tuple[str, ...]]] = []
        self.secret = ""

    async def __call__(
        self, source: str, target: Path, *, kind: str,
        options: tuple[str, ...] = (), enter: tuple[str, ...] = (),
    ) -> None:  # fmt: skip
        self.told.append((kind, source, options))
        self._look_at_secrets(options)

    def _look_at_secrets(self, options: tuple[str, ...]) -> None:
        for option in options:
            file = Path(option.partition("=")[2])
            if option.startswith(("secretfile=", "--keyring=")):
                assert file.stat().st_mode & 0o777 == 0o600
                self.secret = file.read_text()


def written(file: Path, content: str) -> str:
    file.write_text(content)
    return str(file)


def names_in(directory: Path) -> list[str]:
    return [p.name for p in directory.iterdir()]


KNOWN: dict[tuple[str, str, str], Obj] = {
    ("Secret", "default", "key"): {"kind": "Secret", "data": {"key": "aHVzaA=="}},
    ("Endpoints", "default", "gluster"): {
        "subsets": [{"addresses": [{"ip": "192.0.2.1"}, {"ip": "192.0.2.2"}]}]
    },
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


def bare(root: Path) -> Cgroups:
    """Of a machine with cgroup v2; nobody moves processes here."""
    return Cgroups(machine=Machine(), base=root / "cgroup", litter=root / "litter")


def ceph(root: Path, mounts: Mounts, *, has: str) -> CephFs:
    """A node with the helpers of one kind alone."""
    daemons = Daemons(bare(root), mount=mounts)
    return CephFs(daemons, mount=mounts, lacks=lambda kind: "" if kind == has else "a package")


@pytest.mark.parametrize(
    ("source", "more", "expected"),
    [
        ({"monitors": ["a", "b:6789"]}, {}, ("a,b:6789:/", ("name=admin",))),
        ({"monitors": ["a"], "path": "/x", "user": "u"}, {"read_only": True, "volume": OPTIONS},
         ("a:/x", ("ro", "noatime", "name=u"))),
    ],
)  # fmt: skip
async def test_cephfs_by_the_kernel(
    tmp_path: Path, source: Obj, more: Obj, expected: tuple[str, tuple[str, ...]]
) -> None:
    mounts = Mounts()
    full = source | {"secretRef": {"name": "key"}}
    await ceph(tmp_path, mounts, has="ceph").set_up(wanted(tmp_path, "cephfs", full, **more))
    [(kind, where, options)] = mounts.told
    assert (kind, where, options[:-1]) == ("ceph", *expected)
    assert options[-1].startswith("secretfile=")


async def test_cephfs_by_its_daemon(tmp_path: Path) -> None:
    mounts = Mounts()
    source = {"monitors": ["a", "b"], "path": "/x", "user": "u", "secretRef": {"name": "key"}}
    options = {"spec": {"mountOptions": ["noatime", "fs=two"]}}
    plugin = ceph(tmp_path, mounts, has="fuse.ceph")
    await plugin.set_up(wanted(tmp_path, "cephfs", source, read_only=True, volume=options))
    [(kind, where, told)] = mounts.told
    assert (kind, where) == ("fuse.ceph", "a,b:/x")
    assert {"--id=u", "--mon_host=a,b", "--client_mountpoint=/x", "--client_fs=two"} < set(told)
    assert told[-2:] == ("ro", "noatime")


@pytest.mark.parametrize(
    ("has", "content"), [("ceph", "hush"), ("fuse.ceph", "[client.admin]\nkey = hush\n")]
)
@pytest.mark.parametrize("file", [None, "hush\n", "[client.x]\n  key = hush\n"])
async def test_a_key_is_in_a_file_for_as_long_as_the_mount_takes(
    tmp_path: Path, has: str, content: str, file: str | None
) -> None:
    mounts = Mounts()
    source: Obj = {"monitors": ["a"], "secretRef": {"name": "key"}}
    if file:
        source = {"monitors": ["a"], "secretFile": written(tmp_path / "own", file)}
    await ceph(tmp_path, mounts, has=has).set_up(wanted(tmp_path, "cephfs", source))
    assert mounts.secret == content
    assert "hush" not in str(mounts.told)
    assert not [name for name in names_in(tmp_path) if name.startswith("key-")]


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ({"user": "a,secretfile=/x"}, "is no name of a Ceph user"),
        ({"secretRef": {"name": "none"}}, 'secret "none" is not there'),
        ({"secretFile": "/nowhere/key"}, "No such file"),
    ],
)
async def test_what_is_wrong_with_cephfs_is_said(tmp_path: Path, source: Obj, said: str) -> None:
    plugin = ceph(tmp_path, Mounts(), has="ceph")
    with pytest.raises((VolumeError, OSError), match=said):
        await plugin.set_up(wanted(tmp_path, "cephfs", {"monitors": ["a"], **source}))
    able = wanted(tmp_path, "cephfs", {"monitors": ["a"], "secretRef": {"name": "key"}})
    with pytest.raises(VolumeError, match="install the package ceph-fuse or ceph-common"):
        await ceph(tmp_path, Mounts(), has="").set_up(able)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("2026-11-23T18:36:50.145+0000 7fd5 -1 Errors while parsing config file!\n\n"
         "2026-11-23T18:36:50.181+0000 7fd5 -1 monclient(hunting): handle_auth_bad_method x\n",
         'the monitors refuse user "u" with this key; monclient(hunting): '
         "handle_auth_bad_method x"),
        ("failed to fetch mon config (--no-mon-config to skip)\n",
         "no monitor answers; failed to fetch mon config (--no-mon-config to skip)"),
        ("ceph-fuse[350]: starting ceph client\nceph-fuse[350]: ceph mount failed with (2) No\n",
         "ceph mount failed with (2) No"),
        ("no answer within 30 seconds", "no answer within 30 seconds"),
    ],
)  # fmt: skip
def test_what_ceph_says_is_told_in_a_line_without_times(said: str, expected: str) -> None:
    told = explained(f"mount of a:/ failed: did not load config file, x.\n{said}", "u")
    assert told == f"mount of a:/ failed: {expected}"
    assert explained("mount of a:/ failed: no answer", "u") == "mount of a:/ failed: no answer"


@pytest.mark.parametrize("has", ["ceph", "fuse.ceph"])
async def test_a_key_that_ceph_cannot_read_is_not_shown(tmp_path: Path, has: str) -> None:
    async def fails(*told: Any, **more: Any) -> None:
        raise MountError("mount of a:/ failed: error parsing file val=hush: Malformed input")

    plugin = CephFs(
        Daemons(bare(tmp_path), mount=fails),
        mount=fails,
        lacks=lambda kind: "" if kind == has else "a package",
    )
    source = {"monitors": ["a"], "secretRef": {"name": "key"}}
    with pytest.raises(VolumeError, match=r"val=\*\*\*: Malformed") as caught:
        await plugin.set_up(wanted(tmp_path, "cephfs", source))
    assert "hush" not in str(caught.value)


async def test_glusterfs_asks_the_other_servers_too(tmp_path: Path) -> None:
    mounts = Mounts()
    plugin = GlusterFs(Daemons(bare(tmp_path), mount=mounts))
    source = {"endpoints": "gluster", "path": "vol"}
    await plugin.set_up(wanted(tmp_path, "glusterfs", source))
    log = f"log-file={tmp_path}/glusterfs-v.log"
    options = ("log-level=ERROR", log, "backup-volfile-servers=192.0.2.2")
    assert mounts.told == [("glusterfs", "192.0.2.1:vol", options)]
    asked = {"spec": {"mountOptions": ["log-level=INFO"]}}
    await plugin.set_up(wanted(tmp_path, "glusterfs", source, volume=asked))
    assert mounts.told[-1][2][:2] == ("log-level=INFO", log)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ({"endpoints": "none", "path": "v"}, "no endpoint address found"),
        # mount.glusterfs is a shell script: this would be an option of root's program.
        ({"endpoints": "gluster", "path": "v --log-file=/etc/x"}, "is no name of a volume"),
    ],
)
async def test_what_is_wrong_with_glusterfs_is_said(tmp_path: Path, source: Obj, said: str) -> None:
    plugin = GlusterFs(Daemons(bare(tmp_path), mount=Mounts()))
    with pytest.raises(VolumeError, match=said):
        await plugin.set_up(wanted(tmp_path, "glusterfs", source))


async def test_the_log_says_why_a_mount_failed(tmp_path: Path) -> None:
    async def fails(*told: Any, options: tuple[str, ...] = (), **more: Any) -> None:
        log = next(o for o in options if o.startswith("log-file="))
        lines = ("[10:00:00] I [x] fine", "[10:00:01] E [MSGID: 1] 0-mgmt: no such volume", "")
        written(Path(log.partition("=")[2]), "\n".join(lines))
        raise MountError("mount of x failed: no")

    plugin = GlusterFs(Daemons(bare(tmp_path), mount=fails))
    with pytest.raises(VolumeError, match=r"failed: no the following.*: \[MSGID: 1\] .* volume$"):
        await plugin.set_up(wanted(tmp_path, "glusterfs", {"endpoints": "gluster", "path": "v"}))


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


@pytest.mark.parametrize("kind", HELPERS)
def test_a_missing_helper_is_named_with_its_package(tmp_path: Path, kind: str) -> None:
    where = f"{tmp_path}:{tmp_path / 'sbin'}"
    assert missing_helper(kind, directories=where) == HELPERS[kind]
    (tmp_path / f"mount.{kind}").touch(mode=0o755)
    assert missing_helper(kind, directories=where) == ""
    assert missing_helper("ext4", directories=where) == ""
