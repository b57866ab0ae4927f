"""The gRPC door against Google's server, and against peers that misbehave."""

import asyncio
import threading
from pathlib import Path

import pytest

from agent.grpc.call import MAX_MESSAGE, GrpcError, call
from agent.grpc.messages import Messages
from tests.support.grpc_server import Refusal, grpc_server

ECHO = "/test.Echo/Say"


async def failure(address: str, path: str = ECHO, seconds: float = 5) -> GrpcError:
    with pytest.raises(GrpcError) as caught:
        await call(address, path, b"x", seconds=seconds)
    return caught.value


async def test_a_call_goes_over_tcp_and_unix_sockets(tmp_path: Path) -> None:
    with grpc_server({ECHO: lambda request: b"<" + request + b">"}) as port:
        assert await call(f"127.0.0.1:{port}", ECHO, b"hello", seconds=5) == b"<hello>"
        assert await call(f"127.0.0.1:{port}", ECHO, b"", seconds=5) == b"<>"
    socket = f"unix://{tmp_path}/echo.sock"
    with grpc_server({ECHO: lambda request: request}, f"unix:{tmp_path}/echo.sock"):
        assert await call(socket, ECHO, b"hello", seconds=5) == b"hello"


async def test_messages_beyond_the_window_of_a_connection_pass_both_ways() -> None:
    big = b"x" * (1 << 20)
    with grpc_server({ECHO: lambda request: request}) as port:
        assert await call(f"127.0.0.1:{port}", ECHO, big, seconds=10) == big


async def test_what_the_server_refuses_comes_with_its_code_and_words() -> None:
    def refuse(request: bytes) -> bytes:
        raise Refusal("NOT_FOUND", "volume «v1» not found, 100 %")

    with grpc_server({ECHO: refuse}) as port:
        err = await failure(f"127.0.0.1:{port}")
        assert (err.code, err.message) == ("NOT_FOUND", "volume «v1» not found, 100 %")
        assert str(err) == "rpc error: code = NotFound desc = volume «v1» not found, 100 %"
        err = await failure(f"127.0.0.1:{port}", "/test.Echo/Sing")
        assert err.code == "UNIMPLEMENTED"


async def test_an_answer_that_is_too_large_is_not_taken() -> None:
    with grpc_server({ECHO: lambda request: b"x" * (MAX_MESSAGE + 1)}) as port:
        err = await failure(f"127.0.0.1:{port}", seconds=20)
    assert err.code == "RESOURCE_EXHAUSTED"


async def test_a_server_that_does_not_answer_in_time_is_left() -> None:
    go = threading.Event()
    with grpc_server({ECHO: lambda request: bytes(go.wait(10))}) as port:
        err = await failure(f"127.0.0.1:{port}", seconds=0.2)
        go.set()
    assert (err.code, err.connected) == ("DEADLINE_EXCEEDED", True)


async def test_nobody_there_is_told_apart(tmp_path: Path) -> None:
    for address in (f"unix://{tmp_path}/none.sock", "127.0.0.1:1", "no port"):
        err = await failure(address)
        assert (err.code, err.connected) == ("UNAVAILABLE", False)


@pytest.mark.parametrize(
    "said", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x00\x00\x00\x04\x00", b"\xff" * 200]
)
async def test_a_peer_that_speaks_something_else_is_an_error_not_a_traceback(said: bytes) -> None:
    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(said)
        writer.close()

    server = await asyncio.start_server(peer, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        err = await failure(f"127.0.0.1:{port}", seconds=2)
    assert err.code == "UNAVAILABLE"


def test_messages_are_what_protobuf_makes_of_them() -> None:
    messages = Messages(
        {
            "Volume": {
                1: "id string", 2: "context map<string,string>", 3: "mode Mode", 4: "sizes int64*"
            },
            "Mode": {1: "block Empty", 2: "number int32"},
            "Empty": {},
        }
    )  # fmt: skip
    volume = {
        "id": "v1",
        "context": {"a": "b"},
        "mode": {"block": {}, "number": 5},
        "sizes": [1, -1],
    }
    data = messages.encode("Volume", volume)
    assert data.hex() == (
        "0a027631" "12060a0161120162" "1a04" "0a00" "1005" "2001" "20ffffffffffffffffff01"
    )  # fmt: skip
    assert messages.decode("Volume", data) == volume
    assert messages.decode("Volume", data + b"\x7a\x01x") == volume
    with pytest.raises(ValueError, match="EOF"):
        messages.decode("Volume", data[:-1])
