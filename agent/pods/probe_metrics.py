"""/metrics/probes: prober_probe_total and the durations of those that succeeded. Pure.

Names and help as pkg/kubelet/prober/prober_manager.go.
"""

from collections.abc import Iterable

from agent.pods.probe_counts import BUCKETS, ProbeCounts
from agent.stats.exposition import Family


def probe_families(totals: Iterable[ProbeCounts]) -> list[Family]:
    counted = Family(
        name="prober_probe_total",
        type="counter",
        help="[BETA] Cumulative number of a liveness, readiness or startup probe for a container "
        "by result.",
    )
    timed = Family(
        name="prober_probe_duration_seconds",
        type="histogram",
        help="[ALPHA] Duration in seconds for a probe response.",
    )
    for each in totals:
        pod = {"container": each.container, "namespace": each.namespace, "pod": each.pod}
        about = pod | {"pod_uid": each.pod_uid, "probe_type": each.probe_type}
        counted.add(each.successful, about | {"result": "successful"})
        counted.add(each.failed, about | {"result": "failed"})
        _durations(timed, each, pod | {"probe_type": each.probe_type})
    return [counted, timed]


def _durations(family: Family, each: ProbeCounts, labels: dict[str, str]) -> None:
    below = 0
    for bound, count in zip((*BUCKETS, "+Inf"), each.durations, strict=True):
        below += count
        family.add(below, labels | {"le": str(bound)}, suffix="_bucket")
    family.add(each.seconds, labels, suffix="_sum")
    family.add(each.successful, labels, suffix="_count")
