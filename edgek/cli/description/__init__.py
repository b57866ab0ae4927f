"""What ``edgek describe`` says of each kind: pure functions from objects to labelled fields.

layout.py      fields to aligned text            events.py   the table at the end
pod.py  containers.py  node.py  service.py  workload.py      kinds with words of their own
generic.py     every other kind, field by field
"""
