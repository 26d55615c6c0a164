"""Faults at every write-side system call of six writers, with their promises checked afterwards.

    python -m synnq_assets_tests.benchmarks.faults [--points 100] [--jobs 2]

Each call is a point four times: the process is killed, the call fails with EIO, with ENOSPC, and
from there on with ENOSPC. Prints one JSON object; what is found makes the exit code 1. Needs
strace. `--points` takes as many of each scenario's points, evenly spread; without it, all.
"""

import argparse
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from synnq_assets_tests.faults.harness import KINDS, SCENARIOS

TOTALS = {"lost": "entries_lost", "torn": "torn_states", "twice": "double_acceptances"}


def run_scenario(name, points):
    command = [sys.executable, "-m", "synnq_assets_tests.faults.harness", name]
    if points is not None:
        command += ["--points", str(points)]
    result = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    print(result.stdout.decode(), file=sys.stderr)  # what follows may be cut off
    return json.loads(result.stdout)


def run_all(points=None, jobs=2, names=SCENARIOS):
    """Return the figures of all scenarios, and their sums."""
    with ThreadPoolExecutor(jobs) as pool:
        found = list(pool.map(lambda name: run_scenario(name, points), names))
    return {
        "points": sum(figures["points"] for figures in found),
        **{TOTALS.get(kind, kind): sum(f[kind] for f in found) for kind in KINDS},
        "missed": sum(figures["missed"] for figures in found),
        "scenarios": {figures.pop("scenario"): figures for figures in found},
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=None)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    given = parser.parse_args()
    figures = run_all(given.points, given.jobs)
    print(json.dumps(figures, indent=2, ensure_ascii=False))
    sys.exit(any(figures[TOTALS.get(kind, kind)] for kind in KINDS))


if __name__ == "__main__":
    main()
