"""An applied body before it is applied: right kind, no managedFields, fields that exist.

As apimachinery managedfields/internal versioncheck.go and structuredmerge.go Apply. Upstream
answers a field that the schema does not know with a bare 500; this is the client's error, so it is
a 400 here, with the same sentence.
"""

from edgek.api.errors import BadRequest
from edgek.api.meta import Obj
from edgek.kinds.kind import Kind
from edgek.schema.schema import Schema
from edgek.schema.typed_errors import told, typed_problems


def check_applied(kind: Kind, config: Obj, schema: Schema) -> None:
    """Raises BadRequest."""
    version, name = config.get("apiVersion") or "", config.get("kind") or ""
    if (version, name) != (kind.api_version, kind.kind):
        raise BadRequest(f"invalid object type: {_gvk(str(version), str(name))}")
    given = config.get("metadata")
    meta = given if isinstance(given, dict) else {}
    if meta.get("managedFields") is not None:
        raise BadRequest("metadata.managedFields must be nil")
    if problems := typed_problems(config, schema):
        place = f"{meta.get('namespace', '')}/{meta.get('name', '')}" if meta else "/"
        what = f"{place}; {_gvk(kind.api_version, kind.kind)}"
        raise BadRequest(f"failed to create typed patch object ({what}): {told(problems)}")


def _gvk(api_version: str, kind: str) -> str:
    """As schema.GroupVersionKind prints itself."""
    group, _, version = api_version.rpartition("/")
    return f"{group}/{version}, Kind={kind}"
