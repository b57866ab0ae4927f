"""Defaults of a pod's volumes, in place and idempotent (upstream: core/v1/defaults.go)."""

from edgek.api.meta import Obj
from edgek.kinds.pull_policy import pull_policy_for
from edgek.kinds.strategy import ensure, set_default

DEFAULT_MODE = 0o644
TOKEN_SECONDS = 3600
WITH_MODE = ("secret", "configMap", "downwardAPI", "projected")


def default_volume(volume: Obj) -> None:
    if not any(value is not None for field, value in volume.items() if field != "name"):
        volume["emptyDir"] = {}
    for source in WITH_MODE:
        if (found := volume.get(source)) is not None and found.get("defaultMode") is None:
            found["defaultMode"] = DEFAULT_MODE
    if (host_path := volume.get("hostPath")) and host_path.get("type") is None:
        host_path["type"] = ""
    _default_items((volume.get("downwardAPI") or {}).get("items"))
    for source in (volume.get("projected") or {}).get("sources") or ():
        _default_projection(source)
    if image := volume.get("image"):
        _default_image(image)
    if claim := (volume.get("ephemeral") or {}).get("volumeClaimTemplate"):
        set_default(ensure(claim, "spec"), "volumeMode", "Filesystem")


def _default_projection(source: Obj) -> None:
    _default_items((source.get("downwardAPI") or {}).get("items"))
    token = source.get("serviceAccountToken")
    if token is not None and token.get("expirationSeconds") is None:
        token["expirationSeconds"] = TOKEN_SECONDS


def _default_items(items: list[Obj] | None) -> None:
    for item in items or ():
        if field := item.get("fieldRef"):
            set_default(field, "apiVersion", "v1")
        if resource := item.get("resourceFieldRef"):
            set_default(resource, "divisor", "0")


def _default_image(image: Obj) -> None:
    set_default(image, "pullPolicy", pull_policy_for(image.get("reference") or ""))
