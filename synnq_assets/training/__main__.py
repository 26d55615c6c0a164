"""`python -m synnq_assets.training ORDER.json --node NODE.yaml`: carry out one order.

torchrun takes `--node` for one of its own options. Under it, set SYNNQ_NODE, or put `--` before the
module: `torchrun --nproc-per-node=8 -m -- synnq_assets.training ORDER.json --node NODE.yaml`.

Exit codes: 0 the submission is complete; 2 an operator can mend it, one sentence on stderr says
how; 75 checkpointed after SIGTERM or SIGUSR1, requeue the job (EX_TEMPFAIL of sysexits.h); 1 a
fault of the payload, with its traceback. torchrun ends with exit codes of its own; there,
the progress file tells the cases apart.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from synnq_assets.errors import SettingsError, SynnqError
from synnq_assets.settings.node import default_node_file, load_node_settings
from synnq_assets.training.interrupts import RequeueError
from synnq_assets.training.run import Transform, run_order

EXIT_OPERATOR = 2
EXIT_REQUEUE = 75


def build_parser() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    parser = argparse.ArgumentParser(
        prog="python -m synnq_assets.training",
        description="Verify an order, train its shards, and write a signed submission.",
    )
    parser.add_argument("order", type=Path, help="order.json in its job folder")
    parser.add_argument(
        "--node", type=Path, default=None, help="the node's own settings; default: $SYNNQ_NODE"
    )
    return parser


def main(
    arguments: Sequence[str] | None = None, *, transform_update: Transform | None = None
) -> int:
    """Run the command; return its exit code."""
    options = build_parser().parse_args(arguments)
    try:
        node_path = options.node or default_node_file()
        if node_path is None:
            raise SettingsError("which node is this? Give --node NODE.yaml or set SYNNQ_NODE")
        node = load_node_settings(node_path)
        run_order(options.order, node, transform_update=transform_update)
    except RequeueError as stop:
        print(f"synnq: {stop}", file=sys.stderr)
        return EXIT_REQUEUE
    except SynnqError as error:
        print(f"synnq: {error}", file=sys.stderr)
        return EXIT_OPERATOR
    return 0


if __name__ == "__main__":
    sys.exit(main())
