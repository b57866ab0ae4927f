"""Local APIServices at a start: made where missing, removed where nobody answers them any more."""

from edgek.api.meta import Key, name
from edgek.kinds import API_SERVICE
from edgek.kinds.api_service import ON_START, local_api_service
from server.bootstrap import plan_local_api_services
from server.request.fake import FakeReader

SERVED = [("", "v1"), ("apps", "v1"), ("apiregistration.k8s.io", "v1")]


def test_the_first_start_makes_all_and_the_second_none() -> None:
    create, delete = plan_local_api_services(FakeReader(), SERVED)
    assert [name(obj) for obj in create] == ["v1.", "v1.apps"]
    again = FakeReader(*((API_SERVICE, obj) for obj in create))
    assert plan_local_api_services(again, SERVED) == ([], [])
    assert delete == []


def test_what_is_no_longer_answered_goes_and_what_others_made_stays() -> None:
    old = local_api_service("policy", "v1beta1", managed=ON_START)
    custom = local_api_service("example.com", "v1", managed="true")
    reader = FakeReader((API_SERVICE, old), (API_SERVICE, custom))
    _, delete = plan_local_api_services(reader, SERVED)
    assert delete == [Key("", "v1beta1.policy")]
