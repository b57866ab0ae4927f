"""Admission webhooks through the real server: real HTTPS servers are asked, in order."""

import asyncio
import base64
import copy
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import pytest
from aiohttp import web

from edgek.api.errors import ApiError, BadRequest, InternalError
from edgek.api.meta import Key, Obj
from edgek.client.client import Client
from edgek.kinds import (
    CONFIG_MAP,
    DEPLOYMENT,
    HORIZONTAL_POD_AUTOSCALER,
    MUTATING_WEBHOOK_CONFIGURATION,
    NAMESPACE,
    POD,
    SERVICE_ACCOUNT,
    VALIDATING_WEBHOOK_CONFIGURATION,
)
from edgek.kinds.kind import Kind
from server.app import Api
from server.endpoints.route import Target
from server.endpoints.subresources.streams import pod_exec
from server.parts import plugins
from server.request.model import Request
from server.tunnel import Tunnels
from tests.support.api import ADMIN, admin, open_api
from tests.support.https_peer import Peer, https_peer

Answer = Callable[[Obj], Obj]
CONFIG_MAPS = {
    "operations": ["CREATE", "UPDATE", "DELETE"],
    "apiGroups": [""],
    "apiVersions": ["v1"],
    "resources": ["configmaps"],
}


@dataclass(kw_only=True)
class World:
    """A server and one webhook server, which answers by path and remembers what it was asked."""

    client: Client
    peer: Peer
    answers: dict[str, Answer]
    api: Api
    asked: list[tuple[str, Obj]] = field(default_factory=list)
    before: Callable[[Obj], Awaitable[None]] | None = None
    """Runs before an answer is given."""

    async def configure(self, kind: Kind, name: str, *paths: str, **more: Any) -> None:
        """One configuration with a webhook for each path."""
        hooks = [self.hook(path, **more) for path in paths]
        await self.client.create(kind, {"metadata": {"name": name}, "webhooks": hooks})

    def hook(self, path: str, **more: Any) -> Obj:
        hook = {
            "name": f"{path}.example.com",
            "clientConfig": self.peer.config(f"/{path}"),
            "rules": [CONFIG_MAPS],
            "sideEffects": "None",
            "admissionReviewVersions": ["v1"],
        }
        return hook | copy.deepcopy(more)

    async def write(self, name: str = "settings", **more: Any) -> Obj:
        return await self.client.create(CONFIG_MAP, config_map(name, **more))

    async def refusal(self, name: str = "settings", **more: Any) -> ApiError:
        with pytest.raises(ApiError) as caught:
            await self.write(name, **more)
        return caught.value

    def requests(self, path: str) -> list[Obj]:
        return [review["request"] for asked, review in self.asked if asked == path]


def config_map(name: str, **more: Any) -> Obj:
    return {"metadata": {"name": name, "namespace": "default"}, **more}


def allowed(_: Obj) -> Obj:
    return {"allowed": True}


def patching(*operations: Obj) -> Answer:
    encoded = base64.b64encode(json.dumps(operations).encode()).decode()
    return lambda _: {"allowed": True, "patchType": "JSONPatch", "patch": encoded}


def marking(letter: str) -> Answer:
    """Adds its letter to what is written at data.seen."""

    def answer(request: Obj) -> Obj:
        seen = (request["object"].get("data") or {}).get("seen", "")
        operation = {"op": "add", "path": "/data", "value": {"seen": seen + letter}}
        return patching(operation)(request)

    return answer


@asynccontextmanager
async def opened(**answers: Answer) -> AsyncIterator[World]:
    async def handle(request: web.Request) -> web.StreamResponse:
        review = await request.json()
        path = request.path.strip("/")
        world.asked.append((path, review))
        if world.before is not None:
            await world.before(review["request"])
        response = {"uid": review["request"]["uid"]} | world.answers[path](review["request"])
        return web.json_response(
            {"apiVersion": review["apiVersion"], "kind": "AdmissionReview", "response": response}
        )

    async with AsyncExitStack() as stack:
        peer = await stack.enter_async_context(https_peer(handle))
        api = await stack.enter_async_context(open_api(plugins=plugins))
        world = World(client=admin(api), peer=peer, answers=dict(answers), api=api)
        await world.client.create(NAMESPACE, {"metadata": {"name": "default"}})
        yield world


async def test_a_webhook_is_asked_with_all_that_the_request_is() -> None:
    async with opened(hook=allowed) as world:
        await world.configure(VALIDATING_WEBHOOK_CONFIGURATION, "v", "hook")
        made = await world.write(data={"a": "b"})
        await world.client.delete(CONFIG_MAP, Key("default", "settings"))
    (path, review), (_, deletion) = world.asked
    assert path == "hook"
    request = review["request"]
    assert (review["apiVersion"], review["kind"]) == ("admission.k8s.io/v1", "AdmissionReview")
    assert request["kind"] == request["requestKind"] == {
        "group": "", "version": "v1", "kind": "ConfigMap"
    }  # fmt: skip
    assert request["resource"] == request["requestResource"] == {
        "group": "", "version": "v1", "resource": "configmaps"
    }  # fmt: skip
    assert (request["name"], request["namespace"]) == ("settings", "default")
    assert (request["operation"], request["dryRun"]) == ("CREATE", False)
    assert request["options"]["kind"] == "CreateOptions"
    assert request["userInfo"]["username"] == "admin"
    assert request["oldObject"] is None
    assert request["object"]["data"] == {"a": "b"}
    assert request["object"]["metadata"]["uid"] == made["metadata"]["uid"]
    assert "resourceVersion" not in request["object"]["metadata"]
    request = deletion["request"]
    assert request["operation"] == "DELETE"
    assert request["object"] is None
    assert request["oldObject"] == made
    assert request["options"]["kind"] == "DeleteOptions"


async def test_a_refusal_is_answered_in_the_webhooks_words() -> None:
    def refuse(_: Obj) -> Obj:
        status = {"code": 403, "reason": "Forbidden", "message": "no blue", "details": {"x": 1}}
        return {"allowed": False, "status": status}

    async with opened(hook=refuse, silent=lambda _: {"allowed": False}) as world:
        await world.configure(VALIDATING_WEBHOOK_CONFIGURATION, "v", "hook")
        refused = await world.refusal()
        assert (refused.code, refused.reason) == (403, "Forbidden")
        assert refused.message == 'admission webhook "hook.example.com" denied the request: no blue'
        await world.client.delete(VALIDATING_WEBHOOK_CONFIGURATION, Key("", "v"))
        await world.configure(VALIDATING_WEBHOOK_CONFIGURATION, "w", "silent")
        refused = await world.refusal()
        assert (refused.code, refused.message) == (
            400, 'admission webhook "silent.example.com" denied the request without explanation'
        )  # fmt: skip


async def test_mutating_webhooks_are_asked_by_name_of_configuration_then_in_order() -> None:
    async with opened(one=marking("1"), two=marking("2"), three=marking("3")) as world:
        await world.configure(MUTATING_WEBHOOK_CONFIGURATION, "b", "three")
        await world.configure(MUTATING_WEBHOOK_CONFIGURATION, "a", "one", "two")
        made = await world.write()
    assert made["data"] == {"seen": "123"}


async def test_a_patched_object_is_a_proper_one_again() -> None:
    pods = [CONFIG_MAPS | {"resources": ["pods"]}]
    sidecar = {"name": "sidecar", "image": "sidecar:1", "ports": [{"containerPort": 80}]}
    patch = patching(
        {"op": "add", "path": "/spec/containers/-", "value": sidecar},
        {"op": "add", "path": "/spec/nonsense", "value": 1},
    )
    async with opened(hook=patch) as world:
        await world.configure(MUTATING_WEBHOOK_CONFIGURATION, "m", "hook", rules=pods)
        account = {"metadata": {"name": "default", "namespace": "default"}}
        await world.client.create(SERVICE_ACCOUNT, account)
        pod = {
            "metadata": {"name": "web", "namespace": "default"},
            "spec": {"containers": [{"name": "web", "image": "web:1"}]},
        }
        made = await world.client.create(POD, pod)
    container = made["spec"]["containers"][1]
    assert container["ports"] == [{"containerPort": 80, "protocol": "TCP"}]
    assert container["terminationMessagePath"] == "/dev/termination-log"
    assert "nonsense" not in made["spec"]
    paths = [m["mountPath"] for m in container["volumeMounts"]]
    assert paths == ["/var/run/secrets/kubernetes.io/serviceaccount"]  # of the second round


async def test_a_patch_that_does_not_fit_is_an_internal_error() -> None:
    missing = patching({"op": "remove", "path": "/nowhere"})
    wrong = patching({"op": "add", "path": "/data", "value": 7})
    async with opened(missing=missing, wrong=wrong) as world:
        for path in ("missing", "wrong"):
            await world.configure(MUTATING_WEBHOOK_CONFIGURATION, path, path)
            refused = await world.refusal()
            assert isinstance(refused, InternalError)
            assert refused.message.startswith("Internal error occurred: ")
            await world.client.delete(MUTATING_WEBHOOK_CONFIGURATION, Key("", path))


async def test_a_webhook_that_wants_it_is_asked_again_after_a_later_change() -> None:
    async with opened(early=marking("e"), late=marking("l")) as world:
        hooks = [
            world.hook("early", reinvocationPolicy="IfNeeded"),
            world.hook("late", reinvocationPolicy="IfNeeded"),
        ]
        both = {"metadata": {"name": "m"}, "webhooks": hooks}
        await world.client.create(MUTATING_WEBHOOK_CONFIGURATION, both)
        made = await world.write()
        assert made["data"] == {"seen": "elel"}  # and there is no third round


async def test_a_webhook_that_does_not_want_it_is_asked_once() -> None:
    async with opened(early=marking("e"), late=marking("l")) as world:
        await world.configure(MUTATING_WEBHOOK_CONFIGURATION, "m", "early", "late")
        assert (await world.write())["data"] == {"seen": "el"}


FAILURES: Sequence[tuple[str, Answer, str]] = (
    ("uid", lambda _: {"uid": "other", "allowed": True}, 'expected response.uid="'),
    ("patch", patching(), "validating webhook may not return response.patch"),
)


@pytest.mark.parametrize(("path", "answer", "says"), FAILURES, ids=[f[0] for f in FAILURES])
async def test_an_answer_to_no_question_counts_as_a_failure(
    path: str, answer: Answer, says: str
) -> None:
    async with opened(**{path: answer}) as world:
        await world.configure(VALIDATING_WEBHOOK_CONFIGURATION, "v", path)
        refused = await world.refusal()
        assert refused.code == 500
        begin = (
            f'Internal error occurred: failed calling webhook "{path}.example.com": received '
            "invalid webhook response: "
        )
        assert refused.message.startswith(begin + says)


async def test_who_cannot_be_reached_refuses_or_is_ignored_as_its_policy_says() -> None:
    nowhere = {"service": {"namespace": "default", "name": "nobody", "path": "/x"}}
    async with opened() as world:
        await world.configure(
            VALIDATING_WEBHOOK_CONFIGURATION, "v", "hook", clientConfig=nowhere, timeoutSeconds=3
        )
        refused = await world.refusal()
        why = (
            'failed calling webhook "hook.example.com": failed to call webhook: Post '
            '"https://nobody.default.svc:443/x?timeout=3s": service "nobody" not found'
        )
        assert refused.message == f"Internal error occurred: {why}"
        assert refused.details == {"causes": [{"message": why}]}
        await world.client.delete(VALIDATING_WEBHOOK_CONFIGURATION, Key("", "v"))
        more = {"clientConfig": nowhere, "failurePolicy": "Ignore"}
        await world.configure(VALIDATING_WEBHOOK_CONFIGURATION, "v", "hook", **more)
        await world.configure(MUTATING_WEBHOOK_CONFIGURATION, "m", "hook", **more)
        assert await world.write()


async def test_selectors_choose_whom_a_webhook_is_asked_about() -> None:
    blue = {"matchLabels": {"color": "blue"}}
    async with opened(objects=allowed, namespaces=allowed) as world:
        await world.configure(VALIDATING_WEBHOOK_CONFIGURATION, "o", "objects", objectSelector=blue)
        await world.configure(
            VALIDATING_WEBHOOK_CONFIGURATION, "n", "namespaces", namespaceSelector=blue
        )
        await world.write("plain")
        assert world.asked == []
        painted = config_map("painted")
        painted["metadata"]["labels"] = {"color": "blue"}
        await world.client.create(CONFIG_MAP, painted)
        assert [path for path, _ in world.asked] == ["objects"]
        await world.client.patch(
            NAMESPACE, Key("", "default"), {"metadata": {"labels": {"color": "blue"}}}
        )
        await world.write("in-blue")
        assert [path for path, _ in world.asked] == ["objects", "namespaces"]


async def test_a_dry_run_asks_only_those_that_leave_no_trace() -> None:
    async with opened(hook=allowed) as world:
        await world.configure(VALIDATING_WEBHOOK_CONFIGURATION, "v", "hook")
        await world.client.create(CONFIG_MAP, config_map("x"), dry_run=True)
        assert world.requests("hook")[0]["dryRun"] is True


async def test_warnings_reach_the_client_and_the_object_is_written() -> None:
    async with opened(hook=lambda _: {"allowed": True, "warnings": ["old", "old"]}) as world:
        await world.configure(VALIDATING_WEBHOOK_CONFIGURATION, "v", "hook")
        assert await world.write()


async def test_configurations_are_never_the_business_of_webhooks() -> None:
    everything = [{k: ["*"] for k in ("operations", "apiGroups", "apiVersions", "resources")}]
    async with opened(hook=lambda _: {"allowed": False}) as world:
        for kind in (VALIDATING_WEBHOOK_CONFIGURATION, MUTATING_WEBHOOK_CONFIGURATION):
            await world.configure(kind, "all", "hook", rules=everything)
        with pytest.raises(ApiError):
            await world.write()
        for kind in (VALIDATING_WEBHOOK_CONFIGURATION, MUTATING_WEBHOOK_CONFIGURATION):
            await world.client.delete(kind, Key("", "all"))
        assert await world.write()


async def test_a_webhook_that_may_leave_traces_is_not_asked_in_a_dry_run() -> None:
    """Only configurations of old can say so; validation does not let new ones."""
    from server.admission.chain import Attributes
    from server.admission.webhooks.ask import Asker
    from server.admission.webhooks.hooks import hook_of
    from tests.support.api import ADMIN

    class Nobody:
        async def call(self, client_config: Obj, request_body: Obj, *, timeout: float) -> Obj:
            raise AssertionError("asked")

    hook = hook_of("c", {"name": "h.example.com", "sideEffects": "Some"}, 0)
    attributes = Attributes(
        operation="CREATE", kind=CONFIG_MAP, namespace="default", name="x", user=ADMIN,
        obj=config_map("x"), dry_run=True,
    )  # fmt: skip
    with pytest.raises(BadRequest) as caught:
        await Asker(caller=Nobody(), mutating=True).ask(hook, CONFIG_MAP, attributes)
    assert caught.value.message == 'admission webhook "h.example.com" does not support dry run'


async def test_match_conditions_choose_too_and_their_errors_count_as_failures() -> None:
    plain = {"name": "plain", "expression": "!has(object.metadata.labels)"}
    broken = {"name": "broken", "expression": "object.nonsense == 1"}
    async with opened(hook=allowed) as world:
        more = {"matchConditions": [plain]}
        await world.configure(VALIDATING_WEBHOOK_CONFIGURATION, "v", "hook", **more)
        painted = config_map("painted")
        painted["metadata"]["labels"] = {"color": "blue"}
        await world.client.create(CONFIG_MAP, painted)
        assert world.asked == []
        await world.write("plain")
        assert len(world.asked) == 1
        more = {"matchConditions": [broken]}
        await world.configure(VALIDATING_WEBHOOK_CONFIGURATION, "w", "hook", **more)
        refused = await world.refusal("other")
        assert refused.code == 403
        assert "object.nonsense == 1" in refused.message


async def test_mutating_webhooks_see_a_name_that_is_still_to_be_generated() -> None:
    async with opened(mutate=marking("m"), validate=allowed) as world:
        await world.configure(MUTATING_WEBHOOK_CONFIGURATION, "m", "mutate")
        await world.configure(VALIDATING_WEBHOOK_CONFIGURATION, "v", "validate")
        obj = {"metadata": {"generateName": "web-", "namespace": "default"}}
        made = await world.client.create(CONFIG_MAP, obj)
        assert made["data"] == {"seen": "m"}
        (first,), (second,) = world.requests("mutate"), world.requests("validate")
        assert "name" not in first
        assert first["object"]["metadata"]["generateName"] == "web-"
        assert second["name"] == made["metadata"]["name"]


async def test_a_webhook_gets_the_version_that_its_rules_name() -> None:
    rules = [CONFIG_MAPS | {"apiGroups": ["autoscaling"], "apiVersions": ["v1"],
                            "resources": ["horizontalpodautoscalers"]}]  # fmt: skip
    more = patching({"op": "add", "path": "/spec/targetCPUUtilizationPercentage", "value": 33})
    async with opened(hook=more, exact=allowed) as world:
        await world.configure(MUTATING_WEBHOOK_CONFIGURATION, "m", "hook", rules=rules)
        await world.configure(
            VALIDATING_WEBHOOK_CONFIGURATION, "v", "exact", rules=rules, matchPolicy="Exact"
        )
        target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
        obj = {
            "metadata": {"name": "web", "namespace": "default"},
            "spec": {"scaleTargetRef": target, "maxReplicas": 3},
        }
        made = await world.client.create(HORIZONTAL_POD_AUTOSCALER, obj)
        (request,) = world.requests("hook")
        assert world.requests("exact") == []
    assert (request["kind"]["version"], request["requestKind"]["version"]) == ("v1", "v2")
    assert request["object"]["apiVersion"] == "autoscaling/v1"
    assert made["apiVersion"] == "autoscaling/v2"
    assert made["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"] == 33


ALL_OF_PODS = [{"operations": ["*"], "apiGroups": [""], "apiVersions": ["v1"],
                "resources": ["pods/*"]}]  # fmt: skip


async def test_subresources_are_sent_as_the_types_they_speak() -> None:
    scales = [CONFIG_MAPS | {"apiGroups": ["apps"], "resources": ["deployments/scale"]}]
    more = patching({"op": "replace", "path": "/spec/replicas", "value": 7})
    async with opened(pods=allowed, scale=more) as world:
        await world.configure(VALIDATING_WEBHOOK_CONFIGURATION, "v", "pods", rules=ALL_OF_PODS)
        await world.configure(MUTATING_WEBHOOK_CONFIGURATION, "m", "scale", rules=scales)
        deployment = await world.client.create(DEPLOYMENT, dict(DEPLOYMENT.example))
        key = Key("default", deployment["metadata"]["name"])
        body = {"spec": {"replicas": 5}}
        scaled = await world.client.patch(DEPLOYMENT, key, body, subresource="scale")
        assert scaled["spec"] == {"replicas": 7}
        assert (await world.client.get(DEPLOYMENT, key))["spec"]["replicas"] == 7
        (request,) = world.requests("scale")
        assert request["kind"] == {"group": "autoscaling", "version": "v1", "kind": "Scale"}
        assert (request["resource"]["resource"], request["subResource"]) == ("deployments", "scale")
        assert (request["object"]["kind"], request["operation"]) == ("Scale", "UPDATE")
        assert request["oldObject"]["spec"] != request["object"]["spec"]

        account = {"metadata": {"name": "default", "namespace": "default"}}
        await world.client.create(SERVICE_ACCOUNT, account)
        pod = {
            "metadata": {"name": "web", "namespace": "default"},
            "spec": {"containers": [{"name": "web", "image": "web:1"}]},
        }
        await world.client.create(POD, pod)
        binding = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": "web", "namespace": "default"},
            "target": {"kind": "Node", "name": "node-1"},
        }
        await world.client.create(POD, binding, subresource="binding", name="web")
        *_, request = world.requests("pods")  # "pods/*" takes pods themselves too
        assert (request["operation"], request["kind"]["kind"]) == ("CREATE", "Binding")
        assert request["object"]["target"]["name"] == "node-1"


async def test_who_opens_a_stream_to_a_pod_is_admitted() -> None:
    async with opened(hook=lambda _: {"allowed": False}) as world:
        await world.configure(VALIDATING_WEBHOOK_CONFIGURATION, "v", "hook", rules=ALL_OF_PODS)
        query = "stdin=true&container=web&command=sh&command=-c"
        request = Request(
            method="POST", path="/", query=dict(parse_qsl(query)), raw_query=query, user=ADMIN
        )
        target = Target(kind=POD, key=Key("default", "web"), subresource="exec")
        with pytest.raises(ApiError, match="denied the request"):
            await pod_exec(Tunnels())(world.api.env, request, target)
        (asked,) = world.requests("hook")
    assert (asked["operation"], asked["subResource"]) == ("CONNECT", "exec")
    assert asked["kind"]["kind"] == "PodExecOptions"
    assert asked["object"] == {
        "kind": "PodExecOptions", "apiVersion": "v1", "stdin": True, "container": "web",
        "command": ["sh", "-c"],
    }  # fmt: skip


async def test_what_is_deleted_cannot_be_changed() -> None:
    patch = patching({"op": "add", "path": "/data", "value": {}})
    rules = [CONFIG_MAPS | {"operations": ["DELETE"]}]
    async with opened(hook=patch) as world:
        await world.configure(MUTATING_WEBHOOK_CONFIGURATION, "m", "hook", rules=rules)
        await world.write()
        with pytest.raises(InternalError) as caught:
            await world.client.delete(CONFIG_MAP, Key("default", "settings"))
    assert caught.value.message == (
        'Internal error occurred: admission webhook "hook.example.com" attempted to modify the '
        "object, which is not supported for this operation"
    )


async def test_no_webhook_moves_an_object_elsewhere() -> None:
    moved = patching({"op": "replace", "path": "/metadata/namespace", "value": "kube-system"})
    async with opened(hook=moved) as world:
        await world.configure(MUTATING_WEBHOOK_CONFIGURATION, "m", "hook")
        refused = await world.refusal()
    assert isinstance(refused, BadRequest)
    assert "does not match the namespace sent on the request" in refused.message


async def test_validating_webhooks_are_asked_at_once_and_the_first_of_them_is_answered() -> None:
    both = asyncio.Barrier(2)

    async def meet(_: Obj) -> None:
        async with asyncio.timeout(5):
            await both.wait()

    def refuse(who: str) -> Answer:
        return lambda _: {"allowed": False, "status": {"message": who}}

    async with opened(one=refuse("one"), two=refuse("two")) as world:
        world.before = meet
        await world.configure(VALIDATING_WEBHOOK_CONFIGURATION, "v", "one", "two")
        refused = await world.refusal()
    assert refused.message.endswith("denied the request: one")


async def test_a_caller_that_gives_up_does_not_leave_its_webhook_waiting() -> None:
    asked, left = asyncio.Event(), asyncio.Event()

    async def wait(_: Obj) -> None:
        asked.set()
        try:
            await asyncio.sleep(60)
        finally:
            left.set()

    async with opened(hook=allowed) as world:
        world.before = wait
        await world.configure(VALIDATING_WEBHOOK_CONFIGURATION, "v", "hook")
        write = asyncio.create_task(world.write())
        await asked.wait()
        write.cancel()
        async with asyncio.timeout(5):
            await left.wait()
