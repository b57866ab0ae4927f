"""netplug as a CNI plugin: ``python -m netplug.cni``, for sandboxes another engine made.

Speaks the CNI specification 1.1: the command in the environment, the configuration as JSON on
stdin, one JSON answer on stdout. It wires one sandbox's link from a range of its own
(``podCIDR``, required; ``mtu`` and ``stateDir`` if wanted); routes between nodes, services and
masquerade are the node's (plugin.py). Leases and links are kept apart from the agent's, so the
two never clear away each other's.
"""

import ipaddress
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from netplug import attach, names, netns
from netplug.ipam import LeaseFile, acquire, release
from netplug.links import Links
from netplug.model import NetplugError

VERSIONS = ("0.4.0", "1.0.0", "1.1.0")
STATE_DIR = "/var/lib/edgek/cni"
DEFAULT_MTU = 1450

# Error codes of the specification; from 100 on a plugin's own.
_BAD_ENVIRONMENT, _UNREADABLE, _BAD_CONFIG, _NOT_AVAILABLE, _KERNEL = 4, 6, 7, 50, 100

Json = dict[str, Any]


class CniError(Exception):
    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


def main() -> int:
    answer, code = run(os.environ, sys.stdin.read())
    if answer is not None:
        print(json.dumps(answer))
    return code


def run(environment: Mapping[str, str], text: str) -> tuple[Json | None, int]:
    """One command; its answer and exit code."""
    version = VERSIONS[-1]
    try:
        config = _config(text)
        version = str(config.get("cniVersion") or version)
        return _dispatch(environment, config, version), 0
    except CniError as err:
        return {"cniVersion": version, "code": err.code, "msg": str(err)}, 1
    except (NetplugError, OSError) as err:
        return {"cniVersion": version, "code": _KERNEL, "msg": str(err)}, 1


def _config(text: str) -> Json:
    try:
        config = json.loads(text)
    except ValueError as err:
        raise CniError(_UNREADABLE, f"configuration is not JSON: {err}") from err
    if not isinstance(config, dict):
        raise CniError(_UNREADABLE, "configuration is not a JSON object")
    return config


def _dispatch(environment: Mapping[str, str], config: Json, version: str) -> Json | None:
    command = environment.get("CNI_COMMAND", "")
    if command == "VERSION":
        return {"cniVersion": version, "supportedVersions": list(VERSIONS)}
    network = _Network(config)
    if command == "STATUS":
        return None
    if command == "GC":
        network.collect(config.get("cni.dev/valid-attachments") or [])
        return None
    container, ifname = _need(environment, "CNI_CONTAINERID"), _need(environment, "CNI_IFNAME")
    key = f"{container}/{ifname}"
    if command == "ADD":
        return network.add(key, Path(_need(environment, "CNI_NETNS")), ifname, version)
    if command == "DEL":
        network.delete(key)
    elif command == "CHECK":
        network.check(key)
    else:
        raise CniError(_BAD_ENVIRONMENT, f"CNI_COMMAND={command!r} is not known")
    return None


def _need(environment: Mapping[str, str], name: str) -> str:
    value = environment.get(name, "")
    if not value:
        raise CniError(_BAD_ENVIRONMENT, f"{name} is not set")
    return value


class _Network:
    def __init__(self, config: Json) -> None:
        name = str(config.get("name") or "")
        if not name or "/" in name or name.startswith("."):
            raise CniError(_BAD_CONFIG, f"name {name!r} is not a network's name")
        try:
            self._cidr = str(ipaddress.IPv4Network(config.get("podCIDR") or ""))
            self._mtu = int(config.get("mtu") or 0)
        except (ValueError, TypeError) as err:
            raise CniError(_BAD_CONFIG, f"podCIDR or mtu: {err}") from err
        state = Path(str(config.get("stateDir") or STATE_DIR))
        self._leases = LeaseFile(state / f"{name}.json")

    def add(self, key: str, net: Path, ifname: str, version: str) -> Json:
        link = names.cni_veth(key)
        with self._leases.locked() as file:
            leases, ip = acquire(file.read(), key, self._cidr)
            file.write(leases)
        with Links() as links:
            mtu = self._mtu or links.mtu(names.VXLAN_LINK) or DEFAULT_MTU
            links.delete(link)
            try:
                netns.enter(net, lambda host: attach.wire_inside(ip, link, mtu, host, ifname))
                attach.wire_outside(ip, link)
            except NetplugError:
                links.delete(link)
                self._release(key)
                raise
        return {
            "cniVersion": version,
            "interfaces": [
                {"name": link, "mac": names.host_mac(ip)},
                {"name": ifname, "mac": names.pod_mac(ip), "sandbox": str(net)},
            ],
            "ips": [{"address": f"{ip}/32", "gateway": names.GATEWAY, "interface": 1}],
            "routes": [{"dst": "0.0.0.0/0", "gw": names.GATEWAY}],
        }

    def delete(self, key: str) -> None:
        """No error where nothing is: engines repeat it until it succeeds."""
        with Links() as links:
            links.delete(names.cni_veth(key))
        self._release(key)

    def check(self, key: str) -> None:
        with self._leases.locked() as file:
            held = file.read().held
        with Links() as links:
            if key not in held or links.index(names.cni_veth(key)) is None:
                raise CniError(_KERNEL, f"{key} is not attached")

    def collect(self, valid: list[Json]) -> None:
        keep = {f"{each.get('containerID')}/{each.get('ifname')}" for each in valid}
        with self._leases.locked() as file:
            stale = file.read().held.keys() - keep
        for key in stale:
            self.delete(key)

    def _release(self, key: str) -> None:
        with self._leases.locked() as file:
            file.write(release(file.read(), key))


if __name__ == "__main__":
    sys.exit(main())
