"""GET /cacerts: the server's CA, which anyone may have; joining agents hold it against the hash
in their token."""

from server.request.model import Handler, Request, Response


def cacerts(ca_pem: bytes) -> Handler:
    async def handle(request: Request) -> Response:
        return Response(content_type="application/x-pem-file", body=ca_pem)

    return handle
