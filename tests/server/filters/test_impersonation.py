"""Acting as somebody else: what must be allowed for it, and who one is then."""

from collections.abc import Mapping

import pytest

from edgek.api.errors import BadRequest, Forbidden
from server.authz.authorizer import NO_OPINION, Decision, Verdict
from server.filters.impersonation import impersonation
from server.http.parser import Parser
from server.request.info import RequestInfo
from server.request.model import Request, Response, User

ANN = User(name="ann", groups=("staff", "system:authenticated"), extra={"seat": ("4",)})


class Allowing:
    """Allows exactly these, written ``resource[/subresource] [namespace/]name``; notes all."""

    def __init__(self, *allowed: str) -> None:
        self._allowed = allowed
        self.asked: list[str] = []

    def authorize(self, user: User, info: RequestInfo, *, explain: bool = False) -> Verdict:
        assert (user, info.verb) == (ANN, "impersonate")
        what = f"{info.resource}/{info.subresource}" if info.subresource else info.resource
        where = f"{info.namespace}/" if info.namespace else ""
        self.asked.append(f"{what} {where}{info.name}")
        return Verdict(Decision.ALLOW) if self.asked[-1] in self._allowed else NO_OPINION


async def acting(authorizer: Allowing, headers: Mapping[str, str]) -> Request:
    seen: list[Request] = []

    async def served(request: Request) -> Response:
        seen.append(request)
        return Response()

    request = Request(method="GET", path="/api", headers=dict(headers), user=ANN)
    await impersonation(authorizer)(served)(request)
    return seen[0]


BOB, ADMINS = "users bob", "groups admins"
AUTHENTICATED = "system:authenticated"


@pytest.mark.parametrize(
    ("headers", "needs", "groups"),
    [
        ({"user": "bob"}, [BOB], (AUTHENTICATED,)),
        (
            {"user": "bob", "group": "admins\na,b"},
            [BOB, ADMINS, "groups a,b"],
            ("admins", "a,b", AUTHENTICATED),
        ),
        (
            {"user": "bob", "group": "system:unauthenticated"},
            [BOB, "groups system:unauthenticated"],
            ("system:unauthenticated",),
        ),
        (
            {"user": "system:serviceaccount:shop:web"},
            ["serviceaccounts shop/web"],
            ("system:serviceaccounts", "system:serviceaccounts:shop", AUTHENTICATED),
        ),
        (
            {"user": "system:serviceaccount:shop:web", "group": "admins"},
            ["serviceaccounts shop/web", ADMINS],
            ("admins", AUTHENTICATED),
        ),
        (
            {"user": "system:serviceaccount:shop"},
            ["users system:serviceaccount:shop"],
            (AUTHENTICATED,),
        ),
        (
            {"user": "system:anonymous"},
            ["users system:anonymous"],
            ("system:unauthenticated",),
        ),
        ({"user": "bob", "uid": "7"}, [BOB, "uids 7"], (AUTHENTICATED,)),
        (
            {"user": "bob", "extra-acme.com%2Fscope": "read\nwrite"},
            [BOB, "userextras/acme.com/scope read", "userextras/acme.com/scope write"],
            (AUTHENTICATED,),
        ),
    ],
)
async def test_each_thing_asked_for_must_be_allowed(
    headers: Mapping[str, str], needs: list[str], groups: tuple[str, ...]
) -> None:
    headers = {f"impersonate-{key}": value for key, value in headers.items()}
    authorizer = Allowing(*needs)
    request = await acting(authorizer, headers)
    assert authorizer.asked == needs
    assert request.user.name == headers["impersonate-user"]
    assert request.user.groups == groups
    for lacking in needs:
        with pytest.raises(Forbidden):
            await acting(Allowing(*(n for n in needs if n != lacking)), headers)


async def test_nothing_of_who_asks_is_taken_along_and_nothing_behind_sees_the_headers() -> None:
    headers = {"accept": "*/*", "impersonate-user": "bob", "impersonate-extra-team": "a"}
    request = await acting(Allowing(BOB, "userextras/team a"), headers)
    assert request.user == User(name="bob", groups=(AUTHENTICATED,), extra={"team": ("a",)})
    assert request.headers == {"accept": "*/*"}


async def test_the_refusal_is_upstreams_sentence() -> None:
    with pytest.raises(Forbidden) as caught:
        await acting(Allowing(), {"impersonate-user": "bob"})
    assert caught.value.message == (
        'users "bob" is forbidden: User "ann" cannot impersonate resource "users" in API group '
        '"" at the cluster scope'
    )


@pytest.mark.parametrize("header", ["group", "uid", "extra-team"])
async def test_without_a_user_nothing_else_can_be_taken_on(header: str) -> None:
    with pytest.raises(BadRequest, match="without impersonating a user"):
        await acting(Allowing(), {f"impersonate-{header}": "x"})


async def test_without_such_headers_everybody_stays_who_they_are() -> None:
    authorizer = Allowing()
    assert (await acting(authorizer, {"accept": "*/*"})).user == ANN
    assert authorizer.asked == []


def test_groups_come_off_the_wire_one_by_one_even_with_commas_in_them() -> None:
    parser = Parser()
    parser.feed(
        b"GET / HTTP/1.1\r\nImpersonate-Group: cn=a,ou=b\r\nAccept: x\r\n"
        b"Impersonate-Group: c\r\nAccept: y\r\n\r\n"
    )
    headers = parser.ready[0].headers
    assert headers == {"impersonate-group": "cn=a,ou=b\nc", "accept": "x, y"}
