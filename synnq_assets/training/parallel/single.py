"""One process, one device: the reference that the others must agree with."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import torch

from synnq_assets.errors import SettingsError
from synnq_assets.modeling.models import named_weights
from synnq_assets.storage.files import open_atomically
from synnq_assets.training.batches import Batch
from synnq_assets.training.parallel.base import (
    ModelSource,
    StepResult,
    Strategy,
    build_optimizer,
    set_learning_rate,
)

STATE_FILE = "state.pt"


class SingleProcess(Strategy):
    """The whole model in one process."""

    name: ClassVar[str] = "single"
    needs_group: ClassVar[bool] = False

    def prepare(self, source: ModelSource) -> None:
        """Build model and optimizer on this process's device."""
        if self.ranks.world_size != 1:
            raise SettingsError(
                f"parallelism 'single' was started with {self.ranks.world_size} processes; "
                "start one, or choose fsdp2 or deepspeed"
            )
        self.model = source.build().to(self.ranks.device)
        self.checkpoint_activations(self.model)
        self._optimizer = build_optimizer(self.model, self.settings, is_fused=True)

    def step(self, batch: Batch, learning_rate: float) -> StepResult:
        """Train on one step."""
        loss_sum = 0.0
        for loss, micro_sum, _ in self.iterate_losses(batch):
            loss.backward()  # type: ignore[no-untyped-call]
            loss_sum += float(micro_sum)
        norm = torch.nn.utils.clip_grad_norm_(
            self.model.parameters(), self.settings.max_gradient_norm
        )
        set_learning_rate(self._optimizer, learning_rate)
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        return StepResult(loss_sum, float(norm))

    def save(self, folder: Path) -> None:
        """Write one file of model and optimizer."""
        state = {"model": self.model.state_dict(), "optimizer": self._optimizer.state_dict()}
        with open_atomically(folder / STATE_FILE) as file:
            torch.save(state, file)

    def load(self, folder: Path) -> None:
        """Read the file back; nothing but tensors and plain values is accepted from it."""
        state: dict[str, Any] = torch.load(
            folder / STATE_FILE, map_location=self.ranks.device, weights_only=True
        )
        self.model.load_state_dict(state["model"])
        self._optimizer.load_state_dict(state["optimizer"])

    def iterate_weights(self) -> Iterator[tuple[str, torch.Tensor]]:
        """Yield the weights."""
        for name, values in sorted(named_weights(self.model).items()):
            yield name, values.to("cpu", torch.float32)
