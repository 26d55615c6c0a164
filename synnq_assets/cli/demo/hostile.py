"""The payload of a node that lies: honest in every round but one, where it turns its update round.

It trains as ordered, then sends the update with its sign flipped and ten times as large, under its
own valid signature. Only checks of the content can tell.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from synnq_assets.cli.demo.setup import HOSTILE_ROUND
from synnq_assets.records.identifiers import parse_assignment_id

FACTOR = -10.0


def turn_round(update: dict[str, Any]) -> dict[str, Any]:
    """Return the update with its sign flipped, ten times as large."""
    return {name: tensor * FACTOR for name, tensor in update.items()}


def main(arguments: Sequence[str]) -> int:
    """Run the ordinary payload, with a turned update in the one round."""
    from synnq_assets.training.__main__ import main as run_payload

    round_key, _, _ = parse_assignment_id(Path(arguments[0]).resolve().parent.name)
    is_lying = round_key == HOSTILE_ROUND
    return run_payload(arguments, transform_update=turn_round if is_lying else None)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
