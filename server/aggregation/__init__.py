"""Aggregation: API groups that another server answers, behind this one.

An APIService names the Service to pass a group-version's requests on to (``services.py``).
``proxy.py`` is the innermost filter: what is authorized here goes on as it came, with the user's
name in headers that the other server believes because of our front-proxy certificate
(``backend.py``). ``discovery.py`` and ``openapi.py`` show such groups among our own. Whether an
APIService is available is decided by server/controllers/api_service_availability.py. As
kube-aggregator pkg/apiserver.
"""
