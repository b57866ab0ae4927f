"""The table of kinds: built-in ones in their order, custom ones behind, best version first."""

from edgek.kinds import CONFIG_MAP, POD
from edgek.kinds.kind import Kind
from server.registry.kind_table import KindTable, version_order


def custom(version: str, group: str = "example.com") -> Kind:
    return Kind(group=group, version=version, kind="Thing", plural="things", custom=True)


def test_versions_are_ordered_as_upstream_does() -> None:
    names = ["foo10", "v1alpha1", "v2", "v11beta2", "v10beta3", "v1", "v3beta1", "foo1", "v10"]
    assert sorted(names, key=version_order) == [
        "v10", "v2", "v1", "v11beta2", "v10beta3", "v3beta1", "v1alpha1", "foo1", "foo10",
    ]  # fmt: skip


def test_custom_kinds_follow_the_built_in_ones() -> None:
    table = KindTable((POD,))
    for kind in (custom("v1beta1"), custom("v1"), custom("v1", "a.example.com"), CONFIG_MAP):
        table.add(kind)
    assert [(k.group, k.version) for k in table.all()] == [
        ("", "v1"), ("", "v1"), ("a.example.com", "v1"), ("example.com", "v1"),
        ("example.com", "v1beta1"),
    ]  # fmt: skip


def test_its_version_tells_of_changes() -> None:
    table = KindTable((POD,))
    seen = [table.version]
    table.add(custom("v1"))
    seen.append(table.version)
    assert table.find("example.com", "v1", "things") is not None
    table.remove(custom("v1"))
    seen.append(table.version)
    assert table.find("example.com", "v1", "things") is None
    assert len(set(seen)) == 3
