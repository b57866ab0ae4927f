"""Kubeconfig files as users have them, and what is said of broken ones."""

import base64
import os
from pathlib import Path

import pytest
import yaml

from edgek.client.http import Access
from edgek.client.kubeconfig import KubeconfigError, load_kubeconfig


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def write(path: Path, **changes: object) -> Path:
    config: dict[str, object] = {
        "current-context": "home",
        "clusters": [{"name": "c", "cluster": {"server": "https://h:6443",
                                               "certificate-authority": "ca.pem"}}],
        "users": [{"name": "u", "user": {"client-certificate-data": b64("cert"),
                                         "client-key-data": b64("key")}}],
        "contexts": [{"name": "home", "context": {"cluster": "c", "user": "u",
                                                  "namespace": "ns"}}],
    }  # fmt: skip
    path.write_text(yaml.safe_dump(config | changes))
    return path


def test_embedded_data_and_files_beside_it_are_read(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("ca")
    got = load_kubeconfig(write(tmp_path / "config"))
    assert (got.context, got.namespace) == ("home", "ns")
    assert got.access == Access(
        server="https://h:6443", ca=b"ca", client_cert=b"cert", client_key=b"key"
    )


def test_files_of_the_variable_are_merged_and_the_first_wins(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("ca")
    first = tmp_path / "first"
    first.write_text(yaml.safe_dump({
        "current-context": "other",
        "contexts": [{"name": "other", "context": {"cluster": "c", "user": "t"}}],
        "users": [{"name": "t", "user": {"token": "tok"}}],
    }))  # fmt: skip
    second = write(tmp_path / "second")
    missing = tmp_path / "missing"
    env = {"KUBECONFIG": os.pathsep.join(map(str, (first, missing, second)))}
    got = load_kubeconfig(env=env)
    assert (got.access.token, got.access.server) == ("tok", "https://h:6443")
    assert load_kubeconfig(env=env, context="home").access.client_cert == b"cert"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"current-context": "gone"}, "no context 'gone'"),
        ({"current-context": ""}, "no current-context"),
        ({"clusters": []}, "no cluster 'c', which context 'home' names"),
        ({"clusters": [{"name": "c", "cluster": {}}]}, "has no server"),
        ({"clusters": [{"cluster": {}}]}, "has no name"),
        ({"users": [{"name": "u", "user": {"exec": {"command": "x"}}}]}, "'exec', which is not"),
        ({"users": [{"name": "u", "user": {"client-key-data": "!"}}]}, "not base64"),
        ({"users": [{"name": "u", "user": {"client-key-data": b64("k")}}]}, "needs both"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    tmp_path: Path, changes: dict[str, object], says: str
) -> None:
    (tmp_path / "ca.pem").write_text("ca")
    with pytest.raises(KubeconfigError, match=says) as caught:
        load_kubeconfig(write(tmp_path / "config", **changes))
    assert "\n" not in str(caught.value)


def test_a_missing_or_broken_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(KubeconfigError, match=r"no kubeconfig at .*nothing"):
        load_kubeconfig(tmp_path / "nothing")
    (tmp_path / "bad").write_text("a: [")
    with pytest.raises(KubeconfigError, match="bad is not YAML"):
        load_kubeconfig(tmp_path / "bad")
