"""A DTLS server made of aiocoap over tinydtls: answers GET of /, on the port after PORT.

Usage: secure_server.py PORT IDENTITY KEY
"""

import asyncio
import sys

import aiocoap
from aiocoap import credentials, resource


class Root(resource.Resource):
    async def render_get(self, request):
        return aiocoap.Message(payload=b"here")


async def main(port, identity, key):
    site = resource.Site()
    site.add_resource([], Root())
    known = credentials.CredentialsMap()
    known.load_from_dict(
        {":dev": {"dtls": {"psk": {"ascii": key}, "client-identity": {"ascii": identity}}}}
    )
    await aiocoap.Context.create_server_context(
        site,
        bind=("127.0.0.1", int(port)),
        server_credentials=known,
        transports=["tinydtls_server"],
    )
    await asyncio.get_running_loop().create_future()


asyncio.run(main(*sys.argv[1:]))
