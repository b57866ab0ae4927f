"""What the request path needs of keys and connections, from config and identity.

The order of authenticators and admission plugins, and the paths beside the resources, are the
tuples here.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from edgek.aio.clock import Clock
from edgek.cli.checks import naming
from edgek.pki.certificates import KeyPair
from server.admission.certificates import Certificates
from server.admission.chain import Plugin
from server.admission.default_ingress_class import DefaultIngressClass
from server.admission.default_toleration_seconds import DefaultTolerationSeconds
from server.admission.limit_ranger import LimitRanger
from server.admission.namespace_lifecycle import NamespaceLifecycle
from server.admission.node_restriction import NodeRestriction
from server.admission.pod_security.plugin import PodSecurity
from server.admission.pod_topology_labels import PodTopologyLabels
from server.admission.policies.param_rights import ParamRights
from server.admission.priority import Priority
from server.admission.rbac_escalation import RbacEscalation
from server.admission.resource_quota import ResourceQuota
from server.admission.runtime_class import RuntimeClass
from server.admission.service_account import ServiceAccount
from server.admission.storage import (
    DefaultStorageClass,
    PersistentVolumeClaimResize,
    StorageObjectInUseProtection,
)
from server.admission.taint_nodes_by_condition import TaintNodesByCondition
from server.admission.webhooks.match import WebhookMatcher
from server.admission.webhooks.mutating import MutatingWebhooks
from server.admission.webhooks.validating import ValidatingWebhooks
from server.aggregation.aggregator import Aggregator
from server.aggregation.backend import Own
from server.aggregation.discovery import MergedDiscovery
from server.aggregation.openapi import MergedOpenApi
from server.app import Api, ApiConfig, Parts, PluginTools, build_api
from server.audit.log import AuditLog
from server.audit.policy import parse_policy
from server.authn.anonymous import Anonymous
from server.authn.authenticator import Authenticator, TokenAuthenticator
from server.authn.join_token import JoinTokenAuthenticator
from server.authn.jwt import SigningKey
from server.authn.legacy import LegacyTokenAuthenticator, UsedTokens
from server.authn.oidc import OidcAuthenticator
from server.authn.service_account import ServiceAccountAuthenticator
from server.authn.tokens import TokenIssuer
from server.authn.union import Union
from server.authn.x509 import X509Authenticator
from server.authz.union import Union as Authorizers
from server.config import ServerConfig
from server.config_audit import AuditConfig
from server.endpoints.cacerts import cacerts
from server.endpoints.env import Env
from server.endpoints.health import Health
from server.endpoints.issuer import KEYS, issuer_metadata
from server.endpoints.openapi import OpenApi
from server.endpoints.proxy.reach import PodReach
from server.endpoints.proxy.verbs import node_proxy, pod_proxy, service_proxy
from server.endpoints.reviews import review_verbs
from server.endpoints.root import Handle
from server.endpoints.route import Verb
from server.endpoints.subresources.streams import (
    pod_attach,
    pod_exec,
    pod_log,
    pod_port_forward,
)
from server.endpoints.subresources.token import create_token
from server.endpoints.usage import usage_verbs
from server.expressions import mutating_policies, validating_policies
from server.filters.audit import Audit
from server.identity import ServerIdentity
from server.registry.reader import StoreReader
from server.storage.store import Engine
from server.tunnel import PREFIX, Tunnels
from server.watches import PATH as WATCHES
from server.watches import SharedWatches
from server.webhooks.client import WebhookClient


class Ready:
    """Set once, when the API may be used by everybody."""

    def __init__(self) -> None:
        self._ready = False

    def set(self) -> None:
        self._ready = True

    def __call__(self) -> bool:
        return self._ready


@dataclass(frozen=True, kw_only=True)
class RunningApi:
    """The API and what its process reaches into."""

    api: Api
    identity: ServerIdentity
    ready: Ready
    tunnels: Tunnels
    used_tokens: UsedTokens
    audit_log: AuditLog | None


def authenticators(
    config: ServerConfig,
    identity: ServerIdentity,
    issuer: TokenIssuer,
    reader: StoreReader,
    used: UsedTokens,
) -> Authenticator:
    clock = issuer.clock
    return Union(
        (
            X509Authenticator(clock=clock),
            ServiceAccountAuthenticator(issuer=issuer, reader=reader, clock=clock),
            *_logins(config, issuer, reader, used),
            JoinTokenAuthenticator(identity.token, identity.agent_token),
            Anonymous(),
        )
    )


def _logins(
    config: ServerConfig, issuer: TokenIssuer, reader: StoreReader, used: UsedTokens
) -> Iterator[Authenticator]:
    """The authenticators that options turn on."""
    if config.legacy_service_account_tokens:
        yield LegacyTokenAuthenticator(issuer=issuer, reader=reader, used=used)
    if config.identity.oidc:
        audiences, clock = issuer.audiences, issuer.clock
        yield OidcAuthenticator(config.identity.oidc, api_audiences=audiences, clock=clock)


def token_issuer(config: ServerConfig, key: SigningKey, clock: Clock) -> TokenIssuer:
    about = config.identity
    return TokenIssuer(
        issuer=about.issuers[0],
        also=about.issuers[1:],
        api_audiences=about.api_audiences,
        max_seconds=about.max_token_seconds,
        key=key,
        clock=clock,
    )


def issuer_paths(config: ServerConfig, key: SigningKey) -> Iterable[tuple[str, Handle]]:
    """Where others find the keys of our tokens."""
    host = (
        f"[{config.advertise_address}]"
        if ":" in config.advertise_address
        else (config.advertise_address)
    )
    uri = config.identity.jwks_uri or f"https://{host}:{config.port}{KEYS}"
    return issuer_metadata(issuer=config.issuer, jwks_uri=uri, key=key).items()


def plugins(tools: PluginTools) -> Sequence[Plugin]:
    """Upstream's recommended order (pkg/kubeapiserver/options/plugins.go)."""
    reader, rbac = tools.reader, tools.rbac
    matcher = WebhookMatcher(reader, tools.kinds.all, ask=tools.ask)
    return (
        NamespaceLifecycle(reader),
        LimitRanger(reader),
        ServiceAccount(reader),
        NodeRestriction(reader, may=rbac.allows),
        TaintNodesByCondition(),
        PodSecurity(reader),
        Priority(reader),
        DefaultTolerationSeconds(),
        DefaultStorageClass(reader),
        StorageObjectInUseProtection(),
        PersistentVolumeClaimResize(reader),
        RuntimeClass(reader),
        DefaultIngressClass(reader),
        PodTopologyLabels(reader),
        Certificates(may=rbac.allows, clock=tools.clock),
        RbacEscalation(reader, rules_for=rbac.rules_for, may=rbac.allows),
        ParamRights(reader, tools.kinds.all, tools.ask),
        mutating_policies(reader, tools.kinds.all, tools.ask),
        MutatingWebhooks(reader, tools.webhooks, matcher),
        validating_policies(reader, tools.kinds.all, tools.ask),
        ValidatingWebhooks(reader, tools.webhooks, matcher),
        ResourceQuota(reader, write=tools.write_quota, clock=tools.clock),
    )


def front_proxy(identity: ServerIdentity, clock: Clock) -> Own:
    """Our certificate for extension servers, read again each day, because it is renewed."""
    found: tuple[KeyPair, datetime] | None = None

    def own() -> KeyPair:
        nonlocal found
        if found is None or clock.now() - found[1] > timedelta(days=1):
            found = identity.front_proxy(), clock.now()
        return found[0]

    return own


def paths(
    env: Env,
    aggregator: Aggregator,
    *,
    ca_pem: bytes,
    ready: Ready,
    tunnels: Tunnels,
    watches: SharedWatches,
) -> Sequence[tuple[str, Handle]]:
    health = Health(ready).handle
    openapi = MergedOpenApi(aggregator, OpenApi(env.kinds.all).handle).handle
    discovery = MergedDiscovery(aggregator, env.kinds.all).handle
    return (
        ("/livez", health),
        ("/readyz", health),
        ("/healthz", health),
        ("/version", health),
        ("/cacerts", cacerts(ca_pem)),
        ("/openapi", openapi),
        ("/api", discovery),
        ("/apis", discovery),
        (PREFIX, tunnels.handle),
        (WATCHES, watches.handle),
    )


def subresources(
    tunnels: Tunnels, issuer: TokenIssuer, reader: StoreReader
) -> Mapping[tuple[str, str], Mapping[str, Verb]]:
    exec_, attach = pod_exec(tunnels), pod_attach(tunnels)
    forward = pod_port_forward(tunnels)
    return {
        ("pods", "log"): {"get": pod_log(tunnels)},
        ("pods", "exec"): {"get": exec_, "create": exec_},
        ("pods", "attach"): {"get": attach, "create": attach},
        ("pods", "portforward"): {"get": forward, "create": forward},
        ("pods", "proxy"): pod_proxy(tunnels),
        ("services", "proxy"): service_proxy(tunnels, reader),
        ("nodes", "proxy"): node_proxy(tunnels),
        ("serviceaccounts", "token"): {"create": create_token(issuer=issuer, reader=reader)},
    }


def audit_of(config: AuditConfig, clock: Clock) -> Audit:
    """Raises UsageError where the policy cannot be understood."""
    with naming("audit-policy-file"):
        policy = parse_policy(config.policy)
    log = AuditLog(config.path, max_bytes=config.max_bytes, backups=config.backups, clock=clock)
    return Audit(policy=policy, log=log, clock=clock)


def virtual(
    reader: StoreReader, authorizer: Authorizers, authenticator: Authenticator
) -> Mapping[tuple[str, str], Mapping[str, Verb]]:
    assert isinstance(authenticator, TokenAuthenticator)
    return review_verbs(authorizer=authorizer, rules=authorizer, tokens=authenticator)


def open_api(
    config: ServerConfig,
    identity: ServerIdentity,
    clock: Clock,
    *,
    engine: Engine,
    lazy_engine: Engine | None = None,
) -> RunningApi:
    """The API over any engine, as this config and identity make it."""
    key = SigningKey(identity.service_account_key)
    issuer = token_issuer(config, key, clock)
    ready, tunnels, used = Ready(), Tunnels(), UsedTokens()
    reach = PodReach(tunnels)
    watches = SharedWatches()
    audit = audit_of(config.audit, clock) if config.audit else None
    parts = Parts(
        engine=engine,
        lazy_engine=lazy_engine,
        clock=clock,
        authenticator=lambda reader: authenticators(config, identity, issuer, reader, used),
        plugins=plugins,
        webhooks=lambda reader: WebhookClient(reader, dialer=reach),
        aggregator=lambda reader: Aggregator(reader, front_proxy(identity, clock), reach),
        paths=lambda env, aggregator: (
            *paths(
                env,
                aggregator,
                ca_pem=identity.ca_pem,
                ready=ready,
                tunnels=tunnels,
                watches=watches,
            ),
            *issuer_paths(config, key),
        ),
        subresources=lambda reader: subresources(tunnels, issuer, reader),
        virtual=lambda reader, authorizer, authenticator: {
            **virtual(reader, authorizer, authenticator),
            **usage_verbs(tunnels, reader),
        },
        audit=audit,
    )
    ports = f"{config.node_ports.start}-{config.node_ports.stop - 1}"
    about = ApiConfig(
        service_cidr=str(config.service_cidr),
        node_ports=ports,
        compat_betas=config.compat_betas,
    )
    api = build_api(about, parts)
    watches.handle_watch = api.handle
    return RunningApi(
        api=api,
        ready=ready,
        tunnels=tunnels,
        used_tokens=used,
        identity=identity,
        audit_log=audit.log if audit else None,
    )
