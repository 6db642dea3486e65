"""A client over TLS made of aiocoap: one Register.

Usage: tls.py URI ENDPOINT CA [CERTIFICATE KEY]

Says the code of the answer on standard output, or why there is none.
"""

import asyncio
import sys

import aiocoap
from aiocoap.numbers import codes

import contexts

PATIENCE_S = 20


async def main(uri, endpoint, authority, *own):
    context = await contexts.over_tls(None, uri, authority, *own)
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
