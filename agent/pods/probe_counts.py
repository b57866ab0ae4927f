"""What the probes of one container came to: the numbers behind /metrics/probes.

As pkg/kubelet/prober/prober_manager.go: prober_probe_total by result, and the duration of
successful probes. Gone with the container.
"""

from bisect import bisect_left
from dataclasses import dataclass, field

from agent.pods.probe_attempt import Result

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds in seconds, as Prometheus' own; one more is above all."""


@dataclass(kw_only=True)
class ProbeCounts:
    """``probe_type`` is Liveness, Readiness or Startup. ``durations`` has a count per bucket (not
    cumulative) and one for what took longer."""

    probe_type: str
    container: str
    pod: str
    namespace: str
    pod_uid: str
    successful: int = 0
    failed: int = 0
    seconds: float = 0.0
    durations: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS) + 1))

    def add(self, result: Result, seconds: float) -> None:
        """An attempt that could not be made is thrown away, as upstream does."""
        if result in (Result.SUCCESS, Result.WARNING):
            self.successful += 1
            self.seconds += seconds
            self.durations[bisect_left(BUCKETS, seconds)] += 1
        elif result is Result.FAILURE:
            self.failed += 1
