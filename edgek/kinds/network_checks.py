"""Checks of hosts, networks and paths that several kinds' validations share.

Sentences are apimachinery's (util/validation). Nothing here looks anything up.
"""

import ipaddress
import re

from edgek.api.validation import FieldErrors, FieldPath, is_dns1123_subdomain
from edgek.kinds.checks import check_rule

_WILDCARD = re.compile(r"\*\.[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_WILDCARD_MESSAGE = (
    "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which "
    "must consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric "
    "character (e.g. '*.example.com', regex used for validation is "
    r"'\*\.[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
_URL_PATH = re.compile(r"[A-Za-z0-9/\-._~%!$&'()*+,;=:]+")
_CIDR = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"
_DOMAIN_PATH = 'must be a domain-prefixed path (such as "acme.io/foo")'
_PATH_FORM = f"Invalid path (regex used for validation is '{_URL_PATH.pattern}')"

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def is_wildcard_subdomain(value: str) -> list[str]:
    """``*.example.com``."""
    out = [] if len(value) <= 253 else ["must be no more than 253 bytes"]
    return out if _WILDCARD.fullmatch(value) else [*out, _WILDCARD_MESSAGE]


def is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def check_host(host: str, path: FieldPath, errors: FieldErrors) -> None:
    """A DNS name, with ``*.`` before it perhaps."""
    check_rule(host, is_wildcard_subdomain if "*" in host else is_dns1123_subdomain, path, errors)


def check_cidr(text: str, path: FieldPath, errors: FieldErrors) -> Network | None:
    """The network, with host bits cleared; None where it is none."""
    address, slash, length = text.partition("/")
    try:
        if not slash or not length.isdecimal():
            raise ValueError(text)
        return ipaddress.ip_network(f"{address}/{length}", strict=False)
    except ValueError:
        errors.invalid(path, text, _CIDR)
        return None


def check_domain_path(text: str, path: FieldPath, errors: FieldErrors) -> None:
    """``acme.io/foo`` (As IsDomainPrefixedPath)."""
    if not text:
        errors.required(path)
        return
    domain, _, rest = text.partition("/")
    if not domain or not rest:
        errors.invalid(path, text, _DOMAIN_PATH)
        return
    check_rule(domain, is_dns1123_subdomain, path, errors)
    if not _URL_PATH.fullmatch(rest):
        errors.invalid(path, rest, _PATH_FORM)
