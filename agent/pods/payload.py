"""The files of configMap, secret, downwardAPI and projected volumes, and how they are swapped.

Pure but for ``write_payload``, which replaces a whole volume at once: readers see either all old
or all new files (as pkg/volume/util AtomicWriter: a timestamped directory behind ``..data``).
"""

import os
import secrets
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from agent.pods.environment import (
    ConfigError,
    Surroundings,
    data_of,
    read_field_ref,
    read_resource,
    referred,
)
from agent.pods.trust_bundles import trust_file
from edgek.api.meta import Obj, get_path
from edgek.kinds import CONFIG_MAP, SECRET
from edgek.kinds.kind import Kind
from edgek.kinds.pods import containers, init_containers

DEFAULT_MODE = 0o644


class File(NamedTuple):
    data: bytes
    mode: int
    user: int | None = None
    """Who owns it; None for root."""


Payload = dict[str, File]
Token = Callable[[Obj], bytes]
"""A projected serviceAccountToken source -> the token."""


def volume_payload(pod: Obj, volume: Obj, around: Surroundings, *, token: Token) -> Payload | None:
    """The files of a volume that is made of API objects; None for other volumes."""
    if "configMap" in volume:
        return _of_object(pod, CONFIG_MAP, volume["configMap"], around)
    if "secret" in volume:
        source = volume["secret"]
        return _of_object(pod, SECRET, source | {"name": source.get("secretName", "")}, around)
    if "downwardAPI" in volume:
        return _of_fields(pod, volume["downwardAPI"], around)
    if "projected" in volume:
        return _projected(pod, volume["projected"], around, token=token)
    return None


def _projected(pod: Obj, projected: Obj, around: Surroundings, *, token: Token) -> Payload:
    mode = projected.get("defaultMode", DEFAULT_MODE)
    out: Payload = {}
    for source in projected.get("sources") or ():
        if "serviceAccountToken" in source:
            own = source["serviceAccountToken"]
            out[own["path"]] = _token_file(pod, token(own), mode)
        elif "configMap" in source:
            own = {"defaultMode": mode} | source["configMap"]
            out |= _of_object(pod, CONFIG_MAP, own, around)
        elif "secret" in source:
            out |= _of_object(pod, SECRET, {"defaultMode": mode} | source["secret"], around)
        elif "clusterTrustBundle" in source:
            own = source["clusterTrustBundle"]
            file = trust_file(own, lookup=around.lookup, by_signer=around.bundles)
            out[own["path"]] = File(file, mode)
        elif "downwardAPI" in source:
            out |= _of_fields(pod, {"defaultMode": mode} | source["downwardAPI"], around)
        else:
            raise ConfigError(f"projected volume source {', '.join(source)} is not supported")
    return out


def _token_file(pod: Obj, token: bytes, mode: int) -> File:
    """As projected.go: private to the one user of the pod, or its fsGroup, where it has such."""
    user = pod_user(pod)
    private = user is not None or "fsGroup" in (pod["spec"].get("securityContext") or {})
    return File(token, 0o600 if private else mode, user)


def pod_user(pod: Obj) -> int | None:
    """The user that every container runs as; None where they differ or leave it to their image.
    As FsUserFrom."""
    of_pod = get_path(pod, "spec", "securityContext", "runAsUser")
    every = (*containers(pod), *init_containers(pod))
    users = {get_path(c, "securityContext", "runAsUser", default=of_pod) for c in every}
    return users.pop() if len(users) == 1 else None


_NO_KEY = {
    CONFIG_MAP: "configmap references non-existent config key: ",
    SECRET: "references non-existent secret key: ",
}


def _of_object(pod: Obj, kind: Kind, source: Obj, around: Surroundings) -> Payload:
    mode = source.get("defaultMode", DEFAULT_MODE)
    entries = data_of(referred(pod, kind, source, around.lookup))
    if not source.get("items"):
        return {key: File(data, mode) for key, data in entries.items()}
    out: Payload = {}
    for item in source["items"]:
        if item["key"] in entries:
            out[item["path"]] = File(entries[item["key"]], item.get("mode", mode))
        elif not source.get("optional"):
            raise ConfigError(_NO_KEY[kind] + item["key"])
    return out


def _of_fields(pod: Obj, source: Obj, around: Surroundings) -> Payload:
    mode = source.get("defaultMode", DEFAULT_MODE)
    out: Payload = {}
    for item in source.get("items") or ():
        if "fieldRef" in item:
            text = read_field_ref(pod, item["fieldRef"]["fieldPath"], around=around)
        else:
            text = read_resource(pod, {}, item["resourceFieldRef"], around=around)
        out[item["path"]] = File(text.encode(), item.get("mode", mode))
    return out


def write_payload(directory: Path, payload: Mapping[str, File], *, gid: int | None = None) -> bool:
    """Makes the volume hold exactly these files; False where it does so already."""
    data = directory / "..data"
    if _same(data, payload):
        return False
    # By these names programs know what to pass over.
    stamp = time.strftime("%Y_%m_%d_%H_%M_%S", time.gmtime())
    fresh = directory / f"..{stamp}.{secrets.randbelow(10**10)}"
    fresh.mkdir(mode=0o755)
    for name, file in payload.items():
        _write(fresh, name, file, gid=gid)
    old = directory / os.readlink(data) if data.is_symlink() else None
    link = directory / "..data_tmp"
    link.unlink(missing_ok=True)
    link.symlink_to(fresh.name)
    link.replace(data)
    _link_tops(directory, {name.split("/")[0] for name in payload})
    if old is not None:
        shutil.rmtree(old, ignore_errors=True)
    return True


def _same(data: Path, payload: Mapping[str, File]) -> bool:
    if not data.is_dir():
        return False
    found = {str(p.relative_to(data)): p for p in data.rglob("*") if p.is_file()}
    return found.keys() == payload.keys() and all(
        found[name].read_bytes() == file.data for name, file in payload.items()
    )


def _write(fresh: Path, name: str, file: File, *, gid: int | None) -> None:
    path = fresh / name
    if ".." in Path(name).parts or Path(name).is_absolute():
        raise ConfigError(f"invalid path in volume: {name}")
    path.parent.mkdir(parents=True, exist_ok=True)
    mode = file.mode if gid is None else file.mode | 0o440
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as out:
        out.write(file.data)
        if gid is not None or file.user is not None:
            os.fchown(out.fileno(), -1 if file.user is None else file.user,
                      -1 if gid is None else gid)  # fmt: skip
        os.fchmod(out.fileno(), mode)


def _link_tops(directory: Path, names: set[str]) -> None:
    """What users see: name -> ..data/name; names that are no more go last."""
    for name in names:
        path = directory / name
        if not path.is_symlink():
            path.symlink_to(f"..data/{name}")
    for path in directory.iterdir():
        if not path.name.startswith("..") and path.name not in names:
            path.unlink()
