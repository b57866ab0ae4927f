"""Whatever is placed passes every filter, and whatever is refused passes none of the nodes.

A random life of a cluster, judged by a second opinion: the rules written down anew, in the
plainest way, over the objects themselves. It shares no code and no kept state with the plugins.
"""

import random
from typing import Any

import pytest

from edgek.api.meta import Obj
from tests.support.cluster import node, pod
from tests.support.placing import Cluster

REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
HOST, ZONE = "kubernetes.io/hostname", "zone"
APPS = ("web", "db", "job")


class Witness:
    """All nodes and placed pods as plain objects."""

    def __init__(self) -> None:
        self.nodes: dict[str, Obj] = {}
        self.pods: dict[str, tuple[Obj, str]] = {}

    def fits(self, obj: Obj, where: str) -> bool:
        return (
            self._taints(obj, where)
            and self._selector(obj, where)
            and self._room(obj, where)
            and self._ports(obj, where)
            and self._spread(obj, where)
            and self._affinity(obj, where)
            and self._others(obj, where)
        )

    def _labels(self, where: str) -> dict[str, str]:
        return dict(self.nodes[where]["metadata"]["labels"])

    def _on(self, where: str) -> list[Obj]:
        return [obj for obj, node_name in self.pods.values() if node_name == where]

    def _taints(self, obj: Obj, where: str) -> bool:
        spec = self.nodes[where]["spec"]
        keys = {t["key"] for t in obj["spec"].get("tolerations", [])}
        taints = [t for t in spec.get("taints", []) if t["effect"] != "PreferNoSchedule"]
        return not spec.get("unschedulable") and all(t["key"] in keys for t in taints)

    def _selector(self, obj: Obj, where: str) -> bool:
        wanted = obj["spec"].get("nodeSelector", {})
        return all(self._labels(where).get(k) == v for k, v in wanted.items())

    def _room(self, obj: Obj, where: str) -> bool:
        def cpu(one: Obj) -> int:
            return int(one["spec"]["containers"][0]["resources"]["requests"]["cpu"])

        has = int(self.nodes[where]["status"]["allocatable"]["cpu"])
        return sum(map(cpu, self._on(where))) + cpu(obj) <= has

    def _ports(self, obj: Obj, where: str) -> bool:
        def ports(one: Obj) -> set[int]:
            found = one["spec"]["containers"][0].get("ports", [])
            return {port["hostPort"] for port in found}

        return not any(ports(obj) & ports(other) for other in self._on(where))

    def _matching(self, wanted: Obj, key: str, value: str | None) -> int:
        labels = wanted["labelSelector"]["matchLabels"]
        return sum(
            labels.items() <= obj["metadata"]["labels"].items()
            for obj, node_name in self.pods.values()
            if node_name in self.nodes and self._labels(node_name).get(key) == value
        )

    def _spread(self, obj: Obj, where: str) -> bool:
        constraints = obj["spec"].get("topologySpreadConstraints", [])
        return all(self._skew_holds(obj, where, constraint) for constraint in constraints)

    def _skew_holds(self, obj: Obj, where: str, constraint: Obj) -> bool:
        key, wanted = constraint["topologyKey"], constraint["labelSelector"]["matchLabels"].items()
        counts: dict[str, int] = {}
        for name in self.nodes:
            if self._selector(obj, name) and key in self._labels(name):
                matching = [o for o in self._on(name) if wanted <= o["metadata"]["labels"].items()]
                domain = self._labels(name)[key]
                counts[domain] = counts.get(domain, 0) + len(matching)
        value = self._labels(where).get(key)
        if value is None or value not in counts:
            return False
        adds = int(wanted <= obj["metadata"]["labels"].items())
        return bool(counts[value] + adds - min(counts.values()) <= constraint["maxSkew"])

    def _terms(self, obj: Obj, kind: str) -> list[Obj]:
        found: list[Obj] = obj["spec"].get("affinity", {}).get(kind, {}).get(REQUIRED, [])
        return found

    def _affinity(self, obj: Obj, where: str) -> bool:
        labels = self._labels(where)
        for term in self._terms(obj, "podAntiAffinity"):
            value = labels.get(term["topologyKey"])
            if value is not None and self._matching(term, term["topologyKey"], value):
                return False
        for term in self._terms(obj, "podAffinity"):
            key = term["topologyKey"]
            if key not in labels:
                return False
            anywhere = sum(self._matching(term, key, v) for v in self._values(key))
            own = term["labelSelector"]["matchLabels"].items() <= obj["metadata"]["labels"].items()
            if not self._matching(term, key, labels[key]) and (anywhere or not own):
                return False
        return True

    def _values(self, key: str) -> set[str]:
        return {self._labels(n)[key] for n in self.nodes if key in self._labels(n)}

    def _others(self, obj: Obj, where: str) -> bool:
        for other, node_name in self.pods.values():
            for term in self._terms(other, "podAntiAffinity"):
                key = term["topologyKey"]
                if node_name not in self.nodes or key not in self._labels(where):
                    continue
                wanted = term["labelSelector"]["matchLabels"].items()
                same = self._labels(node_name).get(key) == self._labels(where)[key]
                if same and wanted <= obj["metadata"]["labels"].items():
                    return False
        return True


def random_node(rng: random.Random, name: str) -> Obj:
    more: dict[str, Any] = {}
    if rng.random() < 0.15:
        more["taints"] = [{"key": "special", "effect": "NoSchedule"}]
    if rng.random() < 0.1:
        more["unschedulable"] = True
    labels = {"disk": rng.choice(["ssd", "hdd"])}
    if rng.random() < 0.9:
        labels[ZONE] = rng.choice("abc")
    return node(name, cpu=str(rng.randint(3, 9)), labels=labels, **more)


def random_pod(rng: random.Random, name: str) -> Obj:
    app = rng.choice(APPS)
    wanted = {"labelSelector": {"matchLabels": {"app": rng.choice(APPS)}}}
    more: dict[str, Any] = {}
    if rng.random() < 0.2:
        more["nodeSelector"] = {"disk": "ssd"}
    if rng.random() < 0.2:
        more["tolerations"] = [{"key": "special", "operator": "Exists"}]
    if rng.random() < 0.3:
        kind = rng.choice(["podAffinity", "podAntiAffinity"])
        term = {**wanted, "topologyKey": rng.choice([HOST, ZONE])}
        more["affinity"] = {kind: {REQUIRED: [term]}}
    if rng.random() < 0.3:
        constraint = {"topologyKey": rng.choice([HOST, ZONE]), "maxSkew": rng.randint(1, 2)}
        how = {"whenUnsatisfiable": "DoNotSchedule"}
        more["topologySpreadConstraints"] = [{**wanted, **constraint, **how}]
    obj = pod(name, cpu=str(rng.randint(1, 2)), labels={"app": app}, **more)
    if rng.random() < 0.1:
        obj["spec"]["containers"][0]["ports"] = [{"hostPort": 80, "containerPort": 80}]
    return obj


class Life:
    """The same happenings for the scheduler and for the witness."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.cluster = Cluster(seed=seed)
        self.witness = Witness()
        self.placed = self.refused = 0
        for number in range(7):
            self.change_node(f"n{number}")

    def change_node(self, name: str) -> None:
        self.witness.nodes[name] = random_node(self.rng, name)
        self.cluster.snapshot.set_node(self.witness.nodes[name])

    def lose_node(self, name: str) -> None:
        self.witness.nodes.pop(name, None)
        self.cluster.snapshot.remove_node(name)
        self.cluster.rankings.clear()

    def remove(self, name: str) -> None:
        self.witness.pods.pop(name, None)
        self.cluster.snapshot.remove_pod(f"uid-{name}")

    def place(self, obj: Obj) -> None:
        name, witness = obj["metadata"]["name"], self.witness
        would = {where for where in witness.nodes if witness.fits(obj, where)}
        found = self.cluster.place(obj)
        if isinstance(found, str):
            assert found in would, obj["spec"]
            witness.pods[name] = (obj, found)
            self.placed += 1
        else:
            assert not would, (obj["spec"], found.message)
            self.refused += 1

    def step(self, number: int) -> None:
        chance, rng = self.rng.random(), self.rng
        if chance < 0.6:
            self.place(random_pod(rng, f"p{number}"))
        elif chance < 0.9 and self.witness.pods:
            self.remove(rng.choice(sorted(self.witness.pods)))
        elif chance < 0.97:
            self.change_node(f"n{rng.randint(0, 8)}")
        else:
            self.lose_node(f"n{rng.randint(0, 8)}")


@pytest.mark.parametrize("seed", range(8))
def test_what_is_placed_fits_and_what_is_refused_fits_nowhere(seed: int) -> None:
    life = Life(seed)
    for number in range(250):
        life.step(number)
    assert life.placed > 50
    assert life.refused > 5


@pytest.mark.parametrize("seed", range(3))
def test_what_preemption_promises_comes_true(seed: int) -> None:
    """With the victims gone the pod fits where it was promised, and with one back it does not."""
    life = Life(seed)
    for number in range(60):
        life.place(random_pod(life.rng, f"p{number}"))
    tried = 0
    for number in range(60):
        obj = random_pod(life.rng, f"big{number}")
        obj["spec"]["priority"] = 10
        if any(life.witness.fits(obj, where) for where in life.witness.nodes):
            continue
        plan = life.cluster.preempt(obj)
        victims = [victim.key.name for victim in getattr(plan, "victims", ())]
        if not victims:
            continue
        tried += 1
        where = plan.node  # type: ignore[union-attr]
        gone = {name: life.witness.pods.pop(name) for name in victims}
        assert life.witness.fits(obj, where)
        for name in victims:
            life.witness.pods[name] = gone[name]
            assert not life.witness.fits(obj, where)
            del life.witness.pods[name]
        life.witness.pods |= gone
    assert tried > 3
