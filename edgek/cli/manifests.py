"""Manifests: files, folders and standard input as objects that know where they came from.

Documents are split at their ``---`` lines as kubectl does, lists are taken apart, and whatever
is wrong is one line that begins with the file and the line in it.
"""

import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgek.api.errors import BadRequest
from edgek.api.meta import Obj
from edgek.cli.cluster import Failure

_FIELD = re.compile(r'unknown field "([^"]+)"')
_STEP = re.compile(r"([^.\[\]]+)|\[(\d+)\]")
SUFFIXES = (".yaml", ".yml", ".json")
_SEPARATOR = re.compile(rb"^---(?=[ \t\r\n]|\Z)[^\n]*", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """One object; ``source`` and ``line`` say where it begins, ``text`` is its document."""

    obj: Obj
    source: str
    line: int
    text: bytes

    def where(self, message: str = "") -> str:
        """``file:line`` of what the server complains about, else of the object."""
        found = _FIELD.search(message)
        return f"{self.source}:{(found and _line_of(self, found[1])) or self.line}"


def read_manifests(names: Sequence[str], *, recursive: bool = False) -> list[Manifest]:
    """Every object of every file named, in order. Raises Failure."""
    found = [m for name in names for m in _read(name, recursive=recursive)]
    if not found:
        raise Failure(f"there are no objects in {', '.join(names)}")
    return found


def _read(name: str, *, recursive: bool) -> Iterator[Manifest]:
    if name == "-":
        yield from parse_manifests(sys.stdin.buffer.read(), source="standard input")
        return
    if name.startswith(("http://", "https://")):
        raise Failure(f"cannot read {name}: download it first")
    path = Path(name)
    for file in _files(path, recursive=recursive) if path.is_dir() else [path]:
        try:
            raw = file.read_bytes()
        except OSError as err:
            raise Failure(f"cannot read {file}: {(err.strerror or str(err)).lower()}") from err
        yield from parse_manifests(raw, source=str(file))


def _files(folder: Path, *, recursive: bool) -> list[Path]:
    found = folder.rglob("*") if recursive else folder.glob("*")
    files = sorted(p for p in found if p.suffix in SUFFIXES and p.is_file())
    if not files:
        deeper = "" if recursive else "; -R looks in its folders too"
        raise Failure(f"there is no {', '.join(SUFFIXES)} file in {folder}{deeper}")
    return files


def parse_manifests(raw: bytes, *, source: str) -> Iterator[Manifest]:
    from edgek.schema.decode_yaml import decode_yaml

    for lines_before, text in _documents(raw):
        try:
            # The blank lines make the parser count as the user's editor does.
            value, twice = decode_yaml(b"\n" * lines_before + text)
        except BadRequest as err:
            raise Failure(_malformed(err, source, lines_before + 1)) from None
        line = lines_before + 1 + _blank_lines(text)
        if twice:
            raise Failure(f"{source}:{line}: key {twice[0]!r} is there twice")
        if value is not None:
            yield from _objects(value, source=source, line=line, text=text)


def _documents(raw: bytes) -> Iterator[tuple[int, bytes]]:
    """(lines before it, text) of each document."""
    begin = 0
    for found in _SEPARATOR.finditer(raw):
        yield raw.count(b"\n", 0, begin), raw[begin : found.start()]
        begin = found.end()
    yield raw.count(b"\n", 0, begin), raw[begin:]


def _blank_lines(text: bytes) -> int:
    """Lines before the first that says something."""
    lines = enumerate(text.splitlines())
    return next((n for n, line in lines if line.strip() and line.lstrip()[:1] != b"#"), 0)


def _malformed(err: BadRequest, source: str, line: int) -> str:
    """The parser's own error, which decode_yaml keeps as the context, knows the place."""
    cause = err.__context__
    mark = getattr(cause, "problem_mark", None)
    problem = getattr(cause, "problem", None) or str(cause or err)
    return f"{source}:{mark.line + 1 if mark else line}: not valid YAML: {problem}"


def _objects(value: Any, *, source: str, line: int, text: bytes) -> Iterator[Manifest]:
    where = f"{source}:{line}"
    if not isinstance(value, dict):
        raise Failure(f"{where}: expected an object with apiVersion and kind")
    for field in ("apiVersion", "kind"):
        if not isinstance(value.get(field), str) or not value[field]:
            raise Failure(f"{where}: {field} is not set")
    if value["kind"].endswith("List") and isinstance(value.get("items"), list):
        for item in value["items"]:
            yield from _objects(item, source=source, line=line, text=text)
        return
    meta = value.get("metadata")
    if not isinstance(meta, dict) or not (meta.get("name") or meta.get("generateName")):
        raise Failure(f"{where}: {value['kind']} has no metadata.name")
    if meta.get("creationTimestamp", 0) is None:
        del meta["creationTimestamp"]  # what kubectl create --dry-run -o yaml prints
    yield Manifest(obj=value, source=source, line=line, text=text)


def _line_of(manifest: Manifest, path: str) -> int | None:
    """The line of ``spec.containers[0].imge``; None where it is not found."""
    import yaml

    node: Any = yaml.compose(manifest.text, Loader=yaml.CSafeLoader)
    begin = manifest.line - 1 - _blank_lines(manifest.text)
    line = None
    for key, index in _STEP.findall(path):
        if isinstance(node, yaml.MappingNode) and key:
            pair = next((pair for pair in node.value if pair[0].value == key), None)
        elif isinstance(node, yaml.SequenceNode) and index and int(index) < len(node.value):
            pair = (node.value[int(index)],) * 2
        else:
            pair = None
        if pair is None:
            return None
        line, node = begin + pair[0].start_mark.line + 1, pair[1]
    return line
