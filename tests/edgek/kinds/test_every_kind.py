"""Promises that every kind keeps; a kind that lacks a cell here fails."""

import pytest

from edgek.api.meta import deep_copy
from edgek.api.validation import FieldErrors
from edgek.kinds import ALL
from edgek.kinds.kind import Ago, Kind
from edgek.kinds.metadata import validate_object_meta, validate_object_meta_update


def word(kind: Kind) -> str:
    """A name of its own, also for a kind that is served in several versions."""
    also = "" if kind.conversion is None else f".{kind.version}.{kind.group}"
    return kind.plural + also


def over(*kinds: Kind) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("kind", kinds, ids=word)


STORED = tuple(kind for kind in ALL if not kind.virtual)
each_kind = over(*STORED)
each_with_status = over(*(kind for kind in ALL if kind.has_status))

# Names in order; those after "|" only with -o wide (kubectl get against upstream 1.37).
TABLES = {
    "namespaces": "Name Status Age",
    "nodes": "Name Status Roles Age Version | Internal-IP External-IP OS-Image Kernel-Version"
    " Container-Runtime",
    "pods": "Name Ready Status Restarts Age | IP Node Nominated_Node Readiness_Gates",
    "services": "Name Type Cluster-IP External-IP Port(s) Age | Selector",
    "endpoints": "Name Endpoints Age",
    "endpointslices": "Name AddressType Ports Endpoints Age",
    "configmaps": "Name Data Age",
    "secrets": "Name Type Data Age",
    "serviceaccounts": "Name Secrets Age",
    "limitranges": "Name Created_At",
    "resourcequotas": "Name Request Limit Age",
    "priorityclasses": "Name Value Global-Default Age PreemptionPolicy",
    "runtimeclasses": "Name Handler Age",
    "events": "Last_Seen Type Reason Object Message | Subobject Source First_Seen Count Name",
    "leases": "Name Holder Age",
    "replicasets": "Name Desired Current Ready Age | Containers Images Selector",
    "deployments": "Name Ready Up-to-date Available Age | Containers Images Selector",
    "daemonsets": "Name Desired Current Ready Up-to-date Available Node_Selector Age"
    " | Containers Images Selector",
    "statefulsets": "Name Ready Age | Containers Images",
    "controllerrevisions": "Name Controller Revision Age",
    "replicationcontrollers": "Name Desired Current Ready Age | Containers Images Selector",
    "podtemplates": "Name Containers Images Pod_Labels",
    "horizontalpodautoscalers": "Name Reference Targets MinPods MaxPods Replicas Age",
    "horizontalpodautoscalers.v1.autoscaling": "Name Reference Targets MinPods MaxPods Replicas"
    " Age",
    "jobs": "Name Status Completions Duration Age | Containers Images Selector",
    "cronjobs": "Name Schedule Timezone Suspend Active Last_Schedule Age"
    " | Containers Images Selector",
    "poddisruptionbudgets": "Name Min_Available Max_Unavailable Allowed_Disruptions Age",
    "roles": "Name Created_At",
    "rolebindings": "Name Role Age | Users Groups ServiceAccounts",
    "clusterroles": "Name Created_At",
    "clusterrolebindings": "Name Role Age | Users Groups ServiceAccounts",
    "certificatesigningrequests": "Name Age SignerName Requestor RequestedDuration Condition",
    "persistentvolumes": "Name Capacity Access_Modes Reclaim_Policy Status Claim StorageClass"
    " VolumeAttributesClass Reason Age | VolumeMode",
    "persistentvolumeclaims": "Name Status Volume Capacity Access_Modes StorageClass"
    " VolumeAttributesClass Age | VolumeMode",
    "ingresses": "Name Class Hosts Address Ports Age",
    "ingressclasses": "Name Controller Parameters Age",
    "networkpolicies": "Name Pod-Selector Age",
    "servicecidrs": "Name CIDRs Age",
    "ipaddresses": "Name ParentRef",
    "storageclasses": "Name Provisioner ReclaimPolicy VolumeBindingMode AllowVolumeExpansion Age",
    "volumeattributesclasses": "Name DriverName Age",
    "volumeattachments": "Name Attacher PV Node Attached Age",
    "csidrivers": "Name AttachRequired PodInfoOnMount StorageCapacity TokenRequests"
    " RequiresRepublish Modes Age",
    "csinodes": "Name Drivers Age",
    "csistoragecapacities": "Name StorageClassName Capacity",
    "events.v1.events.k8s.io": "Last_Seen Type Reason Object Message"
    " | Subobject Source First_Seen Count Name",
    "flowschemas": "Name PriorityLevel MatchingPrecedence DistinguisherMethod Age MissingPL",
    "prioritylevelconfigurations": "Name Type NominalConcurrencyShares Queues HandSize"
    " QueueLengthLimit Age",
    "validatingwebhookconfigurations": "Name Webhooks Age",
    "mutatingwebhookconfigurations": "Name Webhooks Age",
    "validatingadmissionpolicies": "Name Validations ParamKind Age",
    "validatingadmissionpolicybindings": "Name PolicyName ParamRef Age",
    "mutatingadmissionpolicies": "Name Mutations ParamKind Age",
    "mutatingadmissionpolicybindings": "Name PolicyName ParamRef Age",
    "apiservices": "Name Service Available Age",
    "resourceclaims": "Name State Age",
    "resourceclaimtemplates": "Name Age",
    "deviceclasses": "Name Age",
    "resourceslices": "Name Node Driver Pool Age",
    "devicetaintrules": "Name Created_At",
    "customresourcedefinitions": "Name Created_At",
    "clustertrustbundles": "Name SignerName",
    "podcertificaterequests": "Name Created_At",
    "storageversionmigrations": "Name Resource",
}

# A change that no update may make: (path, new value, part of the sentence).
FORBIDDEN_CHANGES = {
    "apiservices": (("spec", "version"), "v2", "must be `spec.version"),
    "nodes": (("spec", "podCIDR"), "10.9.0.0/24", 'may not change podCIDR except from ""'),
    "pods": (("spec", "nodeName"), "other", "pod updates may not change fields other than"),
    "services": (("spec", "clusterIP"), "10.43.0.99", "may not change once set"),
    "endpointslices": (("addressType",), "IPv6", "field is immutable"),
    "configmaps": (("data",), {"a": "b"}, "field is immutable when `immutable` is set"),
    "secrets": (("type",), "example.com/other", "field is immutable"),
    "replicasets": (("spec", "selector"), {"matchLabels": {"a": "b"}}, "field is immutable"),
    "deployments": (("spec", "selector"), {"matchLabels": {"a": "b"}}, "field is immutable"),
    "daemonsets": (("spec", "selector"), {"matchLabels": {"a": "b"}}, "field is immutable"),
    "statefulsets": (("spec", "serviceName"), "other", "updates to statefulset spec for fields"),
    "jobs": (("spec", "completionMode"), "Indexed", "field is immutable"),
    "controllerrevisions": (("data",), {"x": 1}, "field is immutable"),
    "resourcequotas": (("spec", "scopes"), ["BestEffort"], "field is immutable"),
    "priorityclasses": (("value",), 7, "may not be changed in an update."),
    "runtimeclasses": (("handler",), "other", "field is immutable"),
    "rolebindings": (("roleRef", "name"), "other", "cannot change roleRef"),
    "clusterrolebindings": (("roleRef", "name"), "other", "cannot change roleRef"),
    "persistentvolumes": (("spec", "hostPath", "path"), "/other", "immutable after creation"),
    "persistentvolumeclaims": (("spec", "storageClassName"), "x", "spec is immutable after"),
    "ingressclasses": (("spec", "controller"), "example.com/other", "field is immutable"),
    "servicecidrs": (("spec", "cidrs"), ["10.44.0.0/16"], "field is immutable"),
    "ipaddresses": (("spec", "parentRef", "name"), "other", "field is immutable"),
    "storageclasses": (("provisioner",), "other", "updates to provisioner are forbidden."),
    "volumeattributesclasses": (("driverName",), "other", "updates to driverName are forbidden"),
    "volumeattachments": (("spec", "nodeName"), "other", "field is immutable"),
    "csidrivers": (("spec", "attachRequired"), True, "field is immutable"),
    "csinodes": (("spec", "drivers", 0, "nodeID"), "other", "field is immutable"),
    "csistoragecapacities": (("storageClassName",), "other", "field is immutable"),
    "events.v1.events.k8s.io": (("reason",), "Other", "field is immutable"),
    "customresourcedefinitions": (("spec", "group"), "x.example.com", "field is immutable"),
    "resourceclaims": (("spec", "devices", "requests"), [], "field is immutable"),
    "resourceclaimtemplates": (("spec", "spec"), {}, "field is immutable"),
    "resourceslices": (("spec", "driver"), "other.example.com", "field is immutable"),
    "clustertrustbundles": (("spec", "signerName"), "example.com/x", "field is immutable"),
    "podcertificaterequests": (("spec", "podName"), "other", "field is immutable"),
    "storageversionmigrations": (("spec", "resource", "resource"), "pods", "is immutable"),
}
CHANGEABLE = {
    "validatingwebhookconfigurations", "mutatingwebhookconfigurations",
    "validatingadmissionpolicies", "validatingadmissionpolicybindings",
    "mutatingadmissionpolicies", "mutatingadmissionpolicybindings",
    "namespaces", "endpoints", "serviceaccounts", "events", "leases", "roles", "clusterroles",
    "limitranges", "replicationcontrollers", "podtemplates", "cronjobs", "poddisruptionbudgets",
    "horizontalpodautoscalers", "horizontalpodautoscalers.v1.autoscaling",
    "certificatesigningrequests",  # its spec is carried over, so nothing is left to refuse
    "ingresses", "networkpolicies",
    "flowschemas", "prioritylevelconfigurations",
    "deviceclasses", "devicetaintrules",
}  # fmt: skip


def made(kind: Kind) -> dict:
    """The example as it would be stored on create."""
    obj = deep_copy(dict(kind.example))
    kind.default(obj)
    obj["metadata"]["uid"] = "uid-1"
    kind.prepare(obj, None)
    return obj


def problems(kind: Kind, obj: dict, old: dict | None = None) -> list[str]:
    errors = FieldErrors()
    validate_object_meta(obj, errors, namespaced=kind.namespaced, validate_name=kind.validate_name)
    kind.validate(obj, errors)
    if old is not None:
        validate_object_meta_update(obj, old, errors)
        kind.validate_update(obj, old, errors)
    return [str(e) for e in errors]


@each_kind
def test_has_an_example_of_itself(kind: Kind) -> None:
    assert kind.example["apiVersion"] == kind.api_version
    assert kind.example["kind"] == kind.kind
    assert bool(kind.example["metadata"].get("namespace")) == kind.namespaced


@each_kind
def test_example_is_valid_and_updates_to_itself(kind: Kind) -> None:
    obj = made(kind)
    assert problems(kind, obj, deep_copy(obj)) == []


@each_kind
def test_defaults_are_idempotent(kind: Kind) -> None:
    once = deep_copy(dict(kind.example))
    kind.default(once)
    twice = deep_copy(once)
    kind.default(twice)
    assert twice == once


@each_kind
def test_defaults_and_prepare_survive_a_bare_object(kind: Kind) -> None:
    """Nothing but identity: problems must be told as field errors, never as a traceback."""
    obj = {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": {"name": "x"}}
    kind.default(obj)
    kind.prepare(obj, None)
    kind.validate(obj, FieldErrors())
    for column in kind.columns:
        column.read(obj)
    for path in kind.selectable:
        assert isinstance(kind.read_field(obj, path), str)


@each_kind
def test_table_is_upstreams(kind: Kind) -> None:
    shown = {p: [c.name.replace(" ", "_") for c in kind.columns if c.priority == p] for p in (0, 1)}
    wanted = [part.split() for part in TABLES[word(kind)].split("|")]
    assert shown[0] == wanted[0]
    assert shown[1] == (wanted[1] if len(wanted) > 1 else [])
    assert all(c.description for c in kind.columns)


@each_kind
def test_cells_are_plain_values(kind: Kind) -> None:
    obj = made(kind)
    obj["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z"
    for column in kind.columns:
        cell = column.read(obj)
        assert isinstance(cell, str | int | Ago | None), column.name
        if column.type == "integer":
            assert isinstance(cell, int), column.name


@each_kind
def test_selectors_find_it_by_name_and_namespace(kind: Kind) -> None:
    obj = {"metadata": {"name": "a", "namespace": "b"}}
    assert kind.read_field(obj, "metadata.name") == "a"
    assert kind.read_field(obj, "metadata.namespace") == "b"


@each_with_status
def test_status_is_not_written_with_the_object(kind: Kind) -> None:
    old = made(kind)
    new = deep_copy(old) | {"status": {"phase": "Forged", "conditions": [{"type": "Forged"}]}}
    kind.prepare(new, old)
    assert new.get("status") == old.get("status")


@each_with_status
def test_spec_is_not_written_with_the_status(kind: Kind) -> None:
    old = made(kind)
    new = deep_copy(old) | {"spec": {"forged": True}, "status": {"marker": "yes"}}
    kind.prepare_status(new, old)
    assert new.get("spec") == old.get("spec")
    assert new["status"]["marker"] == "yes"


@over(*(kind for kind in STORED if word(kind) not in CHANGEABLE))
def test_immutable_fields_are_kept(kind: Kind) -> None:
    path, value, sentence = FORBIDDEN_CHANGES[word(kind)]
    old = made(kind)
    if kind.plural == "services":
        old["spec"]["clusterIP"] = "10.43.0.7"
    if kind.plural == "configmaps":
        old["immutable"] = True
    new = deep_copy(old)
    inner = new
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    assert any(sentence in p for p in problems(kind, new, old))


@each_kind
def test_names_are_checked(kind: Kind) -> None:
    obj = made(kind)
    obj["metadata"]["name"] = "no/slash"
    assert any(p.startswith("metadata.name: Invalid value") for p in problems(kind, obj))


def test_no_kind_is_left_out() -> None:
    words = {word(kind) for kind in STORED}
    assert words == set(TABLES) == CHANGEABLE | set(FORBIDDEN_CHANGES)
    assert len(STORED) == len(words)


def test_short_names_are_unique() -> None:
    once = [kind for kind in ALL if kind.conversion is None and kind.group != "metrics.k8s.io"]
    names = [n for kind in once for n in (kind.plural, kind.singular, *kind.short_names)]
    doubled = {n for n in names if names.count(n) > 1}
    assert doubled <= {"endpoints"}


def test_get_all_shows_workloads_and_services() -> None:
    found = {kind.plural for kind in ALL if "all" in kind.categories}
    assert found == {
        "pods", "replicationcontrollers", "services", "daemonsets", "deployments", "replicasets",
        "statefulsets", "horizontalpodautoscalers", "cronjobs", "jobs",
    }  # fmt: skip
