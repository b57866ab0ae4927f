"""TokenReview (whose token is this?) and SelfSubjectReview (who am I?). Never stored."""

from edgek.api.meta import Obj
from edgek.kinds.kind import Kind

GROUP = "authentication.k8s.io"


def _review(kind: str, plural: str, **parts: Obj) -> Kind:
    return Kind(
        group=GROUP,
        version="v1",
        kind=kind,
        plural=plural,
        namespaced=False,
        verbs=("create",),
        virtual=True,
        example={"apiVersion": f"{GROUP}/v1", "kind": kind, "metadata": {}, **parts},
    )


TOKEN_REVIEW = _review("TokenReview", "tokenreviews", spec={"token": "a.b.c"})
SELF_SUBJECT_REVIEW = _review("SelfSubjectReview", "selfsubjectreviews")
