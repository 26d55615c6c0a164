"""Bytes at rest: files written whole, an object store, safetensors streamed.

files.py     write beside and rename; hash or copy a file; hold a lock
objects.py   the object store contract
folder.py    objects in a folder (the embedded default)
tokens.py    the inside of a shard: token ids and document offsets
tensors.py   safetensors, tensor by tensor, without torch
profile.py   which safetensors headers are accepted
"""

from synnq_assets.storage.files import hash_file, write_atomically
from synnq_assets.storage.folder import FolderStore
from synnq_assets.storage.objects import ObjectStore
from synnq_assets.storage.profile import TensorInfo
from synnq_assets.storage.tensors import TensorFile, TensorWriter
from synnq_assets.storage.tokens import TokenShard, decode_tokens, encode_tokens

__all__ = [
    "FolderStore",
    "ObjectStore",
    "TensorFile",
    "TensorInfo",
    "TensorWriter",
    "TokenShard",
    "decode_tokens",
    "encode_tokens",
    "hash_file",
    "write_atomically",
]
