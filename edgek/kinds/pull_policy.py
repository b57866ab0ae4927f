"""Which pull policy an image gets when none is said."""


def pull_policy_for(image: str) -> str:
    """Always for ``latest``, said or meant; a digest or another tag cannot change."""
    if "@" in image:
        return "IfNotPresent"
    _, colon, tag = image.rpartition("/")[2].partition(":")
    return "Always" if not colon or tag == "latest" else "IfNotPresent"
