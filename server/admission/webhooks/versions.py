"""Objects in the version of their kind that a webhook's rules name (matchPolicy Equivalent)."""

from edgek.api.meta import Obj
from edgek.kinds.kind import Kind
from server.admission.chain import Attributes


async def as_version(obj: Obj | None, attributes: Attributes, kind: Kind) -> Obj | None:
    """The object as ``kind`` has it. What a subresource speaks (Scale) has one version only."""
    if obj is None or kind == attributes.kind or obj.get("kind") != attributes.kind.kind:
        return obj
    return await converted(obj, attributes.kind, kind)


async def converted(obj: Obj, given: Kind, wanted: Kind) -> Obj:
    """From one served version to another, by way of the stored one. Shared with the caller's
    where nothing differs."""
    stored = obj if given.conversion is None else await given.conversion.store(obj)
    if wanted.conversion is None:
        return stored
    return (await wanted.conversion.serve([stored]))[0]
