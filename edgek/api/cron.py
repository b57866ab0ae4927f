"""Schedules of CronJobs: five fields, a descriptor such as @daily, or "@every 1h30m".

As github.com/robfig/cron ParseStandard, which upstream reads them with; its error sentences are
what users see. A schedule is wall-clock time; time zones are the caller's.
"""

import re
from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """What a field may hold, and its names in order from ``first_name`` on."""

    low: int
    high: int
    names: tuple[str, ...] = ()
    first_name: int = 0


MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
FIELDS = (
    Bounds(low=0, high=59),
    Bounds(low=0, high=23),
    Bounds(low=1, high=31),
    Bounds(low=1, high=12, names=MONTHS, first_name=1),
    Bounds(low=0, high=6, names=DAYS),
)
DESCRIPTORS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_EVERY = "@every "
_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600}
_PART = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)")
_NUMBER = re.compile(r"[+-]?[0-9]+")
MAX_LENGTH = 1024


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """The moments that fit. Where ``every`` is set the rest is empty. A day fits by ``days`` or
    by ``weekdays`` where neither is a star, else by both."""

    minutes: frozenset[int] = frozenset()
    hours: frozenset[int] = frozenset()
    days: frozenset[int] = frozenset()
    months: frozenset[int] = frozenset()
    weekdays: frozenset[int] = frozenset()
    any_day: bool = False
    any_weekday: bool = False
    every: timedelta | None = None


def parse_schedule(text: str) -> Schedule:
    """Raises ValueError with upstream's sentence."""
    if not text:
        raise ValueError("empty spec string")
    if len(text) > MAX_LENGTH:
        raise ValueError(f"spec string is longer than {MAX_LENGTH} characters")
    text = _without_zone(text)
    if text.startswith("@"):
        if text.startswith(_EVERY):
            return Schedule(every=_every(text))
        if text not in DESCRIPTORS:
            raise ValueError(f"unrecognized descriptor: {text}")
        text = DESCRIPTORS[text]
    fields = text.split()
    if len(fields) != len(FIELDS):
        found = " ".join(fields)
        raise ValueError(f"expected exactly 5 fields, found {len(fields)}: [{found}]")
    sets = [_field(field, bounds) for field, bounds in zip(fields, FIELDS, strict=True)]
    minutes, hours, days, months, weekdays = (values for values, _ in sets)
    return Schedule(
        minutes=minutes,
        hours=hours,
        days=days,
        months=months,
        weekdays=weekdays,
        any_day=sets[2][1],
        any_weekday=sets[4][1],
    )


def _without_zone(text: str) -> str:
    """``TZ=...`` is understood, so that it can be refused in words of its own."""
    return text.partition(" ")[2].strip() if zone_prefix(text) is not None else text


def zone_prefix(text: str) -> str | None:
    """The time zone's name in ``TZ=Europe/Vienna 0 3 * * *``; None where there is none."""
    if text.startswith(("TZ=", "CRON_TZ=")):
        return text.partition(" ")[0].partition("=")[2]
    return None


def _field(text: str, bounds: Bounds) -> tuple[frozenset[int], bool]:
    """The values of a list of ranges, and whether one of them is a star."""
    out: set[int] = set()
    star = False
    for part in filter(None, text.split(",")):
        values, is_star = _range(part, bounds)
        out |= values
        star = star or is_star
    return frozenset(out), star


def _range(text: str, bounds: Bounds) -> tuple[set[int], bool]:
    span, *steps = text.split("/")
    ends = span.split("-")
    star = ends[0] in ("*", "?")
    if star:
        start, end = bounds.low, bounds.high
    else:
        start = end = _value(ends[0], bounds)
        if len(ends) == 2:
            end = _value(ends[1], bounds)
        elif len(ends) > 2:
            raise ValueError(f"too many hyphens: {text}")
    if len(steps) > 1:
        raise ValueError(f"too many slashes: {text}")
    step = _number(steps[0]) if steps else 1
    if steps and len(ends) == 1:
        end = bounds.high  # "N/step" means "N-max/step"
    _check(start, end, step, bounds, text)
    return set(range(start, end + 1, step)), star and step == 1


def _check(start: int, end: int, step: int, bounds: Bounds, text: str) -> None:
    if start < bounds.low:
        raise ValueError(f"beginning of range ({start}) below minimum ({bounds.low}): {text}")
    if end > bounds.high:
        raise ValueError(f"end of range ({end}) above maximum ({bounds.high}): {text}")
    if start > end:
        raise ValueError(f"beginning of range ({start}) beyond end of range ({end}): {text}")
    if step == 0:
        raise ValueError(f"step of range should be a positive number: {text}")


def _value(text: str, bounds: Bounds) -> int:
    lower = text.lower()
    if lower in bounds.names:
        return bounds.names.index(lower) + bounds.first_name
    return _number(text)


def _number(text: str) -> int:
    if not _NUMBER.fullmatch(text):
        problem = f'strconv.Atoi: parsing "{text}": invalid syntax'
        raise ValueError(f"failed to parse int from {text}: {problem}")
    number = int(text)
    if number < 0:
        raise ValueError(f"negative number ({number}) not allowed: {text}")
    return number


def _every(text: str) -> timedelta:
    """Whole seconds, one at least."""
    seconds = duration_seconds(text.removeprefix(_EVERY))
    if seconds is None:
        problem = f'time: invalid duration "{text.removeprefix(_EVERY)}"'
        raise ValueError(f"failed to parse duration {text}: {problem}")
    return timedelta(seconds=max(1, int(seconds)))


def duration_seconds(text: str) -> float | None:
    """``1h30m`` as Go's time.ParseDuration reads it; None where it is none."""
    sign = -1 if text.startswith("-") else 1
    rest = text[1:] if text.startswith(("+", "-")) else text
    if rest == "0":
        return 0
    total, position = 0.0, 0
    for match in _PART.finditer(rest):
        if match.start() != position:
            return None
        total += float(match[1]) * _UNITS[match[2]]
        position = match.end()
    fits = rest and position == len(rest) and total < 2**63 / 1e9
    return sign * total if fits else None
