"""``edgek`` on a laptop: the command as a process against the real server, beside real kubectl."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from edgek.api.errors import ApiError
from edgek.api.meta import Key
from edgek.client.client import Client
from edgek.kinds import CONFIG_MAP, DEPLOYMENT, SECRET
from server.run import BOOTSTRAPPER
from tests.support.edgek_cli import Edgek
from tests.support.tls_server import Kubectl, tls_server

pytestmark = pytest.mark.timeout(120)

DEPLOYMENT_V1: dict[str, Any] = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web", "labels": {"tier": "front", "old": "yes"}},
    "spec": {
        "replicas": 2,
        "selector": {"matchLabels": {"app": "web"}},
        "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {
                "containers": [
                    {
                        "name": "main",
                        "image": "busybox:1.36",
                        "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "<&>"}],
                        "ports": [{"containerPort": 80}],
                    },
                    {"name": "second", "image": "busybox:1.36"},
                ],
                "volumes": [{"name": "v", "emptyDir": {}}],
            },
        },
    },
}


@dataclass(frozen=True, kw_only=True)
class Laptop:
    edgek: Edgek
    kubectl: Kubectl
    client: Client


@pytest.fixture
async def laptop(tmp_path: Path) -> AsyncIterator[Laptop]:
    """No controllers: what a test sees is what it did."""
    async with tls_server(tmp_path, loops=False) as server:
        yield Laptop(
            edgek=Edgek(kubeconfig=server.kubectl.kubeconfig, home=tmp_path),
            kubectl=server.kubectl,
            client=server.running.api.client(BOOTSTRAPPER),
        )


def manifest(**changes: Any) -> str:
    """DEPLOYMENT_V1 with values at dotted paths; None takes one away."""
    made = json.loads(json.dumps(DEPLOYMENT_V1))
    for path, value in changes.items():
        *parents, last = path.split("__")
        at = made
        for step in parents:
            at = at[int(step) if step.isdecimal() else step]
        if value is None:
            del at[int(last) if last.isdecimal() else last]
        else:
            at[int(last) if last.isdecimal() else last] = value
    return yaml.safe_dump(made)


CONTAINERS = "spec__template__spec__containers"
CHANGES = {
    "a label goes": {"metadata__labels__old": None},
    "replicas are left to others": {"spec__replicas": None},
    "an image changes": {f"{CONTAINERS}__0__image": "busybox:2"},
    "a container goes": {f"{CONTAINERS}__1": None},
    "a variable goes": {f"{CONTAINERS}__0__env__0": None},
    "containers change places": {
        CONTAINERS: list(reversed(DEPLOYMENT_V1["spec"]["template"]["spec"]["containers"]))
    },
    "a volume changes its kind": {
        "spec__template__spec__volumes": [{"name": "v", "hostPath": {"path": "/x"}}]
    },
    "the strategy changes": {"spec__strategy": {"type": "Recreate"}},
    "a list of ports goes": {f"{CONTAINERS}__0__ports": None},
}
LIVE = {
    "spec": {
        "replicas": 7,
        "template": {
            "metadata": {"annotations": {"others": "stay"}},
            "spec": {"containers": [{"name": "sidecar", "image": "proxy:1"}]},
        },
    }
}


@pytest.mark.parametrize("change", CHANGES)
async def test_apply_makes_of_an_object_what_kubectl_makes_of_it(
    laptop: Laptop, change: str
) -> None:
    """Both begin with the same live object, which others have changed meanwhile."""
    specs = []
    for tool in (laptop.kubectl, laptop.edgek):
        assert "created" in await laptop.edgek("apply", "-f", "-", stdin=manifest())
        key = Key("default", "web")
        await laptop.client.patch(DEPLOYMENT, key, LIVE, patch_type="strategic")
        said = await tool("apply", "-f", "-", stdin=manifest(**CHANGES[change]))
        assert "deployment.apps/web configured" in said
        found = await laptop.client.get(DEPLOYMENT, key)
        meta = found["metadata"]
        specs.append([found["spec"], meta["labels"], meta["annotations"]])
        await laptop.client.delete(DEPLOYMENT, key)
    assert specs[0] == specs[1]


async def test_kubectl_and_edgek_see_no_change_in_what_the_other_applied(laptop: Laptop) -> None:
    service = """
      {apiVersion: v1, kind: Service, metadata: {name: back, annotations: {note: "ü <b> & "}},
       spec: {selector: {app: web}, ports: [{port: 53, protocol: TCP, name: t},
                                            {port: 53, protocol: UDP, name: u}]}}
    """
    for text in (manifest(), service):
        assert "created" in await laptop.edgek("apply", "-f", "-", stdin=text)
        assert "unchanged" in await laptop.kubectl("apply", "-f", "-", stdin=text)
        await laptop.kubectl("delete", "-f", "-", stdin=text)
        assert "created" in await laptop.kubectl("apply", "-f", "-", stdin=text)
        assert "unchanged" in await laptop.edgek("apply", "-f", "-", stdin=text)


async def test_folders_are_applied_and_one_bad_object_does_not_stop_the_others(
    laptop: Laptop, tmp_path: Path
) -> None:
    folder = tmp_path / "app"
    (folder / "deeper").mkdir(parents=True)
    good = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s}\n"
    (folder / "a.yaml").write_text(f"# first\n{good % 'one'}---\n{good % 'two'}dat: {{}}\n")
    (folder / "b.yml").write_text(good % "three")
    (folder / "deeper/c.json").write_text(
        json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "four"}})
    )
    done = await laptop.edgek.run("apply", "-f", str(folder))
    assert done.code == 1
    assert done.out.split("\n") == ["configmap/one created", "configmap/three created", ""]
    assert done.err == (
        f'error: {folder}/a.yaml:9: ConfigMap in version "v1" cannot be handled as a ConfigMap: '
        'strict decoding error: unknown field "dat"\n'
    )
    more = await laptop.edgek("apply", "-R", "-f", str(folder), "--validate=ignore")
    assert more.split() == [
        "configmap/one", "unchanged", "configmap/two", "created",
        "configmap/three", "unchanged", "configmap/four", "created",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: 1\nb: [\n", "standard input:3: not valid YAML: "),
        ("a: 1\n\tb: 2\n", "standard input:2: not valid YAML: "),
        ("apiVersion: v1\nkind: Pod\n", "standard input:1: Pod has no metadata.name"),
        ("\n\nhello\n", "standard input:3: expected an object with apiVersion and kind"),
        ("kind: Pod\n", "standard input:1: apiVersion is not set"),
        ("apiVersion: v1\nkind: Pod\nkind: Pod\n", "standard input:1: key 'kind' is there twice"),
        ("apiVersion: x/v1\nkind: Y\nmetadata: {name: a}\n",
         'standard input:1: no matches for kind "Y" in version "x/v1"'),
        ("", "there are no objects in -"),
    ],
)  # fmt: skip
async def test_a_manifest_that_cannot_be_is_one_line_with_its_place(
    laptop: Laptop, text: str, words: str
) -> None:
    assert (await laptop.edgek.fails("apply", "-f", "-", stdin=text)).startswith(words)


async def test_a_dry_run_changes_nothing(laptop: Laptop) -> None:
    said = await laptop.edgek("apply", "--dry-run=server", "-f", "-", stdin=manifest())
    assert said == "deployment.apps/web created (server dry run)\n"
    assert "not found" in await laptop.edgek.fails("get", "deploy", "web")


@pytest.mark.parametrize(
    "words",
    [
        "get deploy -o wide", "get deploy,svc", "get all", "get svc -A --show-labels",
        "get deploy web --show-labels", "get deploy/web ns/default",
        "get ns/default ns/kube-system", "get ns -o name",
        "get deploy web -o json", "get deployments.apps -o json", "get deploy -l tier=back",
        "get deploy --no-headers", "get ns --field-selector metadata.name=default",
        "get deploy web -o yaml", "api-resources -o name",
    ],
)  # fmt: skip
async def test_output_is_kubectls(laptop: Laptop, words: str) -> None:
    await laptop.edgek("apply", "-f", "-", stdin=manifest())

    def parsed(text: str) -> Any:
        if words.endswith(("json", "yaml")):
            return yaml.safe_load(text)
        # Ages tick on between the two.
        return [[w for w in line.split() if not w.endswith("s") or not w[0].isdecimal()]
                for line in text.splitlines()]  # fmt: skip

    theirs, ours = await laptop.kubectl(*words.split()), await laptop.edgek.run(*words.split())
    assert parsed(ours.out + ours.err) == parsed(theirs)


async def test_a_watch_shows_what_changes_until_it_is_interrupted(laptop: Laptop) -> None:
    async with laptop.edgek.running("get", "cm", "-w") as process, asyncio.timeout(20):
        assert process.stdout is not None
        await laptop.edgek("apply", "-f", "-", stdin=CONFIG_MAP_MADE)
        lines = [(await process.stdout.readline()).split() for _ in range(2)]
        assert lines[0] == [b"NAME", b"DATA", b"AGE"]
        assert lines[1][:2] == [b"made", b"1"]
        await laptop.edgek("delete", "cm", "made")
        assert (await process.stdout.readline()).split()[0] == b"made"
        process.send_signal(signal.SIGINT)
        assert await process.wait() == 130
        assert process.stderr is not None
        assert b"Traceback" not in await process.stderr.read()


CONFIG_MAP_MADE = "{apiVersion: v1, kind: ConfigMap, metadata: {name: made}, data: {a: b}}"


async def test_a_reader_that_leaves_is_no_error_to_shout_about(laptop: Laptop) -> None:
    async with laptop.edgek.running("get", "ns", "-w", "-o", "yaml") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        await process.stdout.readline()
        process.stdout._transport.close()  # type: ignore[attr-defined]
        await laptop.client.create(CONFIG_MAP, {"metadata": {"name": "x", "namespace": "default"}})
        await laptop.kubectl("create", "ns", "more")
        assert await asyncio.wait_for(process.wait(), 20) == 1
        assert await process.stderr.read() == b""


async def test_delete_waits_for_finalizers(laptop: Laptop) -> None:
    held = {"name": "held", "namespace": "default", "finalizers": ["example.com/hold"]}
    await laptop.client.create(CONFIG_MAP, {"metadata": held})
    said = await laptop.edgek.fails("delete", "cm", "held", "--timeout=300ms")
    assert said.startswith("timed out waiting for configmap/held to go")
    async with laptop.edgek.running("delete", "cm", "held") as process, asyncio.timeout(20):
        assert process.stdout is not None
        line = await process.stdout.readline()
        assert line == b'configmap "held" deleted from default namespace\n'
        free = {"metadata": {"finalizers": None}}
        await laptop.client.patch(CONFIG_MAP, Key("default", "held"), free)
        assert await process.wait() == 0


async def test_delete_by_label_by_file_and_all(laptop: Laptop) -> None:
    for name in ("a", "b", "c"):
        meta = {"name": name, "namespace": "default", "labels": {"half": str(name > "a")}}
        await laptop.client.create(CONFIG_MAP, {"metadata": meta})
    assert "named" not in await laptop.edgek.fails("delete", "cm")
    assert (await laptop.edgek("delete", "cm", "-l", "half=False", "-o", "name")) == "configmap/a\n"
    file = "{apiVersion: v1, kind: ConfigMap, metadata: {name: b}}"
    assert 'configmap "b" deleted' in await laptop.edgek("delete", "-f", "-", stdin=file)
    assert "not found" in await laptop.edgek.fails("delete", "-f", "-", stdin=file)
    assert await laptop.edgek("delete", "--ignore-not-found", "-f", "-", stdin=file) == ""
    assert 'configmap "c" deleted' in await laptop.edgek("delete", "cm", "--all", "--wait=false")


async def test_waiting_for_a_condition_of_the_newest_spec(laptop: Laptop) -> None:
    await laptop.edgek("apply", "-f", "-", stdin=manifest())
    key = Key("default", "web")

    async def status(**fields: Any) -> None:
        await laptop.client.patch(DEPLOYMENT, key, {"status": fields}, subresource="status")

    condition = {"type": "Available", "status": "True", "reason": "x", "message": "y",
                 "lastUpdateTime": "2026-01-02T03:04:05Z",
                 "lastTransitionTime": "2026-01-02T03:04:05Z"}  # fmt: skip
    words = ("wait", "--for=condition=available", "deploy/web")
    await status(observedGeneration=0, conditions=[condition])
    assert "timed out" in await laptop.edgek.fails(*words, "--timeout=200ms")
    async with laptop.edgek.running(*words) as process, asyncio.timeout(20):
        await status(observedGeneration=1)
        out, _ = await process.communicate()
        assert out == b"deployment.apps/web condition met\n"
    await status(replicas=2, updatedReplicas=2, readyReplicas=2, availableReplicas=1)
    async with laptop.edgek.running("rollout", "status", "deploy/web") as process:
        assert process.stdout is not None
        assert b"1 of 2 updated replicas are available" in await process.stdout.readline()
        await status(availableReplicas=2)
        assert await process.stdout.readline() == b'deployment "web" successfully rolled out\n'
        assert await process.wait() == 0


async def test_scale_and_restart_change_what_they_say(laptop: Laptop) -> None:
    await laptop.edgek("apply", "-f", "-", stdin=manifest())
    assert (
        await laptop.edgek("scale", "deploy/web", "--replicas=4") == "deployment.apps/web scaled\n"
    )
    await laptop.edgek("rollout", "restart", "deploy/web")
    found = await laptop.client.get(DEPLOYMENT, Key("default", "web"))
    assert found["spec"]["replicas"] == 4
    template = found["spec"]["template"]["metadata"]
    assert "kubectl.kubernetes.io/restartedAt" in template["annotations"]
    assert "cannot be scaled" in await laptop.edgek.fails("scale", "ns/default", "--replicas=1")


async def test_describe_tells_of_every_kind_without_its_secrets(laptop: Laptop) -> None:
    secret = {"metadata": {"name": "s", "namespace": "default"}, "stringData": {"key": "hush"}}
    await laptop.client.create(SECRET, secret)
    told = await laptop.edgek("describe", "secret", "s")
    assert "key:  4 bytes" in told
    assert "hush" not in told
    assert "aHVzaA" not in told
    await laptop.edgek("apply", "-f", "-", stdin=manifest())
    told = await laptop.edgek("describe", "deploy", "web")
    assert "Replicas:" in told
    assert "2 desired" in told
    assert "busybox:1.36" in told
    assert "not found" in await laptop.edgek.fails("describe", "pod", "nope")


@pytest.mark.parametrize(
    ("words", "code", "line"),
    [
        ("get pod nope", 1, 'pods "nope" not found'),
        ("get nope", 1, 'the server doesn\'t have a resource type "nope"'),
        ("get", 1, "you must name the kind of resource, such as pods"),
        ("get pods/a b", 1, "'b': use either KIND NAME or KIND/NAME for all of them"),
        ("get pods a -A", 1, "an object cannot be named in all namespaces; leave -A out"),
        ("get --bad", 2, "No such option '--bad'; see: edgek get --help"),
        ("nope", 2, "No such command 'nope'; see: edgek --help"),
        ("get pods --context nope", 1, "the kubeconfig has no context 'nope'"),
        ("--kubeconfig /nope get pods", 1,
         "no kubeconfig at /nope; set KUBECONFIG or --kubeconfig"),
        ("get pods --kubeconfig /nope", 1,
         "no kubeconfig at /nope; set KUBECONFIG or --kubeconfig"),
        ("apply -f /nope.yaml", 1, "cannot read /nope.yaml: no such file or directory"),
        ("exec nope -- ls", 1, 'pods "nope" not found'),
        ("logs", 1, "name a pod, or choose pods with -l"),
        ("delete pods", 1, "name the objects, or choose them with -l or --all"),
        ("get pods -l a=(", 1, None),
    ],
)  # fmt: skip
async def test_what_is_wrong_is_one_line(
    laptop: Laptop, words: str, code: int, line: str | None
) -> None:
    said = await laptop.edgek.fails(*words.split(), code=code)
    assert line is None or said == line


async def test_a_server_that_is_not_there_or_not_trusted(laptop: Laptop, tmp_path: Path) -> None:
    config = yaml.safe_load(laptop.edgek.kubeconfig.read_text())
    cluster = config["clusters"][0]["cluster"]
    own = Path(laptop.edgek.kubeconfig).with_name("other.yaml")

    async def fails() -> str:
        own.write_text(yaml.safe_dump(config))
        return await laptop.edgek.fails("get", "pods", "--kubeconfig", str(own))

    trusted = cluster.pop("certificate-authority-data")
    assert "is not trusted" in await fails()
    cluster["certificate-authority-data"] = trusted
    user, config["users"][0]["user"] = config["users"][0]["user"], {"token": "nonsense"}
    assert "does not accept these credentials" in await fails()
    config["users"][0]["user"] = user
    cluster["server"] = "https://127.0.0.1:1"
    assert "did you specify the right host or port?" in await fails()


async def test_the_namespace_is_the_command_lines_else_the_contexts(laptop: Laptop) -> None:
    await laptop.kubectl("create", "ns", "other")
    await laptop.edgek("-n", "other", "apply", "-f", "-", stdin=CONFIG_MAP_MADE)
    assert "made" in await laptop.edgek("get", "cm", "--namespace", "other", "-o", "name")
    with pytest.raises(ApiError):
        await laptop.client.get(CONFIG_MAP, Key("default", "made"))
    elsewhere = CONFIG_MAP_MADE.replace("name: made", "name: made, namespace: default")
    said = await laptop.edgek.fails("apply", "-n", "other", "-f", "-", stdin=elsewhere)
    assert 'its namespace is "default", but the command line says "other"' in said
