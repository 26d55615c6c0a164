"""How a training step runs: a family.

All variants train the same model on the same batches with the same mathematics; they differ in
where weights, gradients and optimizer state lie. Losses agree to rounding.

    base.py        the contract, and what the variants share
    single.py      one process
    fsdp2.py       PyTorch FSDP2: everything sharded, tensor by tensor, also while loading
    deepspeed.py   DeepSpeed ZeRO 1, 2 or 3

The registry is `training/strategies.py`. Imports torch; the deepspeed library only once its variant
is chosen.
"""

from synnq_assets.training.parallel.base import ModelSource, StepResult, Strategy

__all__ = ["ModelSource", "StepResult", "Strategy"]
