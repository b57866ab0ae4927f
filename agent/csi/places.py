"""Where drivers expect things: upstream's directories below /var/lib/kubelet, and the records of
what was mounted there. Paths are pure; records are small JSON files, written whole.

As pkg/volume/csi/csi_util.go and csi_block.go.
"""

import contextlib
import hashlib
import json
import logging
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from agent.pods.mounts import mounts_below

log = logging.getLogger(__name__)

CSI = "kubernetes.io~csi"
VOL_DATA = "vol_data.json"
RECORD = "csi.json"
ATTACHMENT = "attachment.json"
"""Beside the record: what the attacher says of the volume, which may be a secret."""
ATTACHED = "edgekAttachedAs"
"""In a staged volume's vol_data.json, beside upstream's keys."""


@dataclass(frozen=True, kw_only=True)
class Record:
    """One volume of one pod as it was published. ``staging`` is "" where the driver does not
    stage, ``attached`` the name in volumesInUse where it is attached."""

    driver: str
    handle: str
    spec_name: str
    target: str
    staging: str
    ephemeral: bool
    block: bool
    attached: str
    pod_name: str
    pod_namespace: str
    pod_uid: str


class Staged(NamedTuple):
    driver: str
    handle: str
    path: Path
    attached: str


@dataclass(frozen=True, kw_only=True)
class Places:
    """``root``: /var/lib/kubelet; ``pod_root``: where the agent keeps pods' directories."""

    root: Path
    pod_root: Path

    @property
    def registry(self) -> Path:
        return self.root / "plugins_registry"

    @property
    def plugins(self) -> Path:
        return self.root / "plugins"

    @property
    def pods(self) -> Path:
        return self.root / "pods"

    @property
    def _own(self) -> Path:
        return self.plugins / "kubernetes.io" / "csi"

    def staging(self, driver: str, handle: str) -> Path:
        digest = hashlib.sha256(handle.encode()).hexdigest()
        return self._own / driver / digest / "globalmount"

    def target(self, pod_uid: str, spec_name: str) -> Path:
        return self.pods / pod_uid / "volumes" / CSI / spec_name / "mount"

    def block_staging(self, spec_name: str) -> Path:
        return self._own / "volumeDevices" / "staging" / spec_name

    def block_target(self, pod_uid: str, spec_name: str) -> Path:
        return self._own / "volumeDevices" / "publish" / spec_name / pod_uid

    def records(self) -> Iterator[Record]:
        """Of all pods of this node."""
        for file in self.pod_root.glob(f"*/volumes/csi/*/{RECORD}"):
            if (found := read_record(file.parent)) is not None:
                yield found

    def staged(self) -> Iterator[Staged]:
        """All that was staged, in use or not."""
        for file in self._own.glob(f"*/*/{VOL_DATA}"):
            yield from _staged(file, file.parent / "globalmount")
        for file in self._own.glob(f"volumeDevices/*/data/{VOL_DATA}"):
            yield from _staged(file, self.block_staging(file.parent.parent.name))

    def data_of(self, staging: Path) -> Path:
        """The vol_data.json of a staged volume."""
        if staging.name == "globalmount":
            return staging.parent / VOL_DATA
        return self._own / "volumeDevices" / staging.name / "data" / VOL_DATA


def _staged(file: Path, path: Path) -> Iterator[Staged]:
    data = _read(file)
    if data.get("driverName") and data.get("volumeHandle"):
        yield Staged(data["driverName"], data["volumeHandle"], path, data.get(ATTACHED) or "")


def read_record(directory: Path) -> Record | None:
    data = _read(directory / RECORD)
    try:
        return Record(**data) if data else None
    except TypeError:  # written by another version
        return None


def read_attachment(directory: Path) -> dict[str, str] | None:
    file = directory / ATTACHMENT
    return _read(file) if file.exists() else None


def write_record(directory: Path, record: Record) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    write_json(directory / RECORD, asdict(record))


def write_json(file: Path, data: object) -> None:
    """Whole or not at all; readable by root alone."""
    file.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
    new = file.with_name(f".{file.name}.new")
    new.touch(mode=0o600)
    new.write_text(json.dumps(data))
    new.replace(file)


def _read(file: Path) -> dict[str, Any]:
    try:
        data = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}


def remove_target(target: Path) -> None:
    """What a driver was given to mount on, once nothing is mounted there. Data that a driver left
    in it all the same is not ours to delete, and no reason to keep a pod."""
    try:
        if target.is_dir() and not target.is_symlink():
            target.rmdir()
        else:
            target.unlink(missing_ok=True)
    except OSError as err:
        log.warning("mount point not removed path=%s err=%s", target, err)


def remove_empty(path: Path, *, up_to: Path) -> None:
    """The directory and those above it, as far as they are empty and below ``up_to``."""
    while path != up_to and up_to in path.parents:
        try:
            path.rmdir()
        except FileNotFoundError:
            pass
        except OSError:
            return
        path = path.parent


def remove_leftovers(root: Path) -> None:
    """When the agent leaves this machine for good and nothing is mounted here any more: our notes
    and empty directories. What a driver keeps here is its own."""
    if mounts_below(root):
        return
    for file in root.rglob(VOL_DATA):
        if "kubernetes.io" in file.parts or CSI in file.parts:
            file.unlink(missing_ok=True)
    for directory, _, _ in os.walk(root, topdown=False):
        with contextlib.suppress(OSError):  # not empty
            Path(directory).rmdir()
