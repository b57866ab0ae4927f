"""The settings that have the kubelet's names: thresholds of eviction, reservations, image garbage
collection. Pure.

Each is an option of the agent, and ``--kubelet-arg NAME=VALUE`` says the same in k3s's way. Values
are in the kubelet's notation (``memory.available<100Mi,nodefs.available<10%``). Defaults are the
kubelet's, but for memory: of a board with less than 1 GiB a tenth is kept free, not 100 MiB.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from edgek.api.cron import duration_seconds
from edgek.api.quantity import parse_quantity
from edgek.roles import Option, Settings, UsageError

SIGNALS = (
    "memory.available", "allocatableMemory.available", "nodefs.available", "nodefs.inodesFree",
    "imagefs.available", "imagefs.inodesFree", "pid.available",
)  # fmt: skip
RESERVABLE = ("cpu", "memory", "ephemeral-storage", "pid")
DEFAULT_HARD = (
    "memory.available<100Mi,nodefs.available<10%,nodefs.inodesFree<5%,"
    "imagefs.available<15%,imagefs.inodesFree<5%"
)
SMALL_BOARD_MEMORY = Fraction(1, 10)

OPTIONS = (
    Option(name="kubelet-arg", multiple=True, metavar="NAME=VALUE",
           help="One of the kubelet's settings below, as k3s takes it."),
    Option(name="eviction-hard", metavar="LIST",
           help=f"Evict at once below these; by default {DEFAULT_HARD}."),
    Option(name="eviction-soft", default="", metavar="LIST",
           help="Evict below these once their grace period is over."),
    Option(name="eviction-soft-grace-period", default="", metavar="LIST",
           help="Grace of each soft threshold, as memory.available=1m30s."),
    Option(name="eviction-minimum-reclaim", default="", metavar="LIST",
           help="How much beyond a threshold to free, as imagefs.available=2Gi."),
    Option(name="eviction-max-pod-grace-period", type=int, default=0, metavar="SECONDS",
           help="Grace of a pod that a soft threshold evicts."),
    Option(name="eviction-pressure-transition-period", default="5m", metavar="DURATION",
           help="How long a pressure condition stays after the pressure."),
    Option(name="system-reserved", default="", metavar="LIST",
           help="Kept for the system, as cpu=200m,memory=150Mi."),
    Option(name="kube-reserved", default="", metavar="LIST", help="Kept for edgek and Podman."),
    Option(name="enforce-node-allocatable", default="pods", metavar="pods|none",
           help="Whether a cgroup keeps all pods below what is not reserved."),
    Option(name="image-gc-high-threshold", type=int, default=85, metavar="PERCENT",
           help="Disk usage above which unused images are removed."),
    Option(name="image-gc-low-threshold", type=int, default=80, metavar="PERCENT",
           help="Disk usage down to which unused images are removed."),
    Option(name="minimum-image-ttl-duration", default="2m", metavar="DURATION",
           help="Age before which no image is removed."),
    Option(name="image-maximum-gc-age", default="0s", metavar="DURATION",
           help="Remove images unused for longer; 0s: never for that alone."),
    Option(name="serialize-image-pulls", type=bool, default=False,
           help="Pull one image at a time."),
    Option(name="max-parallel-image-pulls", type=int, default=2, metavar="N",
           help="Images that are pulled at a time; more are slower on a card."),
    Option(name="max-container-restart-period", default="5m", metavar="DURATION",
           help="Longest pause before a crashing container is started again, from 1s to 5m."),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Amount:
    """An absolute quantity, or with ``percent`` a part of the capacity. ``at_most``: a part of
    the capacity that bounds a quantity."""

    quantity: Fraction = Fraction(0)
    percent: Fraction | None = None
    at_most: Fraction | None = None

    def of(self, capacity: int) -> Fraction:
        if self.percent is not None:
            return self.percent * capacity
        bound = capacity if self.at_most is None else self.at_most * capacity
        return self.quantity if self.at_most is None else min(self.quantity, Fraction(bound))


@dataclass(frozen=True, kw_only=True)
class Threshold:
    """Pressure while less than ``value`` of ``signal`` is there. Hard without a grace."""

    signal: str
    value: Amount
    grace: float = 0.0
    reclaim: Amount = Amount()

    @property
    def hard(self) -> bool:
        return self.grace == 0


@dataclass(frozen=True, kw_only=True)
class ImageGcPolicy:
    """Percent and seconds; ``max_age`` 0: age alone removes nothing."""

    high: int = 85
    low: int = 80
    min_age: float = 120.0
    max_age: float = 0.0


@dataclass(frozen=True, kw_only=True)
class KubeletArgs:
    """``reserved``: system's and kube's together, in base units."""

    thresholds: tuple[Threshold, ...] = ()
    max_pod_grace: int = 0
    transition: float = 300.0
    reserved: Mapping[str, Fraction] = field(default_factory=dict)
    enforce: bool = True
    image_gc: ImageGcPolicy = ImageGcPolicy()
    parallel_pulls: int = 2
    max_backoff: float = 300.0


def with_kubelet_args(settings: Settings, options: Sequence[Option]) -> Settings:
    """The settings with those of ``--kubelet-arg`` in their places. Any option that the kubelet
    has too may be named."""
    known = {o.name: o for o in options}
    found: dict[str, Any] = {}
    for text in settings.get("kubelet_arg") or ():
        name, equals, value = text.lstrip("-").partition("=")
        option = known.get(name)
        if option is None or not equals or name == "kubelet-arg" or option.secret:
            raise UsageError(f"--kubelet-arg {text!r}: there is no such setting here")
        found[option.key] = _converted(option, value)
    return {**settings, **found}


def _converted(option: Option, value: str) -> Any:
    if option.multiple:
        return tuple(value.split(","))
    if option.type is bool:
        return value.lower() in ("true", "1", "yes", "on")
    try:
        return option.type(value)
    except ValueError:
        raise UsageError(f"--kubelet-arg {option.name}={value!r} is not a number") from None


def parse_kubelet_args(s: Settings) -> KubeletArgs:
    """Raises UsageError, which names the setting."""
    high, low = s.get("image_gc_high_threshold", 85), s.get("image_gc_low_threshold", 80)
    if not 0 <= low < high <= 100:
        raise UsageError(
            "--image-gc-low-threshold must be below --image-gc-high-threshold, both 0 to 100"
        )
    enforce = s.get("enforce_node_allocatable", "pods")
    if enforce not in ("pods", "none", ""):
        raise UsageError(f"--enforce-node-allocatable {enforce!r}: must be pods or none")
    return KubeletArgs(
        thresholds=_thresholds(s, enforce=enforce == "pods"),
        max_pod_grace=s.get("eviction_max_pod_grace_period", 0),
        transition=_duration("eviction-pressure-transition-period", s, "5m"),
        reserved=_reserved(s),
        enforce=enforce == "pods",
        image_gc=ImageGcPolicy(
            high=high,
            low=low,
            min_age=_duration("minimum-image-ttl-duration", s, "2m"),
            max_age=_duration("image-maximum-gc-age", s, "0s"),
        ),
        parallel_pulls=_parallel_pulls(s),
        max_backoff=_max_backoff(s),
    )


def _max_backoff(s: Settings) -> float:
    """As crashLoopBackOff.maxContainerRestartPeriod of the kubelet's configuration file."""
    found = _duration("max-container-restart-period", s, "5m")
    if not 1 <= found <= 300:
        raise UsageError("--max-container-restart-period must be from 1s to 5m")
    return found


def _parallel_pulls(s: Settings) -> int:
    most = int(s.get("max_parallel_image_pulls", 2))
    if not 1 <= most <= 64:
        raise UsageError("--max-parallel-image-pulls must be from 1 to 64")
    return 1 if s.get("serialize_image_pulls") else most


def _thresholds(s: Settings, *, enforce: bool) -> tuple[Threshold, ...]:
    """As ParseThresholdConfig: a list given replaces the default one whole."""
    given = s.get("eviction_hard")
    bound = SMALL_BOARD_MEMORY if given is None else None
    hard = _amounts("eviction-hard", DEFAULT_HARD if given is None else given, "<")
    soft = _amounts("eviction-soft", s.get("eviction_soft") or "", "<")
    graces = dict(_pairs("eviction-soft-grace-period", s, "=", SIGNALS))
    reclaims = _amounts("eviction-minimum-reclaim", s.get("eviction_minimum_reclaim") or "", "=")
    found = []
    for signal, value in hard.items():
        if signal == "memory.available" and bound is not None:
            value = Amount(quantity=value.quantity, at_most=bound)
        found.append(Threshold(signal=signal, value=value))
        if signal == "memory.available" and enforce:
            found.append(Threshold(signal="allocatableMemory.available", value=value))
    for signal, value in soft.items():
        if signal not in graces:
            raise UsageError(
                f"--eviction-soft: grace period must be specified for the soft eviction threshold "
                f"{signal}"
            )
        grace = _seconds("eviction-soft-grace-period", graces[signal])
        found.append(Threshold(signal=signal, value=value, grace=grace))
    return tuple(
        Threshold(signal=t.signal, value=t.value, grace=t.grace,
                  reclaim=reclaims.get(t.signal, Amount()))
        for t in found
    )  # fmt: skip


def _amounts(option: str, text: str, operator: str) -> dict[str, Amount]:
    found = {}
    for signal, value in _split(option, text, operator, SIGNALS):
        if value.endswith("%"):
            percent = _number(option, value, lambda v: Fraction(v.removesuffix("%")))
            if not 0 <= percent < 100:
                raise UsageError(f"--{option}: {value} is not a percentage below 100")
            # As the kubelet: 0% and 100% switch a threshold off.
            found[signal] = Amount(percent=percent / 100)
        else:
            found[signal] = Amount(quantity=_number(option, value, parse_quantity))
    return {s: a for s, a in found.items() if a.percent is None or a.percent}


def _reserved(s: Settings) -> dict[str, Fraction]:
    total: dict[str, Fraction] = {}
    for option in ("system-reserved", "kube-reserved"):
        for resource, value in _pairs(option, s, "=", RESERVABLE):
            amount = _number(option, value, parse_quantity)
            total[resource] = total.get(resource, Fraction(0)) + amount
    return total


def _pairs(option: str, s: Settings, operator: str, names: Sequence[str]) -> list[tuple[str, str]]:
    text = s.get(option.replace("-", "_")) or ""
    return list(_split(option, text, operator, names))


def _split(option: str, text: str, operator: str, names: Sequence[str]) -> list[tuple[str, str]]:
    found: dict[str, str] = {}
    for part in filter(None, (p.strip() for p in text.split(","))):
        name, there, value = part.partition(operator)
        if not there or not value:
            raise UsageError(f"--{option}: {part!r} is not NAME{operator}VALUE")
        if name not in names:
            raise UsageError(f"--{option}: {name!r} is none of {', '.join(names)}")
        if name in found:
            raise UsageError(f"--{option}: {name} is there twice")
        found[name] = value
    return list(found.items())


def _duration(option: str, s: Settings, default: str) -> float:
    return _seconds(option, s.get(option.replace("-", "_")) or default)


def _seconds(option: str, text: str) -> float:
    found = duration_seconds(text)
    if found is None or found < 0:
        raise UsageError(f"--{option}: {text!r} is not a duration such as 1m30s")
    return found


def _number(option: str, text: str, read: Callable[[str], Fraction]) -> Fraction:
    try:
        found = read(text)
    except ValueError:
        raise UsageError(f"--{option}: {text!r} is not a quantity such as 100Mi or 10%") from None
    if found < 0:
        raise UsageError(f"--{option}: {text!r} is negative")
    return found
