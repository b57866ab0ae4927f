"""The pauses before containers that crash."""

from agent.pods.backoff import grown, restart_at
from agent.pods.state import Backoff
from tests.support.pods import at


def pauses(most: float, count: int) -> list[float]:
    found: list[float] = []
    backoff, now = None, 0.0
    for _ in range(count):
        backoff = grown(backoff, ended_at=at(now), now=at(now), most=most)
        found.append(backoff.seconds)
        now += backoff.seconds
    return found


def test_pauses_double_up_to_the_longest_one() -> None:
    assert pauses(300, 7) == [10, 20, 40, 80, 160, 300, 300]
    assert pauses(25, 4) == [10, 20, 25, 25]
    assert pauses(2, 2) == [2, 2]  # the first one too


def test_a_long_quiet_run_is_forgiven_in_twice_the_longest_pause() -> None:
    backoff = Backoff(seconds=10, since=at(0), most=25)
    assert restart_at(backoff, ended_at=at(50), now=at(50)) == at(60)
    assert restart_at(backoff, ended_at=at(51), now=at(51)) == at(51)
