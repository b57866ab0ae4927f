"""The string formats that custom resources are held to; unknown ones hold nothing.

As kube-openapi pkg/validation/strfmt. Each test is quick and reads a text once.
"""

import base64
import binascii
import ipaddress
import re
from collections.abc import Callable
from datetime import date, datetime
from urllib.parse import urlsplit

from edgek.api.validation import is_dns1123_label, is_dns1123_subdomain

Test = Callable[[str], bool]


def _matches(pattern: str) -> Test:
    compiled = re.compile(pattern, re.ASCII)
    return lambda text: compiled.fullmatch(text) is not None


def _parses(parse: Callable[[str], object]) -> Test:
    def test(text: str) -> bool:
        try:
            parse(text)
        except (ValueError, binascii.Error):
            return False
        return True

    return test


_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.(\d+))?(?:[Zz]|[+-]\d\d:\d\d)")


def _is_date_time(text: str) -> bool:
    if not (found := _MOMENT.fullmatch(text)):
        return False
    fraction = found.group(1)
    whole = text.replace(f".{fraction}", "", 1) if fraction else text
    return _parses(datetime.fromisoformat)(whole.upper())


def _is_date(text: str) -> bool:
    return len(text) == 10 and _parses(date.fromisoformat)(text)


def _is_cidr(text: str) -> bool:
    return "/" in text and _parses(lambda t: ipaddress.ip_network(t, strict=False))(text)


def _is_uri(text: str) -> bool:
    """As url.ParseRequestURI: absolute, or a path from the root."""
    if any(ord(c) <= 0x20 or ord(c) == 0x7F for c in text):
        return False
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        return False
    return bool(parts.scheme) or text.startswith("/")


_HOSTNAME = _matches(
    r"(?=.{1,253}$)(?!-)[A-Za-z0-9_-]{1,63}(?<!-)(?:\.(?!-)[A-Za-z0-9_-]{1,63}(?<!-))*\.?"
)
_EMAIL = _matches(
    r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
    r"(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*"
)
_DURATION = _matches(
    r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)\s*[a-zµμ]+(?:\s*(?:\d+(?:\.\d*)?|\.\d+)\s*[a-zµμ]+)*"
)
_UNITS = {
    "ns", "us", "µs", "μs", "ms", "s", "m", "h", "d", "w", "nano", "micro", "milli", "sec",
    "second", "min", "minute", "hr", "hour", "day", "wk", "week",
}  # fmt: skip


def _is_duration(text: str) -> bool:
    """Go's ("1h30m"), or with words ("3 days")."""
    text = text.strip().lower()
    if text in ("0", "+0", "-0"):
        return True
    if len(text) > 256 or not _DURATION(text):
        return False
    units = re.findall(r"[a-zµμ]+", text)
    return all(u in _UNITS or u.removesuffix("s") in _UNITS for u in units)


def _is_credit_card(text: str) -> bool:
    digits = re.sub(r"[^0-9]+", "", text)
    if not 13 <= len(digits) <= 19:
        return False
    doubled = [int(d) * (1 + (i % 2 == 0)) for i, d in enumerate(reversed(digits), 1)]
    return sum(d - 9 if d > 9 else d for d in doubled) % 10 == 0


def _is_isbn10(text: str) -> bool:
    text = re.sub(r"[\s-]+", "", text)
    if not re.fullmatch(r"[0-9]{9}[0-9X]", text):
        return False
    return sum((i + 1) * (10 if c == "X" else int(c)) for i, c in enumerate(text)) % 11 == 0


def _is_isbn13(text: str) -> bool:
    text = re.sub(r"[\s-]+", "", text)
    if not re.fullmatch(r"[0-9]{13}", text):
        return False
    return sum((1, 3)[i % 2] * int(c) for i, c in enumerate(text)) % 10 == 0


_HEX8 = r"[0-9a-fA-F]{8}-?[0-9a-fA-F]{4}-?"
_TAIL = r"[0-9a-fA-F]{3}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{12}"
_VARIANT = r"[0-9a-fA-F]{3}-?[89abAB][0-9a-fA-F]{3}-?[0-9a-fA-F]{12}"
_CHANNEL = r"\s*(?:1?\d?\d|2[0-4]\d|25[0-5])\s*"

FORMATS: dict[str, Test] = {
    "bsonobjectid": _matches(r"[0-9a-fA-F]{24}"),
    "uri": _is_uri,
    "email": _EMAIL,
    "hostname": _HOSTNAME,
    "ipv4": _parses(ipaddress.IPv4Address),
    "ipv6": _parses(ipaddress.IPv6Address),
    "cidr": _is_cidr,
    "mac": _matches(r"[0-9a-fA-F]{2}(?:([:-])[0-9a-fA-F]{2})(?:\1[0-9a-fA-F]{2}){4,6}"),
    "uuid": _matches(_HEX8 + r"[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{12}"),
    "uuid3": _matches(_HEX8 + "3" + _TAIL),
    "uuid4": _matches(_HEX8 + "4" + _VARIANT),
    "uuid5": _matches(_HEX8 + "5" + _VARIANT),
    "isbn": lambda text: _is_isbn10(text) or _is_isbn13(text),
    "isbn10": _is_isbn10,
    "isbn13": _is_isbn13,
    "creditcard": _is_credit_card,
    "ssn": _matches(r"\d{3}[- ]?\d{2}[- ]?\d{4}"),
    "hexcolor": _matches(r"#?(?:[0-9a-fA-F]{3}|[0-9a-fA-F]{6})"),
    "rgbcolor": _matches(rf"rgb\({_CHANNEL},{_CHANNEL},{_CHANNEL}\)"),
    "byte": _parses(lambda text: base64.b64decode(text, validate=True)),
    "password": lambda text: True,
    "date": _is_date,
    "date-time": _is_date_time,
    "datetime": _is_date_time,
    "duration": _is_duration,
    "k8s-short-name": lambda text: not is_dns1123_label(text),
    "k8s-long-name": lambda text: not is_dns1123_subdomain(text),
}
