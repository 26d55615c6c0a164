"""Windows and steps by hand, and what must hold for every shard."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from synnq_assets.training.batches import IGNORED, Schedule, build_batch, select_rank_rows


def test_windows_follow_each_other_and_the_last_one_may_be_short() -> None:
    tokens = np.array([5, 6, 7, 8, 9, 0], dtype=np.uint16)  # 5 targets, in windows of 3
    batch = build_batch(tokens, np.array([1, 0]), sequence_tokens=3)
    assert batch.inputs_BS.tolist() == [[8, 9, 0], [5, 6, 7]]
    assert batch.labels_BS.tolist() == [[9, 0, IGNORED], [6, 7, 8]]
    assert batch.num_targets == 5


def test_within_an_epoch_every_shard_has_its_turns_and_epochs_follow_each_other() -> None:
    # 10 tokens: 9 targets, 3 windows, 2 steps an epoch. 4 tokens: 1 window, 1 step an epoch.
    schedule = Schedule((10, 4), sequence_tokens=3, batch_sequences=2, epochs=2, seed=1)
    steps = list(schedule.iterate())
    assert schedule.num_steps == len(steps) == 6
    assert [step.index for step in steps] == list(range(6))
    assert [step.epoch for step in steps] == [1, 1, 1, 2, 2, 2]
    for epoch in (1, 2):
        of_epoch = [(s.shard_index, len(s.windows)) for s in steps if s.epoch == epoch]
        assert sorted(of_epoch) == [(0, 1), (0, 2), (1, 1)]
        seen = [w for s in steps if s.epoch == epoch and s.shard_index == 0 for w in s.windows]
        assert sorted(seen) == [0, 1, 2]
    orders = {
        tuple(s.shard_index for s in Schedule((10, 4), 3, 2, 2, seed).iterate() if s.epoch == 1)
        for seed in range(10)
    }
    assert len(orders) > 1


def test_a_shard_of_one_token_has_no_step() -> None:
    assert Schedule((1,), sequence_tokens=3, batch_sequences=2, epochs=5, seed=1).num_steps == 0


def test_another_seed_gives_another_order() -> None:
    orders = [
        np.concatenate([s.windows for s in Schedule((1000,), 4, 8, 1, seed).iterate()]).tolist()
        for seed in (1, 2)
    ]
    assert orders[0] != orders[1]
    assert sorted(orders[0]) == sorted(orders[1])


@given(
    num_tokens=st.integers(2, 200),
    sequence_tokens=st.integers(1, 17),
    batch_sequences=st.integers(1, 9),
    world_size=st.integers(1, 5),
)
def test_every_target_is_seen_once_an_epoch_over_all_ranks(
    num_tokens: int, sequence_tokens: int, batch_sequences: int, world_size: int
) -> None:
    tokens = np.arange(num_tokens, dtype=np.uint16)
    schedule = Schedule((num_tokens,), sequence_tokens, batch_sequences, 1, seed=3)
    seen: list[int] = []
    for planned in schedule.iterate():
        batch = build_batch(tokens, planned.windows, sequence_tokens)
        shares = [select_rank_rows(batch, rank, world_size) for rank in range(world_size)]
        assert len({share.inputs_BS.shape for share in shares}) == 1
        for share in shares:
            is_target = share.labels_BS != IGNORED
            assert (share.labels_BS[is_target] == share.inputs_BS[is_target] + 1).all()
            seen += share.labels_BS[is_target].tolist()
    assert sorted(seen) == list(range(1, num_tokens))


@given(first=st.integers(0, 40))
def test_a_restart_sees_the_same_steps(first: int) -> None:
    schedule = Schedule((50, 30), sequence_tokens=3, batch_sequences=4, epochs=3, seed=9)
    rest = list(schedule.iterate())[first:]
    again = list(schedule.iterate(first))
    assert [s.index for s in rest] == [s.index for s in again]
    assert all((a.windows == b.windows).all() for a, b in zip(rest, again, strict=True))
