"""A LwM2M 1.1 device made of aiocoap that bootstraps, and ends.

Usage: bootstrap.py SERVER ENDPOINT OWN_PORT [FOLDER | CA CERTIFICATE KEY]

FOLDER is an OSCORE context as aiocoap keeps it: a request without protection is refused. CA,
CERTIFICATE and KEY are files for TLS. What the server deletes and writes is said on standard output,
one word first; "account" has the URI of the account that was written, "finished" is the last one.
"""

import asyncio
import re
import sys

import aiocoap
from aiocoap import resource
from aiocoap.numbers import codes

import contexts

LINK = 40


def say(*words):
    print(*words, flush=True)


class Object(resource.Resource, resource.PathCapable):
    """Takes whatever is written or deleted below it."""

    def __init__(self, number):
        super().__init__()
        self.number = number

    def path(self, request):
        return "/" + "/".join([self.number, *request.opt.uri_path])

    async def render_put(self, request):
        say("written", self.path(request), len(request.payload))
        uri = re.search(rb"coaps?(\+tcp)?://[0-9.]+:[0-9]+", request.payload)
        if uri is not None:
            say("account", uri[0].decode())
        return aiocoap.Message(code=codes.CHANGED)

    async def render_delete(self, request):
        say("deleted", self.path(request))
        return aiocoap.Message(code=codes.DELETED)


class Root(resource.Resource):
    """Bootstrap-Discover."""

    async def render_get(self, request):
        links = b"</>;lwm2m=1.1,</0/0>,</1>,</21/0>"
        return aiocoap.Message(code=codes.CONTENT, payload=links, content_format=LINK)


class Finish(resource.Resource):
    """Bootstrap-Finish."""

    def __init__(self, finished):
        super().__init__()
        self.finished = finished

    async def render_post(self, request):
        self.finished.set()
        return aiocoap.Message(code=codes.CHANGED)


async def main(server, endpoint, own_port, *secrets):
    finished = asyncio.Event()
    site = resource.Site()
    site.add_resource([], Root())
    site.add_resource(["bs"], Finish(finished))
    for number in ("0", "1", "21"):
        site.add_resource([number], Object(number))
    context = await contexts.context_of(site, ("127.0.0.1", own_port), server, *secrets)
    request = aiocoap.Message(code=codes.POST, uri=f"{server}/bs?ep={endpoint}&pct=11542")
    answer = await context.request(request).response
    say("requested", answer.code)
    await finished.wait()
    # The answer to the Finish is on its way.
    await asyncio.sleep(0.5)
    say("finished")
    await context.shutdown()


asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), *sys.argv[4:]))
