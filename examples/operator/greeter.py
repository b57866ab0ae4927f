"""A small operator: a Greeting becomes a ConfigMap that says its text so many times.

    pip install kopf
    kubectl apply -f crd.yaml
    kopf run -n default greeter.py

With GREETER_CERTIFICATES=DIRECTORY (of ca.pem, cert.pem and key.pem for 127.0.0.1) it also refuses
bad words at admission; the server must run on this machine for that.
"""

import os
from typing import Any

import kopf

CERTIFICATES = os.environ.get("GREETER_CERTIFICATES")


@kopf.on.startup()
def configure(settings: kopf.OperatorSettings, **_: Any) -> None:
    settings.posting.enabled = False
    if CERTIFICATES:
        settings.admission.managed = "greeter.example.com"
        settings.admission.server = kopf.WebhookServer(
            addr="127.0.0.1",
            host="127.0.0.1",
            cafile=f"{CERTIFICATES}/ca.pem",
            certfile=f"{CERTIFICATES}/cert.pem",
            pkeyfile=f"{CERTIFICATES}/key.pem",
        )


def config_map(spec: Any, name: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": f"greeting-{name}"},
        "data": {"text": " ".join([spec["text"]] * spec["times"])},
    }


async def put(body: dict[str, Any], namespace: str) -> None:
    from kubernetes_asyncio import client, config

    await config.load_config()
    async with client.ApiClient() as api:
        core = client.CoreV1Api(api)
        try:
            await core.create_namespaced_config_map(namespace, body)
        except client.ApiException as err:
            if err.status != 409:
                raise
            await core.patch_namespaced_config_map(body["metadata"]["name"], namespace, body)


@kopf.on.create("example.com", "v1", "greetings")
@kopf.on.update("example.com", "v1", "greetings")
async def greet(spec: Any, name: str, namespace: str, **_: Any) -> dict[str, int]:
    body = config_map(spec, name)
    kopf.adopt(body)  # it goes when the greeting goes
    await put(body, namespace)
    return {"said": spec["times"]}


@kopf.on.delete("example.com", "v1", "greetings")
async def farewell(name: str, logger: Any, **_: Any) -> None:
    logger.info("goodbye, %s", name)


if CERTIFICATES:

    @kopf.on.validate("example.com", "v1", "greetings")
    def check(spec: Any, **_: Any) -> None:
        if "curse" in spec.get("text", ""):
            raise kopf.AdmissionError("mind your words")
