"""DeepSpeed ZeRO: optimizer state (stage 1), gradients (2) and weights (3) are spread over ranks.

Nothing is compiled on the way: gloo instead of DeepSpeed's own CPU collectives, torch's AdamW
instead of its fused ones. Every rank builds the whole model once in host memory before it is
spread; where that does not fit, use fsdp2.
Source: Rajbhandari et al. 2020, arXiv:1910.02054.
"""

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch

from synnq_assets.errors import SettingsError
from synnq_assets.training.batches import Batch
from synnq_assets.training.parallel.base import (
    ModelSource,
    ParallelParams,
    StepResult,
    Strategy,
    build_optimizer,
    set_learning_rate,
)

TAG = "state"


class DeepSpeedParams(ParallelParams):
    """Parameters of DeepSpeed ZeRO."""

    stage: Literal[1, 2, 3] = 2


class DeepSpeedZero(Strategy):
    """A DeepSpeed engine around the model."""

    name: ClassVar[str] = "deepspeed"
    params_type: ClassVar[type[ParallelParams]] = DeepSpeedParams
    params: DeepSpeedParams

    def prepare(self, source: ModelSource) -> None:
        """Build the model and hand it to an engine."""
        if self.ranks.device.type == "cpu":
            os.environ.setdefault("DS_ACCELERATOR", "cpu")  # read when the library is imported
        try:
            import deepspeed
        except ImportError as error:
            raise SettingsError(
                "parallelism 'deepspeed' needs the extra synnq-assets[deepspeed]; "
                "install it, or choose fsdp2"
            ) from error
        logging.getLogger("DeepSpeed").setLevel(logging.WARNING)
        # The library calls collectives by their old names, at every step.
        warnings.filterwarnings("ignore", r"`torch\.distributed\.\w+` is deprecated", FutureWarning)
        deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
        deepspeed.init_distributed()  # takes the process group that is there
        model = source.build().to(self.ranks.device)
        self.checkpoint_activations(model)
        self.model, *_ = deepspeed.initialize(
            model=model,
            config=self._build_config(),
            optimizer=build_optimizer(model, self.settings, is_fused=False),
        )
        self._gather = deepspeed.zero.GatheredParameters

    def _build_config(self) -> dict[str, Any]:
        return {
            "train_micro_batch_size_per_gpu": 1,  # nominal: we place the boundaries of a step
            "gradient_accumulation_steps": 1,
            "gradient_clipping": self.settings.max_gradient_norm,
            "zero_allow_untested_optimizer": True,
            "zero_optimization": {"stage": self.params.stage},
            "torch_autocast": {
                "enabled": self.settings.precision == "bf16",
                "dtype": "bfloat16",
            },
        }

    def autocast(self) -> AbstractContextManager[Any]:
        """Return an empty context: the engine casts."""
        return nullcontext()

    def step(self, batch: Batch, learning_rate: float) -> StepResult:
        """Train on this rank's rows; the engine updates after the last micro-batch."""
        set_learning_rate(self.model.optimizer, learning_rate)
        loss_sum = 0.0
        for loss, micro_sum, is_last in self.iterate_losses(batch):
            self.model.set_gradient_accumulation_boundary(is_last)
            self.model.backward(loss)
            self.model.step()
            loss_sum += float(micro_sum)
        return StepResult(loss_sum, float(self.model.get_global_grad_norm()))

    def save(self, folder: Path) -> None:
        """Write the engine's checkpoint."""
        self.model.save_checkpoint(str(folder), tag=TAG)

    def load(self, folder: Path) -> None:
        """Read the engine's checkpoint; the number of ranks must be the same."""
        self.model.load_checkpoint(str(folder), tag=TAG)

    def iterate_weights(self) -> Iterator[tuple[str, torch.Tensor]]:
        """Gather one tensor at a time."""
        parameters = dict(self.model.module.named_parameters())
        for name in sorted(parameters):
            own = parameters[name]
            with self._gather([own]) if self.params.stage == 3 else nullcontext():
                yield name, own.detach().to("cpu", torch.float32, copy=True)
