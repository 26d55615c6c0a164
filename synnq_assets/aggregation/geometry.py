"""The first pass: norms per tensor and the Gram matrix of all updates, in float64.

Every linear statement about the updates (norms, cosines, distances) follows from these small
tables, so no second model-sized buffer is needed. Distances are taken between updates, never
between weights, whose differences would drown in float32.

Products are summed in tiles without a linear-algebra library, whose order of summation depends
on the number of threads; the norms decide the clipping, and so the bytes of the checkpoint.

Shapes: T tensors, N submissions, B elements of a block.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from synnq_assets.aggregation.inputs import OpenedUpdate
from synnq_assets.errors import AggregationError

Float64 = npt.NDArray[np.float64]
TILE_ELEMENTS = 16_384


@dataclass(frozen=True)
class UpdateGeometry:
    """norms_TN [T, N] per tensor and submission; gram_NN [N, N] inner products of whole updates."""

    norms_TN: Float64
    gram_NN: Float64

    @property
    def norms(self) -> Float64:
        """L2 norm of each whole update."""
        return np.sqrt(np.diag(self.gram_NN))

    @property
    def cosines(self) -> Float64:
        """Cosine of every pair of updates; zero where one of them is zero."""
        return _divide(self.gram_NN, np.multiply.outer(self.norms, self.norms))

    def cosines_to_mean(self, weights_N: Float64) -> Float64:
        """Return the cosine of each update with the weighted mean of all, before clipping."""
        inner_N = self.gram_NN @ weights_N
        mean_norm = np.sqrt(max(float(weights_N @ inner_N), 0.0))
        return _divide(inner_N, self.norms * mean_norm)


def _divide(numerator: Float64, denominator: Float64) -> Float64:
    quotient = np.zeros_like(numerator)
    np.divide(numerator, denominator, out=quotient, where=denominator > 0)
    return np.clip(quotient, -1.0, 1.0)


def _add_products(gram_NN: Float64, blocks: Sequence[npt.NDArray[np.float32]]) -> None:
    """Add the inner products of a block, tile after tile, whatever the block's size."""
    for begin in range(0, len(blocks[0]), TILE_ELEMENTS):
        tile = slice(begin, begin + TILE_ELEMENTS)
        part_NB = np.stack([block[tile] for block in blocks], dtype=np.float64)
        gram_NN += np.einsum("ik,jk->ij", part_NB, part_NB, optimize=False)


def measure_updates(
    updates: Sequence[OpenedUpdate], names: Sequence[str], block_elements: int
) -> UpdateGeometry:
    """Stream all updates once, side by side.

    Args:
        updates: of one schema, in canonical order.
        names: the tensors.
        block_elements: elements that are held of each update at a time.

    Raises:
        AggregationError: an update holds NaN or infinity, or cannot be read to its end.
    """
    norms_TN = np.zeros((len(names), len(updates)))
    total_NN = np.zeros((len(updates), len(updates)))
    for t, name in enumerate(names):
        tensor_NN = np.zeros_like(total_NN)
        for begin, end in updates[0].file.iter_blocks(name, block_elements):
            blocks = [update.read(name, begin, end) for update in updates]
            _add_products(tensor_NN, blocks)
        # float32 squared cannot overflow float64, so a finite sum means finite elements
        for i, update in enumerate(updates):
            if not np.isfinite(tensor_NN[i, i]):
                raise AggregationError(
                    f"{update.label}: {name} holds NaN or infinity; exclude this submission"
                )
        norms_TN[t] = np.sqrt(np.diag(tensor_NN))
        total_NN += tensor_NN
    return UpdateGeometry(norms_TN, total_NN)
