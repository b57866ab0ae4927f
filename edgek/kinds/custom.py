"""From a CustomResourceDefinition to Kinds: one for each version that is served.

Downstream nothing tells them from built-in kinds. Pure; which definitions there are is the
matter of server/registry/definitions.py.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from edgek.api.conditions import is_true
from edgek.api.meta import Obj, get_path, is_deleting, uid
from edgek.api.validation import FieldErrors
from edgek.kinds.custom_columns import columns_of
from edgek.kinds.custom_shape import CustomShape, RulesFor, check_replicas, no_rules
from edgek.kinds.kind import ALL_VERBS, SCALE, STATUS, Conversion, Kind, ScalePaths
from edgek.schema.structural import Props

ESTABLISHED = "Established"
Version = Mapping[str, Any]
ConversionFor = Callable[[Obj, Kind], Conversion | None]
"""Given a definition and one of its kinds, how its objects get into it and out of it."""


def no_conversion(crd: Obj, kind: Kind) -> None:
    """For those who only look at names."""


def is_established(crd: Obj) -> bool:
    return is_true(get_path(crd, "status", "conditions", default=()), ESTABLISHED)


def storage_version(crd: Obj) -> Version:
    versions = (crd.get("spec") or {}).get("versions") or ()
    return next((v for v in versions if v.get("storage")), {})


def served_versions(crd: Obj) -> list[Version]:
    """While a definition is being deleted its objects must be in reach, whatever it serves."""
    served = [v for v in crd["spec"]["versions"] if v.get("served")]
    if not served and is_deleting(crd):
        return [storage_version(crd)]
    return served


def kinds_of(
    crd: Obj,
    *,
    load: Callable[[str], Props] | None = None,
    conversion_for: ConversionFor = no_conversion,
    rules_for: RulesFor = no_rules,
) -> tuple[Kind, ...]:
    """The kinds that this definition adds; none before it is established. ``load`` gives the
    openAPIV3Schema of a version by its name, so that the definition need not be kept;
    ``rules_for`` the means to evaluate its expressions."""
    if not is_established(crd):
        return ()
    names = {v["name"]: i for i, v in enumerate(crd["spec"]["versions"])}

    def own(name: str) -> Props:
        return schema_of_version(crd["spec"]["versions"][names[name]])

    made = [_kind(crd, version, load or own, rules_for) for version in served_versions(crd)]
    return tuple(replace(k, conversion=conversion_for(crd, k)) for k in made)


def schema_of_version(version: Version) -> Props:
    found: Props = get_path(version, "schema", "openAPIV3Schema", default={})
    return found


def _kind(crd: Obj, version: Version, load: Callable[[str], Props], rules_for: RulesFor) -> Kind:
    spec, names = crd["spec"], crd["status"]["acceptedNames"]
    group, name, kind = spec["group"], version["name"], names["kind"]
    revision = f"{uid(crd)}/{crd['metadata'].get('generation', 0)}"
    shape = CustomShape(
        lambda: load(name), gvk=(group, name, kind), digest=revision, rules_for=rules_for
    )
    scale = _scale(version)

    def validate(obj: Obj, errors: FieldErrors) -> None:
        shape.validate(obj, errors)
        if scale is not None:
            check_replicas(obj, scale.spec_replicas, errors)

    def validate_update(new: Obj, old: Obj, errors: FieldErrors) -> None:
        shape.validate_update(new, old, errors)
        if scale is not None:
            check_replicas(new, scale.spec_replicas, errors)

    has_status = get_path(version, "subresources", "status") is not None
    subresources = (*((STATUS,) if has_status else ()), *((SCALE,) if scale else ()))
    return Kind(
        group=group,
        version=name,
        kind=kind,
        plural=names["plural"],
        singular=names.get("singular") or "",
        short_names=tuple(names.get("shortNames") or ()),
        categories=tuple(names.get("categories") or ()),
        namespaced=spec.get("scope") == "Namespaced",
        verbs=tuple(v for v in ALL_VERBS if v != "create" or not is_deleting(crd)),
        columns=columns_of(version.get("additionalPrinterColumns") or ()),
        subresources=subresources,
        scale=scale,
        selectable=tuple(
            f["jsonPath"].removeprefix(".") for f in version.get("selectableFields") or ()
        ),
        default=shape.default,
        prepare=_prepare_with_status if has_status else _prepare,
        prepare_status=_prepare_status,
        validate=validate,
        validate_update=validate_update,
        generation=True,
        warning=_warning(spec["group"], version, kind),
        custom=True,
        lean=True,
        shape=shape,
    )


def _scale(version: Version) -> ScalePaths | None:
    said = get_path(version, "subresources", "scale")
    if said is None:
        return None
    return ScalePaths(
        spec_replicas=said["specReplicasPath"].removeprefix("."),
        status_replicas=said["statusReplicasPath"].removeprefix("."),
        label_selector=(said.get("labelSelectorPath") or "").removeprefix("."),
    )


def _prepare(obj: Obj, old: Obj | None) -> None:
    pass


def _prepare_with_status(obj: Obj, old: Obj | None) -> None:
    """The status is its subresource's to write; the object's own writes leave it alone."""
    if old is None or "status" not in old:
        obj.pop("status", None)


def _prepare_status(obj: Obj, old: Obj | None) -> None:
    """As customresource/status_strategy.go: of the metadata nothing changes, not even labels."""
    assert old is not None  # there is no creation of a status
    meta = {**old["metadata"]}
    if "managedFields" in obj["metadata"]:
        meta["managedFields"] = obj["metadata"]["managedFields"]
    obj["metadata"] = meta


def _warning(group: str, version: Version, kind: str) -> str:
    if not version.get("deprecated"):
        return ""
    said: str | None = version.get("deprecationWarning")
    return f"{group}/{version['name']} {kind} is deprecated" if said is None else said
