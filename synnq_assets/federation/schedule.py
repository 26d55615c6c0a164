"""The learning rate as a function of trained tokens, and the piece of it that an order carries.

Sources: cosine decay arXiv:1608.03983 §3; warm-up, stable, decay (WSD) arXiv:2404.06395 §4.
"""

import math

from synnq_assets.records.orders import LrSegment
from synnq_assets.settings.recipe import ScheduleSettings

SEGMENT_POINTS = 9


def learning_rate_at(schedule: ScheduleSettings, num_tokens: float) -> float:
    """Return the learning rate after `num_tokens` trained tokens (with epochs)."""
    peak, floor = (
        schedule.peak_learning_rate,
        schedule.peak_learning_rate * schedule.final_share,
    )
    if num_tokens < schedule.warmup_tokens:
        return peak * num_tokens / schedule.warmup_tokens
    if schedule.shape == "cosine":
        span = max(1, schedule.total_tokens - schedule.warmup_tokens)
        share = min(1.0, (num_tokens - schedule.warmup_tokens) / span)
        return floor + (peak - floor) * (1 + math.cos(math.pi * share)) / 2
    decay_begin = schedule.total_tokens * (1 - schedule.decay_share)
    if num_tokens <= decay_begin:
        return peak
    share = min(1.0, (num_tokens - decay_begin) / (schedule.total_tokens - decay_begin))
    return peak + (floor - peak) * share


def build_segment(schedule: ScheduleSettings, tokens_before: int, tokens_planned: int) -> LrSegment:
    """Return the schedule between two token counts, sampled at `SEGMENT_POINTS` fractions.

    Args:
        schedule: the campaign's schedule.
        tokens_before: trained tokens of the whole federation up to the round.
        tokens_planned: trained tokens that the round is expected to add, over all nodes.
    """
    fractions = [k / (SEGMENT_POINTS - 1) for k in range(SEGMENT_POINTS)]
    return LrSegment(
        fractions=tuple(fractions),
        learning_rates=tuple(
            learning_rate_at(schedule, tokens_before + fraction * tokens_planned)
            for fraction in fractions
        ),
    )
