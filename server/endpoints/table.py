"""Tables: what ``kubectl get`` prints. Pure: kind and objects in, a meta.k8s.io Table out."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from edgek.api.meta import Obj
from edgek.kinds.kind import Ago, Column, Kind


def render_table(
    kind: Kind,
    objects: Sequence[Obj],
    *,
    version: str,
    include: str,
    now: datetime,
    headers: bool = True,
) -> Obj:
    """``include`` says what each row's ``object`` holds: None, Metadata or Object."""
    api_version = f"meta.k8s.io/{version}"
    return {
        "kind": "Table",
        "apiVersion": api_version,
        "metadata": {},
        "columnDefinitions": [_definition(c) for c in kind.columns] if headers else None,
        "rows": [
            {
                "cells": [_cell(c, obj, now) for c in kind.columns],
                "object": _row_object(obj, api_version, include),
            }
            for obj in objects
        ],
    }


def _definition(column: Column) -> Obj:
    return {
        "name": column.name,
        "type": "string" if column.type == "date" else column.type,
        "format": column.format,
        "description": column.description,
        "priority": column.priority,
    }


def _cell(column: Column, obj: Obj, now: datetime) -> Any:
    value = column.read(obj)
    if isinstance(value, Ago):
        return value.render(now)
    return Ago(value).render(now) if column.type == "date" else value


def _row_object(obj: Obj, api_version: str, include: str) -> Any:
    if include == "None":
        return None
    if include == "Object":
        return obj
    return {
        "kind": "PartialObjectMetadata",
        "apiVersion": api_version,
        "metadata": obj["metadata"],
    }
