"""Values: what the parts of an agent are told, from its settings and what was learned so far.

Of the node for its Node object, of its networks for netplug, of its host for pods. Nothing is
done here: the page (app.py) hands them on.
"""

from fractions import Fraction

from agent.config import AgentConfig, route_address
from agent.devices.watch import DeviceWatch
from agent.life import Life
from agent.network import NodeNetwork
from agent.node.addresses import Addresses, find_addresses
from agent.node.cluster import Cluster
from agent.node.facts import Facts
from agent.node.resources import NodeResources, node_resources
from agent.node.status import NodeSpec
from agent.pods.etc import DnsSettings
from agent.pods.isolation import NodeSecurity
from agent.pods.memory import Host
from agent.runtime.handlers import find_handlers, plan_node_handlers
from agent.runtime.machine import Machine
from edgek.kinds.provisioned import STORAGE_DIRECTORY
from edgek.roles import StartError


def node_spec(
    config: AgentConfig, facts: Facts, *, machine: Machine, devices: DeviceWatch
) -> NodeSpec:
    """Raises StartError where the machine has no address."""
    addresses = look_for_addresses(config, facts)
    if not addresses.ip:
        raise StartError("this machine has no address yet; set --node-ip or bring a link up")
    return NodeSpec(
        name=config.node_name,
        addresses=addresses,
        facts=facts,
        resources=resources_of(config, facts, devices),
        handlers=tuple(plan_node_handlers(find_handlers(), machine=machine)),
        first_labels=dict(config.labels),
        taints=tuple(config.taint_objects()),
        annotations={STORAGE_DIRECTORY: str(config.storage_root)},
    )


def resources_of(config: AgentConfig, facts: Facts, devices: DeviceWatch) -> NodeResources:
    return node_resources(facts, config.kubelet, max_pods=config.max_pods, devices=devices.counts())


def look_for_addresses(config: AgentConfig, facts: Facts) -> Addresses:
    return find_addresses(
        config.node_ips,
        external=config.external_ips,
        hostname=facts.hostname,
        route=lambda: route_address(config.server),
    )


def node_network(config: AgentConfig, cluster: Cluster, addresses: Addresses) -> NodeNetwork:
    return NodeNetwork(
        node_name=config.node_name,
        node_ip=addresses.ip,
        pod_cidr=cluster.pod_cidr,
        cluster_cidr=cluster.cluster_cidr,
        service_cidr=cluster.service_cidr,
        dns_ip=cluster.cluster_dns,
        cluster_domain=cluster.cluster_domain,
    )


def pod_host(config: AgentConfig, life: Life, *, machine: Machine) -> Host:
    """What pods are started with on this node."""
    cluster, feed, spec = life.cluster, life.feed, life.spec
    return Host(
        node_name=config.node_name,
        node_ip=spec.addresses.ip,
        dns=DnsSettings(cluster_dns=cluster.cluster_dns, cluster_domain=cluster.cluster_domain),
        allocatable=spec.resources.allocatable,
        memory=Fraction(spec.facts.memory),
        boot=life.service.boot,
        log_root=config.log_dir,
        pod_max_pids=config.pod_max_pids,
        max_backoff=config.kubelet.max_backoff,
        security=_security(config, machine),
        services=feed.services.list,
        services_known=feed.services.known,
        node=lambda: feed.node(config.node_name),
    )


def _security(config: AgentConfig, machine: Machine) -> NodeSecurity:
    return NodeSecurity(
        unsafe_sysctls=config.unsafe_sysctls,
        seccomp_default=config.seccomp_default,
        seccomp_root=config.home / "seccomp",
        apparmor=machine.apparmor,
        user_namespaces=machine.user_namespaces,
        recursive_read_only=machine.recursive_read_only,
        handlers=tuple(find_handlers()),
    )
