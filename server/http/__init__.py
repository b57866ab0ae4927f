"""The thin adapter between sockets and ``handle``: bytes in, bytes out, nothing decided.

``parser.py`` makes messages of bytes, ``connection.py`` answers them in order over one socket,
``answer.py`` says how a Response looks on the wire, ``websocket.py`` gives a connection that wants
to be a WebSocket to aiohttp, and ``server.py`` listens.

Plain requests do not go through aiohttp, because they are what the speed of an API server is made
of, and most of what a request cost was spent there. HTTP itself is read by llhttp (httptools).
"""

from server.http.server import HttpServer

__all__ = ["HttpServer"]
