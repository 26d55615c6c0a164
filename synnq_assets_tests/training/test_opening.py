"""Shards open only as exactly what the order names; every opening is recorded."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from synnq_assets.errors import ShardError
from synnq_assets.records.orders import OrderShard
from synnq_assets.storage.files import describe_file
from synnq_assets.training.folder import JobFolder
from synnq_assets.training.opening import open_shards, record_exposure
from synnq_assets.trust import SealingKey
from synnq_assets.trust.sealing import (
    CHUNK_BYTES,
    HEAD_BYTES,
    TAG_BYTES,
    build_shard_context,
    commit_plaintext,
    generate_data_key,
    seal_bytes,
    wrap_data_key,
)
from synnq_assets_tests.training.order_folder import OrderFolder, write_order_folder


@pytest.fixture
def job(tmp_path: Path) -> OrderFolder:
    return write_order_folder(tmp_path, num_tokens=(40, 50))


def open_all(job: OrderFolder, **changes: Any) -> tuple[int, ...]:
    order = job.order.model_copy(update=changes)
    shards = open_shards(order, JobFolder(job.order_path), job.node, vocab_size=512)
    return tuple(shard.num_tokens for shard in shards)


def change_shard(job: OrderFolder, **changes: Any) -> tuple[OrderShard, ...]:
    return (job.order.shards[0].model_copy(update=changes), job.order.shards[1])


def test_shards_open_in_the_orders_order(job: OrderFolder) -> None:
    assert open_all(job) == (40, 50)


def test_a_damaged_shard_is_refused(job: OrderFolder) -> None:
    data = bytearray(job.sealed_path(1).read_bytes())
    data[len(data) // 2] ^= 1
    job.sealed_path(1).write_bytes(data)
    with pytest.raises(ShardError, match="is damaged: not the file that the order names"):
        open_all(job)


def test_a_missing_shard_is_named(job: OrderFolder) -> None:
    job.sealed_path(0).unlink()
    with pytest.raises(ShardError, match=r"cannot be read: .*No such file"):
        open_all(job)


def test_a_shard_wrapped_to_another_node_does_not_open(job: OrderFolder) -> None:
    SealingKey.generate().write(job.node_path.parent / "sealing.pem")
    with pytest.raises(ShardError, match="does not open with this node's sealing key"):
        open_all(job)


def test_a_data_key_of_another_assignment_does_not_unwrap(job: OrderFolder) -> None:
    with pytest.raises(ShardError, match="wrong context"):
        open_all(job, assignment_id="r0001.torino-01.2")


def test_content_that_the_steward_did_not_commit_to_is_refused(job: OrderFolder) -> None:
    with pytest.raises(ShardError, match="other content than its steward committed to"):
        open_all(job, shards=change_shard(job, plaintext_commitment="0" * 64))


def test_a_shard_of_another_tokenizer_is_refused(job: OrderFolder) -> None:
    with pytest.raises(ShardError, match="another tokenizer"):
        open_all(job, tokenizer_sha256="0" * 64)


def test_a_shard_of_another_size_or_cell_is_refused(job: OrderFolder) -> None:
    with pytest.raises(ShardError, match=r"holds 40 tokens of 'de.law'; the order says 41"):
        open_all(job, shards=change_shard(job, num_tokens=41))
    with pytest.raises(ShardError, match=r"the order says 40 of 'fi.law'"):
        open_all(job, shards=change_shard(job, cell="fi.law"))


def test_exposure_is_added_once_and_never_lost(tmp_path: Path) -> None:
    path = tmp_path / "state" / "exposure.txt"
    record_exposure(path, ["b" * 64, "a" * 64])
    record_exposure(path, ["a" * 64, "c" * 64])
    assert path.read_text().split() == ["b" * 64, "a" * 64, "c" * 64]


# --- bad input: what a shard's file can be instead of what the order names


def reseal(job: OrderFolder, change: Callable[[bytes], bytes]) -> tuple[OrderShard, ...]:
    """Change the file of the first shard, and let the order name what came out."""
    path = job.sealed_path(0)
    path.write_bytes(change(path.read_bytes()))
    sealed = describe_file(path)
    return change_shard(job, ciphertext_sha256=sealed.sha256, ciphertext_bytes=sealed.num_bytes)


def seal_anew(job: OrderFolder, plaintext: bytes, **changes: Any) -> tuple[OrderShard, ...]:
    """Seal other content under the order's own context; the order commits to it."""
    shard, key, order = job.order.shards[0], generate_data_key(), job.order
    context = build_shard_context(
        order.federation, shard.shard_id, order.assignment_id, order.node_id
    )
    seal_bytes(plaintext, key, context, job.sealed_path(0))
    sealed = describe_file(job.sealed_path(0))
    return change_shard(
        job,
        ciphertext_sha256=sealed.sha256,
        ciphertext_bytes=sealed.num_bytes,
        plaintext_commitment=commit_plaintext(key, plaintext),
        wrapped_key=wrap_data_key(key, job.sealing_key.public_key, context),
        **changes,
    )


SEALED_CHUNK = CHUNK_BYTES + TAG_BYTES


def split(data: bytes) -> list[bytes]:
    """Return the head and the chunks of a sealed file."""
    body = data[HEAD_BYTES:]
    chunks = [body[k : k + SEALED_CHUNK] for k in range(0, len(body), SEALED_CHUNK)]
    return [data[:HEAD_BYTES], *chunks]


def flip(data: bytes) -> bytes:
    head, first, *rest = split(data)
    return b"".join([head, bytes([first[0] ^ 1]) + first[1:], *rest])


def reorder(data: bytes) -> bytes:
    head, first, second, *rest = split(data)
    return b"".join([head, second, first, *rest])


def drop(data: bytes) -> bytes:
    head, _, *rest = split(data)
    return b"".join([head, *rest])


def duplicate(data: bytes) -> bytes:
    head, first, *rest = split(data)
    return b"".join([head, first, first, *rest])


@pytest.fixture
def large(tmp_path: Path) -> OrderFolder:
    job = write_order_folder(tmp_path, num_tokens=(30_000, 50))
    assert len(split(job.sealed_path(0).read_bytes())) > 4  # head, two whole chunks, a last one
    return job


@pytest.mark.parametrize("change", [flip, reorder, drop, duplicate])
def test_67_chunks_flipped_reordered_dropped_or_doubled_do_not_open(
    large: OrderFolder, change: Callable[[bytes], bytes]
) -> None:
    with pytest.raises(ShardError, match="damaged, cut, or sealed under another key or context"):
        open_all(large, shards=reseal(large, change))


def test_68_a_file_cut_exactly_between_two_chunks_does_not_open(large: OrderFolder) -> None:
    cut = reseal(large, lambda data: b"".join(split(data)[:3]))
    with pytest.raises(ShardError, match="damaged, cut, or sealed under another key or context"):
        open_all(large, shards=cut)


def test_69_a_data_key_that_was_wrapped_to_another_node_does_not_unwrap(job: OrderFolder) -> None:
    order, shard = job.order, job.order.shards[0]
    context = build_shard_context(
        order.federation, shard.shard_id, order.assignment_id, order.node_id
    )
    foreign = wrap_data_key(b"k" * 32, SealingKey.generate().public_key, context)
    with pytest.raises(ShardError, match="data key does not unwrap: wrong node"):
        open_all(job, shards=change_shard(job, wrapped_key=foreign))


@pytest.mark.parametrize(
    "other",
    [
        ("synnq-other", None, None, None),
        (None, "0" * 64, None, None),
        (None, None, "r0001.torino-01.2", None),
        (None, None, None, "torino-02"),
    ],
)
def test_70_the_right_key_opens_nothing_in_another_context(
    job: OrderFolder, other: tuple[str | None, ...]
) -> None:
    order, shard, key = job.order, job.order.shards[0], generate_data_key()
    own = (order.federation, shard.shard_id, order.assignment_id, order.node_id)
    context = build_shard_context(*own)
    foreign = build_shard_context(*(b or a for a, b in zip(own, other, strict=True)))
    seal_bytes(b"tokens", key, foreign, job.sealed_path(0))
    sealed = describe_file(job.sealed_path(0))
    for wrapping, message in (
        (context, "sealed under another key or context"),
        (foreign, "does not unwrap: wrong node, wrong context"),
    ):
        shards = change_shard(
            job,
            ciphertext_sha256=sealed.sha256,
            ciphertext_bytes=sealed.num_bytes,
            wrapped_key=wrap_data_key(key, job.sealing_key.public_key, wrapping),
        )
        with pytest.raises(ShardError, match=message):
            open_all(job, shards=shards)


def test_71_content_that_does_not_match_its_commitment_is_refused(job: OrderFolder) -> None:
    shards = seal_anew(job, b"other tokens")
    changed = shards[0].model_copy(
        update={"plaintext_commitment": job.order.shards[0].plaintext_commitment}
    )
    with pytest.raises(ShardError, match="other content than its steward committed to"):
        open_all(job, shards=(changed, shards[1]))


def test_72_an_empty_shard_is_refused(job: OrderFolder) -> None:
    with pytest.raises(ShardError, match="not readable: shard: shorter than a safetensors header"):
        open_all(job, shards=seal_anew(job, b""))
    with pytest.raises(ShardError, match="damaged, cut"):
        open_all(job, shards=reseal(job, lambda _: b""))


@pytest.mark.parametrize(
    "plaintext",
    [
        b"\xff\xfe invalid UTF-8 " * 100,
        b"x" * 2_000_000,  # one line without an end
        b'{"text": "' + b"x" * 100_000 + b'"}\n',
        (1 << 63).to_bytes(8, "little") + b"{}",
    ],
    ids=["not-utf-8", "one-line", "json-lines", "header-of-2-to-the-63"],
)
def test_73_content_that_is_no_token_file_is_refused(job: OrderFolder, plaintext: bytes) -> None:
    # Token files are safetensors of integers: they hold no records, no lines and no text, so there
    # is nothing to be read line by line, and no length that a parser would believe.
    with pytest.raises(ShardError, match=r"header of \d+ bytes is not allowed"):
        open_all(job, shards=seal_anew(job, plaintext))
