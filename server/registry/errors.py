"""StoreError -> ApiError, the only place."""

from collections.abc import Iterator
from contextlib import contextmanager

from edgek.api import errors
from edgek.kinds.kind import Kind
from server.storage.store import (
    ConditionFailed,
    HistoryGone,
    RevisionUnknown,
    StoreUnavailable,
)


@contextmanager
def store_errors(kind: Kind, name: str = "", *, conditions: bool = True) -> Iterator[None]:
    """``conditions=False`` lets ConditionFailed through, to callers that try again."""
    try:
        yield
    except ConditionFailed as err:
        if not conditions:
            raise
        if err.actual == 0:
            raise errors.NotFound.of(kind, name) from err
        raise errors.Conflict.of(kind, name) from err
    except HistoryGone as err:
        raise errors.Expired(str(err)) from err
    except RevisionUnknown as err:
        # As storage.NewTooLargeResourceVersionError: the client may be right and we behind.
        details = {
            "retryAfterSeconds": 1,
            "causes": [
                {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
            ],
        }
        raise errors.Timeout(str(err), details=details) from err
    except StoreUnavailable as err:
        # client-go waits and asks again where it is told when.
        raise errors.ServiceUnavailable(str(err), details={"retryAfterSeconds": 1}) from err
