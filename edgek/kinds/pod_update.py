"""What of a pod may change."""

from edgek.api.meta import Obj
from edgek.api.validation import FieldErrors


def validate_pod_update(new: Obj, old: Obj, errors: FieldErrors) -> None:
    pass
