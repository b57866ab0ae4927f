"""Validation of a pod."""

from edgek.api.meta import Obj
from edgek.api.validation import FieldErrors, FieldPath


def validate_pod(pod: Obj, errors: FieldErrors) -> None:
    pass


def validate_template(template: Obj, path: FieldPath, errors: FieldErrors) -> None:
    pass
