"""Checks of single settings, shared by the roles.

A check takes text and gives back the value in its one right form, or raises ValueError with a
sentence that quotes what was wrong; ``checked`` turns it into the UsageError that names the flag.
"""

import ipaddress
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from edgek.api.validation import is_dns1123_subdomain, is_label_value, is_qualified_name
from edgek.roles import Settings, UsageError

IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network
_T = TypeVar("_T")


@contextmanager
def naming(option: str) -> Iterator[None]:
    try:
        yield
    except ValueError as err:
        raise UsageError(f"--{option}: {err}") from err


def checked(settings: Settings, option: str, check: Callable[[Any], _T]) -> _T:
    with naming(option):
        return check(settings[option.replace("-", "_")])


def each(settings: Settings, option: str, check: Callable[[str], str]) -> tuple[str, ...]:
    """Repeated flags; each may hold several values with commas between, as k3s allows."""
    texts = settings[option.replace("-", "_")] or ()
    with naming(option):
        return tuple(check(p.strip()) for text in texts for p in text.split(",") if p.strip())


def network(text: str) -> IPNetwork:
    try:
        found = ipaddress.ip_network(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a network such as 10.42.0.0/16") from None
    if found.num_addresses < 16:
        raise ValueError(f"{text!r} is too small; a /28 is the least")
    return found


def address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise ValueError(f"{text!r} is not an IP address") from None


def port(number: int) -> int:
    if not 1 <= number <= 65535:
        raise ValueError(f"{number} is not a port; ports are 1 to 65535")
    return number


def port_range(text: str) -> range:
    low, _, high = text.partition("-")
    if not (low.isdecimal() and high.isdecimal() and 1 <= int(low) <= int(high) <= 65535):
        raise ValueError(f"{text!r} is not a range of ports such as 30000-32767")
    return range(int(low), int(high) + 1)


def dns_name(text: str) -> str:
    if problems := is_dns1123_subdomain(text):
        raise ValueError(f"{text!r}: {problems[0]}")
    return text


def san(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        dns_name(text.removeprefix("*.").lower())
        return text


def label(text: str) -> str:
    key, equals, value = text.partition("=")
    problems = is_qualified_name(key) + is_label_value(value)
    if not equals or problems:
        raise ValueError(f"{text!r} is not a label such as zone=attic" + _because(problems))
    return text


def taint(text: str) -> str:
    left, _, effect = text.rpartition(":")
    key, _, value = left.partition("=")
    problems = is_qualified_name(key) + is_label_value(value)
    if problems or effect not in ("NoSchedule", "PreferNoSchedule", "NoExecute"):
        raise ValueError(f"{text!r} is not a taint such as key=value:NoSchedule")
    return text


def _because(problems: list[str]) -> str:
    return f": {problems[0]}" if problems else ""


def file_mode(text: str) -> int:
    try:
        mode = int(text, 8)
    except ValueError:
        mode = -1
    if not 0o400 <= mode <= 0o777:
        raise ValueError(f"{text!r} is not a file mode such as 0600")
    return mode
