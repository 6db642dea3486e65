"""A DTLS client made of aiocoap over tinydtls: one Register.

Usage: secure.py URI IDENTITY KEY

Says the code of the answer on standard output, or why there is none.
"""

import asyncio
import sys

import aiocoap
from aiocoap.numbers import codes

PATIENCE_S = 20


async def main(uri, identity, key):
    context = await aiocoap.Context.create_client_context(transports=["tinydtls"])
    context.client_credentials.load_from_dict(
        {uri + "*": {"dtls": {"psk": {"ascii": key}, "client-identity": {"ascii": identity}}}}
    )
    message = aiocoap.Message(
        code=codes.POST,
        uri=f"{uri}rd?ep={identity}&lt=120&lwm2m=1.1",
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
