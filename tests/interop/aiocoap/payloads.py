"""LwM2M payloads over cbor2 and the json of Python: no code of the server under test.

A value is what Python has for it: str, int, float, bool, bytes; a Time is a CBORTag of 0 or 1 or a
plain int; None removes a resource instance.
"""

import base64
import json

import cbor2

TEXT, LINK, OPAQUE, CBOR, SENML_JSON, SENML_CBOR = 0, 40, 42, 60, 110, 112
ETCH_JSON, ETCH_CBOR, LWM2M_CBOR = 320, 322, 11544

JSON_FAMILY = (SENML_JSON, ETCH_JSON)
CBOR_FAMILY = (SENML_CBOR, ETCH_CBOR)

# Labels of SenML: base name, base time, name, number, text, boolean, time, bytes.
LABELS = {"bn": -2, "bt": -3, "n": 0, "v": 2, "vs": 3, "vb": 4, "t": 6, "vd": 8, "vlo": "vlo"}


class ObjectLink(str):
    """An Objlnk, as "21:3"."""


def load(payload):
    """One CBOR item, tags kept as they came, a duplicate key refused."""
    keep = {
        tag: lambda decoder, tag=tag: cbor2.CBORTag(tag, decoder.decode()) for tag in (0, 1)
    }
    return cbor2.loads(payload, semantic_decoders=keep, allow_duplicate_keys=False)


def diagnostic(item):
    """An item as text, exact in its type: 5 is no 5.0, and a tag shows."""
    if isinstance(item, cbor2.CBORTag):
        return f"{item.tag}({diagnostic(item.value)})"
    if isinstance(item, bytes):
        return f"h'{item.hex()}'"
    if isinstance(item, (list, tuple)):
        return "[" + ", ".join(map(diagnostic, item)) + "]"
    if isinstance(item, dict):
        pairs = (f"{diagnostic(key)}: {diagnostic(value)}" for key, value in item.items())
        return "{" + ", ".join(pairs) + "}"
    return json.dumps(item)


def shown(payload, content_format):
    """A payload as text, decoded as far as its format is known."""
    if content_format in (CBOR, LWM2M_CBOR, *CBOR_FAMILY):
        return diagnostic(load(payload))
    if content_format in JSON_FAMILY:
        return json.dumps(json.loads(payload))
    if content_format == OPAQUE:
        return payload.hex()
    return payload.decode()


def written(payload, content_format, target):
    """The values of a Write, Create or Write-Composite by their paths."""
    if content_format == TEXT:
        return {target: payload.decode()}
    if content_format == OPAQUE:
        return {target: payload}
    if content_format == CBOR:
        return {target: load(payload)}
    if content_format == LWM2M_CBOR:
        return flattened(load(payload))
    values = {}
    for path, record in named(payload, content_format):
        fields = [record[key] for key in ("v", "vs", "vb", "vd", "vlo") if key in record]
        if len(fields) != 1:
            raise ValueError(f"{path} has {len(fields)} values")
        if content_format in JSON_FAMILY and "vd" in record:
            fields = [base64.urlsafe_b64decode(fields[0] + "=" * (-len(fields[0]) % 4))]
        values[path] = fields[0]
    return values


def names(payload, content_format):
    """The paths of a Read-Composite or Observe-Composite, which have no value."""
    paths = []
    for path, record in named(payload, content_format):
        if set(record) - {"n", "bn"}:
            raise ValueError(f"{path} of a composite read carries {record}")
        paths.append(path)
    return paths


def named(payload, content_format):
    """The records of a SenML pack with their whole paths."""
    if content_format in JSON_FAMILY:
        records = json.loads(payload)
    else:
        keys = {number: label for label, number in LABELS.items()}
        records = [{keys[key]: value for key, value in record.items()} for record in load(payload)]
    base = ""
    for record in records:
        base = record.get("bn", base)
        yield path_of(base + record.get("n", "")), record


def flattened(tree, above=()):
    """The leaves of an LwM2M CBOR map by their paths."""
    values = {}
    for key, value in tree.items():
        path = above + (key if isinstance(key, tuple) else (key,))
        if isinstance(value, dict):
            values.update(flattened(value, path))
        else:
            values[path] = value
    if not values:
        raise ValueError("an empty map")
    return values


def answer(values, content_format, base, style):
    """Values as the payload of an answer to a request for `base`."""
    if content_format == TEXT:
        value = untagged(single(values))
        return {True: "1", False: "0"}.get(value, str(value)).encode()
    if content_format == OPAQUE:
        return single(values)
    if content_format == CBOR:
        return cbor2.dumps(single(values))
    if content_format == LWM2M_CBOR:
        return lwm2m_cbor(values, style)
    if content_format in (SENML_JSON, SENML_CBOR):
        return senml(values, content_format, base)
    raise KeyError(content_format)


def single(values):
    if len(values) != 1:
        raise KeyError("one value only")
    return next(iter(values.values()))


def untagged(value):
    return value.value if isinstance(value, cbor2.CBORTag) else value


def senml(values, content_format, base, time=None):
    """A pack with a base name, its values in the order of their paths."""
    records = []
    for path, value in values.items():
        record = {"n": text_of(path)[len(text_of(base)):]}
        record[label_of(value)] = value
        records.append(record)
    if records:
        if base:
            records[0]["bn"] = text_of(base)
        if time is not None:
            records[0]["bt"] = time
    return pack(records, content_format)


def pack(records, content_format):
    """Records by their JSON labels, as JSON or as CBOR."""
    if content_format == SENML_CBOR:
        return cbor2.dumps(
            [
                {LABELS[key]: untagged(value) for key, value in record.items()}
                for record in records
            ]
        )
    for record in records:
        for key, value in record.items():
            if isinstance(value, bytes):
                value = base64.urlsafe_b64encode(value).decode().rstrip("=")
            record[key] = untagged(value)
    return json.dumps(records).encode()


def label_of(value):
    if isinstance(value, bool):
        return "vb"
    if isinstance(value, bytes):
        return "vd"
    if isinstance(value, ObjectLink):
        return "vlo"
    return "vs" if isinstance(value, str) else "v"


def lwm2m_cbor(values, style):
    """One map, its keys as deep as the style says.

    flat: the whole path in each key; nested: one number in each; mixed: instances, then resources;
    open: nested, with indefinite lengths.
    """
    tree = {}
    for path, value in values.items():
        cut = {"flat": [len(path)], "mixed": [2, len(path)]}.get(style, range(1, len(path) + 1))
        cuts = sorted({place for place in cut if place <= len(path)} | {len(path)})
        level, start = tree, 0
        for end in cuts:
            key = path[start:end] if end - start > 1 else path[start]
            start = end
            if end == len(path):
                level[key] = value
            else:
                level = level.setdefault(key, {})
    return cbor2.dumps(tree, indefinite_containers=style == "open")


def path_of(text):
    if not text.startswith("/"):
        raise ValueError(f"{text!r} is no path")
    return tuple(int(segment) for segment in text[1:].split("/")) if text != "/" else ()


def text_of(path):
    return "".join(f"/{number}" for number in path)
