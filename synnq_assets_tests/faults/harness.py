"""One point for each write-side call and each fault of a scenario.

    python -m synnq_assets_tests.faults.harness audit [--points 20]

prints one JSON object: points, how the children ended, what was found (nothing).
"""

import argparse
import importlib
import json
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from synnq_assets_tests.faults.children import Ending, Tell, Told, run_child
from synnq_assets_tests.faults.scenario import Problem, Scenario
from synnq_assets_tests.faults.tracing import FAULTS, Call, Fault, find_calls, trace_options

SCENARIOS = ("audit", "intake", "registry", "shards", "release", "home")
KINDS = ("lost", "torn", "twice", "stuck", "untyped", "stray")


@dataclass
class Tally:
    """What a scenario's points came to."""

    calls: int = 0
    missed: int = 0  # the call did not come this time
    faults: Counter[str] = field(default_factory=Counter)
    syscalls: Counter[str] = field(default_factory=Counter)
    endings: Counter[str] = field(default_factory=Counter)
    problems: Counter[str] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)

    def note(self, kind: str, what: str) -> None:
        """Count a problem; the first ones are told in words."""
        self.problems[kind] += 1
        if len(self.findings) < 20:
            self.findings.append(f"{kind}: {what}")

    def render(self) -> dict[str, Any]:
        """Return what is printed."""
        return {
            "calls": self.calls,
            "points": self.faults.total(),
            "faults": dict(self.faults),
            "syscalls": dict(self.syscalls.most_common()),
            "endings": dict(self.endings),
            "missed": self.missed,
            **{kind: self.problems[kind] for kind in KINDS},
            "findings": self.findings,
        }


class Bench:
    """A prepared scenario, and a fresh copy of its state for each point."""

    def __init__(self, scenario: Scenario, folder: Path) -> None:
        """Prepare the scenario in a folder."""
        self.scenario = scenario
        self.folder = folder
        self.template = folder / "prepared"
        self.template.mkdir()
        scenario.prepare(self.template)
        self.point = folder / "point"
        self.log = folder / "strace.log"

    def renew(self) -> Path:
        """Return a fresh copy of the state."""
        shutil.rmtree(self.point, ignore_errors=True)
        (self.point / "tmp").mkdir(parents=True)
        shutil.copytree(self.template / "state", self.point / "state")
        return self.point / "state"

    def act(self, state: Path, options: list[str]) -> Ending:
        """Let a child act under strace."""

        def work(tell: Tell) -> None:
            tempfile.tempdir = str(self.point / "tmp")
            self.scenario.act(state, tell)

        return run_child(work, options, self.log)

    def find_calls(self) -> list[Call]:
        """Return the write-side calls of an act without faults."""
        ending = self.act(self.renew(), trace_options())
        if ending.how != "done":
            raise RuntimeError(f"{self.scenario.name} does not act: {ending}")
        problems = self.recover(self.point / "state", ending.told)
        if problems:
            raise RuntimeError(f"{self.scenario.name} does not hold without faults: {problems}")
        return list(find_calls(self.log.read_text(), str(self.point)))

    def recover(self, state: Path, told: Told) -> list[Problem]:
        """Check what is left, act again without faults, check once more."""

        def look(tell: Tell, told: Told, *, is_complete: bool) -> None:
            try:
                for problem in self.scenario.check(state, told, is_complete=is_complete):
                    tell(kind=problem.kind, what=problem.what)
            except Exception as error:
                tell(kind="torn", what=f"{type(error).__name__}: {error}")

        def work(tell: Tell) -> None:
            again: Told = []
            look(tell, told, is_complete=False)
            try:
                self.scenario.act(state, lambda **fact: again.append(fact))
            except Exception as error:
                tell(kind="stuck", what=f"{type(error).__name__}: {error}")
                return
            look(tell, [*told, *again], is_complete=True)

        ending = run_child(work)
        problems = [Problem(fact["kind"], fact["what"]) for fact in ending.told]
        return problems if ending.how == "done" else [*problems, Problem("stuck", ending.why)]

    def run(self, call: Call, fault: Fault, tally: Tally) -> None:
        """Run one point."""
        where = f"{fault.name} at {call.name} {call.number} of {call.target}"
        state = self.renew()
        ending = self.act(state, fault.options(call))
        was_hit = ending.how == "killed" or "(INJECTED)" in self.log.read_text()
        if not was_hit:
            tally.missed += 1
            return
        tally.faults[fault.name] += 1
        tally.syscalls[call.name] += 1
        tally.endings[ending.how] += 1
        if ending.how in ("untyped", "stuck"):
            tally.note(ending.how, f"{where}: {ending.why}")
        if ending.how == "refused" and not call.name.startswith("unlink"):
            for path in state.rglob("*.tmp"):
                tally.note("stray", f"{where}: {path.name} is left")
        for problem in self.recover(state, ending.told):
            tally.note(problem.kind, f"{where}: {problem.what}")


def run_scenario(name: str, max_points: int | None) -> dict[str, Any]:
    """Run all points of a scenario, or as many, evenly spread."""
    module = importlib.import_module(f"synnq_assets_tests.faults.scenarios.{name}")
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="synnq-faults-") as folder:
        bench = Bench(module.SCENARIO, Path(folder))
        calls = bench.find_calls()
        points = [(call, fault) for call in calls for fault in FAULTS]
        if max_points is not None and max_points < len(points):
            points = [
                (calls[k * len(calls) // max_points], FAULTS[k % len(FAULTS)])
                for k in range(max_points)
            ]
        tally = Tally(calls=len(calls))
        for number, (call, fault) in enumerate(points, 1):
            bench.run(call, fault, tally)
            if number % 50 == 0:
                sofar = dict(tally.problems) or "nothing found"
                print(f"{name}: {number} of {len(points)} points, {sofar}", file=sys.stderr)
    return {"scenario": name, **tally.render(), "seconds": round(time.monotonic() - begin, 1)}


def main() -> None:
    """Run one scenario."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scenario", choices=SCENARIOS)
    parser.add_argument("--points", type=int, default=None, help="at most so many, evenly spread")
    given = parser.parse_args()
    for name, value in (("OMP_NUM_THREADS", "1"), ("TOKENIZERS_PARALLELISM", "false")):
        os.environ.setdefault(name, value)
    sys.dont_write_bytecode = True
    print(json.dumps(run_scenario(given.scenario, given.points), ensure_ascii=False))


if __name__ == "__main__":
    main()
