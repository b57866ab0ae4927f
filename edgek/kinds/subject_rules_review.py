"""SelfSubjectRulesReview: everything that who asks may do in a namespace. Never stored."""

from edgek.kinds.kind import Kind

SELF_SUBJECT_RULES_REVIEW = Kind(
    group="authorization.k8s.io",
    version="v1",
    kind="SelfSubjectRulesReview",
    plural="selfsubjectrulesreviews",
    namespaced=False,
    verbs=("create",),
    virtual=True,
    example={
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectRulesReview",
        "metadata": {},
        "spec": {"namespace": "default"},
    },
)
