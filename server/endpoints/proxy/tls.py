"""TlsStream: TLS over a byte stream. The pod's certificate is not checked, as upstream's proxy
transport does not: pods have none that anybody vouches for, and the way there is ours."""

import ssl

from server.endpoints.proxy.exchange import Bytes


class TlsStream:
    def __init__(self, stream: Bytes) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        self._stream = stream
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out)

    async def open(self) -> None:
        """The handshake. Raises OSError."""
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                await self._flush()
                if not await self._more():
                    raise ConnectionResetError("EOF") from None
            else:
                await self._flush()
                return

    async def read(self) -> bytes:
        while True:
            try:
                return self._tls.read(64 * 1024)
            except ssl.SSLWantReadError:
                await self._flush()
                if not await self._more():
                    return b""
            except ssl.SSLZeroReturnError:
                return b""

    async def write(self, data: bytes) -> None:
        self._tls.write(data)
        await self._flush()

    async def close(self) -> None:
        await self._stream.close()

    async def _flush(self) -> None:
        if self._out.pending:
            await self._stream.write(self._out.read())

    async def _more(self) -> bool:
        data = await self._stream.read()
        self._in.write(data) if data else self._in.write_eof()
        return bool(data)
