"""clientConfig: where a webhook is, the same for admission and for conversion.

As apiserver pkg/util/webhook/validation.go.
"""

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from edgek.api.meta import Obj
from edgek.api.validation import FieldErrors, FieldPath, is_dns1035_label, is_dns1123_subdomain
from edgek.kinds.checks import PORT_RANGE, repeated

DEFAULT_PORT = 443
REVIEW_VERSIONS = ("v1", "v1beta1")
"""Of AdmissionReview and of ConversionReview, that the server speaks."""
_FORM = "; desired format: https://host[/path]"


def check_review_versions(
    versions: Sequence[str], path: FieldPath, errors: FieldErrors, *, missing: str = ""
) -> None:
    """What a webhook speaks must be versions, one of them known. ``missing`` says what to name
    where there is none."""
    if not versions:
        errors.required(path, missing)
        return
    again = repeated(versions)
    for index, version in enumerate(versions):
        if index in again:
            errors.invalid(path.index(index), version, "duplicate version")
            continue
        for problem in is_dns1035_label(version):
            errors.invalid(path.index(index), version, problem)
    if not set(versions) & set(REVIEW_VERSIONS):
        text = "must include at least one of " + ", ".join(REVIEW_VERSIONS)
        errors.invalid(path, list(versions), text)


def default_client_config(config: Obj | None) -> None:
    """The port of a service reference."""
    service = (config or {}).get("service")
    if service and service.get("port") is None:
        service["port"] = DEFAULT_PORT


def check_client_config(config: Obj | None, path: FieldPath, errors: FieldErrors) -> None:
    url, service = (config or {}).get("url"), (config or {}).get("service")
    if (url is None) == (service is None):
        errors.required(path, "exactly one of url or service is required")
    elif url is not None:
        _check_url(url, path.child("url"), errors)
    else:
        _check_service(service or {}, path.child("service"), errors)


def _check_url(url: str, path: FieldPath, errors: FieldErrors) -> None:
    try:
        parts = urlsplit(url)
        port = parts.port  # raises where it is none
    except ValueError as err:
        errors.required(path, f"url must be a valid URL: {err}{_FORM}")
        return
    if parts.scheme != "https":
        errors.invalid(path, parts.scheme, f"'https' is the only allowed URL scheme{_FORM}")
    if not parts.hostname and port is None:
        errors.invalid(path, "", f"host must be provided{_FORM}")
    if "@" in parts.netloc:
        user = parts.netloc.rpartition("@")[0]
        errors.invalid(path, user, "user information is not permitted in the URL")
    if parts.fragment:
        errors.invalid(path, parts.fragment, "fragments are not permitted in the URL")
    if parts.query:
        errors.invalid(path, parts.query, "query parameters are not permitted in the URL")


def _check_service(service: Obj, path: FieldPath, errors: FieldErrors) -> None:
    if not service.get("name"):
        errors.required(path.child("name"), "service name is required")
    if not service.get("namespace"):
        errors.required(path.child("namespace"), "service namespace is required")
    check_service_port(service.get("port"), path.child("port"), errors)
    if service.get("path"):
        _check_path(service["path"], path.child("path"), errors)


def check_service_port(port: Any, path: FieldPath, errors: FieldErrors) -> None:
    if not isinstance(port, int) or not 1 <= port <= 65535:
        errors.invalid(path, port or 0, f"port is not valid: {PORT_RANGE}")


def _check_path(text: str, path: FieldPath, errors: FieldErrors) -> None:
    if text == "/":
        return
    if text == "//":
        errors.invalid(path, text, "segment[0] may not be empty")
        return
    if not text.startswith("/"):
        errors.invalid(path, text, "must start with a '/'")
    for index, segment in enumerate(text[1:].removesuffix("/").split("/")):
        if not segment:
            errors.invalid(path, text, f"segment[{index}] may not be empty")
            continue
        for problem in is_dns1123_subdomain(segment):
            errors.invalid(path, text, f"segment[{index}]: {problem}")
