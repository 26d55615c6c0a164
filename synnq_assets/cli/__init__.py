"""`synnq`: what people type.

app.py         the commands, and how errors become one sentence
campaign.py    init, up, rounds, lineage
nodes.py       create, enrol, list, suspend, revoke
registry.py    rotation of keys, exports of the registry, its root
destruction.py shards shred; nodes destroy, nodes certify
keys.py        list, generate, protect, unprotect, export-public
audit.py       show, verify, export, receipts, co-signatures
witness.py     a witness of somebody else's log
gateway.py     init, issue, serve; submit and request-certificate at the node
releases.py    verify-release, serve
choices.py     do the names in a recipe exist
home.py        where the home is, and opening it
data_docs.py   where Data Docs are served
services.py    the Dagster daemon and web server as child processes
runs.py        Dagster's runs: those that failed, those that a stop interrupts
signals.py     Ctrl-C, SIGTERM, SIGHUP: all end what was started
demo/          the whole loop on one machine
"""

import sys


def main() -> None:
    """Run the command line; an operator's mistake ends in one sentence and exit code 2."""
    from synnq_assets.cli.signals import leave_on_signals

    leave_on_signals()
    from synnq_assets.cli.app import run

    sys.exit(run(sys.argv[1:]))
