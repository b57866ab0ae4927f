"""PodTemplate: a description of pods that is stored by itself; nothing here acts on it."""

from edgek.api.meta import Obj, get_path
from edgek.api.validation import FieldErrors, FieldPath
from edgek.kinds.columns import containers_of, format_labels
from edgek.kinds.kind import NAME, Column, Kind
from edgek.kinds.pod_defaults import default_template
from edgek.kinds.pod_validation import validate_template
from edgek.kinds.pod_warnings import warn_of_template
from edgek.kinds.strategy import ensure


def _default(obj: Obj) -> None:
    default_template(ensure(obj, "template"))


def _validate(obj: Obj, errors: FieldErrors) -> None:
    validate_template(obj.get("template") or {}, FieldPath("template"), errors)


POD_TEMPLATE = Kind(
    group="",
    version="v1",
    kind="PodTemplate",
    plural="podtemplates",
    columns=(
        NAME,
        Column(
            name="Containers",
            read=containers_of("name", "template"),
            description="Names of the containers in the template.",
        ),
        Column(
            name="Images",
            read=containers_of("image", "template"),
            description="Images of the containers in the template.",
        ),
        Column(
            name="Pod Labels",
            read=lambda obj: format_labels(get_path(obj, "template", "metadata", "labels")),
            description="The labels of a pod made from it.",
        ),
    ),
    default=_default,
    validate=_validate,
    warn=warn_of_template("template", named=False),
    generation=True,
    example={
        "apiVersion": "v1",
        "kind": "PodTemplate",
        "metadata": {"name": "web", "namespace": "default"},
        "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{"name": "web", "image": "docker.io/library/nginx:1.29"}]},
        },
    },
)
