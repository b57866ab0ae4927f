"""Field descriptions for ``kubectl explain``, from lightkube-models where that is installed.

The package is read as text, one module at a time and only while a document is built: its
classes are generated, and importing them would cost an idle server megabytes. Without the
package documents have no descriptions.
"""

import importlib.util
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

Described = tuple[str, Mapping[str, str]]
_CLASS = re.compile(r'^class (\w+)\(\w*\):\n    r?"""(.*?)"""', re.DOTALL | re.MULTILINE)
_FIELD = re.compile(r"^ +\* \*\*([\w$]+)\*\* ``.*?`` - ", re.MULTILINE)
_SPACE = re.compile(r"\s+")


class Prose(Protocol):
    def of(self, name: str) -> Described:
        """The description of a type and of its fields; empty where none is known."""


class _NoProse:
    def of(self, name: str) -> Described:
        return "", {}


NO_PROSE: Prose = _NoProse()


class LightkubeProse:
    """Descriptions out of the docstrings in ``folder``; one module is held at a time per name."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._modules: dict[str, dict[str, str]] = {}

    def of(self, name: str) -> Described:
        package, _, kind = name.rpartition(".")
        module = "_".join(package.split(".")[-2:])
        if module not in self._modules:
            self._modules[module] = self._read(module)
        return parse_docstring(self._modules[module].get(kind, ""))

    def _read(self, module: str) -> dict[str, str]:
        path = self._folder / f"{module}.py"
        if not path.is_file():
            return {}
        return dict(_CLASS.findall(path.read_text("utf-8")))


def find_prose() -> Prose:
    spec = importlib.util.find_spec("lightkube")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        if (Path(folder) / "models").is_dir():
            return LightkubeProse(Path(folder) / "models")
    return NO_PROSE


def parse_docstring(text: str) -> Described:
    head, _, parameters = text.partition("**parameters**")
    starts = list(_FIELD.finditer(parameters))
    ends = [m.start() for m in starts[1:]] + [len(parameters)] * bool(starts)
    fields = {
        match.group(1): one_line(parameters[match.end() : end])
        for match, end in zip(starts, ends, strict=True)
    }
    return one_line(head), fields


def one_line(text: str) -> str:
    return _SPACE.sub(" ", text).strip()
