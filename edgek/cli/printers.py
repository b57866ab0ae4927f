"""Objects and tables as text: for people, for programs, for the next command.

Pure. Tables are the server's own (meta.k8s.io Table), so that a kind looks here as in kubectl.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from edgek.api.meta import Obj, get_path, labels
from edgek.cli.resources import spoken
from edgek.kinds.kind import Kind

GAP = "   "


@dataclass(frozen=True, kw_only=True)
class Look:
    """How a table is shown."""

    wide: bool = False
    headers: bool = True
    show_labels: bool = False
    namespaces: bool = False
    prefix: str = ""
    """Before each name, as ``pod/`` where several kinds are listed."""


def table_rows(table: Obj, look: Look) -> list[list[str]]:
    """The cells, with the header as the first row."""
    definitions = table.get("columnDefinitions") or ()
    shown = [i for i, d in enumerate(definitions) if look.wide or not d.get("priority")]
    header = [definitions[i]["name"].upper() for i in shown]
    rows = [_extended(header, look, "NAMESPACE", "LABELS")]
    for row in table.get("rows") or ():
        cells = [_cell(row["cells"][i]) for i in shown]
        if cells:
            cells[0] = look.prefix + cells[0]
        obj = row.get("object") or {}
        namespace = get_path(obj, "metadata", "namespace", default="")
        rows.append(_extended(cells, look, namespace, _labels(obj)))
    return rows


def _extended(cells: list[str], look: Look, namespace: str, label_text: str) -> list[str]:
    before = [namespace] if look.namespaces else []
    return [*before, *cells, *([label_text] if look.show_labels else [])]


def _labels(obj: Obj) -> str:
    found = labels(obj) if obj else {}
    return ",".join(f"{k}={v}" for k, v in sorted(found.items())) or "<none>"


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    # Only the first line, as kubectl: the rest would break the table.
    return str("" if value is None else value).partition("\n")[0]


def aligned(rows: Sequence[Sequence[str]], widths: list[int] | None = None) -> list[str]:
    """Columns of one width. ``widths`` is kept and grown, so that later rows of a watch stand
    under the first."""
    widths = widths if widths is not None else []
    for row in rows:
        widths += [0] * (len(row) - len(widths))
        for i, cell in enumerate(row):
            widths[i] = max(widths[i], len(cell))
    return [
        GAP.join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)).rstrip()
        for row in rows
    ]


def names_of(kind: Kind, objects: Iterable[Obj]) -> list[str]:
    return [f"{spoken(kind)}/{o['metadata']['name']}" for o in objects]


def as_json(value: Any) -> str:
    return json.dumps(value, indent=4, ensure_ascii=False)


def as_yaml(value: Any) -> str:
    import yaml

    return str(
        yaml.dump(
            value, Dumper=_dumper(), allow_unicode=True, width=1_000_000, default_flow_style=False
        )
    ).rstrip("\n")


def _dumper() -> Any:
    """Text of several lines as it is written by hand; no anchors for shared parts."""
    import yaml

    class Dumper(yaml.SafeDumper):
        def ignore_aliases(self, data: Any) -> bool:
            return True

    def text(dumper: Any, value: str) -> Any:
        style = "|" if "\n" in value else None
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)

    Dumper.add_representer(str, text)
    return Dumper


def as_list(objects: Sequence[Obj]) -> Obj:
    return {
        "apiVersion": "v1",
        "items": list(objects),
        "kind": "List",
        "metadata": {"resourceVersion": ""},
    }
