"""How a training step runs: a family.

All variants train the same model on the same batches with the same mathematics; they differ in
where weights, gradients and optimizer state lie. Losses agree to rounding.

    base.py        the contract, and what the variants share
    single.py      one process
    fsdp2.py       PyTorch FSDP2: everything sharded, tensor by tensor, also while loading
    deepspeed.py   DeepSpeed ZeRO 1, 2 or 3

Imports torch; the deepspeed library only once its variant is chosen.
"""

import difflib

from synnq_assets.errors import SettingsError
from synnq_assets.settings.base import Variant
from synnq_assets.training.parallel.base import ModelSource, StepResult, Strategy
from synnq_assets.training.parallel.deepspeed import DeepSpeedZero
from synnq_assets.training.parallel.fsdp2 import FullyShardedDataParallel
from synnq_assets.training.parallel.single import SingleProcess

STRATEGIES: dict[str, type[Strategy]] = {
    "single": SingleProcess,
    "fsdp2": FullyShardedDataParallel,
    "deepspeed": DeepSpeedZero,
}


def find_strategy(variant: Variant) -> type[Strategy]:
    """Return the class of a variant.

    Raises:
        SettingsError: unknown name; the message suggests the nearest.
    """
    try:
        return STRATEGIES[variant.name]
    except KeyError:
        near = difflib.get_close_matches(variant.name, STRATEGIES, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(STRATEGIES)}"
        raise SettingsError(f"no parallelism named {variant.name!r}{hint}") from None


__all__ = ["STRATEGIES", "ModelSource", "StepResult", "Strategy", "find_strategy"]
