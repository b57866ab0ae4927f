"""kubectl get cs: old tools ask whether the control plane is well."""

import pytest

from edgek.api.errors import MethodNotAllowed, NotFound
from edgek.api.meta import Key
from edgek.client.client import Client
from edgek.kinds import COMPONENT_STATUS
from tests.support.api import ADMIN, open_api
from tests.support.raw import TABLE, get


async def test_all_parts_are_well(client: Client) -> None:
    found = {o["metadata"]["name"]: o for o in (await client.list(COMPONENT_STATUS)).items}
    assert set(found) == {"controller-manager", "etcd-0", "scheduler"}
    one = await client.get(COMPONENT_STATUS, Key("", "scheduler"))
    assert one == found["scheduler"]
    assert [c["status"] for c in one["conditions"]] == ["True"]


async def test_there_is_no_other_part_and_nothing_to_write(client: Client) -> None:
    with pytest.raises(NotFound, match='componentstatuses "etcd-1" not found'):
        await client.get(COMPONENT_STATUS, Key("", "etcd-1"))
    with pytest.raises(MethodNotAllowed):
        await client.create(COMPONENT_STATUS, dict(COMPONENT_STATUS.example))


async def test_they_print_as_a_table_and_are_selected() -> None:
    selected = {"fieldSelector": "metadata.name=scheduler"}
    async with open_api(user=ADMIN) as api:
        table = await get(api, COMPONENT_STATUS.path(), accept=TABLE, **selected)
    assert [row["cells"] for row in table["rows"]] == [["scheduler", "Healthy", "ok", ""]]
