"""The 403 of an admission plugin, as apiserver's admission.NewForbidden words it."""

from collections.abc import Sequence

from edgek.api.errors import Forbidden
from edgek.api.meta import get_path
from server.admission.chain import Attributes


def forbidden(attributes: Attributes, why: str) -> Forbidden:
    """Names the object; one whose name is still to be generated, by its prefix."""
    meta = get_path(attributes.obj, "metadata", default={})
    name = attributes.name or meta.get("name") or meta.get("generateName") or ""
    return Forbidden.of(attributes.kind, name, why)


def aggregate(problems: Sequence[str]) -> str:
    """Several at once, as utilerrors.NewAggregate words them: each once."""
    found = list(dict.fromkeys(problems))
    return found[0] if len(found) == 1 else f"[{', '.join(found)}]"
