"""The page: what the server is made of and in which order.

``build_api`` wires the whole request path over any engine (tests: SQLite in memory) and starts
nothing; server/parts.py brings keys and connections, server/run.py sockets, control loops and the
embedded agent.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import orjson

from edgek.aio.clock import Clock
from edgek.api.meta import Key, Obj
from edgek.client.client import Client
from edgek.kinds import (
    ALL,
    CERTIFICATE_SIGNING_REQUEST,
    COMPAT_BETAS,
    CUSTOM_RESOURCE_DEFINITION,
    MUTATING_ADMISSION_POLICY,
    MUTATING_WEBHOOK_CONFIGURATION,
    RESOURCE_QUOTA,
    SERVICE,
    VALIDATING_ADMISSION_POLICY,
    VALIDATING_WEBHOOK_CONFIGURATION,
)
from edgek.kinds.kind import Kind
from server.admission.chain import Chain, Plugin
from server.admission.resource_quota import WriteStatus
from server.aggregation.aggregator import Aggregator
from server.authn.authenticator import Authenticator
from server.authz.authorizer import Authorizer, Decision
from server.authz.masters import Masters
from server.authz.node import NodeAuthorizer
from server.authz.rbac import RbacAuthorizer
from server.authz.union import Union
from server.endpoints.component_status import get_component, list_components
from server.endpoints.create import create
from server.endpoints.delete import delete, delete_collection
from server.endpoints.env import Env
from server.endpoints.get import get
from server.endpoints.list import list_
from server.endpoints.pages import Pages
from server.endpoints.patch import patch, patch_status
from server.endpoints.root import Handle, Root
from server.endpoints.route import Routes, Verb
from server.endpoints.select import INDEXED
from server.endpoints.subresources.binding import bind
from server.endpoints.subresources.eviction import evict
from server.endpoints.subresources.scale import get_scale, patch_scale, put_scale
from server.endpoints.subresources.whole import (
    APPROVAL,
    EPHEMERAL,
    FINALIZE,
    RESIZE,
    verbs_of,
)
from server.endpoints.update import update, update_status
from server.endpoints.watch import watch
from server.expressions import check_policy, check_rules, check_webhooks, rules_for
from server.fieldmanager.entries import without_entries
from server.fieldmanager.manager import FieldManager
from server.filters.audit import Audit, audit, audit_refused
from server.filters.authentication import authentication
from server.filters.authorization import authorization
from server.filters.errors import errors_filter
from server.filters.impersonation import impersonation
from server.filters.in_flight import in_flight_filter
from server.filters.request_info import request_info_filter
from server.inprocess import InProcessTransport
from server.registry.custom_conversion import conversions
from server.registry.definition_hook import DefinitionHook
from server.registry.definitions import Definitions
from server.registry.hooks import Hook, RequesterHook
from server.registry.kind_table import KindTable
from server.registry.reader import StoreReader
from server.registry.registry import STATUS, Registry, Transform, WriteContext
from server.registry.services import ServiceHook
from server.registry.validate import Check
from server.request.info import RequestInfo
from server.request.model import Filter, Handler, User
from server.storage.local import LocalStore, SectionConfig
from server.storage.store import Engine
from server.webhooks.client import WebhookClient

VERBS: Mapping[str, Verb] = {
    "get": get,
    "list": list_,
    "watch": watch,
    "create": create,
    "update": update,
    "patch": patch,
    "delete": delete,
    "deletecollection": delete_collection,
}
SUBRESOURCES: Mapping[tuple[str, str], Mapping[str, Verb]] = {
    ("*", "status"): {"get": get, "update": update_status, "patch": patch_status},
    ("*", "scale"): {"get": get_scale, "update": put_scale, "patch": patch_scale},
    ("pods", "binding"): {"create": bind},
    ("pods", "eviction"): {"create": evict},
    ("pods", "ephemeralcontainers"): verbs_of(EPHEMERAL),
    ("pods", "resize"): verbs_of(RESIZE),
    ("namespaces", "finalize"): verbs_of(FINALIZE),
    ("certificatesigningrequests", "approval"): verbs_of(APPROVAL),
}
CHECKS: Mapping[Kind, Check] = {
    CUSTOM_RESOURCE_DEFINITION: check_rules,
    VALIDATING_ADMISSION_POLICY: check_policy,
    MUTATING_ADMISSION_POLICY: check_policy,
    VALIDATING_WEBHOOK_CONFIGURATION: check_webhooks,
    MUTATING_WEBHOOK_CONFIGURATION: check_webhooks,
}
"""Validation that needs to know CEL."""

VIRTUAL: Mapping[tuple[str, str], Mapping[str, Verb]] = {
    ("", "componentstatuses"): {"get": get_component, "list": list_components},
}


def filters(
    authenticator: Authenticator,
    authorizer: Authorizer,
    reader: StoreReader,
    log: Audit | None = None,
) -> tuple[Filter, ...]:
    """In the order in which a request meets them."""
    return (
        errors_filter,
        request_info_filter,
        *((audit_refused(log),) if log else ()),
        authentication(authenticator),
        *((audit(log, authorizer),) if log else ()),
        impersonation(authorizer),
        in_flight_filter(reader),
        authorization(authorizer),
    )


def chained(wrappers: Sequence[Filter], handler: Handler) -> Handler:
    for wrap in reversed(wrappers):
        handler = wrap(handler)
    return handler


@dataclass(frozen=True, kw_only=True)
class ApiConfig:
    """What the request path needs to know of the cluster."""

    service_cidr: str
    node_ports: str
    compat_betas: bool = False


@dataclass(frozen=True, kw_only=True)
class Api:
    """The wired request path. ``handle`` takes any request; ``close`` flushes the store."""

    env: Env
    store: LocalStore
    reader: StoreReader
    handle: Handler
    webhooks: WebhookClient
    aggregator: Aggregator

    def client(self, user: User) -> Client:
        """An in-process client that acts as ``user``; kube-controller-manager... owns what it
        writes."""
        manager = user.name.removeprefix("system:")
        return Client(InProcessTransport(self.handle, user), field_manager=manager)

    async def close(self) -> None:
        await self.webhooks.close()
        await self.aggregator.close()
        await self.store.close()


AuthenticatorFor = Callable[[StoreReader], Authenticator]
VerbTable = Mapping[tuple[str, str], Mapping[str, Verb]]
PluginsFor = Callable[["PluginTools"], Sequence[Plugin]]
PathsFor = Callable[[Env, Aggregator], Sequence[tuple[str, Handle]]]
SubresourcesFor = Callable[[StoreReader], VerbTable]
VirtualFor = Callable[[StoreReader, Union, Authenticator], VerbTable]


@dataclass(frozen=True, kw_only=True)
class PluginTools:
    """What admission plugins are made from."""

    reader: StoreReader
    kinds: KindTable
    rbac: RbacAuthorizer
    authorizer: Union
    webhooks: WebhookClient
    write_quota: WriteStatus
    clock: Clock

    def ask(self, user: User, info: RequestInfo) -> tuple[bool, str]:
        """What expressions may ask: whether somebody may do something, and why."""
        verdict = self.authorizer.authorize(user, info)
        return verdict.decision is Decision.ALLOW, verdict.reason


def _no_verbs(*_: object) -> VerbTable:
    return {}


def section_config(kind: Kind) -> SectionConfig:
    paths = INDEXED.get(kind.plural, ()) if not kind.group else ()
    return SectionConfig(
        durability=kind.durability,
        indexes={path: _reader_of(kind, path) for path in paths},
    )


def _reader_of(kind: Kind, path: str) -> Callable[[Obj], str]:
    return lambda obj: kind.read_field(obj, path)


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What ``build_api`` is given because it needs keys, sockets or the cluster's identity."""

    engine: Engine
    clock: Clock
    authenticator: AuthenticatorFor
    plugins: PluginsFor
    paths: PathsFor
    lazy_engine: Engine | None = None
    subresources: SubresourcesFor = _no_verbs
    virtual: VirtualFor = _no_verbs
    webhooks: Callable[[StoreReader], WebhookClient] = WebhookClient
    aggregator: Callable[[StoreReader], Aggregator] = Aggregator
    audit: Audit | None = None
    section: Callable[[Kind], SectionConfig] = section_config
    """How a kind is kept."""


def build_api(config: ApiConfig, parts: Parts) -> Api:
    """Loads the store; raises StoreUnavailable where that cannot be."""
    store = LocalStore(
        parts.engine,
        lazy_engine=parts.lazy_engine,
        sections={k.storage_prefix: parts.section(k) for k in ALL if not k.virtual},
        decode=orjson.loads,
        keep=without_entries,
    )
    reader = StoreReader(store)
    rbac = RbacAuthorizer(reader)
    kinds = KindTable((*ALL, *(COMPAT_BETAS if config.compat_betas else ())))
    webhooks = parts.webhooks(reader)
    definitions = Definitions(
        store, kinds, conversion_for=conversions(webhooks), rules_for=rules_for
    )
    authorizer = Union((Masters(), NodeAuthorizer(reader), rbac), rules=rbac)
    tools = PluginTools(
        reader=reader,
        kinds=kinds,
        rbac=rbac,
        authorizer=authorizer,
        webhooks=webhooks,
        write_quota=quota_writer(store, parts.clock),
        clock=parts.clock,
    )
    registry = Registry(
        store=store,
        clock=parts.clock,
        chain=Chain(parts.plugins(tools)),
        hooks={
            **hooks(config, reader),
            CUSTOM_RESOURCE_DEFINITION: DefinitionHook(definitions, parts.clock),
        },
        checks=CHECKS,
        check_new=definitions.check_new,
        fields=FieldManager(kinds.find),
    )
    env = Env(
        kinds=kinds, registry=registry, clock=parts.clock, pages=Pages(), authorizer=authorizer
    )
    authenticator = parts.authenticator(reader)
    routes = Routes(
        env=env,
        verbs=VERBS,
        subresources={**SUBRESOURCES, **parts.subresources(reader)},
        virtual={**VIRTUAL, **parts.virtual(reader, authorizer, authenticator)},
    )
    aggregator = parts.aggregator(reader)
    root = Root(routes=routes, paths=parts.paths(env, aggregator))
    chain = filters(authenticator, authorizer, reader, parts.audit)
    return Api(
        env=env,
        store=store,
        reader=reader,
        handle=chained((*chain, aggregator.filter()), root.handle),
        webhooks=webhooks,
        aggregator=aggregator,
    )


def quota_writer(store: LocalStore, clock: Clock) -> WriteStatus:
    """How admission charges quotas: past itself, as what it does there is its own decision."""
    unadmitted = Registry(store=store, clock=clock)
    context = WriteContext(user=User(name="system:apiserver"), manager="kube-apiserver")

    async def write(key: Key, transform: Transform) -> None:
        await unadmitted.update(RESOURCE_QUOTA, key, transform, context, how=STATUS)

    return write


def hooks(config: ApiConfig, reader: StoreReader) -> Mapping[Kind, Hook]:
    return {
        SERVICE: ServiceHook(
            service_cidr=config.service_cidr,
            node_ports=config.node_ports,
            services=reader.list(SERVICE),
        ),
        CERTIFICATE_SIGNING_REQUEST: RequesterHook(CERTIFICATE_SIGNING_REQUEST),
    }
