"""A small CSI driver of our own: volumes are directories of the node, mounted with --bind.

It announces itself as node-driver-registrar does, over Google's gRPC library. Run in a process, on
the node or in a privileged pod of it:

    python -m tests.support.csi_driver --kubelet /var/lib/kubelet --store /var/lib/kubelet/disks

or in a test's own process, with ``Mounter`` replaced. Every call is a line of JSON in
``<store>/calls`` (and in ``calls``). The file ``<store>/fail`` holds the name of a method that is
to be refused, ``<store>/hang`` of one that is to hang.
"""

import argparse
import contextlib
import json
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from agent.csi.messages import csi_messages
from tests.support.grpc_server import Refusal, grpc_server

NAME = "disks.edgek.test"
Message = dict[str, Any]


class Binds:
    """Real mounts."""

    def bind(self, source: Path, target: Path) -> None:
        if source.is_dir():
            target.mkdir(parents=True, exist_ok=True)
        else:
            target.touch()
        if not self.mounted(target):
            subprocess.run(["/usr/bin/mount", "--bind", source, target], check=True)

    def unbind(self, target: Path) -> None:
        if self.mounted(target):
            subprocess.run(["/usr/bin/umount", target], check=True)
        if target.is_dir():
            target.rmdir()
        else:
            target.unlink(missing_ok=True)

    def mounted(self, target: Path) -> bool:
        points = (line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines())
        return str(target) in points


class Links:
    """For tests that may not mount: the target is a link."""

    def bind(self, source: Path, target: Path) -> None:
        if target.is_dir() and not target.is_symlink():
            target.rmdir()
        if not target.is_symlink():
            target.symlink_to(source)

    def unbind(self, target: Path) -> None:
        if target.is_dir() and not target.is_symlink():
            target.rmdir()
        else:
            target.unlink(missing_ok=True)


class CsiDriver:
    def __init__(
        self,
        kubelet: Path,
        store: Path,
        *,
        mounter: Any = None,
        name: str = NAME,
        capabilities: tuple[int, ...] = (1, 2, 3),
        topology: dict[str, str] | None = None,
    ) -> None:
        self.name, self.store = name, store
        self.socket = kubelet / "plugins" / name / "csi.sock"
        self.registrar = kubelet / "plugins_registry" / f"{name}-reg.sock"
        self.calls: list[tuple[str, Message]] = []
        self.told: list[Message] = []
        self.versions = ["1.0.0"]
        self.kind = "CSIPlugin"
        self.hold = threading.Event()
        """Set: calls that hang go on."""
        self.mounter = mounter or Binds()
        self._capabilities = capabilities
        self._topology = topology or {f"{name}/rack": "r1"}

    # -- serving ---------------------------------------------------------------------------

    @contextlib.contextmanager
    def running(self) -> Iterator["CsiDriver"]:
        for path in (self.socket, self.registrar):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
        self.store.mkdir(parents=True, exist_ok=True)
        with (
            grpc_server(dict(self._node()), f"unix:{self.socket}"),
            grpc_server(dict(self._registration()), f"unix:{self.registrar}"),
        ):
            try:
                yield self
            finally:
                self.hold.set()
                self.registrar.unlink(missing_ok=True)

    def _registration(self) -> Iterator[tuple[str, Callable[[bytes], bytes]]]:
        codec = csi_messages()

        def info(request: bytes) -> bytes:
            return codec.encode(
                "PluginInfo",
                {
                    "type": self.kind,
                    "name": self.name,
                    "endpoint": str(self.socket),
                    "supported_versions": self.versions,
                },
            )

        def notify(request: bytes) -> bytes:
            self.told.append(codec.decode("RegistrationStatus", request))
            return b""

        yield "/pluginregistration.Registration/GetInfo", info
        yield "/pluginregistration.Registration/NotifyRegistrationStatus", notify

    def _node(self) -> Iterator[tuple[str, Callable[[bytes], bytes]]]:
        for method in ("NodeGetInfo", "NodeGetCapabilities", "NodeStageVolume",
                       "NodeUnstageVolume", "NodePublishVolume", "NodeUnpublishVolume",
                       "NodeExpandVolume", "NodeGetVolumeStats"):  # fmt: skip
            yield f"/csi.v1.Node/{method}", lambda request, m=method: self._answer(m, request)

    def _answer(self, method: str, request: bytes) -> bytes:
        codec = csi_messages()
        message = codec.decode(f"{method}Request", request)
        self.calls.append((method, message))
        with (self.store / "calls").open("a") as file:
            file.write(json.dumps({"method": method, **message}) + "\n")
        self._misbehave(method)
        answer = getattr(self, f"_{method}")(message) or {}
        return codec.encode(f"{method}Response", answer)

    def _misbehave(self, method: str) -> None:
        for file in (self.store / "fail", self.store / "hang"):
            if file.exists() and file.read_text().strip() == method:
                if file.name == "hang":
                    self.hold.wait(300)
                raise Refusal("INTERNAL", f"{method} is not to be")

    # -- the Node service ------------------------------------------------------------------

    def _NodeGetInfo(self, message: Message) -> Message:
        return {
            "node_id": "id-of-this-node", "max_volumes_per_node": 7,
            "accessible_topology": {"segments": self._topology},
        }  # fmt: skip

    def _NodeGetCapabilities(self, message: Message) -> Message:
        return {"capabilities": [{"rpc": {"type": kind}} for kind in self._capabilities]}

    def _NodeGetVolumeStats(self, message: Message) -> Message:
        size = {"total": 1 << 30, "used": 1 << 20, "available": (1 << 30) - (1 << 20), "unit": 1}
        return {"usage": [size, {"total": 100, "used": 3, "available": 97, "unit": 2}]}

    def _NodeStageVolume(self, message: Message) -> None:
        if "block" in message["volume_capability"]:
            return
        disk = self.store / message["volume_id"]
        disk.mkdir(exist_ok=True)
        self.mounter.bind(disk, Path(message["staging_target_path"]))

    def _NodeUnstageVolume(self, message: Message) -> None:
        self.mounter.unbind(Path(message["staging_target_path"]))

    def _NodePublishVolume(self, message: Message) -> None:
        source = message.get("staging_target_path")
        if "block" in message["volume_capability"]:
            source = Path("/dev/zero")  # any device will do
        elif not source:  # an ephemeral one, made here
            source = self.store / message["volume_id"]
            source.mkdir(exist_ok=True)
            (source / "context").write_text(json.dumps(message.get("volume_context") or {}))
        self.mounter.bind(Path(source), Path(message["target_path"]))

    def _NodeUnpublishVolume(self, message: Message) -> None:
        self.mounter.unbind(Path(message["target_path"]))

    def _NodeExpandVolume(self, message: Message) -> Message:
        return {"capacity_bytes": message["capacity_range"]["required_bytes"]}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--kubelet", type=Path, required=True)
    parser.add_argument("--store", type=Path, required=True)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda number, frame: exit(0))
    with CsiDriver(options.kubelet, options.store).running():
        while True:
            time.sleep(60)


if __name__ == "__main__":
    main()
