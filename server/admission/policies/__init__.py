"""Admission policies: CEL in the API that refuses or changes writes.

policy.py       a stored policy, compiled
source.py       the policies there are, compiled again only when one has changed
params.py       the parameter objects a binding names
invocations.py  which policies, with which bindings and parameters, a request meets
validating.py   ValidatingAdmissionPolicy, the plugin
mutating.py     MutatingAdmissionPolicy, the plugin; patches.py what its expressions give
check.py        refuses policies and webhooks whose expressions do not compile, in validation
"""
