"""The sampler, beside work that keeps a processor busy."""

import time

from synnq_assets.training.counters import NoCounters
from synnq_assets.training.diagnostics import SHORT_SECONDS, Sampler
from synnq_assets.training.logs import DiagnosticsRow


def work(seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        sum(range(1000))


def test_every_sample_of_a_busy_host_shows_its_load() -> None:
    with Sampler(NoCounters(), [], offset_seconds=0.0) as sampler:
        work(0.3)
    first, last = sampler.rows
    assert first.seconds >= SHORT_SECONDS
    assert 0.0 < first.cpu_percent <= 100.0  # psutil's first answer would be 0.0
    assert 0.0 < last.cpu_percent <= 100.0
    assert first.seconds < last.seconds
    assert first.memory_bytes > 0


def test_a_block_that_ends_at_once_has_one_sample() -> None:
    with Sampler(NoCounters(), [], offset_seconds=0.0) as sampler:
        pass
    (row,) = sampler.rows
    assert row.seconds >= SHORT_SECONDS


def test_a_job_that_was_interrupted_goes_on_where_its_samples_ended() -> None:
    before = DiagnosticsRow(5.0, 50.0, 1, None, None)
    with Sampler(NoCounters(), [before], offset_seconds=6.0) as sampler:
        pass
    assert sampler.rows[0] == before
    assert sampler.rows[1].seconds >= 6.0
