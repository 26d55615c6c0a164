"""Outer optimisers by name. A new one takes a file here, a line in `OUTER`, and its test."""

import difflib

from pydantic import ValidationError

from synnq_assets.aggregation.outer.average import Average
from synnq_assets.aggregation.outer.base import OuterOptimizer
from synnq_assets.aggregation.outer.nesterov import Nesterov
from synnq_assets.errors import SettingsError
from synnq_assets.settings.base import Variant
from synnq_assets.settings.load import describe_invalid

OUTER: dict[str, type[OuterOptimizer]] = {
    Average.name: Average,
    Nesterov.name: Nesterov,
}


def build_outer(variant: Variant) -> OuterOptimizer:
    """Return the outer optimiser that a recipe names, with its parameters checked.

    Raises:
        SettingsError: no optimiser of this name, or a parameter is unknown or out of range.
    """
    if variant.name not in OUTER:
        near = difflib.get_close_matches(variant.name, OUTER, n=1, cutoff=0.0)
        raise SettingsError(
            f"aggregation.outer: no optimiser named {variant.name!r}; did you mean {near[0]!r}? "
            f"Known: {', '.join(OUTER)}."
        )
    try:
        return OUTER[variant.name].model_validate(variant.params)
    except ValidationError as error:
        raise SettingsError(describe_invalid(f"aggregation.outer {variant.name}", error)) from error


__all__ = ["OUTER", "OuterOptimizer", "build_outer"]
