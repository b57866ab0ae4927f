"""Containers and images: the door to Podman. Knows containers, not Pods."""
