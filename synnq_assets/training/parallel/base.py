"""The contract of a parallelism, and what all of them share.

The loss of a step is the mean over its targets. A rank sums the losses of its own rows and scales
by world_size / num_targets, because gradients are averaged over ranks: the result is the gradient
of the mean over all targets, however unevenly they fell.

Shapes: B rows, S sequence tokens, V vocabulary.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from pydantic import PositiveInt, ValidationError
from torch.nn.functional import cross_entropy

from synnq_assets.errors import SettingsError, TensorFileError
from synnq_assets.modeling.models import build_model, load_weights, read_weights
from synnq_assets.settings.base import SettingsModel
from synnq_assets.settings.load import describe_invalid
from synnq_assets.settings.recipe import Recipe, TrainingSettings
from synnq_assets.storage.tensors import TensorFile
from synnq_assets.training.batches import IGNORED, Batch
from synnq_assets.training.ranks import Ranks


class ParallelParams(SettingsModel):
    """Parameters that every parallelism takes."""

    micro_batch_sequences: PositiveInt | None = None  # rows at once per rank; None: all of them
    checkpoint_activations: bool = False  # compute activations twice, to hold fewer


@dataclass(frozen=True)
class StepResult:
    """What one step gives back."""

    loss_sum: float  # nats, summed over this rank's targets, before the update
    gradient_norm: float  # of the whole gradient, before clipping


@dataclass(frozen=True)
class ModelSource:
    """Where a model comes from: the recipe's architecture, the base checkpoint's weights."""

    recipe: Recipe
    weights: Path

    def build(self) -> Any:
        """Return the whole model on the CPU, float32, in training mode.

        Raises:
            TensorFileError: the weights are not those of the architecture.
        """
        model = build_model(self.recipe)
        load_weights(model, read_weights(self.weights))
        return model.train()

    def build_empty(self) -> Any:
        """Return the model on the meta device: shapes only, no memory."""
        with torch.device("meta"):
            return build_model(self.recipe).train()

    def iterate(self, schema: Mapping[str, torch.Size]) -> Iterator[tuple[str, torch.Tensor]]:
        """Yield the float32 weights one tensor at a time, by name.

        Raises:
            TensorFileError: the weights are not of this schema.
        """
        with TensorFile(self.weights) as file:
            found = {name: info.shape for name, info in file.tensors.items()}
            if found != {name: tuple(shape) for name, shape in schema.items()}:
                raise TensorFileError(f"{self.weights} does not fit the recipe's architecture")
            for name in sorted(schema):
                values = torch.from_numpy(file.read_float32(name).copy())
                yield name, values.reshape(schema[name])


class Strategy(ABC):
    """One way to run the steps. Unless said otherwise, every rank calls every method."""

    name: ClassVar[str]
    needs_group: ClassVar[bool] = True  # a process group even with one rank
    reshards: ClassVar[bool] = False  # loads a checkpoint of another number of ranks
    params_type: ClassVar[type[ParallelParams]] = ParallelParams

    def __init__(
        self,
        source: ModelSource,
        settings: TrainingSettings,
        ranks: Ranks,
        params: Mapping[str, Any],
    ) -> None:
        """Build the model, loaded and distributed, and its optimizer.

        Raises:
            SettingsError: unknown parameters, or a world that this parallelism cannot run on.
            TensorFileError: the base weights are not those of the architecture.
        """
        self.settings = settings
        self.ranks = ranks
        try:
            self.params = self.params_type.model_validate(dict(params))
        except ValidationError as error:
            raise SettingsError(describe_invalid(f"parallelism {self.name}", error)) from error
        self.prepare(source)

    @abstractmethod
    def prepare(self, source: ModelSource) -> None:
        """Set `self.model`, and the optimizer."""

    model: Any

    @abstractmethod
    def step(self, batch: Batch, learning_rate: float) -> StepResult:
        """Train on this rank's rows of one step."""

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write model and optimizer into an existing, empty folder that all ranks share.

        Raises:
            OSError, RuntimeError, StorageError: the disk is full or refuses.
        """

    @abstractmethod
    def load(self, folder: Path) -> None:
        """Read back what `save` wrote."""

    @abstractmethod
    def iterate_weights(self) -> Iterator[tuple[str, torch.Tensor]]:
        """Yield the whole float32 weights by name, ascending, on the CPU of the first rank."""

    def autocast(self) -> AbstractContextManager[Any]:
        """Return the context of the forward pass: bf16 arithmetic where the recipe asks for it."""
        if self.settings.precision == "fp32":
            return nullcontext()
        return torch.autocast(self.ranks.device.type, dtype=torch.bfloat16)

    def iterate_losses(self, batch: Batch) -> Iterator[tuple[torch.Tensor, torch.Tensor, bool]]:
        """Yield (loss to differentiate, its sum in nats, is it the last) per micro-batch.

        Shapes: batch [B, S] -> scalars; the sum is float32.
        """
        inputs_BS = torch.from_numpy(batch.inputs_BS).to(self.ranks.device)
        labels_BS = torch.from_numpy(batch.labels_BS).to(self.ranks.device)
        num_rows = self.params.micro_batch_sequences or len(inputs_BS)
        for begin in range(0, len(inputs_BS), num_rows):
            with self.autocast():
                logits_BSV = self.model(input_ids=inputs_BS[begin : begin + num_rows]).logits
            loss_sum = cross_entropy(
                logits_BSV.float().flatten(0, 1),
                labels_BS[begin : begin + num_rows].flatten(),
                ignore_index=IGNORED,
                reduction="sum",
            )
            scale = self.ranks.world_size / batch.num_targets
            yield loss_sum * scale, loss_sum.detach(), begin + num_rows >= len(inputs_BS)

    def checkpoint_activations(self, model: Any) -> None:
        """Switch activation checkpointing on, where the parameters ask for it."""
        if self.params.checkpoint_activations:
            model.gradient_checkpointing_enable(
                gradient_checkpointing_kwargs={"use_reentrant": False}
            )


def build_optimizer(model: Any, settings: TrainingSettings, *, is_fused: bool) -> Any:
    """Return AdamW over all parameters (Loshchilov and Hutter 2019, arXiv:1711.05101)."""
    return torch.optim.AdamW(
        model.parameters(),
        lr=0.0,  # set at every step
        betas=(settings.beta1, settings.beta2),
        eps=settings.epsilon,
        weight_decay=settings.weight_decay,
        fused=is_fused,
    )


def set_learning_rate(optimizer: Any, learning_rate: float) -> None:
    """Set the learning rate of all parameter groups."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate
