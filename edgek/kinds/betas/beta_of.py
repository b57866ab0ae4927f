"""A removed version of a kind, made from the one that is still served.

Everything that a kind decides is decided in the newer shape, as upstream decides it in its
internal one: objects are turned there and back. What is stored is what the newer kind stores.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from edgek.api.meta import Obj
from edgek.api.validation import FieldErrors
from edgek.kinds.conversion import Between, Shape, same
from edgek.kinds.kind import Column, Kind, Prepare


def beta_of(
    kind: Kind,
    *,
    version: str,
    since: str,
    until: str,
    group: str | None = None,
    serving: Shape = same,
    storing: Shape = same,
) -> Kind:
    """``serving`` and ``storing`` lead from ``kind``'s shape to the old one and back; ``since``
    and ``until`` are the releases that deprecated and removed it."""
    old_group = kind.group if group is None else group
    served = f"{old_group}/{version}"
    warning = (
        f"{served} {kind.kind} is deprecated in v{since}+, unavailable in v{until}+; "
        f"use {kind.api_version} {kind.kind}"
    )
    made = replace(
        kind,
        group=old_group,
        version=version,
        schema="",
        warning=warning,
        conversion=_conversion(kind, served, serving, storing),
        example={**serving(dict(kind.example)), "apiVersion": served},
    )
    return made if storing is same else _turned(made, serving, storing)


def _conversion(kind: Kind, served: str, serving: Shape, storing: Shape) -> Between:
    """``kind`` may itself be stored in another version."""
    known = kind.conversion
    if not isinstance(known, Between):
        return Between(stored=kind.api_version, served=served, serving=serving, storing=storing)
    first, last = known.serving, known.storing
    return Between(
        stored=known.stored,
        served=served,
        serving=lambda obj: serving(first(obj)),
        storing=lambda obj: last(storing(obj)),
    )


def _turned(kind: Kind, serving: Shape, storing: Shape) -> Kind:
    def prepare_by(prepare: Prepare) -> Prepare:
        def run(obj: Obj, old: Obj | None) -> None:
            new = storing(obj)
            prepare(new, None if old is None else storing(old))
            _become(obj, serving(new))

        return run

    def default(obj: Obj) -> None:
        new = storing(obj)
        kind.default(new)
        _become(obj, serving(new))

    def validate(obj: Obj, errors: FieldErrors) -> None:
        kind.validate(storing(obj), errors)

    def validate_update(new: Obj, old: Obj, errors: FieldErrors) -> None:
        kind.validate_update(storing(new), storing(old), errors)

    def read_field(obj: Obj, path: str) -> str:
        return kind.read_field(storing(obj), path)

    def warn(obj: Obj, old: Obj | None) -> Sequence[str]:
        before = None if old is None else storing(old)
        return kind.warn(storing(obj), before) if kind.warn is not None else ()

    return replace(
        kind,
        warn=warn,
        columns=tuple(_column(column, storing) for column in kind.columns),
        read_field=read_field,
        default=default,
        prepare=prepare_by(kind.prepare),
        prepare_status=prepare_by(kind.prepare_status),
        validate=validate,
        validate_update=validate_update,
    )


def _become(obj: Obj, other: Obj) -> None:
    obj.clear()
    obj.update(other)


def _column(column: Column, storing: Shape) -> Column:
    read: Callable[[Obj], object] = column.read
    return replace(column, read=lambda obj: read(storing(obj)))
