"""The figures that may leave a node, and nothing else may.

A figure is registered by name with its type and, where nothing is weighed by it, with the step that
it is rounded to. Text has no type here: a name that is not registered, a string, NaN and infinity
are refused where a file is written, and again where it arrives.

Losses and gradient norms say something about the sequences that they were taken of, the more the
fewer these are. They leave a node as aggregates over at least `privacy.min_loss_sequences`
sequences; of fewer, the figure is missing.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from synnq_assets.errors import PrivacyError

Kind = Literal["integer", "floating"]
MEBIBYTE = 1 << 20


@dataclass(frozen=True)
class Figure:
    """One registered figure.

    Attributes:
        kind: its type in a file, int64 or float64.
        step: it is a multiple of this; 0: exact.
        is_optional: may be missing, where a machine does not offer it or an aggregate is too small.
    """

    kind: Kind
    step: float = 0.0
    is_optional: bool = False

    def round(self, value: float) -> float:
        """Return the nearest value that is coarse enough."""
        if not self.step:
            return value
        rounded = round(value / self.step) * self.step
        return int(rounded) if self.kind == "integer" else float(rounded)


# One row for some optimizer steps of one shard in one epoch: as many as one aggregate takes.
TRAINING_LOG: Mapping[str, Figure] = {
    "step": Figure("integer"),  # the first one's number, from 0
    "num_steps": Figure("integer"),
    "epoch": Figure("integer"),  # from 1, within the shard
    "shard": Figure("integer"),  # place in the order's list
    "tokens": Figure("integer"),  # targets, over all ranks; exact: compared with the order
    "loss": Figure("floating", is_optional=True),  # nats per token, mean over the targets
    "gradient_norm": Figure("floating", is_optional=True),  # mean over the steps, before clipping
    "learning_rate": Figure("floating"),  # mean over the steps
    "tokens_per_second": Figure("floating"),
}

# Samples of the first rank's host. Fine ones would tell machines apart, and what else runs there.
DIAGNOSTICS: Mapping[str, Figure] = {
    "seconds": Figure("floating", step=0.5),
    "cpu_percent": Figure("floating", step=1.0, is_optional=True),
    "memory_bytes": Figure("integer", step=64 * MEBIBYTE, is_optional=True),
    "gpu_percent": Figure("floating", step=1.0, is_optional=True),
    "gpu_watts": Figure("floating", step=5.0, is_optional=True),
}

# What the signed manifest sums up; the names are those of records/submissions.py.
METRICS: Mapping[str, Figure] = {
    "num_tokens": Figure("integer"),
    "num_tokens_processed": Figure("integer"),
    "num_steps": Figure("integer"),
    "initial_loss": Figure("floating", is_optional=True),
    "final_loss": Figure("floating", is_optional=True),
    "mean_gradient_norm": Figure("floating", is_optional=True),
    "max_gradient_norm": Figure("floating", is_optional=True),
    "learning_rate_sum": Figure("floating"),
    "tokens_per_second": Figure("floating", step=0.1),
    "wall_seconds": Figure("floating", step=0.5),
    "energy_joules": Figure("floating", step=10.0, is_optional=True),
    "world_size": Figure("integer"),
}


def count_sequences(tokens: int, sequence_tokens: int) -> int:
    """Return the least number of sequences that so many targets can come from."""
    return math.ceil(tokens / sequence_tokens)


def select_figures(
    registered: Mapping[str, Figure], row: Mapping[str, Any]
) -> dict[str, float | int | None]:
    """Return a row of registered figures, each as coarse as it has to be.

    Raises:
        PrivacyError: a name is not registered or missing, or a value is text, of another type, not
            finite, or missing without leave.
    """
    if row.keys() != registered.keys():
        raise PrivacyError(
            f"a row must hold exactly {', '.join(registered)}; register a figure in "
            "privacy/telemetry.py before it may leave a node"
        )
    return {name: _verify(name, figure, row[name]) for name, figure in registered.items()}


def _verify(name: str, figure: Figure, value: Any) -> float | int | None:
    if value is None and figure.is_optional:
        return None
    kinds = (int,) if figure.kind == "integer" else (int, float)
    if not isinstance(value, kinds) or isinstance(value, bool):
        raise PrivacyError(f"{name} must be {figure.kind}; a {type(value).__name__} stays here")
    if not math.isfinite(value):
        raise PrivacyError(f"{name} must be finite")
    return figure.round(value)
