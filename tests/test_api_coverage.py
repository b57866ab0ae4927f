"""docs/api-coverage.md is complete: nothing stable is left out without a reason."""

from edgek.kinds import ALL
from scripts.api_coverage import BEYOND, Resource, ours, upstream, verdict


def test_every_stable_resource_is_served_with_every_verb_or_has_its_reason() -> None:
    served = ours()
    verdicts = {r.place: verdict(r, served) for r in upstream() if r.is_stable}
    assert len(verdicts) > 100
    allowed = {"yes", *BEYOND.values()}
    assert {place: said for place, said in verdicts.items() if said not in allowed} == {}


def test_a_reason_does_not_outlive_what_it_excuses() -> None:
    served = ours()
    said = {r.place: verdict(r, served) for r in upstream()}
    assert {place: said[place] for place in BEYOND} == dict(BEYOND)


def test_a_missing_verb_shows() -> None:
    pods = Resource("", "v1", "pods", "", ("get", "juggle"))
    assert verdict(pods, ours(ALL)) == "missing: juggle"
