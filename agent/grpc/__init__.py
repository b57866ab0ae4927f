"""The gRPC door: unary calls to drivers, registrars and probed containers; no server, no protoc.

``call.py`` speaks HTTP/2 through h2 (pure Python, 1.4 MB, imported at the first call; grpcio
would take 11 MB of memory and 19 MB of disk). ``messages.py`` turns hand-kept field tables into
bytes. A connection is made per call: calls are seldom, and a driver that was restarted is then
reached again without further ado.
"""
