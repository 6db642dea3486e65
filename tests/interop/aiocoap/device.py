"""A LwM2M 1.1 device made of aiocoap, without any LwM2M library.

Usage: device.py SERVER ENDPOINT OWN_PORT [FOLDER | CA CERTIFICATE KEY]

SERVER is a URI, as in coap://127.0.0.1:5683 or coap+tcp://127.0.0.1:5683.
FOLDER is an OSCORE context as aiocoap keeps it; with it, every message is protected.
CA, CERTIFICATE and KEY are files for TLS.

Says what happens on standard output, one word first, and takes commands on standard input:

    set VALUE    a new value of /3303/0/5700
    send         a Send of /3303/0/5700, SenML JSON
    update       an Update of the registration
    non          a non-confirmable Update
    stop         de-registers and ends
"""

import asyncio
import json
import sys

import aiocoap
from aiocoap import resource
from aiocoap.numbers import codes, types

import contexts

TEXT, LINK, OPAQUE, SENML_JSON = 0, 40, 42, 110
# More links than fit one message, so that the Register goes block-wise.
LINKS = "</>;rt=\"oma.lwm2m\";ct=110,</1/0>,</3/0>,</3303/0>,</19/0>," + ",".join(
    f"</10300/{instance}>" for instance in range(120)
)


def say(*words):
    print(*words, flush=True)


def content(payload, content_format):
    return aiocoap.Message(code=codes.CONTENT, payload=payload, content_format=content_format)


class Value(resource.ObservableResource):
    """A resource with one text value."""

    def __init__(self, path, value, writable=False):
        super().__init__()
        self.path, self.value, self.writable = path, value, writable

    async def render_get(self, request):
        if request.opt.accept == SENML_JSON:
            record = [{"n": self.path, "vs" if self.path.startswith("/3/") else "v": self.value}]
            return content(json.dumps(record).encode(), SENML_JSON)
        if request.opt.accept not in (None, TEXT):
            return aiocoap.Message(code=codes.NOT_ACCEPTABLE)
        return content(str(self.value).encode(), TEXT)

    async def render_put(self, request):
        if not self.writable:
            return aiocoap.Message(code=codes.METHOD_NOT_ALLOWED)
        if request.opt.content_format not in (None, TEXT):
            return aiocoap.Message(code=codes.UNSUPPORTED_CONTENT_FORMAT)
        self.value = request.payload.decode()
        say("written", self.path, self.value)
        self.updated_state()
        return aiocoap.Message(code=codes.CHANGED)

    def update_observation_count(self, newcount):
        say("observers", self.path, newcount)


class Instance(resource.Resource):
    """An object instance: SenML JSON of its values, or its links."""

    def __init__(self, path, values):
        super().__init__()
        self.path, self.values = path, values

    async def render_get(self, request):
        if request.opt.accept == LINK:
            links = [f"<{self.path}>"] + [f"<{value.path}>" for value in self.values]
            return content(",".join(links).encode(), LINK)
        records = []
        for value in self.values:
            kind = "vs" if isinstance(value.value, str) else "v"
            records.append({"n": value.path[len(self.path) + 1:], kind: value.value})
        records[0]["bn"] = self.path + "/"
        return content(json.dumps(records).encode(), SENML_JSON)


class Reboot(resource.Resource):
    async def render_post(self, request):
        say("executed", request.payload.decode() or "-")
        return aiocoap.Message(code=codes.CHANGED)


class Blob(resource.Resource):
    """A large opaque value: block-wise both ways."""

    def __init__(self):
        super().__init__()
        self.value = bytes(index % 251 for index in range(5000))

    async def render_get(self, request):
        return content(self.value, OPAQUE)

    async def render_put(self, request):
        self.value = request.payload
        say("received", len(self.value))
        return aiocoap.Message(code=codes.CHANGED)


class Slow(resource.Resource):
    """Answers late, so that the response comes apart from the acknowledgement."""

    async def render_get(self, request):
        await asyncio.sleep(0.5)
        return content(b"late", TEXT)


class Root(resource.Resource):
    """Read-Composite."""

    def __init__(self, values):
        super().__init__()
        self.values = {value.path: value for value in values}

    async def render_fetch(self, request):
        names = [record.get("bn", "") + record.get("n", "") for record in json.loads(request.payload)]
        records = []
        for name in names:
            value = self.values.get(name)
            if value is not None:
                kind = "vs" if isinstance(value.value, str) else "v"
                records.append({"n": name, kind: value.value})
        return content(json.dumps(records).encode(), SENML_JSON)


async def request(context, server, code, path, payload=b"", content_format=None, **more):
    message = aiocoap.Message(code=code, uri=f"{server}{path}", payload=payload, **more)
    if content_format is not None:
        message.opt.content_format = content_format
    return await context.request(message).response


async def main(server, endpoint, own_port, *secrets):
    manufacturer = Value("/3/0/0", "aiocoap")
    offset = Value("/3/0/14", "+01:00", writable=True)
    temperature = Value("/3303/0/5700", 21.5)
    site = resource.Site()
    site.add_resource(["3", "0", "0"], manufacturer)
    site.add_resource(["3", "0", "14"], offset)
    site.add_resource(["3", "0", "4"], Reboot())
    site.add_resource(["3", "0", "2"], Slow())
    site.add_resource(["3", "0"], Instance("/3/0", [manufacturer, offset]))
    site.add_resource(["3303", "0", "5700"], temperature)
    site.add_resource(["3303", "0"], Instance("/3303/0", [temperature]))
    site.add_resource(["19", "0", "0"], Blob())
    site.add_resource([], Root([manufacturer, offset, temperature]))
    context = await contexts.context_of(site, ("127.0.0.1", own_port), server, *secrets)

    binding = "T" if "+tcp" in server else "U"
    answer = await request(
        context, server, codes.POST, f"/rd?ep={endpoint}&lt=120&lwm2m=1.1&b={binding}", LINKS.encode(), LINK
    )
    location = "/" + "/".join(answer.opt.location_path)
    say("registered" if answer.code == codes.CREATED else "refused", location, answer.code)

    loop = asyncio.get_running_loop()
    while True:
        line = await loop.run_in_executor(None, sys.stdin.readline)
        words = line.split()
        if not words or words[0] == "stop":
            answer = await request(context, server, codes.DELETE, location)
            say("deregistered", answer.code)
            break
        if words[0] == "set":
            temperature.value = float(words[1])
            temperature.updated_state()
        elif words[0] == "send":
            body = json.dumps([{"n": temperature.path, "v": temperature.value}]).encode()
            answer = await request(context, server, codes.POST, "/dp", body, SENML_JSON)
            say("sent", answer.code)
        elif words[0] == "update":
            answer = await request(context, server, codes.POST, location)
            say("updated", answer.code)
        elif words[0] == "non":
            answer = await request(context, server, codes.POST, location, mtype=types.NON)
            say("updated", answer.code, answer.mtype)
    await context.shutdown()


asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), *sys.argv[4:]))
