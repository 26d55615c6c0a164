"""The base of all records: strict parsing, canonical bytes, digests.

Bytes are verified as received; canonical JSON (RFC 8785) only derives ids and writes payloads.
Source: RFC 8785 (JCS); the list of lenient-JSON traps is in docs/records.md.
"""

import hashlib
import json
import re
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, NoReturn, Self

import rfc8785
from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

from synnq_assets.errors import RecordError

MAX_RECORD_BYTES = 16 * 1024 * 1024
MAX_JSON_DEPTH = 32


def _require_utc(value: datetime) -> datetime:
    if value.tzinfo is None or value.utcoffset() != UTC.utcoffset(None):
        raise ValueError("time must carry the UTC offset")
    return value


UtcTime = Annotated[datetime, AfterValidator(_require_utc)]


def now_at() -> datetime:
    """Return the current UTC time, to the microsecond."""
    return datetime.now(UTC)


def sha256_hex(data: bytes) -> str:
    """Return the lower-case hexadecimal SHA-256 of `data`."""
    return hashlib.sha256(data).hexdigest()


def canonical_json(value: Any) -> bytes:
    """Return the RFC 8785 form of a JSON value.

    Raises:
        RecordError: the value holds NaN, infinity, or an integer beyond 2**53.
    """
    try:
        return rfc8785.dumps(value)
    except rfc8785.CanonicalizationError as error:
        raise RecordError(f"value has no canonical JSON form: {error}") from error


def _refuse_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = [key for key, _ in pairs]
    if len(set(keys)) != len(keys):
        raise RecordError(
            "JSON object repeats a key; refused, since readers disagree on which counts"
        )
    return dict(pairs)


def _refuse_constant(name: str) -> NoReturn:
    raise RecordError(f"JSON number {name} is not finite")


def _parse_int(text: str) -> int:
    if len(text) > 20:
        raise RecordError("JSON integer has more than 20 characters")
    return int(text)


# A string that never ends is taken to the end of the text: a search that failed there would begin
# again at the next quotation mark, and take the square of the text's length.
_STRUCTURE = re.compile(r'"(?:[^"\\]|\\.)*+"?|[\[\]{}]', re.DOTALL)


def _check_depth(text: str) -> None:
    depth = 0
    for match in _STRUCTURE.finditer(text):
        token = match[0]
        if token in "[{":
            depth += 1
            if depth > MAX_JSON_DEPTH:
                raise RecordError(f"JSON is nested deeper than {MAX_JSON_DEPTH} levels")
        elif token in "]}":
            depth -= 1


def parse_strict_json(data: bytes, *, max_bytes: int = MAX_RECORD_BYTES) -> Any:
    """Parse JSON from an untrusted party, refusing everything that readers could disagree on.

    Raises:
        RecordError: too large, not UTF-8, a byte-order mark, a repeated key, a non-finite or
            oversized number, a lone surrogate, or nesting deeper than `MAX_JSON_DEPTH`.
    """
    if len(data) > max_bytes:
        raise RecordError(f"JSON document has {len(data)} bytes; at most {max_bytes} are read")
    try:
        text = data.decode("utf-8")
        _check_depth(text)
        value = json.loads(
            text,
            object_pairs_hook=_refuse_duplicates,
            parse_constant=_refuse_constant,
            parse_int=_parse_int,
        )
        # A lone surrogate parses from an escape but has no UTF-8 form; 1e999 parses to infinity.
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode("utf-8")
    except (ValueError, RecursionError) as error:
        raise RecordError(f"not strict JSON: {error}") from error
    return value


class Record(BaseModel):
    """A frozen value with a canonical form. Unknown fields, NaN and coercions are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    kind: ClassVar[str] = ""

    def canonical_bytes(self) -> bytes:
        """Return the RFC 8785 bytes of this record."""
        return canonical_json(self.model_dump(mode="json"))

    def digest(self) -> str:
        """Return the SHA-256 (hex) of the canonical bytes: the record's id."""
        return sha256_hex(self.canonical_bytes())

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Parse bytes as this record.

        Raises:
            RecordError: not strict JSON, or fields are missing, unknown or out of range.
        """
        return cls.from_json_value(parse_strict_json(data))

    @classmethod
    def from_json_value(cls, value: Any) -> Self:
        """Validate an already parsed JSON value as this record."""
        try:
            return cls.model_validate_json(json.dumps(value))
        except ValidationError as error:
            first = error.errors()[0]
            # A key that the record does not have is text of whoever wrote it.
            own = first["loc"][:-1] if first["type"] == "extra_forbidden" else first["loc"]
            where = ".".join(str(part) for part in own) or "(top level)"
            raise RecordError(f"not a {cls.__name__}: {where}: {first['msg']}") from error
