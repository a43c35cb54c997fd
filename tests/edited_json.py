"""Edits of a JSON file, as a person, a full disk or another program makes them."""

import copy
import json

from hypothesis import strategies as st

VALUES = [
    None, True, "", "x", "\ud800", "a\x00b", [], {}, [None], {"a": []}, -1, 0, 0.5, 1e308, -1e308, 10**18, 10**400,
    float("nan"), float("inf"), "9" * 500, [[[[]]]],
]  # fmt: skip

HOW = ["delete", "put", "put", "put", "put", "copy", "add", "cut", "bytes", "twice"]


def places(value, path=()):
    """All paths into a JSON."""
    yield path
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, entry in entries:
        yield from places(entry, (*path, key))


def at(value, path):
    for key in path:
        value = value[key]
    return value


@st.composite
def edited(draw, info):
    """Bytes of a JSON in which one thing was changed."""
    info = copy.deepcopy(info)
    *path, last = draw(st.sampled_from(list(places(info))[1:]))
    inside, how = (
        at(info, path),
        draw(st.sampled_from(["delete", *["put"] * 4, "copy", "add", "cut", "bytes", "twice"])),
    )
    if how == "delete":
        del inside[last]
    elif how == "put":
        inside[last] = draw(st.sampled_from(VALUES))
    elif how == "copy":
        inside[last] = copy.deepcopy(at(info, draw(st.sampled_from(list(places(info))))))
    elif how == "add":
        place = at(info, draw(st.sampled_from([p for p in places(info) if isinstance(at(info, p), (dict, list))])))
        place.append(None) if isinstance(place, list) else place.update(new=None)
    text = json.dumps(info, indent=1).encode()
    if how == "cut":
        return text[: draw(st.integers(0, len(text)))]
    if how == "bytes":
        where = draw(st.integers(0, len(text)))
        return text[:where] + draw(st.sampled_from([b"\xff", b"\x00", b"\xc3", b"}", b'"', b",", b"["])) + text[where:]
    if how == "twice":
        name = draw(st.sampled_from(sorted(key for key in info)))
        return text[:-2] + f',\n "{name}": {json.dumps(info[name])}\n}}'.encode()
    return text
