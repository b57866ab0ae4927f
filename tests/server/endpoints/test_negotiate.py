"""What a client accepts is what it gets: objects, Tables, metadata, or a 406."""

from collections.abc import AsyncIterator

import pytest
import yaml

from edgek.api.meta import Obj
from edgek.client.client import Client
from edgek.kinds import CONFIG_MAP
from server.app import Api
from server.request.model import Request
from tests.support.api import ADMIN, open_api
from tests.support.raw import PARTIAL, TABLE, get

PATH = "/api/v1/namespaces/default/configmaps"
PARTIAL_LIST = PARTIAL.replace("as=PartialObjectMetadata", "as=PartialObjectMetadataList")
PROTOBUF = "application/vnd.kubernetes.protobuf"


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with open_api(user=ADMIN) as opened:
        yield opened


@pytest.fixture
async def made(client: Client) -> Obj:
    meta = {"name": "a", "namespace": "default", "labels": {"x": "1"}}
    return await client.create(CONFIG_MAP, {"metadata": meta, "data": {"k": "v"}})


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("", "ConfigMapList"),
        ("*/*", "ConfigMapList"),
        ("application/*", "ConfigMapList"),
        ("application/json; charset=utf-8", "ConfigMapList"),
        (f"{PROTOBUF}, application/json", "ConfigMapList"),
        (f"{PROTOBUF};as=Table;v=v1;g=meta.k8s.io, application/json", "ConfigMapList"),
        (TABLE, "Table"),
        (f"{TABLE},application/json", "Table"),
        (TABLE.replace("v=v1", "v=v1beta1"), "Table"),
        (TABLE.replace("v=v1", "v=v9") + ",application/json", "ConfigMapList"),
        (PARTIAL_LIST, "PartialObjectMetadataList"),
        (f"{PROTOBUF};as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,{PARTIAL_LIST}",
         "PartialObjectMetadataList"),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("made")
async def test_the_first_form_that_can_be_made_is_taken(api: Api, accept: str, kind: str) -> None:
    assert (await get(api, PATH, accept=accept))["kind"] == kind


@pytest.mark.parametrize("path", [PATH, f"{PATH}/a"])
@pytest.mark.usefixtures("made")
async def test_yaml_says_the_same_as_json(api: Api, path: str) -> None:
    headers = {"accept": "application/yaml"}
    answer = await api.handle(Request(method="GET", path=path, headers=headers))
    assert answer.content_type == "application/yaml"
    assert yaml.safe_load(answer.body or b"") == await get(api, path)


@pytest.mark.parametrize(
    "accept", [PROTOBUF, "text/html", "application/json;as=Nothing;v=v1;g=meta.k8s.io", "x"]
)
async def test_a_client_that_takes_nothing_we_make_gets_406(api: Api, accept: str) -> None:
    answer = await get(api, PATH, accept=accept)
    assert (answer["code"], answer["reason"]) == (406, "NotAcceptable")
    assert answer["message"].startswith("only the following media types are accepted:")


async def test_rows_hold_as_much_of_the_object_as_was_asked_for(api: Api, made: Obj) -> None:
    partial = {
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": made["metadata"],
    }
    for asked, row in (("", partial), ("Metadata", partial), ("Object", made), ("None", None)):
        table = await get(api, PATH, accept=TABLE, includeObject=asked)
        assert table["rows"][0]["object"] == row
        assert table["rows"][0]["cells"][:2] == ["a", 1]


async def test_one_object_comes_as_a_table_of_one_row_or_as_metadata(api: Api, made: Obj) -> None:
    table = await get(api, f"{PATH}/a", accept=TABLE)
    assert (table["kind"], len(table["rows"])) == ("Table", 1)
    assert table["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]
    partial = await get(api, f"{PATH}/a", accept=PARTIAL)
    assert (partial["kind"], partial["metadata"]) == ("PartialObjectMetadata", made["metadata"])


async def test_an_error_is_a_status_in_whatever_form_was_asked_for(api: Api) -> None:
    for accept in (TABLE, PARTIAL, PROTOBUF + ",application/json"):
        answer = await get(api, f"{PATH}/none", accept=accept)
        assert (answer["kind"], answer["code"]) == ("Status", 404)
