"""nftables: values to text (objects.py), the door to the kernel (nft.py), a fake (fake.py).

``sync.py`` keeps a copy of what is loaded and sends only differences.
"""
