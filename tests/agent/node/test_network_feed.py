"""The node's network is set up until it is there."""

import asyncio

import pytest

from agent.network import NodeNetwork
from agent.network.fake import FakeNetwork
from agent.node.network_feed import RETRY, set_up_network

NODE = NodeNetwork(
    node_name="one",
    node_ip="192.0.2.1",
    pod_cidr="10.42.0.0/24",
    cluster_cidr="10.42.0.0/16",
    service_cidr="10.43.0.0/16",
    dns_ip="10.43.0.10",
    cluster_domain="cluster.local",
)


@pytest.mark.looptime
async def test_a_network_that_cannot_be_set_up_yet_is_tried_again_and_told_of() -> None:
    network, told = FakeNetwork(), list[str]()
    network.fail_with = "node not done within 30 s"
    setting_up = asyncio.create_task(set_up_network(network, NODE, told=told.append))
    await asyncio.sleep(RETRY + 1)
    assert told == ["network: node not done within 30 s"] * 2
    network.fail_with = ""
    await setting_up
    assert network.node == NODE
    assert told[-1] == ""
