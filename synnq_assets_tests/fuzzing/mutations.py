"""How a sample is spoilt: by bytes, and as JSON."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from hypothesis import strategies as st

# Pieces that parsers disagree on, or that cost much.
PIECES = (
    *(b"\0", b"\n", b"\n\n", b" ", b"\xef\xbb\xbf", b"\xff", b"\xed\xa0\x80", b"\r\n", b"\x85"),
    *(b'"', b"\\", b'\\"', b"[", b"]", b"{", b"}", b"{}", b"[]", b",", b":", b"null", b"true"),
    *(b"NaN", b"Infinity", b"1e999", b"-0", b"1.0", b"9" * 30, b"9" * 5000, b"\\ud800", b"1_0"),
    *(b"../", b"/etc/passwd", b"%00", b"=", b"==", b"+", b"\xe2\x80\x94 ", "１２".encode()),
    *(b"&a [*a]", b"!!python/object:x", b"*a", b"- ", b"<<: *a", b"2024-13-01", b"0x1", b"1:60"),
    *(b"PAR1", b"-----BEGIN ", b"-----END ", b"\x80\0\0\0\0\0\0\0", b"\xff" * 8),
)
VALUES = (
    *(None, True, 0, -1, 1.0, 2**53, 2**63, 2**64, 1e308, -0.0, 0.5, "", "x", "\0", "..", "/", "é"),
    *("１２", "ed25519:AAAA", "r0001", "NaN", [], {}, [[]], [None], {"": None}, {"__proto__": 1}),
    *("a" * 300, "0" * 64, "2026-11-01T12:00:00Z", "2026-11-01T12:00:00+02:00", "QUI=", "QUJ="),
)


@st.composite
def mutated(draw: Any, samples: Sequence[bytes]) -> bytes:
    """Draw a sample with one to four mutations."""
    data = draw(st.sampled_from(samples))
    if draw(st.booleans()):
        data = draw(mutated_json(data))
    for _ in range(draw(st.integers(0, 4))):
        data = draw(mutated_bytes(data, samples))
    return data


@st.composite
def mutated_bytes(draw: Any, data: bytes, samples: Sequence[bytes]) -> bytes:
    """Flip, cut, repeat, insert, or splice with another sample."""
    begin = draw(st.integers(0, len(data)))
    end = min(len(data), begin + draw(st.integers(0, 64)))
    how = draw(st.sampled_from(("flip", "cut", "drop", "repeat", "insert", "noise", "splice")))
    if how == "flip" and begin < len(data):
        byte = data[begin] ^ (1 << draw(st.integers(0, 7)))
        return data[:begin] + bytes([byte]) + data[begin + 1 :]
    if how == "cut":
        return data[:begin]
    if how == "drop":
        return data[:begin] + data[end:]
    if how == "repeat":
        return data[:begin] + data[begin:end] * draw(st.integers(2, 20)) + data[end:]
    if how == "splice":
        other = draw(st.sampled_from(samples))
        return data[:begin] + other[draw(st.integers(0, len(other))) :]
    piece = draw(st.binary(max_size=16) if how == "noise" else st.sampled_from(PIECES))
    return data[:begin] + piece + data[end:]


@st.composite
def mutated_json(draw: Any, data: bytes) -> bytes:
    """Replace, drop, add or double one value of a JSON document; others stay as they are."""
    try:
        head, value = b"", json.loads(data)
    except ValueError:
        try:
            head, value = data[:1], json.loads(data[1:])  # a record after the byte that names it
        except ValueError:
            return data
    places = list(_iter_places(value))
    if not places:
        return data
    holder, key = draw(st.sampled_from(places))
    how = draw(st.sampled_from(("replace", "drop", "add", "wrap")))
    if how == "drop":
        del holder[key]
    elif how == "add" and isinstance(holder, dict):
        holder["extra"] = draw(st.sampled_from(VALUES))
    elif how == "wrap":
        holder[key] = [holder[key]]
    else:
        holder[key] = draw(st.sampled_from(VALUES))
    return head + json.dumps(value).encode()


def _iter_places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield (holder, key) of every value inside another."""
    items = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for key, item in list(items):
        yield value, key
        yield from _iter_places(item)
