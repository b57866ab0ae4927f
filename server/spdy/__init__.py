"""SPDY/3.1 as Kubernetes' older clients speak it: many streams over one upgraded connection.

::

    dictionary.py  what every header block is compressed with
    frames.py      frames <-> bytes, bounded, without any input or output
    session.py     streams over a connection: reading, writing, half-close, reset

Kubernetes' clients use moby/spdystream, which neither sends nor obeys WINDOW_UPDATE: a connection
as a whole goes at the pace of its slowest reader. Knows nothing of pods.
"""
