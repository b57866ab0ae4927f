"""Kubeconfig files: which cluster, as whom, in which namespace.

Several files are merged as client-go does (the first to name a thing wins); relative paths in a
file are relative to that file. Everything wrong is a KubeconfigError of one line. Credential
plugins (``exec``, ``auth-provider``) are not supported and say so.
"""

import base64
import binascii
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from edgek.api.meta import Obj
from edgek.client.http import Access
from edgek.roles import UsageError

ADMIN_KUBECONFIG = Path("/etc/edgek/edgek.yaml")


class KubeconfigError(UsageError):
    """What the user must mend in a kubeconfig, in one line."""


@dataclass(frozen=True, kw_only=True)
class Kubeconfig:
    """One context, resolved."""

    context: str
    namespace: str
    access: Access


def default_paths(env: Mapping[str, str]) -> list[Path]:
    """$KUBECONFIG's files, else ~/.kube/config, else the admin's file that a server writes."""
    if env.get("KUBECONFIG"):
        return [Path(p) for p in env["KUBECONFIG"].split(os.pathsep) if p]
    own = Path(env.get("HOME") or "~").expanduser() / ".kube" / "config"
    return [own if own.exists() or not os.access(ADMIN_KUBECONFIG, os.R_OK) else ADMIN_KUBECONFIG]


def load_kubeconfig(
    path: str | Path = "", *, context: str = "", env: Mapping[str, str] | None = None
) -> Kubeconfig:
    """The context named, else the current one, of ``path`` or the default files."""
    paths = [Path(path)] if path else default_paths(os.environ if env is None else env)
    config = merge([(p, _read(p)) for p in paths if path or len(paths) == 1 or p.exists()])
    return resolve(config, context=context)


def _read(path: Path) -> Obj:
    import yaml

    try:
        config = yaml.safe_load(path.read_text())
    except FileNotFoundError:
        raise KubeconfigError(f"no kubeconfig at {path}; set KUBECONFIG or --kubeconfig") from None
    except (OSError, UnicodeDecodeError) as err:
        raise KubeconfigError(f"cannot read kubeconfig {path}: {err}") from None
    except yaml.YAMLError as err:
        where = str(getattr(err, "problem_mark", "")).strip()
        raise KubeconfigError(f"kubeconfig {path} is not YAML: {where}") from None
    if config is not None and not isinstance(config, dict):
        raise KubeconfigError(f"kubeconfig {path} is not a mapping")
    return config or {}


def merge(files: Iterable[tuple[Path, Obj]]) -> Obj:
    """One config from several; entries carry the directory that their paths are relative to."""
    merged: Obj = {"current-context": "", "clusters": {}, "users": {}, "contexts": {}}
    for path, config in files:
        merged["current-context"] = merged["current-context"] or config.get("current-context", "")
        for plural, singular in (("clusters", "cluster"), ("users", "user"),
                                 ("contexts", "context")):  # fmt: skip
            for entry in config.get(plural) or []:
                if not isinstance(entry, dict) or "name" not in entry:
                    raise KubeconfigError(f"kubeconfig {path}: an entry of {plural} has no name")
                value = (entry.get(singular) or {}) | {"_dir": path.parent}
                merged[plural].setdefault(entry["name"], value)
    return merged


def resolve(config: Obj, *, context: str = "") -> Kubeconfig:
    name = context or config["current-context"]
    if not name:
        raise KubeconfigError("the kubeconfig has no current-context; name one with --context")
    chosen = _entry(config, "contexts", name, "")
    cluster = _entry(config, "clusters", chosen.get("cluster", ""), f"context {name!r}")
    user_name = chosen.get("user", "")
    user = _entry(config, "users", user_name, f"context {name!r}") if user_name else {}
    if "server" not in cluster:
        raise KubeconfigError(f"cluster {chosen['cluster']!r} of the kubeconfig has no server")
    return Kubeconfig(
        context=name,
        namespace=chosen.get("namespace") or "default",
        access=_access(cluster, user, user_name=user_name),
    )


def _entry(config: Obj, plural: str, name: str, used_by: str) -> Obj:
    found: Obj | None = config[plural].get(name)
    if found is None:
        by = f", which {used_by} names" if used_by else ""
        raise KubeconfigError(f"the kubeconfig has no {plural[:-1]} {name!r}{by}")
    return found


def _access(cluster: Obj, user: Obj, *, user_name: str) -> Access:
    for plugin in ("exec", "auth-provider"):
        if user.get(plugin):
            raise KubeconfigError(
                f"user {user_name!r} of the kubeconfig uses {plugin!r}, which is not supported"
            )
    token_file = user.get("tokenFile", "")
    access = Access(
        server=str(cluster["server"]),
        ca=_data(cluster, "certificate-authority"),
        client_cert=_data(user, "client-certificate"),
        client_key=_data(user, "client-key"),
        token=str(user.get("token") or ""),
        token_file=str(user["_dir"] / token_file) if token_file else "",
        insecure=bool(cluster.get("insecure-skip-tls-verify")),
        server_name=str(cluster.get("tls-server-name") or ""),
    )
    if bool(access.client_cert) != bool(access.client_key):
        raise KubeconfigError(
            f"user {user_name!r} of the kubeconfig needs both client-certificate and client-key"
        )
    return access


def _data(entry: Obj, field: str) -> bytes:
    """``<field>-data`` as base64, else the file that ``<field>`` names."""
    try:
        if entry.get(f"{field}-data"):
            return base64.b64decode(entry[f"{field}-data"], validate=True)
        if entry.get(field):
            return Path(entry["_dir"] / entry[field]).read_bytes()
    except (binascii.Error, ValueError, TypeError):
        raise KubeconfigError(f"{field}-data in the kubeconfig is not base64") from None
    except OSError as err:
        raise KubeconfigError(f"cannot read the {field} of the kubeconfig: {err}") from None
    return b""
