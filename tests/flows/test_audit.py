"""The audit log of the real server under real requests."""

import json
from pathlib import Path

import pytest

from edgek.api.meta import Obj
from tests.support.tls_server import TlsServer, tls_server

pytestmark = pytest.mark.timeout(60)
POLICY = """
apiVersion: audit.k8s.io/v1
kind: Policy
omitManagedFields: true
rules:
  - {level: None, users: ["system:kube-controller-manager", "system:kube-scheduler",
     "system:apiserver"]}
  - {level: Metadata, resources: [{resources: [secrets]}]}
  - {level: RequestResponse, resources: [{resources: [configmaps]}]}
  - {level: Metadata, omitStages: [RequestReceived]}
"""


def events(server: TlsServer, path: Path) -> list[Obj]:
    assert server.running.audit_log is not None
    server.running.audit_log.close()
    return [json.loads(line) for line in path.read_text().splitlines()]


async def test_requests_are_logged_as_the_policy_says(tmp_path: Path) -> None:
    policy, log = tmp_path / "policy.yaml", tmp_path / "audit.log"
    policy.write_text(POLICY)
    async with tls_server(
        tmp_path, loops=False, audit_policy_file=str(policy), audit_log_path=str(log)
    ) as server:
        kubectl = server.kubectl
        await kubectl("create", "configmap", "plain", "--from-literal=colour=red")
        await kubectl("create", "secret", "generic", "hidden", "--from-literal=word=sesame")
        await kubectl("get", "secret", "hidden", "-o", "yaml")
        await kubectl("get", "nodes", "--as=bob", ok=False)
        found = events(server, log)

    def of(resource: str, verb: str) -> list[Obj]:
        return [
            e for e in found
            if e["verb"] == verb and (e.get("objectRef") or {}).get("resource") == resource
        ]  # fmt: skip

    received, complete = of("configmaps", "create")
    assert (received["stage"], complete["stage"]) == ("RequestReceived", "ResponseComplete")
    assert received["auditID"] == complete["auditID"]
    assert complete["requestObject"]["data"] == {"colour": "red"}
    assert complete["responseObject"]["data"] == {"colour": "red"}
    assert "managedFields" not in complete["responseObject"]["metadata"]
    assert complete["objectRef"]["name"] == "plain"
    assert complete["responseStatus"] == {"metadata": {}, "code": 201}
    assert complete["user"]["username"] == "system:admin"
    assert complete["sourceIPs"] == ["127.0.0.1"]
    assert complete["userAgent"].startswith("kubectl/")
    assert complete["annotations"]["authorization.k8s.io/decision"] == "allow"

    assert len(of("secrets", "create")) == len(of("secrets", "get")) == 2
    assert "sesame" not in log.read_text()
    assert "c2VzYW1l" not in log.read_text()  # the same in base64

    (refused,) = of("nodes", "list")
    assert refused["impersonatedUser"]["username"] == "bob"
    assert refused["user"]["username"] == "system:admin"
    assert refused["responseStatus"]["code"] == 403
    assert refused["responseStatus"]["reason"] == "Forbidden"
    assert refused["annotations"]["authorization.k8s.io/decision"] == "forbid"


async def test_who_is_not_recognised_is_logged_and_watches_twice(tmp_path: Path) -> None:
    import aiohttp

    policy, log = tmp_path / "policy.yaml", tmp_path / "audit.log"
    policy.write_text(POLICY)
    async with tls_server(
        tmp_path, loops=False, audit_policy_file=str(policy), audit_log_path=str(log)
    ) as server:
        url = f"https://127.0.0.1:{server.config.port}/api/v1/namespaces"
        async with aiohttp.ClientSession() as session:
            headers = {"Authorization": "Bearer no.such.token"}
            async with session.get(url, headers=headers, ssl=False) as answer:
                assert answer.status == 401
        await server.kubectl("get", "ns", "--watch-only", "--request-timeout=1s")
        found = events(server, log)
    (refused,) = [e for e in found if e.get("responseStatus", {}).get("code") == 401]
    assert (refused["stage"], refused["user"]) == ("ResponseStarted", {})
    assert "no.such.token" not in log.read_text()
    watches = [e["stage"] for e in found if e["verb"] == "watch"]
    assert watches == ["ResponseStarted", "ResponseComplete"]


async def test_a_server_without_a_policy_has_no_log(tmp_path: Path) -> None:
    async with tls_server(tmp_path, loops=False) as server:
        assert server.running.audit_log is None
