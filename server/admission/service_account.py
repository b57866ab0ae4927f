"""ServiceAccount: every pod runs as an account that exists, and finds its token where it looks.

As plugin/pkg/admission/serviceaccount. The token comes as a projected volume
``kube-api-access-xxxxx`` that the agent fills and renews.
"""

import asyncio
import random
from collections.abc import Callable
from typing import Any

from edgek.api.meta import Key, Obj, annotations
from edgek.kinds.pod import POD
from edgek.kinds.service_account import SERVICE_ACCOUNT
from server.admission.chain import Attributes
from server.admission.refusal import forbidden
from server.request.reader import Reader

DEFAULT = "default"
MIRROR = "kubernetes.io/config.mirror"
MOUNT_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"
VOLUME_PREFIX = "kube-api-access-"
TOKEN_SECONDS = 3607
_TRIES = 10


def _suffix() -> str:
    return "".join(random.choices("bcdfghjklmnpqrstvwxz2456789", k=5))


class ServiceAccount:
    kinds = (POD,)

    def __init__(self, reader: Reader, *, suffix: Callable[[], str] = _suffix) -> None:
        self._reader = reader
        self._suffix = suffix

    async def admit(self, attributes: Attributes) -> None:
        if not _is_new_pod(attributes) or MIRROR in annotations(attributes.obj):
            return
        spec = attributes.obj["spec"]
        spec["serviceAccountName"] = spec.get("serviceAccountName") or DEFAULT
        spec["serviceAccount"] = spec["serviceAccountName"]  # its deprecated name, still read
        account = await self._account(attributes, spec["serviceAccountName"])
        if _automounts(spec, account):
            _mount_token(spec, self._suffix)
        if not spec.get("imagePullSecrets") and account.get("imagePullSecrets"):
            spec["imagePullSecrets"] = [dict(ref) for ref in account["imagePullSecrets"]]

    async def validate(self, attributes: Attributes) -> None:
        """A mirror pod stands for a static one, which can have no account."""
        if not _is_new_pod(attributes) or MIRROR not in annotations(attributes.obj):
            return
        if attributes.obj["spec"].get("serviceAccountName"):
            raise forbidden(attributes, "a mirror pod may not reference service accounts")

    async def _account(self, attributes: Attributes, name: str) -> Obj:
        """Waits a second at most for "default", which a controller makes when it sees a new
        namespace: "create namespace, create pod" must work, and upstream waits just so."""
        key = Key(attributes.namespace, name)
        for _ in range(_TRIES if name == DEFAULT else 1):
            account = self._reader.get(SERVICE_ACCOUNT, key)
            if account is not None:
                return account
            if name == DEFAULT:
                await asyncio.sleep(random.uniform(0.05, 0.1))
        why = f'error looking up service account {key}: serviceaccount "{name}" not found'
        raise forbidden(attributes, why)


def _is_new_pod(attributes: Attributes) -> bool:
    a = attributes
    return a.kind == POD and not a.subresource and a.operation == "CREATE"


def _automounts(spec: Obj, account: Obj) -> bool:
    """The pod decides, then the account; by default it is mounted."""
    for source in (spec, account):
        wanted = source.get("automountServiceAccountToken")
        if wanted is not None:
            return bool(wanted)
    return True


def _mount_token(spec: Obj, suffix: Callable[[], str]) -> None:
    """Containers that mount something there already keep it."""
    volumes = spec.get("volumes") or []
    present = next((v["name"] for v in volumes if v["name"].startswith(VOLUME_PREFIX)), "")
    volume = present or VOLUME_PREFIX + suffix()
    mount = {"name": volume, "readOnly": True, "mountPath": MOUNT_PATH}
    mounted = False
    for group in ("initContainers", "containers"):
        for container in spec.get(group) or ():
            mounts = container.get("volumeMounts") or []
            if not any(m.get("mountPath") == MOUNT_PATH for m in mounts):
                container["volumeMounts"] = [*mounts, dict(mount)]
                mounted = True
    if mounted and not present:
        spec["volumes"] = [*volumes, token_volume(volume)]


def token_volume(name: str) -> Obj:
    sources: list[dict[str, Any]] = [
        {"serviceAccountToken": {"expirationSeconds": TOKEN_SECONDS, "path": "token"}},
        {
            "configMap": {
                "name": "kube-root-ca.crt",
                "items": [{"key": "ca.crt", "path": "ca.crt"}],
            }
        },
        {
            "downwardAPI": {
                "items": [
                    {
                        "path": "namespace",
                        "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"},
                    }
                ]
            }
        },
    ]
    return {"name": name, "projected": {"sources": sources, "defaultMode": 0o644}}
