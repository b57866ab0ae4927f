"""Links of a proxied answer that lead back to its server are made to lead through the proxy. Pure.

As apimachinery util/proxy/transport.go: redirects, and in HTML the attributes that hold links;
relative links need nothing.
"""

import gzip
import re
import zlib
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

MAX_HTML = 4 * 1024 * 1024
_ATTRIBUTES = (
    "action|background|cite|classid|codebase|data|formaction|href|icon|longdesc|manifest|poster|"
    "profile|src|usemap"
)
_TAG = re.compile(rb"<[a-zA-Z][^<>]*>")
_LINK = re.compile(rb"(\s(?:%b)\s*=\s*)(\"[^\"]*\"|'[^']*')" % _ATTRIBUTES.encode(), re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Way:
    """``prefix`` is our path before the pod's own, ``scheme`` and ``host`` what the client calls
    us; ``source`` is the pod's host."""

    scheme: str
    host: str
    prefix: str
    source: str

    def link(self, url: str) -> str:
        """As Transport.rewriteURL."""
        try:
            parts = urlsplit(url)
        except ValueError:
            return url
        other = parts.netloc not in ("", self.source, self.host)
        if other or not parts.path.startswith("/"):
            return url
        path = parts.path if parts.path.startswith(self.prefix) else self.prefix + parts.path
        scheme, host = (self.scheme, self.host) if parts.netloc else ("", "")
        return urlunsplit((scheme, host, path, parts.query, parts.fragment))

    def html(self, page: bytes) -> bytes:
        return _TAG.sub(lambda tag: _LINK.sub(self._attribute, tag[0]), page)

    def _attribute(self, match: re.Match[bytes]) -> bytes:
        quote, old = match[2][:1], match[2][1:-1]
        new = self.link(old.decode("utf-8", "surrogateescape"))
        return match[1] + quote + new.encode("utf-8", "surrogateescape") + quote


def unpacked(body: bytes, encoding: str) -> bytes | None:
    """None for what cannot be read, or is too large."""
    try:
        if encoding == "gzip":
            reader = zlib.decompressobj(16 + zlib.MAX_WBITS)
            out = reader.decompress(body, MAX_HTML)
            return out if reader.eof else None
        return body if encoding in ("", "identity") else None
    except zlib.error:
        return None


def packed(body: bytes, encoding: str) -> bytes:
    return gzip.compress(body, 1, mtime=0) if encoding == "gzip" else body
