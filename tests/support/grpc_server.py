"""A gRPC server for tests, by Google's library, that takes and gives bytes.

    with grpc_server({"/grpc.health.v1.Health/Check": lambda request: b"\\x08\\x01"}) as port: ...

A handler gets the request's bytes and gives the answer's; raising ``Refusal`` ends the call with
that status. ``address`` may be ``unix:/path``; by default a free port of 127.0.0.1.
"""

import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc

Handler = Callable[[bytes], bytes]


class Refusal(Exception):
    """``code``: a name of grpc.StatusCode."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


class _Handlers(grpc.GenericRpcHandler):
    def __init__(self, handlers: dict[str, Handler]) -> None:
        self._handlers = handlers

    def service(self, details: Any) -> Any:
        handler = self._handlers.get(details.method)
        if handler is None:
            return None

        def answer(request: bytes, context: Any) -> bytes:
            try:
                return handler(request)
            except Refusal as err:
                context.abort(grpc.StatusCode[err.code], err.message)
                raise

        return grpc.unary_unary_rpc_method_handler(answer)


@contextlib.contextmanager
def grpc_server(handlers: dict[str, Handler], address: str = "127.0.0.1:0") -> Iterator[int]:
    """Gives the port, or 1 for a unix socket."""
    server = grpc.server(
        ThreadPoolExecutor(4), options=[("grpc.max_receive_message_length", 8 << 20)]
    )
    server.add_generic_rpc_handlers((_Handlers(handlers),))
    port = server.add_insecure_port(address)
    server.start()
    try:
        yield port
    finally:
        server.stop(None).wait()
