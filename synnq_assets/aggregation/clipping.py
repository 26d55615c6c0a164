"""Layer-wise clipping: no submission moves a tensor further than the median submission does.

    factor[t, i] = min(1, median_j norm[t, j] / norm[t, i])

An attacker gains nothing from length: as long as fewer than half of the submissions are bad, the
median norm of a tensor is no longer than an honest one's. Direction is the rule's business. A
tensor that most submissions leave untouched (median norm zero) stays untouched.

Source: the per-tensor median clip of Covenant-72B, arXiv:2603.08163; norm clipping as a defence,
Sun et al. 2019, arXiv:1911.07963.

Shapes: T tensors, N submissions.
"""

import numpy as np
import numpy.typing as npt

Float64 = npt.NDArray[np.float64]


def build_clip_factors(norms_TN: Float64) -> Float64:
    """Return the factor in [0, 1] of every tensor of every submission.

    Shapes: norms_TN [T, N] float64, finite and not negative -> [T, N] float64.
    """
    medians_T1 = np.median(norms_TN, axis=1, keepdims=True)
    factors_TN = np.ones_like(norms_TN)
    np.divide(medians_T1, norms_TN, out=factors_TN, where=norms_TN > medians_T1)
    return factors_TN
