"""CustomResourceDefinition: a kind of object that users bring along."""

from edgek.api.meta import Obj
from edgek.kinds.columns import cell
from edgek.kinds.crd_schema_body import tidy_schema
from edgek.kinds.crd_status import begin_deletion
from edgek.kinds.crd_validation import validate_definition, validate_definition_update
from edgek.kinds.custom import storage_version
from edgek.kinds.kind import NAME, STATUS, Column, Kind
from edgek.kinds.webhook_client_config import default_client_config


def _default(crd: Obj) -> None:
    """As pkg/apis/apiextensions/v1/defaults.go."""
    spec = crd.setdefault("spec", {})
    names = spec.setdefault("names", {})
    if kind := names.get("kind"):
        if not names.get("singular"):
            names["singular"] = kind.lower()
        if not names.get("listKind"):
            names["listKind"] = kind + "List"
    conversion = spec.setdefault("conversion", {})
    if not conversion.get("strategy"):
        conversion["strategy"] = "None"
    default_client_config((conversion.get("webhook") or {}).get("clientConfig"))
    for version in spec.get("versions") or ():
        if schema := (version.get("schema") or {}).get("openAPIV3Schema"):
            tidy_schema(schema)


def _prepare(crd: Obj, old: Obj | None) -> None:
    """What has ever been stored in which version is ours to remember."""
    status = {} if old is None else dict(old.get("status") or {})
    if old is None:
        status |= {"conditions": [], "acceptedNames": {"plural": "", "kind": ""}}
    stored = list(status.get("storedVersions") or ())
    name = storage_version(crd).get("name")
    if name and name not in stored:
        stored.append(name)
    crd["status"] = {**status, "storedVersions": stored}
    if crd.get("spec", {}).get("preserveUnknownFields") is False:
        del crd["spec"]["preserveUnknownFields"]


def _prepare_status(crd: Obj, old: Obj | None) -> None:
    assert old is not None  # there is no creation of a status
    if not isinstance(crd.get("status"), dict):
        crd["status"] = dict(old.get("status") or {})
    crd["spec"] = old["spec"]


CUSTOM_RESOURCE_DEFINITION = Kind(
    group="apiextensions.k8s.io",
    version="v1",
    kind="CustomResourceDefinition",
    plural="customresourcedefinitions",
    short_names=("crd", "crds"),
    categories=("api-extensions",),
    namespaced=False,
    columns=(
        NAME,
        Column(
            name="Created At",
            read=cell("metadata", "creationTimestamp"),
            description="When the object was created.",
        ),
    ),
    subresources=(STATUS,),
    generation=True,
    default=_default,
    prepare=_prepare,
    prepare_status=_prepare_status,
    validate=validate_definition,
    validate_update=validate_definition_update,
    on_delete=begin_deletion,
    lean=True,
    example={
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "crontabs.stable.example.com"},
        "spec": {
            "group": "stable.example.com",
            "names": {"plural": "crontabs", "kind": "CronTab", "shortNames": ["ct"]},
            "scope": "Namespaced",
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "storage": True,
                    "schema": {
                        "openAPIV3Schema": {
                            "type": "object",
                            "properties": {
                                "spec": {
                                    "type": "object",
                                    "properties": {
                                        "cronSpec": {"type": "string"},
                                        "replicas": {"type": "integer", "minimum": 0},
                                    },
                                }
                            },
                        }
                    },
                }
            ],
        },
    },
)
