"""A machine of 512 MB whose memory a pod eats up, slowly and at once."""

from lab import Lab, expect, until
from node_step import EATER
from objects import pod

SLOWLY = (
    'awk \'BEGIN { while (1) { for (i = 0; i < 2000; i++) kept[n++] = sprintf("%1000d", n); '
    'system("sleep 0.2") } }\''
)
MODEST = {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"memory": "16Mi"}}
QUICKER = "eviction-pressure-transition-period: 10s"
"""How long a condition stays: five minutes where nothing is said."""


def pressure(lab: Lab) -> str:
    """Who asks for no memory and eats it all goes, the node says why, and the others stay."""
    two = lab.two
    two.run(f"echo '{QUICKER}' >>/etc/edgek/config.yaml; systemctl restart edgek-agent",
            timeout=300)  # fmt: skip
    lab.wait_for_node("two")
    lab.apply(
        pod("modest", node="two", script="exec sleep 36000", resources=MODEST),
        pod("bystander", node="two", script="exec sleep 36000"),
    )
    lab.wait_for_pod("modest")
    lab.wait_for_pod("bystander")
    before = lab.containers(two)
    lab.apply(pod("glutton", node="two", script=SLOWLY, restartPolicy="Never"))
    until(lambda: _reason(lab, "glutton") == "Evicted", "the glutton is evicted", timeout=400)
    said = lab.get("pod glutton")["status"]["message"]
    expect("why", "low on resource: memory" in said, True)
    until(lambda: "MemoryPressure=True" in _happened(lab), "the condition was seen")
    until(lambda: not _short(lab), "the pressure is over", timeout=180)
    expect("the other containers", lab.containers(two), before)
    lab.apply(pod("burst", node="two", script=EATER, restartPolicy="Never"))
    until(lambda: _why(lab, "burst") in ("OOMKilled", "Evicted"), "the burst ends", timeout=300)
    why = _why(lab, "burst")
    until(lambda: not _short(lab), "the pressure is over", timeout=180)
    expect("the other containers after a burst", lab.containers(two), before)
    lab.edgek("delete pod modest bystander glutton burst --grace-period=1", timeout=180)
    two.run("rm /etc/edgek/config.yaml; systemctl restart edgek-agent", timeout=300)
    lab.wait_for_node("two")
    return f"who ate at once ended as {why}"


def _reason(lab: Lab, name: str) -> str:
    return str(lab.get(f"pod {name}")["status"].get("reason", ""))


def _why(lab: Lab, name: str) -> str:
    """Of the pod, or of its container."""
    status = lab.get(f"pod {name}")["status"]
    states = [c["state"].get("terminated", {}) for c in status.get("containerStatuses", ())]
    return str(status.get("reason") or next((s["reason"] for s in states if s), ""))


def _short(lab: Lab) -> bool:
    conditions = lab.get("node two")["status"]["conditions"]
    return any(c["type"] == "MemoryPressure" and c["status"] == "True" for c in conditions)


def _happened(lab: Lab) -> str:
    """The node's own words of it."""
    events = lab.get("events --field-selector involvedObject.name=two")["items"]
    met = any(e["reason"] == "EvictionThresholdMet" for e in events)
    return f"MemoryPressure={_short(lab) or met}"
