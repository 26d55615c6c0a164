"""Steps become windows before they leave: a loss is told of enough sequences, or not at all."""

import pyarrow.parquet as pq
import pytest

from synnq_assets.errors import PrivacyError
from synnq_assets.training.logs import (
    LogRow,
    build_windows,
    write_diagnostics,
    write_training_log,
)
from synnq_assets_tests.training.order_folder import build_recipe


def steps(*tokens, shard=0, epoch=1, first=0):
    return [
        LogRow(first + k, epoch, shard, count, float(k + 1), 10.0 * (k + 1), 0.1, 100.0)
        for k, count in enumerate(tokens)
    ]


def recipe(min_sequences):
    base = build_recipe()  # 32 targets a sequence
    privacy = base.privacy.model_copy(update={"min_loss_sequences": min_sequences})
    return base.model_copy(update={"privacy": privacy})


def test_steps_are_put_together_until_there_are_enough_sequences():
    # 64 targets are 2 sequences: windows of 2 steps reach 4, and the fifth joins the last one
    first, second = build_windows(steps(64, 64, 64, 64, 32), recipe(4))
    assert (first.step, first.num_steps, first.tokens) == (0, 2, 128)
    assert (first.loss, first.gradient_norm) == (1.5, 15.0)
    assert (second.step, second.num_steps, second.tokens) == (2, 3, 160)
    assert second.loss == pytest.approx((3 * 64 + 4 * 64 + 5 * 32) / 160)
    assert second.gradient_norm == 40.0
    assert second.tokens_per_second == pytest.approx(100.0)


def test_no_window_mixes_epochs_or_shards():
    rows = [
        *steps(64, 64),
        *steps(64, 64, epoch=2, first=2),
        *steps(64, 64, shard=1, first=4),
    ]
    windows = build_windows(rows, recipe(2))
    assert [(w.shard, w.epoch) for w in windows] == [(0, 1)] * 2 + [(0, 2)] * 2 + [(1, 1)] * 2


def test_a_window_holds_a_shards_steps_although_others_take_turns():
    first = steps(64, 64, 64)
    turns = [first[0], steps(64, shard=1, first=1)[0], first[1], steps(64, shard=1, first=3)[0]]
    rows = [row._replace(step=k) for k, row in enumerate(turns)]
    one, two = build_windows(rows, recipe(4))
    assert (one.shard, one.step, one.num_steps, one.loss) == (0, 0, 2, 1.5)
    assert (two.shard, two.step, two.num_steps) == (1, 1, 2)


def test_an_epoch_of_too_few_sequences_tells_neither_loss_nor_gradient():
    (window,) = build_windows(steps(64, 64), recipe(5))
    assert (window.loss, window.gradient_norm) == (None, None)
    assert (window.num_steps, window.tokens) == (2, 128)


def test_the_files_say_nothing_of_who_wrote_them(tmp_path):
    write_training_log(tmp_path / "log.parquet", build_windows(steps(64), recipe(1)))
    with pq.ParquetFile(tmp_path / "log.parquet") as file:
        assert file.metadata.metadata is None
        assert file.schema_arrow.metadata is None


def test_a_row_with_text_is_not_written(tmp_path):
    (window,) = build_windows(steps(64), recipe(1))
    with pytest.raises(PrivacyError, match="a str stays here"):
        write_training_log(tmp_path / "log.parquet", [window._replace(loss="a sentence")])
    assert list(tmp_path.iterdir()) == []
    write_diagnostics(tmp_path / "diagnostics.parquet", [])
