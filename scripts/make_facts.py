"""Writes edgek/schema/facts.json.gz: what the server must know of every built-in API type.

    python scripts/make_facts.py [--protobuf FILE] [--output FILE]

Sources: the OpenAPI definitions in the PyPI package ``kubernetes-validate`` (fields, types,
required, patch and list annotations, kinds), protobuf field numbers (``k8s-protobuf.json.gz``
beside this script) and ``facts_overlay.json``: what neither tells (defaults that upstream keeps
in Go markers, and enums). No prose goes in. The bytes are the same on every run, so a test
proves the committed file fresh.

One entry stands on one line, so that a reader can index the text without decoding it all.
"""

import argparse
import gzip
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from importlib import metadata, resources
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
OUTPUT = HERE.parent / "edgek" / "schema" / "facts.json.gz"
DEFINITIONS = "kubernetes-json-schema/v1.37.0-local/_definitions.json"
META = "io.k8s.apimachinery.pkg.apis.meta.v1."
SPECIAL = {
    "io.k8s.apimachinery.pkg.api.resource.Quantity": "quantity",
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": "int-or-string",
    META + "Time": "time",
    META + "MicroTime": "micro-time",
    META + "FieldsV1": "any",
    META + "Patch": "any",
    "io.k8s.apimachinery.pkg.runtime.RawExtension": "any",
}
SCALARS = {
    ("string", ""): "string",
    ("string", "byte"): "bytes",
    ("string", "date-time"): "string",
    ("integer", "int32"): "int32",
    ("integer", "int64"): "int64",
    ("number", "double"): "double",
    ("boolean", ""): "boolean",
}
EXTRAS = (
    ("x-kubernetes-patch-strategy", "ps"),
    ("x-kubernetes-patch-merge-key", "pk"),
    ("x-kubernetes-list-type", "lt"),
    ("x-kubernetes-list-map-keys", "lk"),
    ("x-kubernetes-map-type", "mt"),
)


def type_code(prop: dict[str, Any]) -> str:
    """``string``, ``int32``, ``[]`` or ``{}`` and what is inside, or a full type name."""
    if "$ref" in prop:
        name = str(prop["$ref"]).rpartition("/")[2]
        return SPECIAL.get(name, name)
    kind = prop.get("type")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "array":
        return "[]" + type_code(prop["items"])
    if kind == "object":
        inner = prop.get("additionalProperties")
        return "{}" + type_code(inner) if inner else "any"
    return SCALARS[kind, prop.get("format", "")] if kind else "any"


def field_fact(prop: dict[str, Any], overlay: dict[str, Any]) -> list[Any]:
    extras = {short: prop[long] for long, short in EXTRAS if long in prop} | overlay
    return [type_code(prop), extras] if extras else [type_code(prop)]


def type_fact(name: str, definition: Mapping[str, Any], overlay: Mapping[str, Any]) -> Any:
    if name in SPECIAL:
        return {"s": SPECIAL[name]}
    if "type" not in definition:  # apiextensions JSON and kin: any JSON value
        return {"s": "any"}
    short = name.split(".", 2)[-1]
    fields = {
        field: field_fact(prop, overlay.get(f"{short}.{field}", {}))
        for field, prop in definition.get("properties", {}).items()
    }
    kinds = [
        [k["group"], k["version"], k["kind"]]
        for k in definition.get("x-kubernetes-group-version-kind", ())
    ]
    fact = {
        "f": fields,
        "r": sorted(definition.get("required", ())),
        "mt": definition.get("x-kubernetes-map-type"),
        "k": sorted(kinds),
    }
    return {k: v for k, v in fact.items() if v or k == "f"}


def message_fact(fields: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
    """By field number: JSON name ("" for a message inlined in JSON), type, 1 if repeated."""
    fact = {}
    for proto_name, (number, kind, *rest) in fields.items():
        options = next((r for r in rest if isinstance(r, dict)), {})
        name = options.get("json", proto_name)
        fact[str(number)] = [proto_name if name == "-" else name, kind] + [1] * ("repeated" in rest)
    return fact


def referenced(fact: Mapping[str, list[Any]]) -> Iterator[str]:
    for entry in fact.values():
        yield from re.findall(r"k8s\.io\.[\w.]+", entry[1])


def reachable(messages: Mapping[str, Any], roots: Iterable[str]) -> dict[str, Any]:
    """The messages of types that 1.37 serves; versions long gone are left behind."""
    found: dict[str, Any] = {}
    todo = [r for r in roots if r in messages]
    while todo:
        name = todo.pop()
        if name not in found:
            found[name] = message_fact(messages[name])
            todo.extend(r for r in referenced(found[name]) if r in messages)
    return found


def read_json(path: Path) -> Any:
    raw = path.read_bytes()
    return json.loads(gzip.decompress(raw) if path.suffix == ".gz" else raw)


def section(name: str, entries: Mapping[str, Any]) -> str:
    lines = [
        f"{json.dumps(key)}:{json.dumps(value, separators=(',', ':'))}"
        for key, value in sorted(entries.items())
    ]
    return f"{json.dumps(name)}:{{\n" + ",\n".join(lines) + "\n}"


def make_facts(protobuf: Path) -> bytes:
    text = resources.files("kubernetes_validate").joinpath(DEFINITIONS).read_text("utf-8")
    definitions = json.loads(text)["$defs"]
    overlay = read_json(HERE / "facts_overlay.json")
    types = {n: type_fact(n, d, overlay["fields"]) for n, d in definitions.items()}
    unused = set(overlay["fields"]) - {
        f"{n.split('.', 2)[-1]}.{f}" for n, t in types.items() for f in t.get("f", ())
    }
    if unused:
        raise SystemExit(f"facts_overlay.json names unknown fields: {sorted(unused)}")
    roots = ["k8s.io." + n.removeprefix("io.k8s.") for n in types]
    roots += ["k8s.io.apimachinery.pkg.runtime.Unknown"]
    messages = reachable(read_json(protobuf), roots)
    version = {"kubernetes": metadata.version("kubernetes-validate")}
    sections = (section("about", version), section("types", types), section("messages", messages))
    return ("{\n" + ",\n".join(sections) + "\n}\n").encode()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--protobuf", type=Path, default=HERE / "k8s-protobuf.json.gz")
    parser.add_argument("--output", type=Path, default=OUTPUT)
    args = parser.parse_args()
    args.output.write_bytes(gzip.compress(make_facts(args.protobuf), 9, mtime=0))


if __name__ == "__main__":
    main()
