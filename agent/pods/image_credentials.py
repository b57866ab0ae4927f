"""Which credentials an image is pulled with. Pure but for the look for Podman's own files.

As pkg/credentialprovider/keyring.go: entries of the Secrets' docker configs fit by host, with
wildcards in its labels, port and the beginning of the path; the most specific come first. After
them comes what the node itself knows: Podman's auth.json, which Podman reads.
"""

import base64
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from agent.pods.sources import Lookup, NotSynced
from agent.runtime.reference import normalize_reference
from edgek.api.meta import Obj, get_path, namespace
from edgek.kinds import SECRET

Auth = Mapping[str, str]
"""username and password; empty for what the node itself knows, or nothing."""
OWN: Auth = {}
DOCKER_HUB = "index.docker.io"
NODE_FILES = (
    Path("/run/containers/0/auth.json"),
    Path("/root/.config/containers/auth.json"),
    Path("/root/.docker/config.json"),
)
"""Where Podman looks for the credentials of root."""


def credentials_for(pod: Obj, reference: str, lookup: Lookup) -> list[Auth]:
    """What to try in turn, for as much of the pod's pull secrets as is known."""
    secrets = [found for _, found in _pull_secrets(pod, lookup) if found is not None]
    found_here = credentials(secrets, reference)
    return [*found_here, OWN] if found_here and _node_has_some() else found_here


def missing_secrets(pod: Obj, lookup: Lookup) -> list[str]:
    """The pod's pull secrets that do not exist."""
    return [of for of, found in _pull_secrets(pod, lookup) if found is None]


def _pull_secrets(pod: Obj, lookup: Lookup) -> Iterator[tuple[str, Obj | None]]:
    """As getPullSecretsForPod: an entry without a name, which validation lets pass, is nothing."""
    for ref in get_path(pod, "spec", "imagePullSecrets", default=[]):
        if of := ref.get("name"):
            with suppress(NotSynced):
                yield of, lookup(SECRET, namespace(pod), of)


def credentials(secrets: Iterable[Obj], reference: str) -> list[Auth]:
    """Usernames and passwords from dockerconfigjson and dockercfg Secrets that fit the image."""
    image = _repository(normalize_reference(reference))
    ring: dict[str, list[Auth]] = {}
    for secret in secrets:
        for server, entry in _entries(secret.get("data") or {}):
            with suppress(ValueError, AttributeError, TypeError):
                ring.setdefault(_key(server), []).append(_auth(entry))
    found = [a for key in sorted(ring, reverse=True) if fits(key, image) for a in ring[key]]
    if not found and image.startswith("docker.io/"):
        found = ring.get(DOCKER_HUB, [])
    return [auth for at, auth in enumerate(found) if auth not in found[:at]]


def fits(entry: str, image: str) -> bool:
    """Whether an entry (``*.example.com:5000/team``) is for an image's repository. Pure."""
    entry_host, _, entry_path = entry.partition("/")
    host, _, path = image.partition("/")
    if not path.startswith(entry_path):
        return False
    entry_name, _, entry_port = entry_host.partition(":")
    name, _, port = host.partition(":")
    labels, own = entry_name.split("."), name.split(".")
    if entry_port != port or len(labels) != len(own):
        return False
    return all(fnmatchcase(theirs, pattern) for pattern, theirs in zip(labels, own, strict=True))


def _entries(data: Mapping[str, str]) -> Iterator[tuple[str, Any]]:
    """As the kubelet: a Secret that cannot be read gives no credentials."""
    for key, wrapped in ((".dockerconfigjson", True), (".dockercfg", False)):
        with suppress(ValueError, AttributeError, TypeError):
            config = json.loads(base64.b64decode(data.get(key) or ""))
            yield from ((config.get("auths") or {}) if wrapped else config).items()


def _key(server: str) -> str:
    """The host and the path below it; ``/v1/`` and ``/v2/`` say nothing."""
    text = server.removeprefix("https://").removeprefix("http://")
    host, slash, path = text.partition("/")
    rest = slash + path
    if rest.startswith(("/v1/", "/v2/")):
        rest = rest[3:]
    return host if rest in ("", "/") else host + rest


def _auth(entry: Mapping[str, str]) -> Auth:
    if entry.get("auth"):
        username, colon, password = base64.b64decode(entry["auth"]).decode().partition(":")
        if not colon:
            raise ValueError("no username and password")
        return {"username": username, "password": password.rstrip("\0")}
    return {"username": entry.get("username", ""), "password": entry.get("password", "")}


def _repository(reference: str) -> str:
    head, slash, last = reference.partition("@")[0].rpartition("/")
    return head + slash + last.partition(":")[0]


def _node_has_some() -> bool:
    return any(os.path.exists(path) for path in NODE_FILES)
