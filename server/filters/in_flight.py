"""Priority and fairness: how many requests are worked on at a time, and whose is next.

FlowSchemas say of which priority level a request is (server/filters/flows.py); each level has
places of its own, given to its users or namespaces in turn (server/filters/fair_queue.py). So
whoever floods, agents keep their leases, and others of his level get their share. Who is exempt
(system:masters, probes) is held up by nothing. Watches and streams leave their place when their
answer begins, as upstream's long-running requests are not counted. Levels lend each other nothing.
"""

from edgek.api.errors import ApiError
from edgek.api.remembered import LONGEST
from edgek.kinds import FLOW_SCHEMA, PRIORITY_LEVEL
from server.filters.errors import error_response
from server.filters.fair_queue import FairQueue
from server.filters.flows import Classifier, Flow, sizes
from server.flow_control import flow_control_objects
from server.request.model import Filter, Handler, Request, Response
from server.request.reader import Reader

SEATS = 600
"""As upstream's default: 400 that read and 200 that change."""
_REMEMBERED = 4096


class _Flows:
    """The levels as the cluster's objects are now; who asked what is looked up once, but for long
    paths: anybody may send them, and thousands of them."""

    def __init__(self, reader: Reader, *, seats: int) -> None:
        self._reader = reader
        self._seats = seats
        self._freshness = reader.freshness(FLOW_SCHEMA, PRIORITY_LEVEL)
        self._classifier = Classifier(schemas=(), levels={})
        self._known: dict[object, Flow] = {}
        self.levels: dict[str, FairQueue] = {}

    def of(self, request: Request) -> Flow:
        if self._freshness.stale:
            self._load()
            self._freshness.stale = False
        user, info = request.user, request.info
        if len(info.path) > LONGEST:
            return self._classifier.flow(user, info)
        what = (
            (info.verb, info.group, info.resource, info.subresource, info.namespace)
            if info.is_resource
            else (info.verb, info.path)
        )
        key = (user.name, user.groups, what)
        found = self._known.get(key)
        if found is None:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            found = self._known[key] = self._classifier.flow(user, info)
        return found

    def _load(self) -> None:
        """Before the first objects are made, those that will be."""
        kinds = (FLOW_SCHEMA, PRIORITY_LEVEL)
        schemas, levels = (list(self._reader.list(kind)) for kind in kinds)
        if not schemas or not levels:
            first = list(flow_control_objects())
            schemas, levels = ([o for of, o in first if of == kind] for kind in kinds)
        self._classifier = Classifier.of(schemas, levels)
        self._known.clear()
        wanted = sizes(levels, seats=self._seats)
        self.levels = {n: q for n, q in self.levels.items() if n in wanted or not q.idle}
        for name, size in wanted.items():
            how = {"limit": size.limit, "per_flow": size.per_flow, "total": size.total}
            if name in self.levels:
                self.levels[name].resize(**how)
            else:
                self.levels[name] = FairQueue(**how)


def in_flight_filter(reader: Reader, *, seats: int = SEATS) -> Filter:
    """``seats`` are those of all levels together."""

    def wrap(handler: Handler) -> Handler:
        flows = _Flows(reader, seats=seats)

        async def handle(request: Request) -> Response:
            if request.in_process:  # our own control loops are bounded by their workers
                return await handler(request)
            flow = flows.of(request)
            try:
                response = await _in_turn(handler, request, flow, flows)
            except ApiError as err:
                response = error_response(err)
            response.headers.update(flow.headers)
            return response

        return handle

    return wrap


async def _in_turn(handler: Handler, request: Request, flow: Flow, flows: _Flows) -> Response:
    if not flow.level:
        return await handler(request)
    level = flows.levels[flow.level]
    await level.enter(flow.key)
    try:
        return await handler(request)
    finally:
        level.leave()
