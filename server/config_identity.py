"""Who may be known how: the options about tokens and logins, with kube-apiserver's names.

Part of ``server/config.py``, which reads the rest of the settings.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from edgek.cli.checks import checked, each, naming
from edgek.roles import Option, Settings, UsageError

SIGNING_ALGS = (
    "RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "PS256", "PS384", "PS512",
)  # fmt: skip

OPTIONS: tuple[Option, ...] = (
    Option(name="service-account-issuer", multiple=True, metavar="URL",
           help="Name in the tokens of service accounts; further ones are only accepted."),
    Option(name="service-account-jwks-uri", metavar="URL",
           help="Where others find the keys of these tokens; by default at this server."),
    Option(name="api-audiences", multiple=True, metavar="NAME",
           help="For whom a token must be meant here; by default the issuers."),
    Option(name="service-account-max-token-expiration", metavar="DURATION",
           help="Longest life of a token, such as 24h; longer ones are shortened."),
    Option(name="oidc-issuer-url", metavar="URL",
           help="OpenID provider whose tokens log users in; https only."),
    Option(name="oidc-client-id", metavar="NAME", help="For whom the provider's tokens are."),
    Option(name="oidc-username-claim", default="sub", metavar="CLAIM",
           help="What of the token is the user's name."),
    Option(name="oidc-username-prefix", metavar="TEXT",
           help='Before the user\'s name; "-" for nothing. By default the issuer and "#", '
                "except for the claim email."),
    Option(name="oidc-groups-claim", metavar="CLAIM", help="What of the token is the groups."),
    Option(name="oidc-groups-prefix", default="", metavar="TEXT", help="Before each group."),
    Option(name="oidc-required-claim", multiple=True, metavar="CLAIM=VALUE",
           help="What the token must say besides."),
    Option(name="oidc-ca-file", metavar="FILE",
           help="Authorities of the provider's certificate; by default the system's."),
    Option(name="oidc-signing-algs", multiple=True, metavar="NAME",
           help="Algorithms the provider may sign with; by default RS256."),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class OidcConfig:
    """An OpenID provider and how its claims become a user."""

    issuer: str
    client_id: str
    username_claim: str
    username_prefix: str
    groups_claim: str
    groups_prefix: str
    required_claims: Mapping[str, str]
    ca_pem: bytes
    signing_algs: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class IdentityConfig:
    """``issuers``: the first is ours, tokens of the others are taken as well."""

    issuers: tuple[str, ...]
    jwks_uri: str
    api_audiences: tuple[str, ...]
    max_token_seconds: int
    oidc: OidcConfig | None


def parse_identity(settings: Settings, *, issuer: str) -> IdentityConfig:
    """``issuer`` where none is set. Raises UsageError."""
    return IdentityConfig(
        issuers=each(settings, "service-account-issuer", _issuer) or (issuer,),
        jwks_uri=_optional(settings, "service-account-jwks-uri"),
        api_audiences=each(settings, "api-audiences", str),
        max_token_seconds=_max_seconds(settings),
        oidc=_oidc(settings),
    )


def _issuer(text: str) -> str:
    """As ValidateServiceAccountIssuer: whatever has a colon must be a URL."""
    if ":" in text and not urlsplit(text).scheme:
        raise ValueError(f"{text!r} contained a ':' but was not a valid URL")
    return text


def _https(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme != "https" or not parts.hostname or parts.query or parts.fragment:
        raise ValueError(f"{text!r} is not an https URL without query and fragment")
    return text


def _optional(settings: Settings, option: str) -> str:
    return checked(settings, option, _https) if settings[option.replace("-", "_")] else ""


def _max_seconds(settings: Settings) -> int:
    text = settings["service_account_max_token_expiration"]
    seconds = checked(settings, "service-account-max-token-expiration", _duration) if text else 0
    if text and not 3600 <= seconds <= 1 << 32:
        raise UsageError(
            "--service-account-max-token-expiration: must be between 1 hour and 2^32 seconds"
        )
    return seconds


def _duration(text: str) -> int:
    units = {"s": 1, "m": 60, "h": 3600, "d": 86400}
    if not text[:-1].isdecimal() or text[-1] not in units:
        raise ValueError(f"{text!r} is not a duration such as 24h")
    return int(text[:-1]) * units[text[-1]]


def _oidc(s: Settings) -> OidcConfig | None:
    if not s["oidc_issuer_url"]:
        if s["oidc_client_id"]:
            raise UsageError("--oidc-client-id: needs --oidc-issuer-url as well")
        return None
    if not s["oidc_client_id"]:
        raise UsageError("--oidc-issuer-url: needs --oidc-client-id as well")
    issuer, claim = checked(s, "oidc-issuer-url", _https), s["oidc_username_claim"] or "sub"
    return OidcConfig(
        issuer=issuer,
        client_id=s["oidc_client_id"],
        username_claim=claim,
        username_prefix=_username_prefix(s["oidc_username_prefix"], claim=claim, issuer=issuer),
        groups_claim=s["oidc_groups_claim"] or "",
        groups_prefix=s["oidc_groups_prefix"] or "",
        required_claims=dict(_claim(c) for c in each(s, "oidc-required-claim", _pair)),
        ca_pem=_ca(s["oidc_ca_file"]),
        signing_algs=each(s, "oidc-signing-algs", _algorithm) or ("RS256",),
    )


def _username_prefix(given: str | None, *, claim: str, issuer: str) -> str:
    """Names of another's making must not look like ours; addresses are unmistakable already."""
    if not given:
        return "" if claim == "email" else f"{issuer}#"
    return "" if given == "-" else given


def _pair(text: str) -> str:
    if not text.partition("=")[0] or "=" not in text:
        raise ValueError(f"{text!r} is not CLAIM=VALUE")
    return text


def _claim(text: str) -> tuple[str, str]:
    key, _, value = text.partition("=")
    return key, value


def _algorithm(text: str) -> str:
    if text not in SIGNING_ALGS:
        raise ValueError(f"{text!r} is not one of {', '.join(SIGNING_ALGS)}")
    return text


def _ca(path: str | None) -> bytes:
    if not path:
        return b""
    with naming("oidc-ca-file"):
        try:
            return Path(path).read_bytes()
        except OSError as err:
            raise ValueError(f"cannot read {path}: {err.strerror}") from err
