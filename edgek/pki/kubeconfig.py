"""A kubeconfig with everything embedded, so that it can be copied to another machine as it is."""

import base64
import json
from typing import Any

from edgek.pki.certificates import KeyPair


def build_kubeconfig(*, server: str, ca: bytes, client: KeyPair, name: str = "default") -> bytes:
    """One cluster, one user, one context, all called ``name``."""
    config: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": name, "cluster": {"server": server, "certificate-authority-data": _b64(ca)}}
        ],
        "users": [
            {
                "name": name,
                "user": {
                    "client-certificate-data": _b64(client.certificate),
                    "client-key-data": _b64(client.key),
                },
            }
        ],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
        "preferences": {},
    }
    return "".join(f"{line}\n" for line in _yaml(config)).encode()


def _yaml(value: Any, indent: str = "") -> list[str]:
    """Enough YAML for the shape above; JSON scalars are YAML scalars."""
    out: list[str] = []
    for key, item in value.items():
        if isinstance(item, dict) and item:
            out += [f"{indent}{key}:", *_yaml(item, indent + "  ")]
        elif isinstance(item, list):
            out.append(f"{indent}{key}:")
            for entry in item:
                first, *rest = _yaml(entry, indent + "  ")
                out += [f"{indent}- {first.strip()}", *rest]
        else:
            out.append(f"{indent}{key}: {json.dumps(item)}")
    return out


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()
