"""Every parser of foreign bytes under atheris for some seconds each.

    pip install -e '.[fuzz]'
    python -m synnq_assets_tests.benchmarks.fuzz [--seconds 60] [--jobs 2] [TARGET …]

Prints one JSON object: cases and findings of each target; findings make the exit code 1. A finding
is whatever is neither a value nor a typed error, more than five seconds for a case, or more than
2 GiB.
"""

import argparse
import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from synnq_assets_tests.fuzzing.targets import build_targets

LIMITS = ("-timeout=5", "-rss_limit_mb=2048", "-max_len=16384", "-print_final_stats=1")


def fuzz(name, seconds):
    """Return what one target's run came to."""
    module = ["-m", "synnq_assets_tests.fuzzing.fuzz_one", name]
    command = [sys.executable, *module, f"-max_total_time={seconds}", *LIMITS]
    result = subprocess.run(command, capture_output=True, text=True, errors="replace")
    text = result.stdout + result.stderr
    cases = re.search(r"number_of_executed_units: (\d+)", text)
    coverage = re.findall(r"cov: (\d+)", text)
    figures = {
        "cases": int(cases[1]) if cases else 0,
        "coverage": int(coverage[-1]) if coverage else 0,
        "findings": int(result.returncode != 0),
    }
    begin = max(0, text.find("Uncaught Python exception"))
    return {**figures, "output": text[begin:][:4000]} if result.returncode else figures


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("targets", nargs="*", help="all, where none is named")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    given = parser.parse_args()
    names = given.targets or list(build_targets())
    with ThreadPoolExecutor(given.jobs) as pool:
        found = list(pool.map(partial(fuzz, seconds=given.seconds), names))
    figures = {
        "seconds_per_target": given.seconds,
        "cases": sum(item["cases"] for item in found),
        "findings": sum(item["findings"] for item in found),
        "targets": dict(zip(names, found, strict=True)),
    }
    print(json.dumps(figures, indent=2, ensure_ascii=False))
    sys.exit(figures["findings"] > 0)


if __name__ == "__main__":
    main()
