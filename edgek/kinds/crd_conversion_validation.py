"""Validation of a definition's conversion: between its versions by None or by a webhook."""

from collections.abc import Mapping
from typing import Any

from edgek.api.meta import Obj
from edgek.api.validation import FieldErrors, FieldPath
from edgek.kinds.checks import check_enum
from edgek.kinds.webhook_client_config import check_client_config, check_review_versions

Said = Mapping[str, Any]


def check_conversion(spec: Said, path: FieldPath, errors: FieldErrors) -> None:
    said = spec.get("conversion")
    if said is None:
        return
    at = path.child("conversion")
    check_enum(said.get("strategy"), ("None", "Webhook"), at.child("strategy"), errors)
    # Upstream tells these by the names of its internal type, not by those on the wire.
    webhook = said.get("webhook") or {}
    config, versions = webhook.get("clientConfig"), webhook.get("conversionReviewVersions") or []
    if said.get("strategy") == "Webhook":
        _check_webhook(config, at.child("webhookClientConfig"), errors)
        check_review_versions(versions, at.child("conversionReviewVersions"), errors)
        return
    text = "should not be set when strategy is not set to Webhook"
    if config is not None:
        errors.forbidden(at.child("webhookClientConfig"), text)
    if versions:
        errors.forbidden(at.child("conversionReviewVersions"), text)


def _check_webhook(config: Obj | None, path: FieldPath, errors: FieldErrors) -> None:
    if config is None:
        errors.required(path, "required when strategy is set to Webhook")
    else:
        check_client_config(config, path, errors)
