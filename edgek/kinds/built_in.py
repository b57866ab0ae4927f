"""Which resources are built in. No CustomResourceDefinition gets one of their names.

A custom kind of the same group and plural would share their place in the store, whatever its
version: it would write past their validation, and emptying it would delete them.
"""

from collections.abc import Iterable, Mapping
from functools import cache

from edgek.kinds import ALL, COMPAT_BETAS


def is_built_in(group: str, plural: str) -> bool:
    """In any version, also one that is not served."""
    return (group, plural) in _resources()


def built_in_names(group: str) -> Iterable[Mapping[str, str]]:
    """The names in use in that group, in the form of acceptedNames."""
    return [{"plural": plural} for of, plural in _resources() if of == group]


@cache
def _resources() -> frozenset[tuple[str, str]]:
    return frozenset((kind.group, kind.plural) for kind in (*ALL, *COMPAT_BETAS))
