"""PyTorch FSDP2: weights, gradients and optimizer state are sharded over the ranks, per layer.

The model is never whole on a rank: it is laid out on the meta device, and each rank copies its own
slice of every tensor out of the base checkpoint. bf16 keeps float32 weights and reduces gradients
in float32.
Source: Zhao et al. 2023, arXiv:2304.11277 (FSDP); torch.distributed.fsdp.fully_shard.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.state_dict import get_state_dict, set_state_dict
from torch.distributed.checkpoint.state_dict_loader import load as load_shards
from torch.distributed.checkpoint.state_dict_saver import save as save_shards
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from synnq_assets.training.batches import Batch
from synnq_assets.training.parallel.base import (
    ModelSource,
    StepResult,
    Strategy,
    build_optimizer,
    set_learning_rate,
)


class FullyShardedDataParallel(Strategy):
    """FSDP2 over all ranks."""

    name: ClassVar[str] = "fsdp2"
    reshards: ClassVar[bool] = True

    def prepare(self, source: ModelSource) -> None:
        """Shard an empty model and fill each rank's slices from the base weights."""
        device = self.ranks.device
        mesh = init_device_mesh(device.type, (self.ranks.world_size,))
        is_bf16 = self.settings.precision == "bf16"
        policy = MixedPrecisionPolicy(
            param_dtype=torch.bfloat16 if is_bf16 else None,
            reduce_dtype=torch.float32 if is_bf16 else None,
        )
        model = source.build_empty()
        self.checkpoint_activations(model)
        for layer in model.model.layers:
            fully_shard(layer, mesh=mesh, mp_policy=policy)
        fully_shard(model, mesh=mesh, mp_policy=policy)
        model.to_empty(device=device)
        model.tie_weights()  # leaving the meta device unties them
        # Rotary frequencies are computed, not loaded; on the meta device they were not.
        rotary = model.model.rotary_emb
        model.model.rotary_emb = type(rotary)(model.config).to(device)
        parameters: dict[str, Any] = dict(model.named_parameters())
        with torch.no_grad():
            for name, values in source.iterate({n: p.shape for n, p in parameters.items()}):
                own = parameters[name]
                own.copy_(
                    distribute_tensor(values.to(device), mesh, own.placements, src_data_rank=None)
                )
        self.model = model
        self._optimizer = build_optimizer(model, self.settings, is_fused=True)

    def autocast(self) -> Any:
        """Return an empty context: the sharding policy casts."""
        return torch.autocast(self.ranks.device.type, enabled=False)

    def step(self, batch: Batch, learning_rate: float) -> StepResult:
        """Train on this rank's rows; gradients are reduced after every micro-batch."""
        loss_sum = 0.0
        for loss, micro_sum, _ in self.iterate_losses(batch):
            loss.backward()  # type: ignore[no-untyped-call]
            loss_sum += float(micro_sum)
        norm: Any = torch.nn.utils.clip_grad_norm_(
            self.model.parameters(), self.settings.max_gradient_norm
        )
        set_learning_rate(self._optimizer, learning_rate)
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        return StepResult(
            loss_sum, float(norm.full_tensor() if isinstance(norm, DTensor) else norm)
        )

    def _state(self) -> dict[str, Any]:
        model_state, optimizer_state = get_state_dict(self.model, self._optimizer)
        return {"model": model_state, "optimizer": optimizer_state}

    def save(self, folder: Path) -> None:
        """Write every rank's shards as a distributed checkpoint."""
        try:
            save_shards(self._state(), checkpoint_id=folder)
        except CheckpointException as error:
            raise RuntimeError(_first_cause(error)) from error

    def load(self, folder: Path) -> None:
        """Read the shards back, also those of another number of ranks."""
        state = self._state()
        try:
            load_shards(state, checkpoint_id=folder)
        except CheckpointException as error:
            raise RuntimeError(_first_cause(error)) from error
        set_state_dict(
            self.model,
            self._optimizer,
            model_state_dict=state["model"],
            optim_state_dict=state["optimizer"],
        )

    def iterate_weights(self) -> Iterator[tuple[str, torch.Tensor]]:
        """Gather one tensor at a time."""
        parameters: dict[str, Any] = dict(self.model.named_parameters())
        for name in sorted(parameters):
            yield name, parameters[name].detach().full_tensor().to("cpu", torch.float32)


def _first_cause(error: CheckpointException) -> str:
    failures = [cause for cause, _ in error.failures.values()]
    return str(failures[0]) if failures else str(error)
