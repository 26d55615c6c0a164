"""Identifiers that may become a path, a partition key or a log line.

All are lower-case ASCII with a bounded length, so that no id can name a parent folder, hide a
look-alike character, or split a Dagster partition key (`|`, `[`, `]`, `,`).
"""

import re
from typing import Annotated

from pydantic import StringConstraints, TypeAdapter, ValidationError

from synnq_assets.errors import RecordError

NODE_ID = r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$"
ROUND_KEY = r"^r[0-9]{4}$"

NodeId = Annotated[str, StringConstraints(pattern=NODE_ID, min_length=2, max_length=40)]
RoundKey = Annotated[str, StringConstraints(pattern=ROUND_KEY)]
AssignmentId = Annotated[
    str,
    StringConstraints(
        pattern=r"^r[0-9]{4}\.[a-z][a-z0-9]*(-[a-z0-9]+)*\.[1-9][0-9]?$", max_length=60
    ),
]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Language = Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}$")]
Domain = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$", max_length=40)]
CellKey = Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}\.[a-z][a-z0-9_]*$", max_length=48)]
SourceName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]*$", max_length=60)]
FileName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]*$", max_length=80)]

_NODE = TypeAdapter(NodeId)


def parse_node_id(text: str) -> str:
    """Return `text` if it is a node id.

    Raises:
        RecordError: it is not; the message says which form is expected.
    """
    try:
        return _NODE.validate_python(text)
    except ValidationError as error:
        raise RecordError(
            f"{text!r} is not a node id: use 2 to 40 lower-case letters, digits and single hyphens"
        ) from error


def build_round_key(number: int) -> str:
    """Return the key of a round: `7 -> "r0007"`."""
    if not 0 <= number <= 9999:
        raise RecordError(f"round number {number} is outside 0..9999")
    return f"r{number:04d}"


def parse_round_key(key: str) -> int:
    """Return the number of a round key: `"r0007" -> 7`.

    Raises:
        RecordError: not a round key.
    """
    if not re.fullmatch(r"r[0-9]{4}", key, flags=re.ASCII):
        raise RecordError(f"{key!r} is not a round key (r0000 to r9999)")
    return int(key[1:])


def build_assignment_id(round_key: str, node_id: str, attempt: int) -> str:
    """Return the id of one order: `("r0007", "lumi-g-03", 1) -> "r0007.lumi-g-03.1"`."""
    return f"{round_key}.{parse_node_id(node_id)}.{attempt}"


def parse_assignment_id(assignment_id: str) -> tuple[str, str, int]:
    """Return (round key, node id, attempt) of an assignment id.

    Raises:
        RecordError: not an assignment id.
    """
    match = re.fullmatch(r"(r[0-9]{4})\.([a-z0-9-]+)\.([1-9][0-9]?)", assignment_id, re.ASCII)
    if match is None:
        raise RecordError(f"{assignment_id!r} is not an assignment id")
    return match[1], parse_node_id(match[2]), int(match[3])
