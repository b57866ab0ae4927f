"""Writes edgek/schema/facts.json.gz: what the server must know of every built-in API type.

    python scripts/make_facts.py [--protobuf FILE] [--output FILE]

Sources: the OpenAPI definitions in the PyPI package ``kubernetes-validate`` (fields, types,
required, patch and list annotations, kinds), protobuf field numbers (``k8s-protobuf.json.gz``
beside this script) and ``facts_overlay.json``: what neither tells (defaults that upstream keeps
in Go markers, and enums). Types that 1.37 has removed (``removed_types.json``, served only with
--compat-betas) come from an older OpenAPI or are told from their protobuf messages, the last few
of which are in ``removed_messages.json``; ``extension_messages.json`` has those of API extensions.
``metrics_types.json`` has the types of metrics.k8s.io, which are not part of that API server.
No prose goes in. The bytes are the same on every run,
so a test proves the committed file fresh.

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
OLD_DEFINITIONS = "kubernetes-json-schema/v1.25.0-local/_definitions.json"
API = "io.k8s.api."
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


PROTOBUF_SCALARS = {"bool": "boolean"}


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


def swagger_name(message: str) -> str:
    return "io.k8s." + message.removeprefix("k8s.io.")


def code_of_message(kind: str, *, repeated: bool = False) -> str:
    """The type code of a protobuf field."""
    if repeated:
        return "[]" + code_of_message(kind)
    if kind.startswith("map<"):
        return "{}" + code_of_message(kind[4:-1].partition(",")[2])
    if "." not in kind:
        return PROTOBUF_SCALARS.get(kind, kind)
    return SPECIAL.get(swagger_name(kind), swagger_name(kind))


def fields_of_message(messages: Mapping[str, Any], message: str) -> Iterator[tuple[str, str]]:
    """JSON name and type code of each field; what is inlined in JSON is gone through."""
    for proto_name, (_, kind, *rest) in messages[message].items():
        options = next((r for r in rest if isinstance(r, dict)), {})
        name = options.get("json", proto_name)
        if name == "":
            yield from fields_of_message(messages, kind)
        elif name != "-":
            yield name, code_of_message(kind, repeated="repeated" in rest)


def newer(name: str, types: Mapping[str, Any]) -> Any:
    """What the same type of a later version says, for its patch and list words."""
    group, version, short = name.removeprefix(API).split(".")
    group = "networking" if group == "extensions" else group
    later = (f"{API}{group}.{v}.{short}" for v in ("v1", "v2") if v != version)
    return next((types[n] for n in later if n in types), {"f": {}})


def removed_type(name: str, messages: Mapping[str, Any], types: Mapping[str, Any]) -> Any:
    """A type that no OpenAPI at hand knows, from its message; required fields are not told."""
    known = newer(name, types)["f"]
    fields = {}
    for field, code in fields_of_message(messages, "k8s.io." + name.removeprefix("io.k8s.")):
        like = known.get(field, [""])
        same = like[0].rpartition(".")[2] == code.rpartition(".")[2]
        fields[field] = [code, *like[1:]] if same else [code]
    return {"f": fields}


def removed_types(
    wanted: Mapping[str, str], old: Mapping[str, Any], messages: Mapping[str, Any], types: Any
) -> dict[str, Any]:
    """The types of removed kinds and their lists, and all they refer to that is gone too."""
    found: dict[str, Any] = {}
    for short, group in wanted.items():
        _, version, kind = short.split(".")
        for suffix in ("", "List"):
            todo = [f"{API}{short}{suffix}"]
            while todo:
                name = todo.pop()
                if name in types or name in found:
                    continue
                in_openapi = name in old
                found[name] = (
                    type_fact(name, old[name], {})
                    if in_openapi
                    else removed_type(name, messages, types)
                )
                codes = (re.sub(r"^(\[\]|\{\})*", "", f[0]) for f in found[name]["f"].values())
                todo += [code for code in codes if code.startswith(API)]
            top = found[f"{API}{short}{suffix}"]
            top["f"] |= {"apiVersion": ["string"], "kind": ["string"]}
            top["k"] = [[group, version, kind + suffix]]
    return found


def referenced(fact: Mapping[str, list[Any]]) -> Iterator[str]:
    for entry in fact.values():
        yield from re.findall(r"k8s\.io\.[\w.]+", entry[1])


def reachable(messages: Mapping[str, Any], roots: Iterable[str]) -> dict[str, Any]:
    """The messages of types that can be served; versions long gone are left behind."""
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
    all_messages = read_json(protobuf)
    for more in ("removed_messages.json", "extension_messages.json"):
        all_messages |= read_json(HERE / more)
    wanted = read_json(HERE / "removed_types.json")
    old_text = resources.files("kubernetes_validate").joinpath(OLD_DEFINITIONS).read_text("utf-8")
    types |= read_json(HERE / "metrics_types.json")
    types |= removed_types(wanted, json.loads(old_text)["$defs"], all_messages, types)
    roots = ["k8s.io." + n.removeprefix("io.k8s.") for n in types]
    roots += ["k8s.io.apimachinery.pkg.runtime.Unknown"]
    messages = reachable(all_messages, roots)
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
