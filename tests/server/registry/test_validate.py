"""What a write is held to: its kind's rules, and of a status no more than it can change."""

import pytest

from edgek.api.errors import Invalid
from edgek.api.meta import Obj
from edgek.api.validation import FieldErrors, FieldPath
from edgek.kinds.kind import Kind
from server.registry.validate import validate

SPEC, STATUS = FieldPath("spec"), FieldPath("status")


def refuse_spec(obj: Obj, errors: FieldErrors) -> None:
    errors.forbidden(SPEC, "rules have become stricter")


def refuse_bad_status(new: Obj, old: Obj, errors: FieldErrors) -> None:
    if new["status"] == "bad":
        errors.forbidden(STATUS, "bad")


KIND = Kind(
    group="", version="v1", kind="Thing", plural="things",
    validate=refuse_spec, validate_status=refuse_bad_status,
)  # fmt: skip


def thing(status: str) -> Obj:
    return {"metadata": {"name": "a", "namespace": "default"}, "status": status}


async def test_a_status_is_written_though_rules_have_become_stricter_for_the_rest() -> None:
    await validate(KIND, thing("good"), thing("old"), {}, status=True)
    with pytest.raises(Invalid, match="status: Forbidden: bad"):
        await validate(KIND, thing("bad"), thing("old"), {}, status=True)
    with pytest.raises(Invalid, match="rules have become stricter"):
        await validate(KIND, thing("good"), thing("old"), {})
