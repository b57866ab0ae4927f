"""limit and continue: pages of one list, whatever happens between them."""

from collections.abc import AsyncIterator

import pytest

from edgek.aio.clock import FakeClock
from edgek.api.meta import Key, Obj
from edgek.client.client import Client
from edgek.kinds import CONFIG_MAP
from server.app import Api
from server.endpoints.pages import KEPT, SNAPSHOTS
from tests.support.api import ADMIN, open_api
from tests.support.raw import TABLE, get

PATH = "/api/v1/configmaps"


@pytest.fixture
async def api(clock: FakeClock) -> AsyncIterator[Api]:
    async with open_api(user=ADMIN, clock=clock) as opened:
        yield opened


async def put(client: Client, name: str, namespace: str = "default", **labels: str) -> None:
    meta = {"name": name, "namespace": namespace, "labels": labels}
    await client.create(CONFIG_MAP, {"metadata": meta})


@pytest.fixture
async def seven(client: Client) -> None:
    for name in "abcd":
        await put(client, name, x="1")
    for name in "abc":
        await put(client, name, "other")


def names(page: Obj) -> list[str]:
    return [f"{o['metadata']['namespace']}/{o['metadata']['name']}" for o in page["items"]]


ALL_SEVEN = ["default/a", "default/b", "default/c", "default/d", "other/a", "other/b", "other/c"]


@pytest.mark.usefixtures("seven")
async def test_pages_together_are_the_list_and_tell_what_remains(api: Api) -> None:
    seen, token, remaining = [], "", []
    while True:
        page = await get(api, PATH, limit="3", **({"continue": token} if token else {}))
        seen += names(page)
        remaining.append(page["metadata"].get("remainingItemCount"))
        if not (token := page["metadata"].get("continue", "")):
            break
    assert seen == ALL_SEVEN
    assert remaining == [4, 1, None]


@pytest.mark.usefixtures("seven")
async def test_later_pages_show_the_list_as_it_was_at_the_first(api: Api, client: Client) -> None:
    first = await get(api, PATH, limit="3")
    await client.delete(CONFIG_MAP, Key("other", "b"))
    await put(client, "aa")
    await put(client, "dd")
    rest = await get(api, PATH, **{"continue": first["metadata"]["continue"]})
    assert names(first) + names(rest) == ALL_SEVEN
    assert rest["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
    assert "remainingItemCount" not in rest["metadata"]


@pytest.mark.usefixtures("seven")
async def test_a_page_can_be_asked_for_again(api: Api, client: Client) -> None:
    first = await get(api, PATH, limit="2")
    token = first["metadata"]["continue"]
    await put(client, "z")
    second = await get(api, PATH, limit="2", **{"continue": token})
    third = await get(api, PATH, limit="2", **{"continue": second["metadata"]["continue"]})
    assert names(third) == ALL_SEVEN[4:6]
    assert names(await get(api, PATH, limit="2", **{"continue": token})) == ALL_SEVEN[2:4]


@pytest.mark.usefixtures("seven")
async def test_what_pages_need_is_not_kept_for_ever(
    api: Api, client: Client, clock: FakeClock
) -> None:
    first = await get(api, PATH, limit="3")
    await put(client, "z")
    clock.advance(KEPT.total_seconds() + 1)
    expired = await get(api, PATH, limit="1", **{"continue": first["metadata"]["continue"]})
    assert expired["code"] == 410
    assert not api.env.pages.snapshots


@pytest.mark.usefixtures("seven")
async def test_a_list_too_old_is_410_with_a_token_to_go_on_with(api: Api, client: Client) -> None:
    first = await get(api, PATH, limit="3")
    for n in range(SNAPSHOTS + 1):  # others page through lists of their own
        await put(client, f"z{n}")
        await get(api, PATH, limit="1")
    expired = await get(api, PATH, limit="3", **{"continue": first["metadata"]["continue"]})
    assert (expired["code"], expired["reason"]) == (410, "Expired")
    assert expired["message"].startswith("The provided continue parameter is too old")
    rest = await get(api, PATH, **{"continue": expired["metadata"]["continue"]})
    assert names(rest)[:4] == ["default/d", "default/z0", "default/z1", "default/z10"]
    assert int(rest["metadata"]["resourceVersion"]) > int(first["metadata"]["resourceVersion"])


@pytest.mark.usefixtures("seven")
async def test_with_a_selector_what_remains_is_not_known(api: Api) -> None:
    page = await get(api, PATH, limit="3", labelSelector="x=1")
    assert names(page) == ["default/a", "default/b", "default/c"]
    assert "remainingItemCount" not in page["metadata"]
    query = {"continue": page["metadata"]["continue"], "labelSelector": "x=1"}
    last = await get(api, PATH, limit="3", **query)
    assert names(last) == ["default/d"]
    assert "continue" not in last["metadata"]


@pytest.mark.usefixtures("seven")
async def test_a_list_that_fits_its_limit_has_no_token(api: Api) -> None:
    for limit in ("7", "8", "0", ""):
        page = await get(api, PATH, limit=limit)
        assert names(page) == ALL_SEVEN
        assert "continue" not in page["metadata"]


@pytest.mark.usefixtures("seven")
async def test_tables_come_in_pages_too(api: Api) -> None:
    page = await get(api, PATH, accept=TABLE, limit="3")
    assert [row["cells"][0] for row in page["rows"]] == ["a", "b", "c"]
    assert page["metadata"]["remainingItemCount"] == 4
    rest = await get(api, PATH, accept=TABLE, **{"continue": page["metadata"]["continue"]})
    assert [row["cells"][0] for row in rest["rows"]] == ["d", "a", "b", "c"]


@pytest.mark.usefixtures("seven")
async def test_a_token_goes_with_its_own_list_only(api: Api, client: Client) -> None:
    """A token of one namespace, or of before a restart, must not show other lists' items."""
    page = await get(api, PATH, limit="1")
    await put(client, "z")
    query = {"continue": page["metadata"]["continue"]}
    other = await get(api, "/api/v1/namespaces/other/configmaps", **query)
    assert other["code"] == 410
    refused = await get(api, PATH, resourceVersion=page["metadata"]["resourceVersion"], **query)
    assert (refused["code"], refused["reason"]) == (400, "BadRequest")


@pytest.mark.usefixtures("seven")
async def test_an_exact_revision_is_served_while_it_is_the_last(api: Api, client: Client) -> None:
    at = (await get(api, PATH))["metadata"]["resourceVersion"]
    exact = {"resourceVersion": at, "resourceVersionMatch": "Exact"}
    assert names(await get(api, PATH, **exact)) == ALL_SEVEN
    await put(client, "z")
    assert (await get(api, PATH, **exact))["code"] == 410
    newer = {"resourceVersion": at, "resourceVersionMatch": "NotOlderThan"}
    assert len(names(await get(api, PATH, **newer))) == 8
