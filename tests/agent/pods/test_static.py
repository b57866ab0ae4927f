"""Static pods: from a file to a pod, and to the mirror that shows it."""

import asyncio
from pathlib import Path

import pytest

from agent.pods.mirrors import CREATE, DELETE, NOTHING, plan_mirror
from agent.pods.static import HASH, MIRROR, SOURCE, ManifestError, mirror_of, read_manifest
from agent.pods.static_files import StaticFiles
from edgek.aio.clock import SystemClock
from edgek.api.meta import Obj, annotations, name, uid
from tests.support.pods import manifest

SEEN = "2026-01-01T00:00:00Z"


def read(data: bytes, path: str = "/m/web.yaml", node: str = "node1") -> Obj:
    return read_manifest(data, path=path, node_name=node, seen=SEEN)


def test_a_manifest_is_a_pod_of_this_node_with_the_defaults_of_the_api() -> None:
    pod = read(manifest(priorityClassName="system-node-critical"))
    assert name(pod) == "web-node1"
    assert pod["metadata"]["namespace"] == "default"
    assert pod["spec"]["nodeName"] == "node1"
    assert pod["spec"]["restartPolicy"] == "Always"
    assert pod["spec"]["priority"] == 2000001000
    assert {"operator": "Exists", "effect": "NoExecute"} in pod["spec"]["tolerations"]
    assert annotations(pod)[HASH] == uid(pod)
    assert annotations(pod)[SOURCE] == "file"
    assert pod["status"] == {"phase": "Pending", "qosClass": "BestEffort"}


def test_its_uid_is_of_what_it_says_where_it_stands_and_whose_it_is() -> None:
    first = uid(read(manifest()))
    assert first == uid(read(manifest()))
    others = [read(manifest(image="main:2")), read(manifest(), path="/m/b.yaml"),
              read(manifest(), node="node2")]  # fmt: skip
    assert len({first, *map(uid, others)}) == 4


REFUSED = {
    "several documents": (manifest() + b"---\n" + manifest("b"), "one pod each file"),
    "no YAML": (b"{", "couldn't parse as pod("),
    "no object": (b"- 1\n", "the file holds no object"),
    "empty": (b"", "the file holds no object"),
    "another kind": (b"apiVersion: v1\nkind: List\n", "it is List of v1"),
    "no name": (manifest(""), "name is needed for the pod"),
    "unknown field": (manifest(hostNetwrok=True), 'unknown field "spec.hostNetwrok"'),
    "wrong type": (manifest(hostNetwork="maybe"), "cannot unmarshal"),
    "invalid": (manifest(restartPolicy="Sometimes"), "spec.restartPolicy: Unsupported value"),
    "service account": (manifest(serviceAccountName="x"), "may not reference serviceaccounts"),
    "config map": (
        manifest(volumes=[{"name": "v", "configMap": {"name": "x"}}]),
        "may not reference configmaps",
    ),
    "pull secret": (manifest(imagePullSecrets=[{"name": "x"}]), "may not reference secrets"),
    "claim": (
        manifest(volumes=[{"name": "v", "persistentVolumeClaim": {"claimName": "x"}}]),
        "may not reference persistentvolumeclaims",
    ),
    "token": (
        manifest(volumes=[{"name": "v", "projected": {
            "sources": [{"serviceAccountToken": {"path": "t"}}]}}]),
        "may not reference serviceaccounts (via projected volumes)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_static_pod_is_refused_in_a_sentence(case: str) -> None:
    data, sentence = REFUSED[case]
    with pytest.raises(ManifestError) as err:
        read(data)
    assert sentence in str(err.value)


def test_a_mirror_shows_the_pod_and_belongs_to_the_node() -> None:
    pod = read(manifest())
    mirror = mirror_of(pod, {"metadata": {"name": "node1", "uid": "n-1"}})
    assert annotations(mirror)[MIRROR] == uid(pod)
    assert "uid" not in mirror["metadata"]
    (owner,) = mirror["metadata"]["ownerReferences"]
    assert owner == {"apiVersion": "v1", "kind": "Node", "name": "node1", "uid": "n-1",
                     "controller": True}  # fmt: skip


def test_a_mirror_is_made_kept_replaced_and_deleted_as_its_pod_asks() -> None:
    old, new = read(manifest()), read(manifest(image="main:2"))
    node = {"metadata": {"name": "node1", "uid": "n-1"}}
    mirror = mirror_of(old, node)
    going = mirror | {"metadata": mirror["metadata"] | {"deletionTimestamp": SEEN}}
    assert plan_mirror(None, None, ending=False) == NOTHING
    assert plan_mirror(old, None, ending=False) == CREATE
    assert plan_mirror(old, mirror, ending=False) == NOTHING
    assert plan_mirror(old, going, ending=False) == DELETE
    assert plan_mirror(new, mirror, ending=False) == DELETE
    assert plan_mirror(None, mirror, ending=True) == NOTHING
    assert plan_mirror(None, mirror, ending=False) == DELETE


class Folder:
    """StaticFiles over a directory, with what it told."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.pods: list[str] = []
        self.refused: list[tuple[str, str]] = []
        self.files = StaticFiles(
            folder=path, node_name="node1", clock=SystemClock(), changed=self._changed,
            refused=lambda path, why: self.refused.append((path.name, why)),
        )  # fmt: skip

    def _changed(self, pods: list[Obj]) -> None:
        self.pods = [f"{name(p)} {p['spec']['containers'][0]['image']}" for p in pods]

    async def until(self, *pods: str) -> None:
        async with asyncio.timeout(10):
            while self.pods != [*pods]:  # noqa: ASYNC110 - inotify is real
                await asyncio.sleep(0.01)


async def test_files_come_change_break_and_go(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "manifests")
    watching = asyncio.create_task(folder.files.run())
    try:
        async with asyncio.timeout(10):
            while not folder.path.is_dir():  # noqa: ASYNC110 - made by the watcher
                await asyncio.sleep(0.01)
        file = folder.path / "web.yaml"
        file.write_bytes(manifest())
        await folder.until("web-node1 main:1")
        moved = tmp_path / "new"
        moved.write_bytes(manifest(image="main:2"))
        moved.rename(file)
        await folder.until("web-node1 main:2")
        file.write_bytes(b"{")
        async with asyncio.timeout(10):
            while not folder.refused:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert folder.pods == ["web-node1 main:2"]
        file.write_bytes(manifest(image="main:3"))
        await folder.until("web-node1 main:3")
        file.unlink()
        await folder.until()
    finally:
        watching.cancel()
    assert [path for path, _ in folder.refused] == ["web.yaml"]


async def test_a_file_that_is_broken_at_the_start_keeps_the_pod_it_made_before(
    tmp_path: Path,
) -> None:
    (tmp_path / "web.yaml").write_bytes(manifest())
    first = Folder(tmp_path)
    await first.files.read()
    (tmp_path / "web.yaml").write_bytes(b"kind: Deployment")
    second = Folder(tmp_path)
    second.files.restore(first.files.good())
    await second.files.read()
    assert second.pods == ["web-node1 main:1"]
    assert len(second.refused) == 1


async def test_what_is_beside_manifests_is_passed_over_or_told(tmp_path: Path) -> None:
    (tmp_path / ".swap").write_bytes(b"{")
    (tmp_path / "folder").mkdir()
    (tmp_path / "a.yaml").write_bytes(manifest())
    (tmp_path / "b.yaml").write_bytes(manifest())
    (tmp_path / "huge").write_bytes(b" " * (1024 * 1024 + 1))
    folder = Folder(tmp_path)
    await folder.files.read()
    assert folder.pods == ["web-node1 main:1"]
    told = dict(folder.refused)
    assert told["b.yaml"].endswith("a.yaml has a pod of the same name")
    assert told["huge"] == "it is larger than 1 MiB"
    assert set(told) == {"b.yaml", "huge"}
