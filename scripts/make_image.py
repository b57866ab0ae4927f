"""Makes the images of the examples and tests from Debian's busybox-static; needs no registry.

    python3 scripts/make_image.py images.tar && podman load -i images.tar

``docker.io/library/busybox:1.36`` is a plain busybox. ``edgek.io/hello:1`` and ``:2`` are a small
web server on port 8080 that answers with its pod's name and its version. The archive is the kind
that ``docker save`` writes; equal input makes equal bytes, so loading it again changes nothing.
Standard library only: ``make up`` runs it before anything is installed.
"""

import argparse
import hashlib
import io
import json
import platform
import subprocess
import sys
import tarfile
from dataclasses import dataclass, field
from pathlib import Path

BUSYBOX = Path("/bin/busybox")
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm"}

# Process 1 has no default signal actions: without the trap every stop would last the whole grace
# period. DRAIN_SECONDS keeps answering for a while, until every node has taken the pod out.
HELLO = """#!/bin/sh
trap 'sleep "${DRAIN_SECONDS:-0}"; exit 0' TERM INT
httpd -f -p "${PORT:-8080}" -h /www &
wait $!
"""
HELLO_CGI = """#!/bin/sh
printf 'Content-Type: text/plain\\r\\n\\r\\n'
echo "hello from $(hostname), version %s"
"""


@dataclass(frozen=True, kw_only=True)
class ImageFiles:
    """``files``: path -> (mode, bytes)."""

    tag: str
    command: tuple[str, ...]
    files: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    ports: tuple[int, ...] = ()


def hello(version: str) -> ImageFiles:
    return ImageFiles(
        tag=f"edgek.io/hello:{version}",
        command=("/bin/hello",),
        ports=(8080,),
        files={
            "bin/hello": (0o755, HELLO.encode()),
            "www/cgi-bin/index.cgi": (0o755, (HELLO_CGI % version).encode()),
        },
    )


BUSYBOX_IMAGE = ImageFiles(tag="docker.io/library/busybox:1.36", command=("sh",))
IMAGES = (BUSYBOX_IMAGE, hello("1"), hello("2"))


def write_archive(target: Path, images: tuple[ImageFiles, ...] = IMAGES) -> None:
    base = _base_layer()
    blobs: dict[str, bytes] = {}
    manifest = []
    for image in images:
        layers = [base, _layer(image.files)] if image.files else [base]
        names = [f"{_digest(layer)}.tar" for layer in layers]
        config = _config(image, layers)
        blobs |= dict(zip(names, layers, strict=True)) | {f"{_digest(config)}.json": config}
        manifest.append(
            {"Config": f"{_digest(config)}.json", "RepoTags": [image.tag], "Layers": names}
        )
    blobs["manifest.json"] = json.dumps(manifest).encode()
    new = target.with_name(f".{target.name}.new")
    with tarfile.open(new, "w") as tar:
        for name, data in blobs.items():
            _add(tar, name, 0o644, data)
    new.replace(target)


def _config(image: ImageFiles, layers: list[bytes]) -> bytes:
    machine = platform.machine()
    config = {
        "architecture": _ARCHITECTURES.get(machine, machine),
        "os": "linux",
        "created": "2026-01-01T00:00:00Z",
        "config": {
            "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
            "Cmd": list(image.command),
            "ExposedPorts": {f"{port}/tcp": {} for port in image.ports},
        },
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{_digest(d)}" for d in layers]},
        "history": [{"created": "2026-01-01T00:00:00Z"} for _ in layers],
    }
    return json.dumps(config).encode()


def _base_layer() -> bytes:
    if not BUSYBOX.exists():
        sys.exit("busybox is not installed: apt-get install busybox-static")
    applets = subprocess.run(
        [BUSYBOX, "--list"], check=True, capture_output=True, text=True
    ).stdout.split()
    files = {
        "bin/busybox": (0o755, BUSYBOX.read_bytes()),
        "etc/passwd": (0o644, b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n"),
        "etc/group": (0o644, b"root:x:0:\nnogroup:x:65534:\n"),
    }
    links = [f"bin/{applet}" for applet in applets if applet != "busybox"]
    return _layer(files, links=links, directories=("tmp", "root", "var", "home"))


def _layer(
    files: dict[str, tuple[int, bytes]],
    *,
    links: list[str] | None = None,
    directories: tuple[str, ...] = (),
) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name in directories:
            _add(tar, name, 0o1777 if name == "tmp" else 0o755, None)
        for name, (mode, data) in sorted(files.items()):
            _add(tar, name, mode, data)
        for name in links or ():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(info)
    return out.getvalue()


def _add(tar: tarfile.TarFile, name: str, mode: int, data: bytes | None) -> None:
    info = tarfile.TarInfo(name)
    info.mode = mode
    if data is None:
        info.type = tarfile.DIRTYPE
        tar.addfile(info)
    else:
        info.size = len(data)
        tar.addfile(info, io.BytesIO(data))


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("target", type=Path)
    write_archive(parser.parse_args().target)


if __name__ == "__main__":
    main()
