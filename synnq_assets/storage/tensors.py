"""Safetensors under a strict profile, tensor by tensor, without torch.

The library's parser is lenient where a foreign file should be refused: repeated keys, path-like
names, misaligned data. This reader refuses all of it before anything else looks at the file.
bf16 is held as the upper 16 bits of fp32, in uint16 arrays.

Source: safetensors format, https://github.com/huggingface/safetensors (README, "Format").
"""

import hashlib
import os
import struct
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from synnq_assets.errors import StorageError, TensorFileError
from synnq_assets.records.base import canonical_json, sha256_hex
from synnq_assets.storage.files import HASH_BLOCK_BYTES, open_atomically
from synnq_assets.storage.profile import (
    DTYPES,
    MAX_HEADER_BYTES,
    Schema,
    parse_header,
    render_header,
)

Array = npt.NDArray[Any]
Float32 = npt.NDArray[np.float32]


def bf16_to_float32(values: Array) -> Float32:
    """Widen bf16 (uint16 bit patterns) to float32; exact."""
    return (values.astype(np.uint32) << np.uint32(16)).view(np.float32)


def float32_to_bf16(values: Float32) -> npt.NDArray[np.uint16]:
    """Round float32 to bf16 bit patterns, to nearest even; NaN stays NaN."""
    bits = np.ascontiguousarray(values, dtype=np.float32).view(np.uint32)
    rounded = (bits + (np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1)))) >> np.uint32(
        16
    )
    quiet = (bits >> np.uint32(16)) | np.uint32(0x0040)
    return np.where(np.isnan(values), quiet, rounded).astype(np.uint16)


def digest_schema(schema: Schema) -> str:
    """Return the SHA-256 (hex) of a table name -> (dtype, shape), independent of order."""
    return sha256_hex(canonical_json({name: [d, list(s)] for name, (d, s) in schema.items()}))


class TensorFile(AbstractContextManager["TensorFile"]):
    """A safetensors file, opened for reading after its header passed the strict profile."""

    def __init__(self, path: Path) -> None:
        """Open and check the header.

        Raises:
            TensorFileError: the header is too large, not strict JSON, repeats a key, names a path,
                leaves holes, overlaps, or the file's length differs from what it declares.
        """
        self.path = path
        try:
            self._file: IO[bytes] | None = path.open("rb")
        except OSError as error:
            raise TensorFileError(f"cannot open {path}: {error.strerror}") from error
        self._data: memoryview = memoryview(b"")
        try:
            self._read_header(os.fstat(self._file.fileno()).st_size)
        except BaseException:
            self._file.close()
            raise

    @classmethod
    def from_bytes(cls, name: str, data: bytes | bytearray) -> "TensorFile":
        """Read from memory, under the same profile; `name` appears in error messages."""
        file = cls.__new__(cls)
        file.path, file._file, file._data = Path(name), None, memoryview(data)
        file._read_header(len(data))
        return file

    def _read_at(self, offset: int, num_bytes: int) -> bytes:
        if self._file is None:
            return bytes(self._data[offset : offset + num_bytes])
        return os.pread(self._file.fileno(), num_bytes, offset)

    def _read_header(self, size: int) -> None:
        head = self._read_at(0, 8)
        if len(head) < 8:
            raise TensorFileError(f"{self.path.name}: shorter than a safetensors header")
        (length,) = struct.unpack("<Q", head)
        if not 2 <= length <= min(MAX_HEADER_BYTES, size - 8):
            raise TensorFileError(f"{self.path.name}: header of {length} bytes is not allowed")
        self.tensors, self.metadata, num_bytes = parse_header(self.path, self._read_at(8, length))
        self._data_begin = 8 + length
        if self._data_begin + num_bytes != size:
            raise TensorFileError(
                f"{self.path.name}: {size} bytes on disk, {self._data_begin + num_bytes} declared"
            )

    @property
    def schema(self) -> dict[str, tuple[str, tuple[int, ...]]]:
        """Return name -> (dtype, shape)."""
        return {name: (info.dtype, info.shape) for name, info in self.tensors.items()}

    def hash_content(self) -> str:
        """Return the SHA-256 (hex) of the whole file, through the descriptor that is read from."""
        digest, offset = hashlib.sha256(), 0
        while block := self._read_at(offset, HASH_BLOCK_BYTES):
            digest.update(block)
            offset += len(block)
        return digest.hexdigest()

    def read_block(self, name: str, begin: int, end: int) -> Array:
        """Return elements [begin, end) of a tensor, flat, in the stored dtype.

        Raises:
            TensorFileError: no such tensor, or the file was cut while it was read.
        """
        try:
            info = self.tensors[name]
        except KeyError:
            raise TensorFileError(f"{self.path.name}: has no tensor {name!r}") from None
        dtype = DTYPES[info.dtype]
        end = min(end, info.num_elements)
        num_bytes = (end - begin) * dtype.itemsize
        offset = self._data_begin + info.begin + begin * dtype.itemsize
        data = self._read_at(offset, num_bytes)
        if len(data) != num_bytes:
            raise TensorFileError(f"{self.path.name}: {name}: file ends within the tensor")
        return np.frombuffer(data, dtype=dtype)

    def read_float32(self, name: str, begin: int = 0, end: int | None = None) -> Float32:
        """Return elements [begin, end) of a floating tensor as flat float32."""
        info = self.tensors.get(name)
        block = self.read_block(name, begin, 2**62 if end is None else end)
        if info is not None and info.dtype == "BF16":
            return bf16_to_float32(block)
        return block.astype(np.float32, copy=False)

    def read(self, name: str) -> Array:
        """Return a whole tensor in its shape, in the stored dtype (bf16 as uint16)."""
        block = self.read_block(name, 0, 2**62)
        return block.reshape(self.tensors[name].shape)

    def iter_blocks(self, name: str, block_elements: int) -> Iterator[tuple[int, int]]:
        """Yield (begin, end) element ranges that cover a tensor."""
        total = self.tensors[name].num_elements
        for begin in range(0, total, block_elements):
            yield begin, min(begin + block_elements, total)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()


def encode_tensors(
    tensors: Mapping[str, tuple[str, Array]], metadata: Mapping[str, str] | None = None
) -> bytes:
    """Return the bytes of a safetensors file: name -> (dtype name, values), laid out by name."""
    schema = {name: (dtype, values.shape) for name, (dtype, values) in tensors.items()}
    head, _ = render_header(schema, metadata)
    parts = [
        np.ascontiguousarray(tensors[name][1], dtype=DTYPES[tensors[name][0]]).tobytes()
        for name in sorted(tensors)
    ]
    return head + b"".join(parts)


class TensorWriter(AbstractContextManager["TensorWriter"]):
    """Write a safetensors file in one pass: declare the schema, then append data in that order.

    Tensors are laid out by name, so that one schema has one layout.
    """

    def __init__(
        self,
        path: Path,
        schema: Schema,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        """Prepare a file that appears at `path` only when every tensor was written."""
        self._stack = ExitStack()
        self._path = path
        self._header, self._expected = render_header(schema, metadata)
        self._next = 0
        self._remaining = 0

    def __enter__(self) -> "TensorWriter":
        """Create the file beside its final name.

        Raises:
            StorageError: the disk is full or refuses; nothing is left behind.
        """
        with ExitStack() as stack:  # a header that does not fit takes the file with it
            self._file = stack.enter_context(open_atomically(self._path))
            self._write(self._header)
            self._stack = stack.pop_all()
        return self

    def _write(self, data: bytes | memoryview) -> None:
        # named here: with several writers open, the error passes through the others as well
        try:
            self._file.write(data)
        except OSError as error:
            raise StorageError(f"cannot write {self._path}: {error.strerror or error}") from error

    def append(self, name: str, values: Array) -> None:
        """Append a block of a tensor, in name order; a tensor may come in several blocks.

        Raises:
            TensorFileError: out of order, or more data than declared.
            StorageError: the disk is full or refuses.
        """
        if self._remaining == 0:
            if self._next >= len(self._expected) or self._expected[self._next][0] != name:
                raise TensorFileError(f"{self._path.name}: {name} is written out of order")
            self._remaining = self._expected[self._next][1]
            self._next += 1
        data = np.ascontiguousarray(values)
        if self._expected[self._next - 1][0] != name or data.nbytes > self._remaining:
            raise TensorFileError(f"{self._path.name}: {name} has more data than declared")
        self._write(data.data if data.nbytes else b"")
        self._remaining -= data.nbytes

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        """Rename into place if every tensor is complete; else leave nothing behind."""
        if kind is None and (self._next != len(self._expected) or self._remaining):
            error = TensorFileError(f"{self._path.name}: not every declared tensor was written")
            self._stack.__exit__(type(error), error, None)
            raise error
        return self._stack.__exit__(kind, value, trace)
