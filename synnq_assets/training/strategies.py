"""Parallelisms by name. A new one takes a file in parallel/, a line in `STRATEGIES`, and its test.

Names are looked up without torch, so that a recipe can be checked where nothing is trained; a
class is imported once it is chosen.
"""

import difflib
from collections.abc import Callable
from typing import TYPE_CHECKING

from synnq_assets.errors import SettingsError
from synnq_assets.settings.base import Variant

if TYPE_CHECKING:
    from synnq_assets.training.parallel import Strategy


def _single() -> "type[Strategy]":
    from synnq_assets.training.parallel.single import SingleProcess

    return SingleProcess


def _fsdp2() -> "type[Strategy]":
    from synnq_assets.training.parallel.fsdp2 import FullyShardedDataParallel

    return FullyShardedDataParallel


def _deepspeed() -> "type[Strategy]":
    from synnq_assets.training.parallel.deepspeed import DeepSpeedZero

    return DeepSpeedZero


STRATEGIES: "dict[str, Callable[[], type[Strategy]]]" = {
    "single": _single,
    "fsdp2": _fsdp2,
    "deepspeed": _deepspeed,
}


def verify_strategy(variant: Variant) -> None:
    """Check that a parallelism of this name exists; its parameters are checked where it runs.

    Raises:
        SettingsError: unknown name; the message suggests the nearest.
    """
    if variant.name not in STRATEGIES:
        near = difflib.get_close_matches(variant.name, STRATEGIES, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(STRATEGIES)}"
        raise SettingsError(f"no parallelism named {variant.name!r}{hint}")


def find_strategy(variant: Variant) -> "type[Strategy]":
    """Return the class of a variant. Imports torch.

    Raises:
        SettingsError: unknown name; the message suggests the nearest.
    """
    verify_strategy(variant)
    return STRATEGIES[variant.name]()
