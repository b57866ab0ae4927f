"""What an expression may name, and what it must give."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from edgek.schema.schema import Schema
from server.cel.results import ANY

DYN = ANY
"""A variable of which nothing is known before it is there."""


def of_type(name: str) -> Schema:
    """A variable of an opaque type, such as ``kubernetes.authorization.Authorizer``."""
    return Schema(type=name)


@dataclass(frozen=True, kw_only=True, eq=False)
class Environment:
    """``variables``: each with its schema; an object's fields are checked by name.

    ``results``: CEL types the expression may give (``bool``); empty: any. ``objects``: the
    expression builds ``Object{...}`` or ``JSONPatch{...}``, which the compiler's type checker
    does not know, so only names are checked. Make one Environment and keep it: compiled
    programs are remembered by its identity.
    """

    variables: Mapping[str, Schema] = field(default_factory=dict)
    results: tuple[str, ...] = ()
    objects: bool = False
