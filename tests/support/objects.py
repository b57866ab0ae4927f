"""Objects that several tests make, as they are sent."""

import base64

from edgek.api.meta import Obj
from edgek.pki.keys import new_key
from edgek.pki.requests import new_request


def client_request(name: str, *organizations: str, common_name: str = "") -> Obj:
    """A CertificateSigningRequest of somebody new; its user is called as it is where no other
    name is given."""
    pem = new_request(new_key(), common_name=common_name or name, organizations=organizations)
    return {
        "apiVersion": "certificates.k8s.io/v1",
        "kind": "CertificateSigningRequest",
        "metadata": {"name": name},
        "spec": {
            "request": base64.b64encode(pem).decode(),
            "signerName": "kubernetes.io/kube-apiserver-client",
            "usages": ["client auth"],
        },
    }


def lamp_definition(**properties: Obj) -> Obj:
    """A CustomResourceDefinition of Lamps, whose spec has those properties."""
    spec = {"type": "object", "properties": properties}
    schema = {"type": "object", "properties": {"spec": spec}}
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": schema},
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "lamps.example.com"},
        "spec": {
            "group": "example.com",
            "scope": "Namespaced",
            "names": {"plural": "lamps", "kind": "Lamp"},
            "versions": [version],
        },
    }
