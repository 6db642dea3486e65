"""A LwM2M 1.2 device made of aiocoap and cbor2, without any LwM2M library.

Usage: device_1_2.py SERVER_HOST SERVER_PORT ENDPOINT OWN_PORT

Says what happens on standard output, one word first. Each request is a line `request` with its
code, path, query, formats, observe option and payload as JSON; `body` is the payload decoded by
cbor2 or json, in the diagnostic notation of CBOR. Each write is a line `written` with its values
by their paths. Takes commands on standard input:

    register QUERY [LINKS]     a Register with these further parameters, and this list if any
    style STYLE                the form of LwM2M CBOR maps: flat, nested, mixed, open
    time FORM                  the form of a Time: tagged, plain, text
    set PATH VALUE             a new value, as JSON, and a notification to those who observe it
    history PATH VALUE...      notifies several values of one path, a second apart, in SenML CBOR
    send FORMAT HEX            a Send of these bytes
    send FORMAT PATH...        a Send of these values
    stop                       de-registers and ends
"""

import asyncio
import json
import sys

import aiocoap
import aiocoap.messagemanager
import cbor2
from aiocoap import resource
from aiocoap.numbers import codes, types

import payloads
from payloads import LINK, LWM2M_CBOR, SENML_CBOR, TEXT, ObjectLink, path_of, text_of

# One moment, in every form that devices write a Time in.
BUILT = 1700000000
TIME_FORMS = {
    "tagged": cbor2.CBORTag(1, BUILT),
    "plain": BUILT,
    "text": cbor2.CBORTag(0, "2023-11-14T22:13:20Z"),
}
VALUES = {
    "/1/0/0": 1,
    "/1/0/1": 300,
    "/1/0/6": False,
    "/1/0/7": "U",
    "/1/0/10": ObjectLink("11:0"),
    "/3/0/0": "aiocoap",
    "/3/0/6/0": 1,
    "/3/0/6/1": 5,
    "/3/0/9": 87,
    "/3/0/11/0": 0,
    "/3/0/13": TIME_FORMS["tagged"],
    "/3/0/14": "+01:00",
    "/16/0/0/0": "host",
    "/16/0/0/1": "modem",
    "/16/0/0/2": "vendor",
    "/19/0/0/0": bytes(range(8)),
    "/3200/0/5500": False,
    "/3303/0/5700": 21.5,
    "/3303/0/5701": "Cel",
}
# Object and resource: those of several values, and those that no server writes.
MULTIPLE = {(3, 6), (3, 11), (16, 0), (19, 0)}
READ_ONLY = {(3, 0), (3, 9), (3, 6), (3, 11), (3200, 5500), (3303, 5700), (3303, 5701), (1, 0)}
NUMERIC = {"gt", "lt", "st"}
WHOLE = {"pmin", "pmax", "epmin", "epmax", "edge", "con", "hqmax"}


class Refused(Exception):
    """A request that is answered with this code."""

    def __init__(self, code):
        super().__init__(str(code))
        self.code = code


def say(*words):
    print(*words, flush=True)


class Device(resource.ObservableResource, resource.PathCapable):
    """All objects as one resource: the path of a request is looked up in `values`."""

    def __init__(self):
        super().__init__()
        self.values = {path_of(path): value for path, value in VALUES.items()}
        self.attributes = {}
        self.style = "flat"

    # What aiocoap calls.

    async def render(self, request):
        record(request)
        try:
            return self.answered(request)
        except Refused as refusal:
            return aiocoap.Message(code=refusal.code)
        except (ValueError, KeyError, cbor2.CBORError) as error:
            say("broken", repr(error))
            return aiocoap.Message(code=codes.BAD_REQUEST)

    async def add_observation(self, request, serverobservation):
        await super().add_observation(request, serverobservation)
        serverobservation.request = request

    def update_observation_count(self, newcount):
        say("observers", newcount)

    # The operations.

    def answered(self, request):
        path = tuple(int(segment) for segment in request.opt.uri_path)
        if request.code == codes.GET and request.opt.accept == LINK:
            return self.discover(path, request.opt.uri_query)
        if request.code == codes.GET:
            return self.read(request, [path], path)
        if request.code == codes.FETCH and not path:
            paths = payloads.names(request.payload, request.opt.content_format)
            return self.read(request, paths, ())
        if request.code == codes.PUT and request.opt.uri_query:
            return self.write_attributes(path, request)
        if request.code == codes.DELETE:
            return self.delete(path)
        if request.code == codes.POST and self.executes(path):
            return aiocoap.Message(code=codes.CHANGED)
        if request.code in (codes.PUT, codes.POST, codes.iPATCH):
            return self.write(path, request)
        raise Refused(codes.METHOD_NOT_ALLOWED)

    def read(self, request, paths, base):
        attributes_of(request.opt.uri_query, request.opt.observe is not None)
        values = {}
        for path in paths:
            values.update(self.below(path))
        if not values and base:
            raise Refused(codes.NOT_FOUND)
        one = base in values
        accept = request.opt.accept
        content_format = (LWM2M_CBOR if accept is None else accept)
        if content_format not in (60, 110, 112, LWM2M_CBOR, TEXT, 42) or (
            content_format in (0, 42, 60) and not one
        ):
            raise Refused(codes.NOT_ACCEPTABLE)
        body = payloads.answer(values, content_format, base, self.style)
        reliable = attribute(request.opt.uri_query, "con") == "1"
        return aiocoap.Message(
            code=codes.CONTENT,
            payload=body,
            content_format=content_format,
            transport_tuning=aiocoap.Reliable if reliable else aiocoap.Unreliable,
        )

    def discover(self, path, query):
        depth = int(attribute(query, "depth") or (2 if len(path) == 1 else 1))
        links = {}
        for value in sorted(self.below(path)):
            for level in range(len(path), min(len(path) + depth, len(value)) + 1):
                links.setdefault(value[:level], None)
        if not links:
            raise Refused(codes.NOT_FOUND)
        body = ",".join(self.link(link) for link in sorted(links))
        return aiocoap.Message(code=codes.CONTENT, payload=body.encode(), content_format=LINK)

    def link(self, path):
        text = f"<{text_of(path)}>"
        if len(path) == 3 and (path[0], path[2]) in MULTIPLE:
            text += f";dim={len(self.below(path))}"
        attached = self.attributes.get(path, {})
        return text + "".join(f";{key}={value}" for key, value in attached.items())

    def write_attributes(self, path, request):
        if request.payload or request.opt.content_format is not None:
            raise Refused(codes.BAD_REQUEST)
        if not self.below(path):
            raise Refused(codes.NOT_FOUND)
        attached = dict(self.attributes.get(path, {}))
        for key, value in attributes_of(request.opt.uri_query, True).items():
            if value is None:
                attached.pop(key, None)
            else:
                attached[key] = value
        self.attributes[path] = attached
        return aiocoap.Message(code=codes.CHANGED)

    def write(self, path, request):
        composite = request.code == codes.iPATCH
        content_format = request.opt.content_format
        new = payloads.written(request.payload, content_format, path)
        creates = request.code == codes.POST and len(path) == 1
        if creates:
            new, instance = self.created(new)
        for target, value in new.items():
            if target[: len(path)] != path:
                raise Refused(codes.BAD_REQUEST)
            if not creates and (target[0], target[2]) in READ_ONLY:
                raise Refused(codes.METHOD_NOT_ALLOWED)
            if composite and target[:2] not in {known[:2] for known in self.values}:
                raise Refused(codes.NOT_FOUND)
            if value is None and not (composite and target in self.values):
                raise Refused(codes.BAD_REQUEST)
        if request.code == codes.PUT and len(path) < 4:
            for old in self.below(path):
                if (old[0], old[2]) not in READ_ONLY:
                    del self.values[old]
        shown = {text_of(target): payloads.diagnostic(value) for target, value in new.items()}
        say("written", json.dumps(shown, sort_keys=True))
        for target, value in new.items():
            if value is None:
                del self.values[target]
            else:
                self.values[target] = value
        if creates:
            return aiocoap.Message(
                code=codes.CREATED, location_path=(str(path[0]), str(instance))
            )
        return aiocoap.Message(code=codes.CHANGED)

    def created(self, new):
        """The values of a new instance; 65535 leaves its number to the device."""
        instances = {target[:2] for target in new}
        if len(instances) != 1:
            raise Refused(codes.BAD_REQUEST)
        object_id, instance = instances.pop()
        taken = {known[1] for known in self.values if known[0] == object_id}
        if instance == 65535:
            instance = next(number for number in range(65535) if number not in taken)
        elif instance in taken:
            raise Refused(codes.BAD_REQUEST)
        return {(object_id, instance, *target[2:]): value for target, value in new.items()}, instance

    def delete(self, path):
        if len(path) not in (2, 4) or path == (3, 0):
            raise Refused(codes.METHOD_NOT_ALLOWED)
        gone = self.below(path)
        if not gone:
            raise Refused(codes.NOT_FOUND)
        for old in gone:
            del self.values[old]
        return aiocoap.Message(code=codes.DELETED)

    def executes(self, path):
        return len(path) == 3 and (path[0], path[2]) in {(1, 8), (3, 4)}

    def below(self, path):
        return {known: value for known, value in self.values.items() if known[: len(path)] == path}

    # What the scenario tells.

    def change(self, path, value):
        self.values[path] = value
        for observation in list(self._observations):
            observation.trigger(self.answered(observation.request))

    def notify_history(self, path, values):
        """Several values of one path in one notification, a second apart, the last one newest."""
        records = [
            {"n": "", "t": second, payloads.label_of(value): value}
            for second, value in enumerate(values)
        ]
        records[0].update(bn=text_of(path), bt=BUILT)
        message = aiocoap.Message(
            code=codes.CONTENT,
            payload=payloads.pack(records, SENML_CBOR),
            content_format=SENML_CBOR,
            transport_tuning=aiocoap.Reliable,
        )
        for observation in list(self._observations):
            observation.trigger(message)


def attributes_of(query, allowed):
    """The attributes of a query, each with its value or none; what is no attribute is refused."""
    attributes = {}
    for item in query:
        key, given, value = item.partition("=")
        if not allowed or key in attributes or key not in NUMERIC | WHOLE:
            raise Refused(codes.BAD_REQUEST)
        if given and (float(value) != int(value) if key in WHOLE else float(value) != float(value)):
            raise Refused(codes.BAD_REQUEST)
        attributes[key] = value if given else None
    return attributes


def attribute(query, key):
    for item in query:
        name, _, value = item.partition("=")
        if name == key:
            return value
    return None


def record(request):
    """One line with all that came."""
    options = request.opt
    line = {
        "code": str(request.code),
        "path": "/" + "/".join(options.uri_path),
        "query": list(options.uri_query),
        "format": options.content_format,
        "accept": options.accept,
        "observe": options.observe,
        "token": request.token.hex(),
        "payload": request.payload.hex(),
    }
    for name in ("format", "accept"):
        line[name] = None if line[name] is None else int(line[name])
    if request.payload:
        line["body"] = payloads.shown(request.payload, line["format"])
    say("request", json.dumps(line))


def tell_of_acknowledgements():
    """Says which confirmable messages of the device were acknowledged or reset."""
    dispatch = aiocoap.messagemanager.MessageManager.dispatch_message

    def dispatch_and_tell(self, message):
        if message.mtype in (types.ACK, types.RST) and message.code == codes.EMPTY:
            say("acknowledged" if message.mtype == types.ACK else "reset", message.mid)
        return dispatch(self, message)

    aiocoap.messagemanager.MessageManager.dispatch_message = dispatch_and_tell


class Server:
    """The server under test."""

    def __init__(self, context, address, endpoint):
        self.context, self.address, self.endpoint = context, address, endpoint
        self.location = None

    async def ask(self, code, path, payload=b"", content_format=None, query=()):
        message = aiocoap.Message(code=code, uri=f"coap://{self.address}{path}", payload=payload)
        message.opt.uri_query = query
        if content_format is not None:
            message.opt.content_format = content_format
        return await self.context.request(message).response

    async def register(self, query, links=""):
        items = [f"ep={self.endpoint}", "lwm2m=1.2", "lt=120", "b=U", *query.split("&")]
        content_format = LINK if links else None
        answer = await self.ask(codes.POST, "/rd", links.encode(), content_format, items)
        if answer.code == codes.CREATED:
            self.location = "/" + "/".join(answer.opt.location_path)
        say("registered" if answer.code == codes.CREATED else "refused", answer.code)

    async def send(self, payload, content_format):
        answer = await self.ask(codes.POST, "/dp", payload, content_format)
        say("sent", answer.code)

    async def deregister(self):
        answer = await self.ask(codes.DELETE, self.location)
        say("deregistered", answer.code)


async def follow(device, server, line):
    """Carries out one command; false at the end."""
    command, *words = line.split() or ["stop"]
    if command == "register":
        await server.register(*line.split(maxsplit=2)[1:])
    elif command == "style":
        device.style = words[0]
    elif command == "time":
        device.values[path_of("/3/0/13")] = TIME_FORMS[words[0]]
    elif command == "set":
        device.change(path_of(words[0]), json.loads(words[1]))
    elif command == "history":
        device.notify_history(path_of(words[0]), [json.loads(word) for word in words[1:]])
    elif command == "send" and not words[1].startswith("/"):
        await server.send(bytes.fromhex(words[1]), int(words[0]))
    elif command == "send":
        content_format = int(words[0])
        values = {path_of(path): device.values[path_of(path)] for path in words[1:]}
        await server.send(payloads.answer(values, content_format, (), device.style), content_format)
    elif command == "stop":
        await server.deregister()
        return False
    say("done", command)
    return True


async def main(host, port, endpoint, own_port):
    tell_of_acknowledgements()
    device = Device()
    context = await aiocoap.Context.create_server_context(device, bind=("127.0.0.1", own_port))
    server = Server(context, f"{host}:{port}", endpoint)
    loop = asyncio.get_running_loop()
    while await follow(device, server, await loop.run_in_executor(None, sys.stdin.readline)):
        pass
    await context.shutdown()


asyncio.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])))
