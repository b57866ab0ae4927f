"""Mistakes in the kinds of networking.k8s.io, in upstream's words, and what their tables show."""

from typing import Any

import pytest

from tests.support.mistakes import KINDS, Change, made, put, told, told_of_update

PATH = ("spec", "rules", 0, "http", "paths", 0)
BACKEND = (*PATH, "backend")
RULE = ("spec", "ingress", 0)
PARAMETERS = ("spec", "parameters")
PATHS = "spec.rules[0].http.paths[0]"


@pytest.mark.parametrize(
    ("plural", "path", "value", "sentence"),
    [
        (
            "ingresses",
            ("spec", "rules"),
            None,
            "spec: Invalid value: null: either `defaultBackend` or `rules` must be specified",
        ),
        ("ingresses", ("spec", "rules", 0, "host"), "1.2.3.4", "not an IP address"),
        ("ingresses", ("spec", "rules", 0, "host"), "*.*.com", "a wildcard DNS-1123 subdomain"),
        ("ingresses", ("spec", "rules", 0, "host"), "Web", "a lowercase RFC 1123 subdomain must"),
        (
            "ingresses",
            ("spec", "rules", 0, "http", "paths"),
            [],
            "spec.rules[0].http.paths: Required value",
        ),
        (
            "ingresses",
            (*PATH, "pathType"),
            None,
            f"{PATHS}.pathType: Required value: pathType must be specified",
        ),
        (
            "ingresses",
            (*PATH, "pathType"),
            "Regex",
            f'{PATHS}.pathType: Unsupported value: "Regex": supported values: "Exact", '
            '"ImplementationSpecific", "Prefix"',
        ),
        ("ingresses", (*PATH, "path"), "web", "must be an absolute path"),
        ("ingresses", (*PATH, "path"), "/a//b", "must not contain '//'"),
        ("ingresses", (*PATH, "path"), "/a/..", "cannot end with '/..'"),
        ("ingresses", BACKEND, {}, "resource or service backend is required"),
        (
            "ingresses",
            (*BACKEND, "resource"),
            {"kind": "Bucket", "name": "a"},
            f'{PATHS}.backend: Invalid value: "": cannot set both resource and service backends',
        ),
        (
            "ingresses",
            (*BACKEND, "service", "port"),
            {},
            f"{PATHS}.backend: Required value: port name or number is required",
        ),
        ("ingresses", (*BACKEND, "service", "port", "name"), "a", "cannot set both port name &"),
        ("ingresses", (*BACKEND, "service", "port", "number"), 70000, "must be between 1 and 65"),
        ("ingresses", (*BACKEND, "service", "name"), "", "service.name: Required value"),
        ("ingresses", ("spec", "tls", 0, "secretName"), "A", "spec.tls[0].secretName: Invalid"),
        ("ingresses", ("spec", "ingressClassName"), "", 'spec.ingressClassName: Invalid value: ""'),
        (
            "ingresses",
            ("metadata", "annotations"),
            {"kubernetes.io/ingress.class": "other"},
            "must match `ingressClassName` when both are specified",
        ),
        (
            "ingresses",
            ("status", "loadBalancer", "ingress"),
            [{"hostname": "1.2.3.4"}],
            "status.loadBalancer.ingress[0].hostname: Invalid value",
        ),
        ("ingressclasses", ("spec", "controller"), "", "spec.controller: Required value"),
        ("ingressclasses", ("spec", "controller"), "proxy", "must be a domain-prefixed path"),
        ("ingressclasses", ("spec", "controller"), "a.b/" + "x" * 250, "not be more than 250"),
        ("ingressclasses", PARAMETERS, {"kind": "A", "name": "b"}, "parameters.scope: Required"),
        (
            "ingressclasses",
            PARAMETERS,
            {"kind": "A", "name": "b", "scope": "Namespace"},
            "namespace: Required value: `parameters.scope` is set to 'Namespace'",
        ),
        (
            "ingressclasses",
            PARAMETERS,
            {"kind": "A", "name": "b", "scope": "Cluster", "namespace": "c"},
            "namespace: Forbidden: `parameters.scope` is set to 'Cluster'",
        ),
        ("networkpolicies", (*RULE, "from"), [{}], "Required value: must specify a peer"),
        (
            "networkpolicies",
            (*RULE, "from"),
            [{"ipBlock": {"cidr": "10.0.0.0/8"}, "podSelector": {}}],
            "may not specify both ipBlock and another peer",
        ),
        (
            "networkpolicies",
            (*RULE, "from"),
            [{"ipBlock": {"cidr": "10.0.0.0"}}],
            "spec.ingress[0].from[0].ipBlock.cidr: Invalid value",
        ),
        (
            "networkpolicies",
            (*RULE, "from"),
            [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["11.0.0.0/16"]}}],
            'ipBlock.except[0]: Invalid value: "11.0.0.0/16": must be a strict subset of `cidr`',
        ),
        ("networkpolicies", (*RULE, "ports"), [{"endPort": 5}], "`port` is not specified"),
        (
            "networkpolicies",
            (*RULE, "ports"),
            [{"port": "http", "endPort": 5}],
            "may not be specified when `port` is non-numeric",
        ),
        (
            "networkpolicies",
            (*RULE, "ports"),
            [{"port": 9, "endPort": 5}],
            "must be greater than or equal to `port`",
        ),
        ("networkpolicies", (*RULE, "ports"), [{"port": 9, "protocol": "ICMP"}], "Unsupported"),
        ("networkpolicies", ("spec", "policyTypes"), ["Both"], "policyTypes[0]: Unsupported"),
        ("networkpolicies", ("spec", "policyTypes"), ["Egress"] * 3, "more than two policyTypes"),
        ("servicecidrs", ("spec", "cidrs"), [], "at least one CIDR required"),
        ("servicecidrs", ("spec", "cidrs"), ["a"], "spec.cidrs[0]: Invalid value"),
        ("servicecidrs", ("spec", "cidrs"), ["10.0.0.0/8", "11.0.0.0/8"], "no more than one IP"),
        ("servicecidrs", ("spec", "cidrs"), ["10.0.0.1/8"], "beyond the prefix length"),
        ("ipaddresses", ("spec", "parentRef"), None, "spec.parentRef: Required value"),
        ("ipaddresses", ("spec", "parentRef", "name"), "", "spec.parentRef.name: Required value"),
    ],
)
def test_a_mistake_is_told_at_its_field(
    plural: str, path: tuple[str | int, ...], value: Any, sentence: str
) -> None:
    found = told(plural, (path, value))
    assert any(sentence in text for text in found), found


def test_an_ingress_may_lead_everything_to_one_backend() -> None:
    backend = {"resource": {"apiGroup": "example.com", "kind": "Bucket", "name": "files"}}
    assert told("ingresses", (("spec", "rules"), None), (("spec", "defaultBackend"), backend)) == []


def test_an_old_annotation_only_hinders_what_is_new() -> None:
    other: Change = (("metadata", "annotations"), {"kubernetes.io/ingress.class": "other"})
    old: Change = (("metadata", "resourceVersion"), "7")
    assert told("ingresses", other, old) == []


def test_a_service_range_grows_by_the_other_family_only() -> None:
    cidrs = ("spec", "cidrs")
    assert told_of_update("servicecidrs", (cidrs, ["10.43.0.0/16", "fd00:43::/112"])) == []
    [text] = told_of_update("servicecidrs", (cidrs, ["10.44.0.0/16", "fd00:43::/112"]))
    assert text.startswith('spec.cidrs[0]: Invalid value: "10.44.0.0/16": field is immutable')
    both: Change = (cidrs, ["10.43.0.0/16", "fd00:43::/112"])
    assert told_of_update("servicecidrs", (cidrs, ["10.43.0.0/16"]), before=(both,))


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("10.43.0.1", ""),
        ("fd00::1", ""),
        ("010.43.0.1", "must be a valid IP address"),
        ("fd00:0::1", 'must be in canonical form ("fd00::1")'),
    ],
)
def test_an_address_is_named_in_its_one_form(name: str, problem: str) -> None:
    rule = KINDS["ipaddresses"].validate_name
    assert rule is not None
    assert [problem] == [p[: len(problem)] for p in rule(name)] if problem else rule(name) == []


def test_policies_are_for_ingress_and_for_what_egress_rules_are_there() -> None:
    policy = KINDS["networkpolicies"]
    assert made(policy)["spec"]["policyTypes"] == ["Ingress"]
    both = put(dict(policy.example), ("spec",), {"egress": [{"ports": [{"port": 53}]}]})
    policy.default(both)
    assert both["spec"]["policyTypes"] == ["Ingress", "Egress"]
    assert both["spec"]["egress"][0]["ports"] == [{"port": 53, "protocol": "TCP"}]
    assert both["spec"]["podSelector"] == {}


def test_cells_of_an_ingress() -> None:
    ingress = made(KINDS["ingresses"])
    read = {column.name: column.read for column in KINDS["ingresses"].columns}
    ingress["spec"]["rules"] = [{"host": f"{n}.example.com"} for n in "abcd"]
    assert read["Hosts"](ingress) == "a.example.com,b.example.com,c.example.com + 1 more..."
    ingress["status"]["loadBalancer"] = {"ingress": [{"ip": "10.0.0.2"}, {"hostname": "lb"}]}
    assert (read["Address"](ingress), read["Ports"](ingress)) == ("10.0.0.2,lb", "80, 443")
    assert read["Hosts"]({"metadata": {}, "spec": {"rules": [{}]}}) == "*"
