"""`python -m synnq_assets.training ORDER.json --node NODE.yaml`: carry out one order.

torchrun takes `--node` for one of its own options. Under it, set SYNNQ_NODE, or put `--` before the
module: `torchrun --nproc-per-node=8 -m -- synnq_assets.training ORDER.json --node NODE.yaml`.

Exit codes: 0 the submission is complete; 2 an operator can mend it; 75 checkpointed after SIGTERM
or SIGUSR1, requeue the job (EX_TEMPFAIL of sysexits.h); 1 a fault of the payload. torchrun ends
with exit codes of its own; there, the progress file tells the cases apart.

All that is printed is one line with the failure's code, such as `synnq: OrderError@1f0c9b2ad3e4`;
`synnq explain` says where that is. Sentence and traceback are in the node's own log folder.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from synnq_assets.errors import SettingsError, SynnqError
from synnq_assets.privacy import build_failure_code
from synnq_assets.settings.node import default_node_file, find_log_folder, load_node_settings
from synnq_assets.training.interrupts import RequeueError
from synnq_assets.training.output import keep_output
from synnq_assets.training.run import Transform, run_order

EXIT_FAULT = 1
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
    node_path = options.node or default_node_file()
    try:
        with keep_output(find_log_folder(node_path)):
            if node_path is None:
                raise SettingsError("which node is this? Give --node NODE.yaml or set SYNNQ_NODE")
            node = load_node_settings(node_path)
            run_order(options.order, node, transform_update=transform_update)
    except Exception as error:
        print(f"synnq: {build_failure_code(error)}", file=sys.stderr, flush=True)
        if isinstance(error, RequeueError):
            return EXIT_REQUEUE
        return EXIT_OPERATOR if isinstance(error, SynnqError) else EXIT_FAULT
    return 0


if __name__ == "__main__":
    sys.exit(main())
