"""The options of the audit log, with kube-apiserver's names. Part of ``server/config.py``.

Sizes are bounded where kube-apiserver's are not: the log shares a small disk with everything else.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgek.cli.checks import naming
from edgek.roles import Option, Settings, UsageError

OPTIONS: tuple[Option, ...] = (
    Option(name="audit-policy-file", metavar="FILE",
           help="Which requests are logged, and how much of them (audit.k8s.io/v1 Policy)."),
    Option(name="audit-log-path", metavar="FILE",
           help='Where they are logged; "-" for standard output. Needs --audit-policy-file.'),
    Option(name="audit-log-maxsize", type=int, default=10, metavar="MB",
           help="Size at which the log is set aside and a new one begun."),
    Option(name="audit-log-maxbackup", type=int, default=3, metavar="N",
           help="How many logs that were set aside are kept."),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class AuditConfig:
    """``policy`` is the file's content, read but not yet understood."""

    policy: Any
    path: str
    max_bytes: int
    backups: int


def parse_audit(s: Settings) -> AuditConfig | None:
    """None where nothing is to be logged. Raises UsageError."""
    if not s["audit_log_path"]:
        if s["audit_policy_file"]:
            raise UsageError("--audit-policy-file: needs --audit-log-path as well")
        return None
    if not s["audit_policy_file"]:
        raise UsageError("--audit-log-path: needs --audit-policy-file as well")
    for option in ("audit-log-maxsize", "audit-log-maxbackup"):
        if s[option.replace("-", "_")] < 1:
            raise UsageError(f"--{option}: must be at least 1")
    path = s["audit_log_path"]
    return AuditConfig(
        policy=_read(s["audit_policy_file"]),
        path=path if path == "-" else str(Path(path).absolute()),
        max_bytes=s["audit_log_maxsize"] * 1024 * 1024,
        backups=s["audit_log_maxbackup"],
    )


def _read(path: str) -> Any:
    import yaml

    with naming("audit-policy-file"):
        try:
            return yaml.safe_load(Path(path).read_text())
        except OSError as err:
            raise ValueError(f"cannot read {path}: {err.strerror}") from err
        except (yaml.YAMLError, UnicodeDecodeError) as err:
            raise ValueError(f"{path} is not YAML") from err
