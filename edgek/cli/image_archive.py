"""An archive of images as a file, and how little of it a node must be sent.

What ``docker save`` and ``podman save`` write holds layers unpacked, under names that are, or lead
to, their digests. From such a file an OCI archive is made for each image as it is sent, without the
layers that the node has. Any other file (compressed, several platforms) goes as it is. Nothing is
unpacked, nothing is held in memory but the small parts.
"""

import asyncio
import hashlib
import json
import tarfile
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgek.cli.cluster import Failure

CHUNK = 256 * 1024
MAX_JSON = 16 * 1024 * 1024
_BLOCK = 512
_OCI = "application/vnd.oci.image."
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"


@dataclass(frozen=True, kw_only=True)
class Layer:
    """Where an unpacked layer is within the file."""

    digest: str
    offset: int
    size: int


@dataclass(frozen=True, kw_only=True)
class ArchivedImage:
    name: str
    config: bytes
    layers: tuple[Layer, ...]


@dataclass(frozen=True, kw_only=True)
class Part:
    """A piece of what is sent: ready bytes, or a range of the file."""

    data: bytes = b""
    offset: int = 0
    size: int = 0

    @property
    def length(self) -> int:
        return self.size or len(self.data)


def read_archive(path: Path) -> tuple[ArchivedImage, ...]:
    """The images that can be sent layer by layer; none where the file is to go as it is. Raises
    Failure where it is no archive of images."""
    try:
        with open(path, "rb") as file:
            head = file.read(6)
            if head.startswith((_GZIP, _ZSTD, b"BZh", b"\xfd7zXZ")):
                return ()
            file.seek(0)
            with tarfile.open(fileobj=file, mode="r:") as tar:
                members = {m.name.removeprefix("./"): m for m in tar.getmembers()}
                return tuple(_images(tar, members))
    except tarfile.TarError as err:
        raise Failure(f"{path} is no archive of images: {err}") from None
    except (KeyError, ValueError, TypeError, AttributeError):
        return ()  # Podman shall say what it makes of it


def _images(
    tar: tarfile.TarFile, members: Mapping[str, tarfile.TarInfo]
) -> Iterable[ArchivedImage]:
    if "manifest.json" not in members:
        return
    for entry in json.loads(_small(tar, members["manifest.json"])):
        config = _small(tar, members[entry["Config"]])
        digests = json.loads(config)["rootfs"]["diff_ids"]
        layers = tuple(
            _layer(tar, members, name, digest)
            for name, digest in zip(entry["Layers"], digests, strict=True)
        )
        for name in entry.get("RepoTags") or ():
            yield ArchivedImage(name=name, config=config, layers=layers)


def _layer(
    tar: tarfile.TarFile, members: Mapping[str, tarfile.TarInfo], name: str, digest: str
) -> Layer:
    member = members[name]
    if member.islnk() or member.issym():  # older ``docker save`` has each layer once
        member = tar._find_link_target(member)  # type: ignore[attr-defined]
    file = tar.extractfile(member)
    if file is None or file.read(4).startswith((_GZIP, _ZSTD)):
        raise ValueError("a packed layer")
    return Layer(digest=digest, offset=member.offset_data, size=member.size)


def _small(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(member)
    if file is None or member.size > MAX_JSON:
        raise ValueError(member.name)
    return file.read()


def plan_parts(image: ArchivedImage, *, there: frozenset[str]) -> list[Part]:
    """An OCI archive of the image without the layers that are ``there``. Pure."""
    manifest = _json(
        {
            "schemaVersion": 2,
            "mediaType": f"{_OCI}manifest.v1+json",
            "config": _descriptor(f"{_OCI}config.v1+json", image.config),
            "layers": [
                {"mediaType": f"{_OCI}layer.v1.tar", "digest": la.digest, "size": la.size}
                for la in image.layers
            ],
        }
    )
    named = {"org.opencontainers.image.ref.name": image.name}
    index = {
        "schemaVersion": 2,
        "manifests": [{**_descriptor(f"{_OCI}manifest.v1+json", manifest), "annotations": named}],
    }
    parts = _file("oci-layout", _json({"imageLayoutVersion": "1.0.0"}))
    parts += _file("index.json", _json(index))
    parts += _file(_blob(_digest(manifest)), manifest) + _file(
        _blob(_digest(image.config)), image.config
    )
    for layer in {la.digest: la for la in image.layers if la.digest not in there}.values():
        parts.append(Part(data=_header(_blob(layer.digest), layer.size)))
        parts.append(Part(offset=layer.offset, size=layer.size))
        parts.append(Part(data=_padding(layer.size)))
    return [*parts, Part(data=bytes(2 * _BLOCK))]


def whole(path: Path) -> list[Part]:
    """The file as it is."""
    return [Part(offset=0, size=path.stat().st_size)]


async def read_parts(path: Path, parts: Iterable[Part]) -> AsyncIterator[bytes]:
    """What is sent, piece by piece. Raises Failure where the file has become shorter."""
    with await asyncio.to_thread(open, path, "rb") as file:
        for part in parts:
            if part.data:
                yield part.data
            left = part.size
            file.seek(part.offset)
            while left:
                data = await asyncio.to_thread(file.read, min(left, CHUNK))
                if not data:
                    raise Failure(f"{path} became shorter while it was read")
                left -= len(data)
                yield data


def _descriptor(media_type: str, data: bytes) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": _digest(data), "size": len(data)}


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _blob(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _file(name: str, data: bytes) -> list[Part]:
    return [Part(data=_header(name, len(data)) + data + _padding(len(data)))]


def _header(name: str, size: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size = size
    return info.tobuf(tarfile.USTAR_FORMAT if size < 8**11 else tarfile.GNU_FORMAT)


def _padding(size: int) -> bytes:
    return bytes(-size % _BLOCK)
