"""CustomResourceDefinition: a kind of object that users bring along.

What knows of schemas is imported when a definition is written: agents and the command line name
kinds and never write one.
"""

from edgek.api.meta import Obj
from edgek.api.validation import FieldErrors
from edgek.kinds.columns import cell
from edgek.kinds.kind import NAME, STATUS, Column, Kind
from edgek.kinds.webhook_client_config import default_client_config


def _default(crd: Obj) -> None:
    """As pkg/apis/apiextensions/v1/defaults.go."""
    from edgek.kinds.crd_schema_body import tidy_schema

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
    from edgek.kinds.custom import storage_version

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


def _validate(crd: Obj, errors: FieldErrors) -> None:
    from edgek.kinds.crd_validation import validate_definition

    validate_definition(crd, errors)


def _validate_update(crd: Obj, old: Obj, errors: FieldErrors) -> None:
    from edgek.kinds.crd_validation import validate_definition_update

    validate_definition_update(crd, old, errors)


def _on_delete(crd: Obj, now: str) -> None:
    from edgek.kinds.crd_status import begin_deletion

    begin_deletion(crd, now)


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
    validate=_validate,
    validate_update=_validate_update,
    on_delete=_on_delete,
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
