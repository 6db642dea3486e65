"""A client over TLS made of aiocoap: one Register.

Usage: tls.py URI ENDPOINT CA [CERTIFICATE KEY]

Says the code of the answer on standard output, or why there is none. Of the credentials of aiocoap,
TLSCert only says whom to believe; a certificate of its own is given to its context of ssl.
"""

import asyncio
import sys

import aiocoap
from aiocoap.credentials import TLSCert
from aiocoap.numbers import codes
from aiocoap.transports.tls import TLSClient

PATIENCE_S = 20


async def main(uri, endpoint, authority, *own):
    if own:
        made = TLSClient._ssl_context_factory

        def with_own(self, host):
            context = made(self, host)
            context.load_cert_chain(*own)
            return context

        TLSClient._ssl_context_factory = with_own
    context = await aiocoap.Context.create_client_context(transports=["tlsclient"])
    context.client_credentials[uri + "/*"] = TLSCert(certfile=authority)
    message = aiocoap.Message(
        code=codes.POST,
        uri=f"{uri}/rd?ep={endpoint}&lt=120&lwm2m=1.1",
        payload=b"</1/0>,</3/0>",
        content_format=40,
    )
    try:
        answer = await asyncio.wait_for(context.request(message).response, PATIENCE_S)
        print("answered", answer.code, flush=True)
    except Exception as error:  # whatever it is, it is the answer
        print("failed", repr(error), flush=True)
    await context.shutdown()


asyncio.run(main(*sys.argv[1:]))
