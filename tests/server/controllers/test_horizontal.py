"""HorizontalPodAutoscaler: targets follow their load, and conditions say why they do not."""

import pytest

from edgek.api.errors import Conflict, NotFound, ServiceUnavailable
from edgek.api.time import format_time
from edgek.kinds import DEPLOYMENT, HORIZONTAL_POD_AUTOSCALER, POD
from server.controllers import horizontal
from tests.support.loops import running
from tests.support.memory_api import MemoryApi

METRICS = ("/apis/metrics.k8s.io", "/apis/custom.metrics.k8s.io", "/apis/external.metrics.k8s.io")


class ScalingApi(MemoryApi):
    """With /scale of Deployments, and metrics: ``answers`` by path, ``cpu`` in thousandths of
    each pod."""

    def __init__(self):
        super().__init__()
        self.answers = {}
        self.cpu = None
        self.stamp = ""
        self.refuse = None

    def _answer(self, call):
        if call.path.endswith("/scale"):
            return self._scale(call)
        if call.path.startswith("/apis/metrics.k8s.io") and self.cpu is not None:
            return {"items": [self._usage(pod) for pod in self.all(POD)]}
        if call.path.startswith(METRICS):
            if call.path not in self.answers:
                raise NotFound.path()
            return self.answers[call.path]
        return super()._answer(call)

    def _usage(self, pod):
        container = {"name": "c", "usage": {"cpu": f"{self.cpu}m"}}
        meta = {"name": pod["metadata"]["name"], "namespace": "ns"}
        return {
            "metadata": meta, "timestamp": self.stamp, "window": "30s", "containers": [container],
        }  # fmt: skip

    def _scale(self, call):
        name = call.path.split("/")[-2]
        found = self.one(DEPLOYMENT, "ns", name)
        if found is None:
            raise NotFound.of(DEPLOYMENT, name)
        if call.method == "PUT":
            if self.refuse:
                raise self.refuse
            spec = {**found["spec"], "replicas": call.body["spec"]["replicas"]}
            found = self.put(DEPLOYMENT, {**found, "spec": spec})
        replicas = found["spec"]["replicas"]
        status = {"replicas": replicas, "selector": found["spec"]["selector"]}
        return {"metadata": found["metadata"], "spec": {"replicas": replicas}, "status": status}


CPU = {"type": "Resource", "resource": {"name": "cpu", "target": {"averageUtilization": 50}}}


def autoscaler(*metrics, name="web", target="web", kind="Deployment", **spec):
    ref = {"apiVersion": "apps/v1", "kind": kind, "name": target}
    return {
        "metadata": {"name": name, "namespace": "ns"},
        "spec": {
            "scaleTargetRef": ref,
            "minReplicas": 1,
            "maxReplicas": 10,
            "metrics": list(metrics) or [CPU],
            **spec,
        },
    }


def deployment(replicas=2, selector="app=web"):
    spec = {"replicas": replicas, "selector": selector}
    return {"metadata": {"name": "web", "namespace": "ns"}, "spec": spec}


def add_pods(api, count):
    for n in range(count):
        ready = {"type": "Ready", "status": "True", "lastTransitionTime": "2020-01-01T00:00:00Z"}
        meta = {"name": f"p{n}", "namespace": "ns", "labels": {"app": "web"}}
        container = {"name": "c", "resources": {"requests": {"cpu": "1"}}}
        status = {"phase": "Running", "startTime": "2020-01-01T00:00:00Z", "conditions": [ready]}
        api.put(POD, {"metadata": meta, "spec": {"containers": [container]}, "status": status})


def status(api, name="web"):
    return api.one(HORIZONTAL_POD_AUTOSCALER, "ns", name)["status"]


def condition(api, kind, name="web"):
    found = next(c for c in status(api, name)["conditions"] if c["type"] == kind)
    return found["status"], found["reason"], found["message"]


def replicas(api):
    return api.one(DEPLOYMENT, "ns", "web")["spec"]["replicas"]


@pytest.fixture
def api():
    api = ScalingApi()
    api.put(DEPLOYMENT, deployment())
    add_pods(api, 2)
    api.stamp = "2026-01-01T00:00:00Z"
    return api


@pytest.mark.looptime
async def test_a_load_over_its_target_grows_the_target_and_says_so(api):
    api.cpu = 900
    api.put(HORIZONTAL_POD_AUTOSCALER, autoscaler())
    async with running(api, horizontal.build) as loops:
        assert replicas(api) == 4
        assert loops.events("SuccessfulRescale") == [
            "SuccessfulRescale: New size: 4; reason: cpu resource utilization (percentage of "
            "request) above target"
        ]
        found = status(api)
        assert (found["currentReplicas"], found["desiredReplicas"]) == (2, 4)
        assert found["lastScaleTime"]
        current = {"averageUtilization": 90, "averageValue": "900m"}
        resource = {"name": "cpu", "current": current}
        assert found["currentMetrics"] == [{"type": "Resource", "resource": resource}]
        assert condition(api, "AbleToScale") == (
            "True", "SucceededRescale",
            "the HPA controller was able to update the target scale to 4",
        )  # fmt: skip
        assert condition(api, "ScalingActive") == (
            "True", "ValidMetricFound",
            "the HPA was able to successfully calculate a replica count from cpu resource "
            "utilization (percentage of request)",
        )  # fmt: skip
        assert condition(api, "ScalingLimited")[:2] == ("False", "DesiredWithinRange")


@pytest.mark.looptime
async def test_it_looks_every_fifteen_seconds_and_shrinks_after_five_minutes(api):
    api.cpu = 50
    api.put(HORIZONTAL_POD_AUTOSCALER, autoscaler())
    async with running(api, horizontal.build) as loops:
        api.calls.clear()
        await loops.settle(60)
        asked = [c for c in api.calls if c.path.startswith("/apis/metrics.k8s.io")]
        assert len(asked) == 4
        assert (replicas(api), condition(api, "AbleToScale")[1]) == (2, "ScaleDownStabilized")
        await loops.settle(270)
        assert replicas(api) == 1
        assert "All metrics below target" in loops.events("SuccessfulRescale")[0]


@pytest.mark.looptime
async def test_a_steady_load_writes_nothing_and_no_autoscaler_asks_nothing(api):
    api.cpu = 500
    api.put(HORIZONTAL_POD_AUTOSCALER, autoscaler())
    async with running(api, horizontal.build) as loops:
        await loops.settle(30)
        api.calls.clear()
        await loops.settle(600)
        assert api.writes == []
        api.remove(HORIZONTAL_POD_AUTOSCALER, "ns", "web")
        await loops.settle(20)
        api.calls.clear()
        await loops.settle(3600)
        assert api.calls == []


@pytest.mark.looptime
async def test_without_metrics_the_condition_says_what_upstreams_says(api):
    api.put(HORIZONTAL_POD_AUTOSCALER, autoscaler())
    async with running(api, horizontal.build) as loops:
        why = (
            "failed to get cpu utilization: unable to get metrics for resource cpu: unable to "
            "fetch metrics from resource metrics API: the server could not find the requested "
            "resource (get pods.metrics.k8s.io)"
        )
        assert condition(api, "ScalingActive") == (
            "False", "FailedGetResourceMetric",
            f"the HPA was unable to compute the replica count: {why}",
        )  # fmt: skip
        assert loops.events("FailedGetResourceMetric") == [f"FailedGetResourceMetric: {why}"]
        assert loops.events("FailedComputeMetricsReplicas") == [
            "FailedComputeMetricsReplicas: invalid metrics (1 invalid out of 1), first error is: "
            f"failed to get cpu resource metric value: {why}"
        ]
        assert (status(api)["currentReplicas"], replicas(api)) == (2, 2)


@pytest.mark.looptime
@pytest.mark.parametrize(
    ("have", "spec", "expected", "reason"),
    [
        (20, {}, 10, "Current number of replicas above Spec.MaxReplicas"),
        (1, {"minReplicas": 3}, 3, "Current number of replicas below Spec.MinReplicas"),
    ],
)
async def test_bounds_hold_without_any_metric(api, have, spec, expected, reason):
    api.put(DEPLOYMENT, deployment(have))
    api.put(HORIZONTAL_POD_AUTOSCALER, autoscaler(**spec))
    async with running(api, horizontal.build) as loops:
        assert replicas(api) == expected
        told = f"SuccessfulRescale: New size: {expected}; reason: {reason}"
        assert told in loops.events("SuccessfulRescale")


@pytest.mark.looptime
async def test_a_target_of_no_replicas_is_left_alone(api):
    api.put(DEPLOYMENT, deployment(0))
    api.put(HORIZONTAL_POD_AUTOSCALER, autoscaler())
    async with running(api, horizontal.build):
        assert replicas(api) == 0
        assert condition(api, "ScalingActive") == (
            "False", "ScalingDisabled",
            "scaling is disabled since the replica count of the target is zero",
        )  # fmt: skip


@pytest.mark.looptime
@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"target": "gone"}, 'deployments.apps "gone" not found'),
        ({"kind": "DaemonSet"}, "the server could not find the requested resource"),
        ({"kind": "Nothing"}, 'no matches for kind "Nothing" in group "apps"'),
    ],
)
async def test_a_target_that_can_not_be_scaled_is_told(api, changed, message):
    api.put(HORIZONTAL_POD_AUTOSCALER, autoscaler(**changed))
    async with running(api, horizontal.build) as loops:
        text = f"the HPA controller was unable to get the target's current scale: {message}"
        assert condition(api, "AbleToScale") == ("False", "FailedGetScale", text)
        assert loops.events("FailedGetScale") == [f"FailedGetScale: {message}"]


@pytest.mark.looptime
async def test_a_refused_scale_is_told_and_tried_again(api):
    api.cpu, api.refuse = 900, Conflict("somebody else")
    api.put(HORIZONTAL_POD_AUTOSCALER, autoscaler())
    async with running(api, horizontal.build) as loops:
        assert condition(api, "AbleToScale") == (
            "False", "FailedUpdateScale",
            "the HPA controller was unable to update the target scale: somebody else",
        )  # fmt: skip
        assert "error: somebody else" in loops.events("FailedRescale")[0]
        api.refuse = None
        await loops.settle(20)
        assert replicas(api) == 4


@pytest.mark.looptime
async def test_a_target_without_a_selector_is_told(api):
    api.put(DEPLOYMENT, deployment(selector=""))
    api.put(HORIZONTAL_POD_AUTOSCALER, autoscaler())
    async with running(api, horizontal.build) as loops:
        text = "the HPA target's scale is missing a selector"
        assert condition(api, "ScalingActive") == ("False", "InvalidSelector", text)
        assert loops.events("SelectorRequired") == ["SelectorRequired: selector is required"]


@pytest.mark.looptime
async def test_pods_of_two_autoscalers_are_nobodys(api):
    api.cpu = 900
    api.put(HORIZONTAL_POD_AUTOSCALER, autoscaler())
    async with running(api, horizontal.build) as loops:
        api.put(HORIZONTAL_POD_AUTOSCALER, autoscaler(name="again"))
        await loops.settle(20)
        assert condition(api, "ScalingActive", "again") == (
            "False", "AmbiguousSelector",
            "pods by selector app=web are controlled by multiple HPAs: [{again ns} {web ns}]",
        )  # fmt: skip


CUSTOM = "/apis/custom.metrics.k8s.io"
EXTERNAL = "/apis/external.metrics.k8s.io/v1beta1/namespaces/ns"


def value(amount, name=""):
    return {
        "describedObject": {"name": name}, "value": amount, "timestamp": "2026-01-01T00:00:00Z",
    }  # fmt: skip


def of_pods():
    target = {"type": "AverageValue", "averageValue": "10"}
    return {"type": "Pods", "pods": {"metric": {"name": "rps"}, "target": target}}


def of_object(kind, field, goal):
    about = {"apiVersion": "v1", "kind": "Service", "name": "front"}
    target = {"type": kind, field: goal}
    source = {"metric": {"name": "rps"}, "describedObject": about, "target": target}
    return {"type": "Object", "object": source}


def external(field, goal):
    metric = {"name": "jobs", "selector": {"matchLabels": {"queue": "a"}}}
    target = {"type": "Value", field: goal}
    return {"type": "External", "external": {"metric": metric, "target": target}}


@pytest.mark.looptime
@pytest.mark.parametrize(
    ("metric", "current"),
    [
        (of_pods(), {"averageValue": "15"}),
        (of_object("Value", "value", "20"), {"value": "30"}),
        (of_object("AverageValue", "averageValue", "10"), {"averageValue": "15"}),
        (external("value", "20"), {"value": "30"}),
        (external("averageValue", "10"), {"averageValue": "15"}),
    ],
)
async def test_custom_and_external_metrics_count(api, metric, current):
    api.answers = {
        CUSTOM: {"versions": [{"version": "v1beta1"}, {"version": "v1beta2"}]},
        f"{CUSTOM}/v1beta2/namespaces/ns/pods/*/rps": {
            "items": [value("10", "p0"), value("20", "p1")]
        },
        f"{CUSTOM}/v1beta2/namespaces/ns/services/front/rps": {"items": [value("30")]},
        f"{EXTERNAL}/jobs": {"items": [value("10"), value("20")]},
    }
    api.put(HORIZONTAL_POD_AUTOSCALER, autoscaler(metric))
    async with running(api, horizontal.build):
        assert replicas(api) == 3
        [found] = status(api)["currentMetrics"]
        [source] = [v for k, v in found.items() if k != "type"]
        assert source["current"] == current
        assert source["metric"] == metric[next(k for k in metric if k != "type")]["metric"]


@pytest.mark.looptime
@pytest.mark.parametrize(
    ("metric", "reason", "why"),
    [
        (
            of_pods(), "FailedGetPodsMetric",
            "unable to get metric rps: unable to fetch metrics from custom metrics API: no custom "
            "metrics API (custom.metrics.k8s.io) registered",
        ),
        (
            of_object("Value", "value", "20"), "FailedGetObjectMetric",
            "unable to get metric rps: Service on ns front/unable to fetch metrics from custom "
            "metrics API: no custom metrics API (custom.metrics.k8s.io) registered",
        ),
        (
            external("value", "20"), "FailedGetExternalMetric",
            "unable to get external metric ns/jobs/&LabelSelector{MatchLabels:map[string]string{"
            "queue: a,},MatchExpressions:[]LabelSelectorRequirement{},}: unable to fetch metrics "
            "from external metrics API: the server could not find the requested resource "
            "(get jobs.external.metrics.k8s.io)",
        ),
        (
            {"type": "ContainerResource", "containerResource": {
                "name": "cpu", "container": "c", "target": {"averageValue": "1"}}},
            "FailedGetContainerResourceMetric",
            "failed to get cpu usage: unable to get metrics for resource cpu: unable to fetch "
            "metrics from resource metrics API: the server could not find the requested resource "
            "(get pods.metrics.k8s.io)",
        ),
    ],
)  # fmt: skip
async def test_each_kind_of_metric_has_its_words_when_it_is_absent(api, metric, reason, why):
    api.put(HORIZONTAL_POD_AUTOSCALER, autoscaler(metric))
    async with running(api, horizontal.build) as loops:
        assert condition(api, "ScalingActive")[1] == reason
        assert loops.events(reason) == [f"{reason}: {why}"]


@pytest.mark.looptime
async def test_where_some_metrics_fail_the_target_may_grow_but_not_shrink(api):
    api.cpu = 900
    api.put(HORIZONTAL_POD_AUTOSCALER, autoscaler(of_pods(), CPU))
    async with running(api, horizontal.build) as loops:
        assert replicas(api) == 4
        assert [m["type"] for m in status(api)["currentMetrics"]] == ["", "Resource"]
        api.cpu = 10
        await loops.settle(400)
        assert replicas(api) == 4
        assert condition(api, "ScalingActive")[1] == "FailedGetPodsMetric"


@pytest.mark.looptime
async def test_answers_that_are_none_do_no_harm(api):
    metric = external("value", "1")
    api.put(HORIZONTAL_POD_AUTOSCALER, autoscaler(metric))
    async with running(api, horizontal.build) as loops:
        for answer in ({}, {"items": [{"value": "x", "timestamp": "?"}]}, {"items": [7]}, []):
            api.answers = {f"{EXTERNAL}/jobs": answer}
            await loops.settle(20)
            assert condition(api, "ScalingActive")[1] == "FailedGetExternalMetric"
        api.answers = {f"{EXTERNAL}/jobs": {"items": [value("3")]}}
        await loops.settle(20)
        assert replicas(api) > 2


@pytest.mark.looptime
async def test_behavior_limits_how_fast_it_grows(api):
    api.cpu = 3000
    policy = {"type": "Pods", "value": 1, "periodSeconds": 60}
    up = {"policies": [policy], "selectPolicy": "Max", "stabilizationWindowSeconds": 0}
    api.put(HORIZONTAL_POD_AUTOSCALER, autoscaler(behavior={"scaleUp": up}))
    async with running(api, horizontal.build) as loops:
        await loops.settle(50)
        assert (replicas(api), condition(api, "ScalingLimited")[1]) == (3, "ScaleUpLimit")
        await loops.settle(60)
        assert replicas(api) == 4
        assert format_time(loops.context.clock.now()) >= status(api)["lastScaleTime"]


@pytest.mark.looptime
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("number", range(3))
async def test_it_ends_the_same_wherever_it_was_cut(api, number, when):
    api.cpu = 900
    api.put(HORIZONTAL_POD_AUTOSCALER, autoscaler())
    hooks = api.before if when == "before" else api.after
    left = [number]

    def hook(call):
        if call.method != "GET":
            left[0] -= 1
        if left[0] < 0:
            raise ServiceUnavailable("killed")

    hooks.append(hook)
    async with running(api, horizontal.build):
        pass
    hooks.clear()
    async with running(api, horizontal.build) as loops:
        await loops.settle(20)
        assert (replicas(api), status(api)["currentReplicas"]) == (4, 4)
        assert condition(api, "AbleToScale")[:2] == ("True", "ReadyForNewScale")
