"""docs/pod-coverage.md: every field of a pod's spec and what a node does with it.

From the agent's own table (agent/pods/coverage_table.py), which also refuses what it calls
refused; tests/agent/pods/test_coverage.py holds it against the schema of Kubernetes 1.37.
"""

from collections.abc import Iterable, Iterator

from agent.pods.coverage import Rule, State
from agent.pods.coverage_table import CONTAINER, CONTEXTS, POD, VOLUMES

HEAD = ("Field", "State", "Remarks", "Shown by")


def pod_rows() -> Iterator[tuple[str, ...]]:
    return _rows(POD)


def context_rows() -> Iterator[tuple[str, ...]]:
    return _rows(CONTEXTS)


def container_rows() -> Iterator[tuple[str, ...]]:
    return _rows(CONTAINER)


def volume_rows() -> Iterator[tuple[str, ...]]:
    return _rows(VOLUMES)


def _rows(rules: Iterable[Rule]) -> Iterator[tuple[str, ...]]:
    return (_row(rule, path) for rule in rules for path in rule.paths())


def _row(rule: Rule, path: str) -> tuple[str, ...]:
    whole = "" if rule.state in (State.HONOURED,) or rule.leaves else " and all below"
    proof = f"[{rule.proof.rpartition('/')[2]}](../{rule.proof})" if rule.proof else ""
    return f"`{path}`{whole}", rule.state.value, rule.note, proof
