#!/usr/bin/env python3
"""Check an exported audit log with Python's standard library alone (3.10 or newer).

    python3 verify_export.py FOLDER --vkey 'synnq.eu/audit/…+…+…'
        [--witness VKEY]...   the head must be co-signed by this witness
        [--seen FILE]...      a head or receipt from earlier: the log must still extend it
        [--receipt FILE]...   prove that the receipt's entry is in this log, and print the entry

Every entry is hashed, every tile computed anew, and the root compared with the signed head. No
code is shared with the platform that writes the log, so that a mistake there is not repeated here.
Of the log's two keys the Ed25519 one is checked. Exit code 0: all holds; 1: one sentence says what
does not; 2: wrong arguments.

Sources: RFC 6962 §2.1, RFC 8032 §5.1.7 and §6, c2sp.org/tlog-tiles, c2sp.org/signed-note,
c2sp.org/tlog-cosignature, c2sp.org/tlog-proof.
"""

import argparse
import base64
import hashlib
import json
import struct
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

Point = tuple[int, int, int, int]
Vkey = tuple[str, bytes, int, bytes]  # name, key id, kind, public bytes
Head = tuple[str, int, bytes]  # origin, size, root
P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P


class Broken(Exception):  # noqa: D101, N818 - what was found wrong
    pass


def require(condition: object, what: str) -> None:
    """Raise unless a condition holds."""
    if not condition:
        raise Broken(what)


# --- Ed25519


def add(a: Point, b: Point) -> Point:
    """Add two points in extended coordinates."""
    e, f = (a[1] - a[0]) * (b[1] - b[0]), (a[1] + a[0]) * (b[1] + b[0])
    g, h = 2 * a[3] * b[3] * D, 2 * a[2] * b[2]
    e, f, g, h = f - e, h - g, h + g, f + e
    return e * f % P, g * h % P, f * g % P, e * h % P


def multiply(scalar: int, point: Point) -> Point:
    """Multiply a point."""
    result = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            result = add(result, point)
        point, scalar = add(point, point), scalar >> 1
    return result


def decompress(raw: bytes) -> Point:
    """Return the point that 32 bytes stand for."""
    y = int.from_bytes(raw, "little")
    sign, y = y >> 255, y & (2**255 - 1)
    require(y < P, "a point that is not canonical")
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    require((x * x - square) % P == 0 and not (x == 0 and sign), "a point off the curve")
    x = P - x if x & 1 != sign else x
    return (x, y, 1, x * y % P)


BASE = decompress((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))


def is_signed(public: bytes, message: bytes, signature: bytes) -> bool:
    """Tell whether an Ed25519 signature verifies."""
    if len(public) != 32 or len(signature) != 64:
        return False
    try:
        key, r = decompress(public), decompress(signature[:32])
    except Broken:
        return False
    digest = hashlib.sha512(signature[:32] + public + message).digest()
    s = int.from_bytes(signature[32:], "little")
    left, right = multiply(s, BASE), add(r, multiply(int.from_bytes(digest, "little") % L, key))
    same = (left[0] * right[2] - right[0] * left[2]) % P == 0
    return same and (left[1] * right[2] - right[1] * left[2]) % P == 0 and s < L


# --- notes


def plain_base64(text: str) -> bytes:
    """Decode base64 in its one spelling."""
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError as error:
        raise Broken("base64 that is none") from error
    require(base64.b64encode(data).decode() == text, "base64 in another spelling")
    return data


def plain_number(text: str) -> int:
    """Read a decimal number in its one spelling."""
    require(text.isascii() and text.isdigit() and len(text) < 19, "a number that is none")
    require(str(int(text)) == text, "a number in another spelling")
    return int(text)


def parse_vkey(text: str) -> Vkey:
    """Return (name, key id, kind, public bytes) of a verifier key."""
    name, _, rest = text.strip().partition("+")
    key_id, _, encoded = rest.partition("+")
    data = plain_base64(encoded)
    expected = hashlib.sha256(name.encode() + b"\n" + data).hexdigest()[:8]
    require(len(data) == 33 and data[0] in (1, 4), f"{name}: not an Ed25519 verifier key")
    require(key_id == expected, f"{name}: the key's id does not belong to it")
    return name, bytes.fromhex(key_id), data[0], data[1:]


def open_note(data: bytes, vkeys: list[Vkey]) -> Head:
    """Return (origin, size, root) of a head that every one of `vkeys` signed."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Broken("a head that is not UTF-8") from error
    body, blank, tail = text.rpartition("\n\n")
    lines = tail.split("\n")
    require(blank and lines.pop() == "" and 1 <= len(lines) <= 16, "a head without 1 to 16 lines")
    signatures = {}
    for line in lines:
        dash, name, encoded = (*line.split(" "), "", "")[:3]
        raw = plain_base64(encoded)
        require(dash == "—" and name and len(raw) > 4, "a signature line that is none")
        require((name, raw[:4]) not in signatures, f"{name} signed twice")
        signatures[name, raw[:4]] = raw[4:]
    for name, key_id, kind, public in vkeys:
        signature = signatures.get((name, key_id), b"")
        require(signature, f"the head is not signed by {name}")
        message = body.encode() + b"\n"
        if kind == 4:
            time = struct.unpack(">Q", signature[:8])[0] if len(signature) == 72 else -1
            message, signature = b"cosignature/v1\ntime %d\n" % time + message, signature[8:]
        require(is_signed(public, message, signature), f"the signature of {name} does not verify")
    parts = body.split("\n")
    require(len(parts) == 3 and parts[0], "a head has three lines: origin, size, root")
    root = plain_base64(parts[2])
    require(len(root) == 32, "a root of another length")
    return parts[0], plain_number(parts[1]), root


# --- the tree


def hash_pair(left: bytes, right: bytes) -> bytes:
    """Hash an inner node."""
    return hashlib.sha256(b"\1" + left + right).digest()


def root_of(hashes: list[bytes]) -> bytes:
    """Return the root over leaf hashes, level by level; a lone last hash moves up unchanged."""
    if not hashes:
        return hashlib.sha256(b"").digest()
    while len(hashes) > 1:
        paired = [hash_pair(*hashes[k : k + 2]) for k in range(0, len(hashes) - 1, 2)]
        hashes = paired + hashes[len(hashes) & ~1 :]
    return hashes[0]


def tile_path(folder: Path, level: object, index: int, width: int) -> Path:
    """Return where a tile lies."""
    digits = f"{index:03d}"
    digits = digits.zfill(-(-len(digits) // 3) * 3)
    groups = [digits[k : k + 3] for k in range(0, len(digits), 3)]
    name = "/".join([*("x" + group for group in groups[:-1]), groups[-1]])
    return folder / "tile" / str(level) / (name + (f".p/{width}" if width < 256 else ""))


def read_tile(folder: Path, level: object, index: int, width: int) -> bytes:
    """Read a tile."""
    path = tile_path(folder, level, index, width)
    try:
        return path.read_bytes()
    except OSError as error:
        raise Broken(f"{path.relative_to(folder)} is missing") from error


def read_entries(folder: Path, size: int) -> Iterator[bytes]:
    """Yield every entry."""
    for index in range(-(-size // 256)):
        width = min(256, size - index * 256)
        data, position = read_tile(folder, "entries", index, width), 0
        for _ in range(width):
            (length,) = struct.unpack(">H", data[position : position + 2].ljust(2, b"\0"))
            entry = data[position + 2 : position + 2 + length]
            require(len(entry) == length and length, f"entry bundle {index} is cut")
            position += 2 + length
            yield entry
        require(position == len(data), f"entry bundle {index} is too long")


def check_tiles(folder: Path, leaves: list[bytes]) -> None:
    """Compare every tile with hashes computed from the entries."""
    level, hashes = 0, leaves
    while hashes:
        for index in range(-(-len(hashes) // 256)):
            expected = hashes[index * 256 : (index + 1) * 256]
            held = read_tile(folder, level, index, len(expected))
            require(held == b"".join(expected), f"tile {level}/{index} does not match the entries")
        full = len(hashes) // 256
        hashes = [root_of(hashes[k * 256 : (k + 1) * 256]) for k in range(full)]
        level += 1


def check_receipt(data: bytes, vkeys: list[Vkey], origin: str, leaves: list[bytes]) -> int:
    """Return the index that a receipt proves, after checking that it is of this log."""
    top, blank, note = data.partition(b"\n\n")
    lines = top.decode("ascii", "replace").split("\n")
    require(blank and lines.pop(0) == "c2sp.org/tlog-proof@v1", "not a receipt")
    if lines and lines[0].startswith("extra "):
        lines.pop(0)
    require(lines and lines[0].startswith("index "), "a receipt without an index")
    index, path = plain_number(lines[0][6:]), [plain_base64(line) for line in lines[1:]]
    head = open_note(note, vkeys)
    check_seen(head, origin, leaves)
    require(index < head[1], "a receipt for an entry beyond its head")
    current, low, high = leaves[index], 0, head[1]
    sides = []
    while high - low > 1:
        middle = low + (1 << (high - low - 1).bit_length() - 1)
        sides.append(index >= middle)
        low, high = (middle, high) if index >= middle else (low, middle)
    require(len(sides) == len(path), "a receipt of another length")
    for is_right, sibling in zip(reversed(sides), path):  # noqa: B905 - lengths were compared
        current = hash_pair(sibling, current) if is_right else hash_pair(current, sibling)
    require(current == head[2], "the receipt does not prove its entry")
    return index


def check_seen(head: Head, origin: str, leaves: list[bytes]) -> None:
    """Check that the log still extends a head from earlier."""
    require(head[0] == origin, f"a head of another log: {head[0]}")
    require(head[1] <= len(leaves), f"the log was cut: {head[1]} entries were seen before")
    require(root_of(leaves[: head[1]]) == head[2], f"the log was rewritten below entry {head[1]}")


def verify(
    folder: Path,
    vkeys: Sequence[str],
    witnesses: Sequence[str] = (),
    seen: Sequence[bytes] = (),
    receipts: Sequence[bytes] = (),
) -> dict[str, object]:
    """Check an export; return a summary."""
    require((folder / "checkpoint").is_file(), f"{folder} holds no checkpoint")
    log, others = [parse_vkey(vkey) for vkey in vkeys], [parse_vkey(vkey) for vkey in witnesses]
    origin, size, root = open_note((folder / "checkpoint").read_bytes(), log + others)
    require(origin == log[0][0], f"the head of another log: {origin}")
    entries = list(read_entries(folder, size))
    leaves = [hashlib.sha256(b"\0" + entry).digest() for entry in entries]
    check_tiles(folder, leaves)
    require(root_of(leaves) == root, "the root does not match the signed head")
    proved = [check_receipt(data, log, origin, leaves) for data in receipts]
    for data in seen:
        head = data.partition(b"\n\n")[2] if data.startswith(b"c2sp.org/") else data
        check_seen(open_note(head, log), origin, leaves)
    summary = {"log": origin, "entries": size, "root": root.hex(), "witnesses": len(witnesses)}
    return {**summary, "seen": len(seen), "proved": {k: entries[k].decode() for k in proved}}


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the arguments, check, and say what was found."""
    parser = argparse.ArgumentParser(description="Check an exported audit log.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--vkey", required=True, action="append", help="the log's Ed25519 key")
    parser.add_argument("--witness", action="append", default=[], help="a witness's key")
    parser.add_argument("--seen", type=Path, action="append", default=[])
    parser.add_argument("--receipt", type=Path, action="append", default=[])
    given = parser.parse_args(arguments)
    try:
        seen = [path.read_bytes() for path in given.seen]
        receipts = [path.read_bytes() for path in given.receipt]
        summary = verify(given.folder, given.vkey, given.witness, seen, receipts)
    except (Broken, OSError) as error:
        print(f"BROKEN: {error}", file=sys.stderr)
        return 1
    print(json.dumps(summary, ensure_ascii=False))
    return 0


if __name__ == "__main__":
    sys.exit(main())
