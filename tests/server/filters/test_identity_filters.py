"""401 and 403 as a client meets them: upstream's sentences, word for word."""

import pytest

from edgek.api.errors import Forbidden, Unauthorized
from server.authn.anonymous import Anonymous
from server.authz.authorizer import NO_OPINION, Decision, Verdict
from server.filters.authentication import authentication
from server.filters.authorization import authorization
from server.request.info import RequestInfo, parse_request_info
from server.request.model import ANONYMOUS, Request, Response, User

ANN = User(name="ann")


async def served(request: Request) -> Response:
    return Response(obj={"user": request.user.name})


class Says:
    def __init__(self, verdict: Verdict) -> None:
        self._verdict = verdict

    def authorize(self, user: User, info: object, *, explain: bool = False) -> Verdict:
        return self._verdict


def request_of(method: str, path: str, **query: str) -> Request:
    info = parse_request_info(method, path, query)
    return Request(method=method, path=path, info=info, user=ANN)


async def test_a_request_without_credentials_goes_on_as_anonymous():
    answer = await authentication(Anonymous())(served)(request_of("GET", "/readyz"))
    assert answer.obj == {"user": ANONYMOUS.name}


async def test_a_bad_credential_ends_the_request():
    request = Request(method="GET", path="/", headers={"authorization": "Bearer x"})
    with pytest.raises(Unauthorized):
        await authentication(Anonymous())(served)(request)


async def test_a_caller_in_process_is_who_it_says():
    request = request_of("GET", "/api/v1/pods")
    request.in_process = True
    answer = await authentication(Anonymous())(served)(request)
    assert answer.obj == {"user": "ann"}


async def test_only_allow_lets_a_request_through():
    request = request_of("GET", "/api/v1/pods")
    assert await authorization(Says(Verdict(Decision.ALLOW)))(served)(request)
    for verdict in (NO_OPINION, Verdict(Decision.DENY)):
        with pytest.raises(Forbidden):
            await authorization(Says(verdict))(served)(request)


@pytest.mark.parametrize(
    ("method", "path", "message"),
    [
        (
            "GET",
            "/api/v1/namespaces/default/pods",
            'pods is forbidden: User "ann" cannot list resource "pods" in API group "" in the '
            'namespace "default"',
        ),
        (
            "GET",
            "/api/v1/nodes/n1",
            'nodes "n1" is forbidden: User "ann" cannot get resource "nodes" in API group "" at '
            "the cluster scope",
        ),
        (
            "PATCH",
            "/apis/apps/v1/namespaces/a/deployments/d/scale",
            'deployments.apps "d" is forbidden: User "ann" cannot patch resource '
            '"deployments/scale" in API group "apps" in the namespace "a"',
        ),
        ("POST", "/metrics", 'forbidden: User "ann" cannot post path "/metrics"'),
    ],
)
async def test_a_refusal_is_worded_as_upstream(method: str, path: str, message: str):
    with pytest.raises(Forbidden) as caught:
        await authorization(Says(NO_OPINION))(served)(request_of(method, path))
    assert caught.value.message == message


async def test_a_refusal_names_the_plural_and_the_authorizers_reason():
    verdict = Verdict(Decision.NO_OPINION, "can only read by name")
    with pytest.raises(Forbidden) as caught:
        await authorization(Says(verdict))(served)(request_of("GET", "/api/v1/secrets"))
    assert caught.value.details == {"kind": "secrets"}
    assert caught.value.message.endswith("at the cluster scope: can only read by name")


class ByVerb:
    """Allows these verbs."""

    def __init__(self, *verbs: str) -> None:
        self._verbs = verbs

    def authorize(self, user: User, info: RequestInfo, *, explain: bool = False) -> Verdict:
        return Verdict(Decision.ALLOW) if info.verb in self._verbs else NO_OPINION


@pytest.mark.parametrize("stream", ["exec", "attach"])
async def test_a_stream_into_a_container_needs_create_however_it_is_asked_for(stream: str):
    request = request_of("GET", f"/api/v1/namespaces/a/pods/p/{stream}")
    with pytest.raises(Forbidden) as caught:
        await authorization(ByVerb("get"))(served)(request)
    assert f'cannot create resource "pods/{stream}"' in caught.value.message
    assert await authorization(ByVerb("get", "create"))(served)(request)


async def test_a_log_is_read_with_get_alone():
    request = request_of("GET", "/api/v1/namespaces/a/pods/p/log")
    assert await authorization(ByVerb("get"))(served)(request)
