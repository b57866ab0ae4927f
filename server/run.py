"""The server's process: what app.py and parts.py wire meets the world.

Identity and SQLite files, the listener, bootstrap, the control loops, and beside them the agent
of this machine. ``/readyz`` answers as soon as the API takes writes and the cluster's first
objects are there; control loops start behind it.
"""

import asyncio
import errno
import gc
import logging
import socket
import ssl
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from edgek.aio.clock import Clock, SystemClock
from edgek.aio.footprint import Footprint
from edgek.aio.notify import READY, notify
from edgek.aio.tasks import Tasks
from edgek.api.errors import ApiError
from edgek.control.controller import Builder, Context, run_controllers
from edgek.control.events import EventRecorder
from edgek.control.informer import Informers
from edgek.kinds import ALL as ALL_KINDS
from edgek.roles import Settings, StartError, UsageError, find_role
from server.app import Api
from server.authn.jwt import SigningKey
from server.authn.legacy import UsedTokens, mint_legacy
from server.bootstrap import ClusterFacts, bootstrap
from server.config import ServerConfig, parse_config
from server.controllers import (
    ALL,
    api_service_availability,
    csr_signing,
    custom_api_services,
    kubernetes_service,
    legacy_token_cleaning,
    legacy_token_usage,
    node_ipam,
    node_lifecycle,
    root_ca,
    service_account_tokens,
    service_addresses,
    service_cidrs,
    taint_eviction,
)
from server.http import HttpServer
from server.identity import ServerIdentity, make_data_dir, prepare_identity
from server.parts import RunningApi, open_api
from server.registry.expiry import Expiry
from server.request.model import User
from server.request.principals import AUTHENTICATED, CONTROLLER_MANAGER, MASTERS, SCHEDULER
from server.scheduler import scheduler
from server.storage.sqlite import SqliteEngine
from server.storage.store import StoreUnavailable

log = logging.getLogger(__name__)

AGENT_END_SECONDS = 3600.0
"""Above all grace periods: the service manager decides how long a shutdown may take."""

BOOTSTRAPPER = User(name="system:apiserver", groups=(MASTERS, AUTHENTICATED))
CONTROLLER_USER = User(name=CONTROLLER_MANAGER, groups=(AUTHENTICATED,))
SCHEDULER_USER = User(name=SCHEDULER, groups=(AUTHENTICATED,))
_SOONEST_RENEWAL = timedelta(hours=1)


async def run_server(settings: Settings, stop: asyncio.Event) -> None:
    """Serves until ``stop`` is set. Raises UsageError, StartError."""
    config = parse_config(settings)
    clock = SystemClock()
    # First what another server may hold: a start that cannot be must not touch its files, nor
    # the kubeconfig that both would write.
    make_data_dir(config.data_dir)
    engines = _open_engines(config)
    _check_port(config)
    identity = prepare_identity(config, now=clock.now())
    try:
        running = open_api(config, identity, clock, engine=engines[0], lazy_engine=engines[1])
    except StoreUnavailable as err:
        raise StartError(f"cannot read the datastore: {err}; restore it from a backup") from err
    context = identity.tls_context()
    try:
        async with Tasks("server") as tasks, listening(config, running.api, context):
            await prepare_cluster(running, config)
            _tune()
            log.info("ready port=%d data-dir=%s", config.port, config.data_dir)
            notify(READY)
            loops = control_loops(
                running.api, config, identity, clock, used_tokens=running.used_tokens
            )
            tasks.spawn(loops, name="control-loops")
            if running.audit_log is not None:
                tasks.spawn(running.audit_log.run(), name="audit-log")
            for kind in ALL_KINDS:
                if kind.ttl_seconds:
                    expiry = Expiry(running.api.store, kind, ttl=kind.ttl_seconds, clock=clock)
                    tasks.spawn(expiry.run(), name=f"expiry/{kind.plural}")
            tasks.spawn(_renew(config, identity, context, clock), name="certificates")
            agent = None
            if not config.disable_agent:
                agent = tasks.spawn(_agent(settings, config, identity, stop), name="agent")
            await _until(stop, tasks)
            if agent is not None:
                # Its pods may have to end in order with the machine, and it tells us how they did.
                await asyncio.wait({agent}, timeout=AGENT_END_SECONDS)
    finally:
        await running.api.close()
        if running.audit_log is not None:
            running.audit_log.close()


def _open_engines(config: ServerConfig) -> tuple[SqliteEngine, SqliteEngine]:
    """This machine's database and that of its events. Raises StartError."""
    db = config.data_dir / "server" / "db"
    try:
        db.mkdir(mode=0o700, parents=True, exist_ok=True)
        return SqliteEngine(db / "state.db"), _open_events(db / "events.db")
    except (OSError, StoreUnavailable) as err:
        raise StartError(
            f"cannot open the datastore: {err} (is another edgek server using it?)"
        ) from err


def _open_events(path: Path) -> SqliteEngine:
    """Events are not worth a start that fails: a damaged file of them is begun anew."""
    try:
        engine = SqliteEngine(path, durable=False)
        if engine.is_sound():
            return engine
        engine.close()
        why = "its check failed"
    except StoreUnavailable as err:
        why = str(err)
    log.warning("the events so far are lost, their file is damaged path=%s error=%s", path, why)
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    return SqliteEngine(path, durable=False)


def _check_port(config: ServerConfig) -> None:
    """Raises UsageError where the port cannot be had. Listening itself says the same; but then
    the kubeconfig is written."""
    family = socket.AF_INET6 if ":" in config.bind_address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((config.bind_address, config.port))
        except OSError as err:
            raise _no_port(config, err) from err


def _no_port(config: ServerConfig, err: OSError) -> UsageError:
    where = f"{config.bind_address}:{config.port}"
    if err.errno == errno.EADDRINUSE:
        return UsageError(
            f"{where} is in use by another process; stop it (ss -ltnp shows it) or choose "
            "another --https-listen-port"
        )
    return UsageError(f"cannot listen on {where}: {err.strerror}")


@asynccontextmanager
async def listening(config: ServerConfig, api: Api, context: ssl.SSLContext) -> AsyncIterator[None]:
    """Serves the API on its port meanwhile. Raises UsageError where the port cannot be had."""
    footprint = Footprint(whole=False)
    server = HttpServer(api.handle, ended=footprint.changed)
    try:
        await server.listen(config.bind_address, config.port, context)
    except OSError as err:
        await server.close()
        raise _no_port(config, err) from err
    try:
        yield
    finally:
        await server.close()
        footprint.close()


async def prepare_cluster(running: RunningApi, config: ServerConfig) -> None:
    """Makes the cluster's first objects and says ready. Raises StartError."""
    facts = ClusterFacts(
        cluster_cidr=str(config.cluster_cidr),
        service_cidr=str(config.service_cidr),
        cluster_dns=config.cluster_dns,
        cluster_domain=config.cluster_domain,
        extension_authentication=running.identity.extension_authentication(),
        group_versions=group_versions(running.api),
        local_storage="local-storage" not in config.disable,
    )
    try:
        await bootstrap(running.api.client(BOOTSTRAPPER), running.api.reader, facts)
    except ApiError as err:  # as a full disk
        raise StartError(f"cannot make the cluster's first objects: {err.message}") from err
    running.ready.set()


def group_versions(api: Api) -> Sequence[tuple[str, str]]:
    """All that are answered here, but for custom kinds, which come and go."""
    kinds = api.env.kinds.all()
    return tuple(dict.fromkeys((k.group, k.version) for k in kinds if not k.custom))


async def control_loops(
    api: Api,
    config: ServerConfig,
    identity: ServerIdentity,
    clock: Clock,
    *,
    used_tokens: UsedTokens,
) -> None:
    """Controllers and scheduler, on shared informers, each under its own name."""
    client = api.client(CONTROLLER_USER)
    async with Tasks("loops") as tasks:
        informers = Informers(client, tasks)
        events = EventRecorder(client, clock)
        tasks.spawn(events.run(), name="events")
        builders = (
            *ALL,
            *_informed_builders(config, identity),
            *_token_builders(config, identity, used_tokens),
        )
        context = Context(client=client, informers=informers, events=events, clock=clock)
        tasks.spawn(run_controllers(context, builders), name="controllers")
        scheduling = Context(
            client=api.client(SCHEDULER_USER), informers=informers, events=events, clock=clock
        )
        place = partial(scheduler.build, names=config.scheduler_names)
        tasks.spawn(run_controllers(scheduling, (place,)), name="scheduler")
        aggregating = Context(
            client=api.client(BOOTSTRAPPER), informers=informers, events=events, clock=clock
        )
        tasks.spawn(run_controllers(aggregating, _aggregation_builders(api)), name="aggregation")
        await tasks.wait()


def _aggregation_builders(api: Api) -> tuple[Builder, ...]:
    """Upstream's aggregator runs these within the API server, in its name."""
    return (
        custom_api_services.build,
        partial(api_service_availability.build, check=api.aggregator.check),
    )


def _informed_builders(config: ServerConfig, identity: ServerIdentity) -> tuple[Builder, ...]:
    """The controllers that need to know more of the cluster than its API tells."""
    where = kubernetes_service.ApiAddress(
        service_ip=config.kubernetes_ip, advertise=config.advertise_address, port=config.port
    )
    ranges = service_addresses.Ranges(
        services=str(config.service_cidr), node_ports=config.node_ports
    )
    return (
        partial(kubernetes_service.build, where=where),
        partial(root_ca.build, ca_pem=identity.ca_pem.decode()),
        partial(csr_signing.build, ca=identity.client_ca),
        partial(node_ipam.build, cluster_cidr=str(config.cluster_cidr)),
        partial(node_lifecycle.build, autonomous=config.autonomous_nodes),
        partial(service_addresses.build, ranges=ranges),
        partial(service_cidrs.build, ours=(str(config.service_cidr),)),
        partial(taint_eviction.build, autonomous=config.autonomous_nodes),
    )


def _token_builders(
    config: ServerConfig, identity: ServerIdentity, used: UsedTokens
) -> tuple[Builder, ...]:
    """Those of token Secrets, where there are to be any."""
    if not config.legacy_service_account_tokens:
        return ()
    key = SigningKey(identity.service_account_key)
    return (
        partial(
            service_account_tokens.build,
            ca_pem=identity.ca_pem,
            mint=partial(mint_legacy, key),
        ),
        partial(legacy_token_usage.build, used=used),
        legacy_token_cleaning.build,
    )


def _tune() -> None:
    """Modules and first objects live for ever: the collector need not look at them again; what
    is stored afterwards is many dicts and no cycles, so it looks less often. The store's thread
    waits for the interpreter while the loop is busy: with the default 5 ms, longer than for the
    disk."""
    gc.collect()
    gc.freeze()
    gc.enable()
    gc.set_threshold(20_000, 20, 50)
    sys.setswitchinterval(0.0005)


async def _renew(
    config: ServerConfig, identity: ServerIdentity, context: ssl.SSLContext, clock: Clock
) -> None:
    """Renews the serving certificate while the server runs; sleeps months in between, but for
    when the clock is set: what was made by another clock may be over, or not yet begun."""
    while True:
        await clock.sleep_until(max(identity.renew_at, clock.now() + _SOONEST_RENEWAL))
        try:
            identity = prepare_identity(config, now=clock.now())
            identity.load_serving(context)
        except (StartError, UsageError) as err:
            log.warning("certificates are not renewed err=%s", err)


async def _agent(
    settings: Settings, config: ServerConfig, identity: ServerIdentity, stop: asyncio.Event
) -> None:
    """The agent of this machine, a client of ours like any other (it joins, it has its own
    certificate): what it does on a server is what it does everywhere."""
    role = find_role("agent")
    mine: dict[str, Any] = {o.key: o.default for o in role.options}
    mine |= {o.key: settings[o.key] for o in role.options if o.key in settings}
    host = "127.0.0.1" if config.bind_address in ("0.0.0.0", "::") else config.bind_address
    mine |= {"server": f"https://{host}:{config.port}", "token": str(identity.agent_token)}
    mine |= {"token_file": None, "data_dir": str(config.data_dir)}
    mine |= {"beside_server": True}
    await role.run(mine, stop)


async def _until(stop: asyncio.Event, tasks: Tasks) -> None:
    """Returns when ``stop`` is set; raises what a task died of."""
    stopping = asyncio.create_task(stop.wait())
    failing = asyncio.create_task(tasks.wait())
    try:
        await asyncio.wait((stopping, failing), return_when=asyncio.FIRST_COMPLETED)
        if failing.done():
            failing.result()
    finally:
        for task in (stopping, failing):
            task.cancel()
        await asyncio.gather(stopping, failing, return_exceptions=True)
