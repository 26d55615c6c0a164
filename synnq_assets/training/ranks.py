"""The processes of one job, from torch's point of view."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch._C._distributed_c10d import HashStore

from synnq_assets.errors import TrainingError
from synnq_assets.settings.node import Launch


@dataclass(frozen=True)
class Ranks:
    """This process among the job's processes, and the device that it computes on."""

    launch: Launch
    device: torch.device

    @property
    def world_size(self) -> int:
        """Number of processes."""
        return self.launch.world_size

    @property
    def is_first(self) -> bool:
        """Whether this process writes what is written once."""
        return self.launch.rank == 0

    def sum(self, values: Sequence[float]) -> list[float]:
        """Return the sums over all ranks, in float64; every rank must call."""
        if self.world_size == 1:
            return list(values)
        totals = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.all_reduce(totals)
        return [float(value) for value in totals.tolist()]

    def wait(self) -> None:
        """Wait until every rank has come here."""
        if self.world_size > 1:
            dist.barrier()


@contextmanager
def open_ranks(launch: Launch, *, needs_group: bool) -> Iterator[Ranks]:
    """Join the job's processes; leave them at the end.

    `torch.cuda` covers CUDA and ROCm. On the CPU the ranks talk over gloo.

    Raises:
        TrainingError: the ranks do not find each other, or a rank has no accelerator of its own.
    """
    if torch.cuda.is_available():
        if launch.local_rank >= torch.cuda.device_count():
            raise TrainingError(
                f"rank {launch.rank} finds {torch.cuda.device_count()} accelerators; "
                f"start at most so many ranks on a host, or make all of them visible to each"
            )
        device = torch.device("cuda", launch.local_rank)
        torch.cuda.set_device(device)
    else:
        device = torch.device("cpu")
    if launch.world_size > 1 or needs_group:
        _join(launch, device)
    try:
        yield Ranks(launch, device)
    except BaseException:
        # With others about, leaving could wait for a rank that is inside a collective; we exit.
        if launch.world_size == 1:
            _leave()
        raise
    _leave()


def _leave() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()


def _join(launch: Launch, device: torch.device) -> None:
    backend = "nccl" if device.type == "cuda" else "gloo"
    try:
        if launch.world_size == 1:
            dist.init_process_group(backend, store=HashStore(), rank=0, world_size=1)
        else:  # MASTER_ADDR and MASTER_PORT come from the launcher
            dist.init_process_group(backend)
    except (RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise TrainingError(f"the job's ranks do not find each other: {reason}") from error
