"""Which standard a namespace asks for, and in which of its versions (upstream:
k8s.io/pod-security-admission/api)."""

import re
from collections.abc import Mapping
from typing import NamedTuple

from edgek.api.validation import FieldErrors, FieldPath

PREFIX = "pod-security.kubernetes.io/"
PRIVILEGED, BASELINE, RESTRICTED = LEVELS = ("privileged", "baseline", "restricted")
MODES = ("enforce", "audit", "warn")
LATEST = 1_000_000
"""The minor version that is newer than all."""
_VERSION = re.compile(r"v1\.(0|[1-9][0-9]{0,5})")
_LABELS = FieldPath("metadata.labels")


class Standard(NamedTuple):
    """A level in a version: ``restricted:v1.25``."""

    level: str = PRIVILEGED
    minor: int = LATEST

    def __str__(self) -> str:
        return f"{self.level}:{'latest' if self.minor == LATEST else f'v1.{self.minor}'}"

    def is_stricter_than(self, other: "Standard") -> bool:
        return LEVELS.index(self.level) > LEVELS.index(other.level)


class Policy(NamedTuple):
    """What is refused, what is noted in the audit log, what is warned of."""

    enforce: Standard = Standard()
    audit: Standard = Standard()
    warn: Standard = Standard()


NO_POLICY = Policy()


def policy_of(labels: Mapping[str, str]) -> tuple[Policy, FieldErrors]:
    """As PolicyToEvaluate: there is always a policy. What cannot be read is taken for restricted
    where it is enforced, and for nothing where it only tells."""
    problems = FieldErrors()
    if not any(label.startswith(PREFIX) for label in labels):
        return NO_POLICY, problems
    return Policy(*(_standard(labels, mode, problems) for mode in MODES)), problems


def _standard(labels: Mapping[str, str], mode: str, problems: FieldErrors) -> Standard:
    label = PREFIX + mode
    level = labels.get(label, PRIVILEGED)
    if level not in LEVELS:
        problems.invalid(_LABELS.key(label), level, f"must be one of {', '.join(LEVELS)}")
        level = RESTRICTED if mode == "enforce" else PRIVILEGED
    return Standard(level, _minor(labels, f"{label}-version", problems))


def _minor(labels: Mapping[str, str], label: str, problems: FieldErrors) -> int:
    text = labels.get(label, "latest")
    if text == "latest":
        return LATEST
    found = _VERSION.fullmatch(text)
    if found is None:
        problems.invalid(_LABELS.key(label), text, 'must be "latest" or "v1.x"')
        return LATEST
    return int(found[1])
