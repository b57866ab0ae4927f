"""The facts file is what its sources say today, and it is all there."""

import gzip
import importlib.util
from pathlib import Path
from types import ModuleType

from edgek.kinds import ALL
from edgek.schema.facts import load_facts
from edgek.schema.schema import builtin_types, schema_of

SCRIPTS = Path(__file__).parents[3] / "scripts"


def make_facts() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_facts", SCRIPTS / "make_facts.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_committed_facts_are_what_the_script_writes() -> None:
    script = make_facts()
    written = script.make_facts(SCRIPTS / "k8s-protobuf.json.gz")
    assert gzip.decompress(script.OUTPUT.read_bytes()) == written


def test_every_type_builds_and_every_reference_leads_to_one() -> None:
    types = builtin_types()
    for name in types.facts.types:
        for field in types.named(name).fields.values():
            while field.items is not None:
                field = field.items
            assert field.name == "" or field.name in types.facts.types


def test_every_kind_we_serve_has_a_schema_with_metadata() -> None:
    for kind in ALL:
        assert "metadata" in schema_of(kind).fields, kind


def test_what_patches_and_apply_need_is_there() -> None:
    spec = builtin_types().named("io.k8s.api.core.v1.PodSpec")
    containers, volumes = spec.fields["containers"], spec.fields["volumes"]
    ports = containers.items.fields["ports"]  # type: ignore[union-attr]
    assert (containers.patch_strategy, containers.patch_merge_key) == (("merge",), "name")
    assert volumes.patch_strategy == ("merge", "retainKeys")
    assert (ports.patch_merge_key, ports.list_type) == ("containerPort", "map")
    assert ports.list_map_keys == ("containerPort", "protocol")
    assert spec.fields["nodeSelector"].map_type == "atomic"


def test_opening_the_facts_decodes_no_type() -> None:
    assert all(isinstance(line, bytes) for line in load_facts().types.values())
