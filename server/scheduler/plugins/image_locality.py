"""ImageLocality: a node that has the pod's images starts it sooner.

As imagelocality, without the share of nodes that have the image: on slow links the copy at
hand is what counts, and spreading keeps one node from getting everything.
"""

from server.scheduler.node_info import NodeInfo
from server.scheduler.plugins.plugin import Rate
from server.scheduler.pod_info import PodInfo

MB = 1024 * 1024
LEAST = 23 * MB
MOST_PER_CONTAINER = 1000 * MB


def normalized(image: str) -> str:
    """``busybox`` is ``busybox:latest``; nodes list names with their tags."""
    last = image.rpartition("/")[2]
    return image if ":" in last or "@" in image else f"{image}:latest"


def rate_images(pod: PodInfo) -> Rate | None:
    containers = pod.spec.get("containers") or ()
    images = [normalized(c.get("image") or "") for c in containers]
    if not images:
        return None
    most = MOST_PER_CONTAINER * len(images)

    def rate(node: NodeInfo) -> float:
        if not node.images:
            return 0
        size = sum(node.images.get(image, 0) for image in images)
        return 100 * (min(max(size, LEAST), most) - LEAST) / (most - LEAST)

    return rate
