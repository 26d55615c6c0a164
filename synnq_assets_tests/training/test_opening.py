"""Shards open only as exactly what the order names; every opening is recorded."""

from pathlib import Path
from typing import Any

import pytest

from synnq_assets.errors import ShardError
from synnq_assets.records.orders import OrderShard
from synnq_assets.training.folder import JobFolder
from synnq_assets.training.opening import open_shards, record_exposure
from synnq_assets.trust import SealingKey
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
