"""Validation of a pod."""

from edgek.api.meta import Obj
from edgek.api.validation import FieldErrors


def validate_pod(pod: Obj, errors: FieldErrors) -> None:
    pass
