"""Addresses of endpoints: how they are listed in a table, and what they may not be."""

import ipaddress
from collections.abc import Sequence

from edgek.api.validation import FieldErrors, FieldPath
from edgek.kinds.checks import check_ip
from edgek.kinds.columns import NONE

SHOWN = 3


def shorten(items: Sequence[str], *, empty: str = NONE) -> str:
    """``a,b,c + 2 more...``"""
    if not items:
        return empty
    more = f" + {len(items) - SHOWN} more..." if len(items) > SHOWN else ""
    return ",".join(items[:SHOWN]) + more


def check_endpoint_ip(text: str, path: FieldPath, errors: FieldErrors) -> None:
    """As ValidateEndpointIP: traffic must not be led to the node itself or to many."""
    before = len(errors.errors)
    check_ip(text, path, errors)
    if len(errors.errors) > before:
        return
    ip = ipaddress.ip_address(text)
    for bad, sentence in (
        (ip.is_unspecified, f"may not be unspecified ({text})"),
        (ip.is_loopback, "may not be in the loopback range (127.0.0.0/8, ::1/128)"),
        (ip.is_link_local, "may not be in the link-local range (169.254.0.0/16, fe80::/10)"),
        (ip.is_multicast, "may not be in the multicast range (224.0.0.0/4, ff00::/10)"),
    ):
        if bad:
            errors.invalid(path, text, sentence)
            return
