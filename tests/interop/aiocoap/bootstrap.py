"""A LwM2M 1.1 device made of aiocoap that bootstraps under OSCORE, and ends.

Usage: bootstrap.py SERVER ENDPOINT OWN_PORT FOLDER

FOLDER is an OSCORE context as aiocoap keeps it. What the server deletes and writes is said on standard
output, one word first; "finished" is the last one. A request without protection is refused.
"""

import asyncio
import sys

import aiocoap
from aiocoap import credentials, oscore, oscore_sitewrapper, resource
from aiocoap.numbers import codes

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


async def main(server, endpoint, own_port, folder):
    finished = asyncio.Event()
    site = resource.Site()
    site.add_resource([], Root())
    site.add_resource(["bs"], Finish(finished))
    for number in ("0", "1", "21"):
        site.add_resource([number], Object(number))
    secret = oscore.FilesystemSecurityContext(folder)
    known = credentials.CredentialsMap()
    known[":server"] = secret
    wrapped = oscore_sitewrapper.OscoreSiteWrapper(site, known)
    context = await aiocoap.Context.create_server_context(wrapped, bind=("127.0.0.1", own_port))
    context.client_credentials[f"{server}/*"] = secret
    request = aiocoap.Message(code=codes.POST, uri=f"{server}/bs?ep={endpoint}&pct=11542")
    answer = await context.request(request).response
    say("requested", answer.code)
    await finished.wait()
    # The answer to the Finish is on its way.
    await asyncio.sleep(0.5)
    say("finished")
    await context.shutdown()


asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]))
