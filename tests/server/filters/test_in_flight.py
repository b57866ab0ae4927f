"""A flood is told to come back later, and keeps neither agents nor others of its kind out."""

import asyncio
import tracemalloc
from collections import Counter

import pytest

from edgek.api.errors import Forbidden, TooManyRequests
from edgek.api.meta import Obj
from edgek.kinds import FLOW_SCHEMA, PRIORITY_LEVEL
from edgek.kinds.flow_control import every_request_of, flow_spec, group
from edgek.kinds.kind import Kind
from server.filters.errors import errors_filter
from server.filters.fair_queue import WAIT_SECONDS
from server.filters.flows import Classifier, sizes
from server.filters.in_flight import in_flight_filter
from server.flow_control import FLOWS, LEVELS
from server.request.fake import FakeReader
from server.request.info import RequestInfo, parse_request_info
from server.request.model import Handler, Request, Response, User

AUTHENTICATED = "system:authenticated"
POD = User(name="system:serviceaccount:default:noisy", groups=("system:serviceaccounts",))
OTHER = User(name="system:serviceaccount:default:calm", groups=("system:serviceaccounts",))
NODE = User(name="system:node:n1", groups=("system:nodes", AUTHENTICATED))
ADMIN = User(name="admin", groups=("system:masters", AUTHENTICATED))


def level(name: str, shares: int, *, length: int = 0, uid: str = "") -> tuple[Kind, Obj]:
    queuing = {"queues": 4, "handSize": 1, "queueLengthLimit": length}
    queue = {"type": "Queue", "queuing": queuing} if length else {"type": "Reject"}
    limited = {"nominalConcurrencyShares": shares, "limitResponse": queue}
    spec = {"type": "Limited", "limited": limited}
    return PRIORITY_LEVEL, {"metadata": {"name": name, "uid": uid}, "spec": spec}


def schema(name: str, of: str, to: str, precedence: int, uid: str = "") -> tuple[Kind, Obj]:
    spec = flow_spec(to, precedence, every_request_of(group(of)), by="ByUser")
    return FLOW_SCHEMA, {"metadata": {"name": name, "uid": uid}, "spec": spec}


def reader(*, length: int = 2) -> FakeReader:
    """Half of the places are the pods', half the nodes'."""
    return FakeReader(
        level("pods", 1, length=length, uid="l1"),
        level("nodes", 1, length=length),
        (PRIORITY_LEVEL, {"metadata": {"name": "exempt"}, "spec": {"type": "Exempt"}}),
        schema("pods", "system:serviceaccounts", "pods", 9, uid="s1"),
        schema("nodes", "system:nodes", "nodes", 9),
        schema("masters", "system:masters", "exempt", 1),
    )


class Slow:
    """A handler that works until ``go`` is set; ``served`` says for whom, in order."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.working = 0
        self.most = 0
        self.served: list[str] = []

    async def __call__(self, request: Request) -> Response:
        self.working += 1
        self.most = max(self.most, self.working)
        try:
            await self.go.wait()
        finally:
            self.working -= 1
        self.served.append(request.user.name)
        return Response(obj={})


def flood(handler: Handler, count: int, user: User = POD) -> "list[asyncio.Task[Response]]":
    one = [handler(Request(method="GET", path="/", user=user)) for _ in range(count)]
    return [asyncio.ensure_future(coro) for coro in one]


async def turn() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_what_is_over_places_and_queue_is_429_with_retry_after() -> None:
    slow = Slow()
    handler = errors_filter(in_flight_filter(reader(), seats=6)(slow))
    tasks = flood(handler, 10)
    await turn()
    refused = [t.result() for t in tasks if t.done()]
    assert [(r.status, r.headers["Retry-After"]) for r in refused] == [(429, "1")] * 5
    slow.go.set()
    answers = await asyncio.gather(*tasks)
    assert sorted(r.status for r in answers) == [200] * 5 + [429] * 5
    assert slow.most == 3


@pytest.mark.parametrize("user", [NODE, ADMIN])
async def test_a_flood_of_others_leaves_nodes_and_admins_their_places(user: User) -> None:
    slow = Slow()
    handler = in_flight_filter(reader(), seats=4)(slow)
    noise = flood(handler, 100)
    await turn()
    mine = flood(handler, 2, user)
    await turn()
    assert slow.working == 4
    slow.go.set()
    assert [r.status for r in await asyncio.gather(*mine)] == [200, 200]
    assert Counter(r.status for r in await asyncio.gather(*noise)) == {200: 4, 429: 96}


async def test_places_go_to_the_users_of_a_level_in_turn() -> None:
    slow = Slow()
    handler = in_flight_filter(reader(length=50), seats=2)(slow)
    noise = flood(handler, 40)
    await turn()
    calm = flood(handler, 3, OTHER)
    await turn()
    slow.go.set()
    await asyncio.gather(*noise, *calm)
    assert slow.served[:8].count(OTHER.name) == 3


async def test_the_longest_queue_gives_way_when_all_are_full() -> None:
    slow = Slow()
    found = reader(length=50)
    handler = in_flight_filter(found, seats=2)(slow)
    users = [User(name=f"u{i}", groups=("system:serviceaccounts",)) for i in range(5)]
    noise = [task for user in users for task in flood(handler, 50, user)]
    await turn()
    mine = flood(handler, 1)
    await turn()
    assert not mine[0].done()
    slow.go.set()
    assert (await mine[0]).status == 200
    await asyncio.gather(*noise)


async def test_a_client_that_goes_while_it_waits_or_works_gives_up_its_place() -> None:
    slow = Slow()
    handler = in_flight_filter(reader(), seats=2)(slow)
    for task in reversed(flood(handler, 2)):
        await turn()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    slow.go.set()
    assert (await handler(Request(method="GET", path="/", user=POD))).status == 200


@pytest.mark.looptime
async def test_nobody_waits_for_ever() -> None:
    handler = in_flight_filter(reader(), seats=2)(Slow())
    first, second = flood(handler, 2)
    await asyncio.sleep(WAIT_SECONDS + 1)
    assert second.result().status == TooManyRequests.code
    first.cancel()


async def test_a_level_that_grows_lets_those_who_wait_in() -> None:
    slow, found = Slow(), reader()
    handler = in_flight_filter(found, seats=2)(slow)
    flood(handler, 3)
    await turn()
    assert slow.working == 1
    found.put(*level("pods", 5, length=2))
    mine = flood(handler, 1, ADMIN)
    await turn()
    assert slow.working == 3
    slow.go.set()
    await asyncio.gather(*mine)


async def test_our_own_control_loops_are_not_counted() -> None:
    slow = Slow()
    handler = in_flight_filter(reader(), seats=2)(slow)
    flood(handler, 1)
    await turn()
    slow.go.set()
    assert await handler(Request(method="GET", path="/", in_process=True, user=POD))


async def test_the_answer_says_what_it_was_counted_as() -> None:
    async def refuse(request: Request) -> Response:
        raise Forbidden("no")

    answer = await in_flight_filter(reader())(refuse)(Request(method="GET", path="/", user=POD))
    assert answer.status == 403
    assert answer.headers == {
        "X-Kubernetes-PF-FlowSchema-UID": "s1",
        "X-Kubernetes-PF-PriorityLevel-UID": "l1",
    }


# --- the objects a cluster begins with -----------------------------------------------------------


def first(specs: dict[str, Obj]) -> list[Obj]:
    return [{"metadata": {"name": name}, "spec": spec} for name, spec in specs.items()]


CLASSIFIER = Classifier.of(first(FLOWS), first(LEVELS))
MANAGER = User(name="system:kube-controller-manager", groups=(AUTHENTICATED,))
KUBE_SYSTEM = User(
    name="system:serviceaccount:kube-system:x", groups=("system:serviceaccounts", AUTHENTICATED)
)
ANN = User(name="ann", groups=(AUTHENTICATED,))
LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/n1"


@pytest.mark.parametrize(
    ("user", "path", "found"),
    [
        (ADMIN, "/api/v1/pods", ("", "exempt", "")),
        (ANN, "/readyz", ("", "probes", "")),
        (NODE, "/api/v1/nodes/n1/status", ("node-high", "system-node-high", "system:node:n1")),
        (NODE, LEASES, ("node-high", "system-node-high", "system:node:n1")),
        (NODE, "/api/v1/pods", ("system", "system-nodes", "system:node:n1")),
        (MANAGER, LEASES, ("leader-election", "system-leader-election", MANAGER.name)),
        (
            MANAGER,
            "/api/v1/namespaces/shop/pods",
            ("workload-high", "kube-controller-manager", "shop"),
        ),
        (
            KUBE_SYSTEM,
            "/api/v1/namespaces/shop/pods",
            ("workload-high", "kube-system-service-accounts", "shop"),
        ),
        (POD, "/api/v1/pods", ("workload-low", "service-accounts", POD.name)),
        (ANN, "/api/v1/pods", ("global-default", "global-default", "ann")),
        (ANN, "/version", ("global-default", "global-default", "ann")),
    ],
)
def test_requests_are_sorted_as_upstream_does(
    user: User, path: str, found: tuple[str, str, str]
) -> None:
    flow = CLASSIFIER.flow(user, parse_request_info("GET", path, {}))
    assert (flow.level, *flow.key) == found


def test_the_levels_share_all_places_by_their_shares() -> None:
    found = sizes(first(LEVELS), seats=600)
    assert "exempt" not in found
    assert found["workload-low"].limit == 245
    assert found["catch-all"].limit == 13
    assert (found["catch-all"].per_flow, found["catch-all"].total) == (0, 0)
    assert (found["leader-election"].per_flow, found["leader-election"].total) == (200, 800)


@pytest.mark.looptime
async def test_a_level_without_a_share_lets_nothing_through() -> None:
    found = reader()
    found.put(*level("pods", 0, length=1))
    (task,) = flood(in_flight_filter(found)(Slow()), 1)
    await asyncio.sleep(WAIT_SECONDS + 1)
    assert task.result().status == TooManyRequests.code


def test_a_schema_whose_level_is_missing_matches_nothing() -> None:
    dangling = {"metadata": {"name": "a"}, "spec": flow_spec("gone", 2, every_request_of())}
    classifier = Classifier.of([dangling], first(LEVELS))
    assert classifier.flow(ANN, RequestInfo()).level == ""


async def test_long_paths_leave_nothing_behind() -> None:
    async def answer(request: Request) -> Response:
        return Response()

    handle = in_flight_filter(reader())(answer)
    tracemalloc.start()
    try:
        for number in range(200):
            info = parse_request_info("GET", f"/{'x' * 50_000}{number}", {})
            await handle(Request(method="GET", path=info.path, info=info, user=ADMIN))
        assert tracemalloc.get_traced_memory()[0] < 2_000_000
    finally:
        tracemalloc.stop()
