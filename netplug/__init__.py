"""Pod networking for Linux: namespaces, links, addresses, routes and rules; no Kubernetes.

Frozen values in (model.py), kernel state out; everything may be repeated and is found again
after a restart of the process::

    plugin.py    attach, detach, check, peers, services: the library's one entry
      ipam.py        which address            netns.py   pinned namespaces
      attach.py      one sandbox's link       wire.py    its netlink messages
      changes.py     the kernel's news        links.py   the only user of pyroute2
      services.py    virtual IPs -> elements  rules.py   the rules, which never change
      nft/           values -> nftables text; libnftables in process, or the nft program
    cni.py       the same link for other container engines, as a CNI program

Sandboxes hang on routed veths: no bridge, no ARP, no br_netfilter. Between nodes runs VXLAN
with static entries. Services are elements of nftables maps, so a packet's cost does not grow
with their number.
"""
