"""edgek: Kubernetes for small hardware.

The way of a request, each step one file you can open::

    HTTP (server/http/) ─┐
    in-process call ─────┴> server/filters/*  ─> server/endpoints/* ─> server/admission/chain
      ─> server/registry/registry ─> server/storage/local ─> server/storage/watch ─> watchers
    edgek/control/informer ─> server/controllers/*, server/scheduler ─> (binding)
      ─> agent/pods/sync ─> agent/pods/plan ─> agent/runtime/podman + agent/network ─> netplug

The shared core is layered, lower knows nothing of higher:
``cli > control > client > kinds > schema > api > aio | pki | roles``.
"""

__version__ = "0.1.0"
