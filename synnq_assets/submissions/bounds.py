"""What an order allows: its steps, its learning rates, and how far Adam can move a weight in them.

Nothing here is taken from the node's own claims.
"""

import math

from synnq_assets.records.orders import LrSegment, Order, OrderShard
from synnq_assets.settings.recipe import TrainingSettings


def count_epoch_steps(shard: OrderShard, training: TrainingSettings) -> int:
    """Return the optimizer steps of one epoch over one shard.

    The shard is cut into windows of `sequence_tokens` targets (its tokens less one, rounded up),
    the windows into batches of `batch_sequences`; no batch mixes shards.
    """
    num_windows = math.ceil((shard.num_tokens - 1) / training.sequence_tokens)
    return math.ceil(num_windows / training.batch_sequences)


def count_steps(order: Order, training: TrainingSettings) -> int:
    """Return the optimizer steps that an order takes: every shard, for all epochs."""
    return order.epochs * sum(count_epoch_steps(shard, training) for shard in order.shards)


def bound_learning_rate_sum(lr: LrSegment, num_steps: int) -> float:
    """Return an upper bound of the learning rates' sum over the steps of a segment.

    Step k may read the segment anywhere in [k/n, (k+1)/n]; a piecewise linear segment is largest
    at an end of that stretch or at a knot within it.
    """
    knots = [(f * num_steps, rate) for f, rate in zip(lr.fractions, lr.learning_rates, strict=True)]
    rates = [max(lr.at(k / num_steps), lr.at((k + 1) / num_steps)) for k in range(num_steps)]
    for position, rate in knots:
        k = min(int(position), num_steps - 1)
        rates[k] = max(rates[k], rate)
    return math.fsum(rates)


def bound_adam_step(beta1: float, beta2: float) -> float:
    """Return the largest |m_hat| / sqrt(v_hat): the step of one weight in learning rates.

    With gradients g_k, m = (1-b1) sum b1^k g_k and v = (1-b2) sum b2^k g_k^2. Cauchy-Schwarz on
    sum (b1^k / b2^(k/2)) (b2^(k/2) g_k) gives

        |m| / sqrt(v) <= (1-b1) / sqrt((1-b2) (1 - b1^2/b2))    for b1^2 < b2,

    1.17 at (0.9, 0.95); infinite otherwise. At the first step the ratio is 1 exactly, and typical
    gradients, whose signs vary, stay well below. Kingma and Ba 2015 (arXiv:1412.6980, section 2.1)
    state the bound without the last factor, as "approximately" the learning rate.
    """
    if beta2 >= 1 or beta1**2 >= beta2:
        return math.inf
    return max(1.0, (1 - beta1) / math.sqrt((1 - beta2) * (1 - beta1**2 / beta2)))
