"""Settings the server cannot work with are refused in one line; the rest is derived."""

import pytest

from edgek.roles import UsageError
from server.config import OPTIONS, ServerConfig, parse_config, route_address

DEFAULTS = {o.key: () if o.multiple else o.default for o in OPTIONS}


def parse(**settings: object) -> ServerConfig:
    return parse_config({**DEFAULTS, "advertise_address": "192.0.2.1", **settings})


def test_defaults_are_those_of_k3s():
    config = parse()
    assert (str(config.cluster_cidr), str(config.service_cidr)) == ("10.42.0.0/16", "10.43.0.0/16")
    assert (config.cluster_dns, config.kubernetes_ip) == ("10.43.0.10", "10.43.0.1")
    assert (config.port, config.write_kubeconfig_mode) == (6443, 0o600)
    assert config.issuer == "https://kubernetes.default.svc.cluster.local"


def test_repeated_and_comma_separated_names_are_the_same():
    assert parse(tls_san=("a.b,192.0.2.7", "c")).tls_sans == ("a.b", "192.0.2.7", "c")


def test_what_can_be_disabled_is_named_and_nothing_else():
    assert parse(disable=("local-storage",)).disable == ("local-storage",)
    with pytest.raises(UsageError, match="'traefik' is not a part that can be disabled"):
        parse(disable=("local-storage,traefik",))


def test_the_node_ip_is_advertised_where_nothing_else_is_said():
    assert parse(advertise_address=None, node_ip=("192.0.2.9",)).advertise_address == "192.0.2.9"


def test_an_address_only_this_machine_knows_is_not_advertised():
    found = parse(advertise_address=None, bind_address="127.0.0.1").advertise_address
    assert found == route_address()
    assert parse(advertise_address=None, bind_address="192.0.2.3").advertise_address == "192.0.2.3"


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"cluster_cidr": "10.42/16x"}, "--cluster-cidr: '10.42/16x' is not a network"),
        ({"cluster_cidr": "10.42.0.1/16"}, "--cluster-cidr: '10.42.0.1/16' is not a network"),
        ({"service_cidr": "10.43.0.0/30"}, "--service-cidr: '10.43.0.0/30' is too small"),
        ({"service_cidr": "10.42.128.0/17"}, "--service-cidr 10.42.128.0/17 overlap"),
        ({"https_listen_port": 70000}, "--https-listen-port: 70000 is not a port"),
        ({"bind_address": "eth0"}, "--bind-address: 'eth0' is not an IP address"),
        ({"cluster_dns": "10.9.0.10"}, "--cluster-dns: 10.9.0.10 is not in the service network"),
        ({"service_node_port_range": "9-1"}, "--service-node-port-range: '9-1' is not a range"),
        ({"node_name": "My_Pi"}, "--node-name: 'My_Pi': a lowercase RFC 1123 subdomain"),
        ({"node_label": ("a b=c",)}, "--node-label: 'a b=c' is not a label such as zone=attic"),
        ({"node_taint": ("a=b:Never",)}, "--node-taint: 'a=b:Never' is not a taint"),
        ({"write_kubeconfig_mode": "0999"}, "--write-kubeconfig-mode: '0999' is not a file mode"),
        ({"token_file": "/nowhere"}, "--token-file: cannot read /nowhere"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_bad_setting_is_named_and_quoted(settings: dict, line: str):
    with pytest.raises(UsageError) as caught:
        parse(**settings)
    assert line in str(caught.value)


def test_a_bad_token_is_named_but_not_quoted():
    with pytest.raises(UsageError, match="--token: is cut off or damaged") as caught:
        parse(token="K10hidden")
    assert "hidden" not in str(caught.value)


PROVIDER = {"oidc_issuer_url": "https://id.example.com", "oidc_client_id": "edgek"}


@pytest.mark.parametrize(
    ("settings", "prefix"),
    [
        ({}, "https://id.example.com#"),
        ({"oidc_username_claim": "email"}, ""),
        ({"oidc_username_claim": "email", "oidc_username_prefix": "o:"}, "o:"),
        ({"oidc_username_prefix": "-"}, ""),
    ],
)
def test_names_of_a_provider_do_not_look_like_ours(settings: dict, prefix: str):
    oidc = parse(**PROVIDER, **settings).identity.oidc
    assert oidc is not None
    assert oidc.username_prefix == prefix


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"oidc_client_id": "x"}, "--oidc-client-id: needs --oidc-issuer-url"),
        ({"oidc_issuer_url": "https://a"}, "--oidc-issuer-url: needs --oidc-client-id"),
        ({**PROVIDER, "oidc_issuer_url": "http://a"}, "--oidc-issuer-url: 'http://a' is not an h"),
        ({**PROVIDER, "oidc_signing_algs": ("HS256",)}, "--oidc-signing-algs: 'HS256' is not one"),
        ({**PROVIDER, "oidc_required_claim": ("a",)}, "--oidc-required-claim: 'a' is not CLAIM"),
        ({**PROVIDER, "oidc_ca_file": "/nowhere"}, "--oidc-ca-file: cannot read /nowhere"),
        ({"service_account_issuer": ("1:x",)}, "--service-account-issuer: '1:x' contained"),
        ({"service_account_jwks_uri": "http://a"}, "--service-account-jwks-uri: 'http://a' is"),
        ({"service_account_max_token_expiration": "5m"}, "--service-account-max-token-expiration"),
        ({"service_account_max_token_expiration": "x"}, "'x' is not a duration"),
    ],
)
def test_settings_of_logins_that_cannot_be_are_named(settings: dict, line: str):
    with pytest.raises(UsageError) as caught:
        parse(**settings)
    assert line in str(caught.value)


def test_the_first_issuer_is_ours():
    identity = parse(service_account_issuer=("https://a,https://b",)).identity
    assert identity.issuers == ("https://a", "https://b")


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"audit_log_path": "/a"}, "--audit-log-path: needs --audit-policy-file"),
        ({"audit_policy_file": "/a"}, "--audit-policy-file: needs --audit-log-path"),
        (
            {"audit_log_path": "/a", "audit_policy_file": "/nowhere"},
            "--audit-policy-file: cannot read /nowhere",
        ),
        (
            {"audit_log_path": "/a", "audit_policy_file": "/a", "audit_log_maxbackup": 0},
            "--audit-log-maxbackup: must be at least 1",
        ),
    ],
)
def test_settings_of_the_audit_log_that_cannot_be_are_named(settings: dict, line: str):
    with pytest.raises(UsageError) as caught:
        parse(**settings)
    assert line in str(caught.value)
