"""A sample of the points of benchmarks/faults.py; and that the harness finds what it should."""

import os
import shutil
from pathlib import Path

import pytest

from synnq_assets_tests.benchmarks.faults import run_all
from synnq_assets_tests.faults.children import run_child
from synnq_assets_tests.faults.harness import KINDS, Bench, Tally
from synnq_assets_tests.faults.scenario import Problem, Scenario
from synnq_assets_tests.faults.tracing import FAULTS, find_calls

pytestmark = [pytest.mark.strace, pytest.mark.slow]


@pytest.fixture(autouse=True)
def strace():
    if shutil.which("strace") is None:
        if "strace" in os.environ.get("SYNNQ_TEST_REQUIRE", ""):
            pytest.fail("SYNNQ_TEST_REQUIRE names strace, but there is none")
        pytest.skip("there is no strace")


def test_no_fault_loses_tears_or_doubles_anything():
    figures = run_all(points=14)
    findings = [line for found in figures["scenarios"].values() for line in found["findings"]]
    assert findings == []
    assert figures["points"] >= 80
    assert figures["missed"] == 0


class CarelessScenario(Scenario):
    """Writes in place, acknowledges before it has written, and catches too much."""

    name = "careless"

    def prepare(self, folder: Path) -> None:
        (folder / "state").mkdir()
        (folder / "state/final").write_bytes(b"old" * 1000)

    def act(self, state, tell):
        tell(written=True)
        with (state / "final").open("wb", buffering=0) as file:
            file.write(b"new" * 500)
            file.write(b"new" * 500)

    def check(self, state, told, *, is_complete):
        held = (state / "final").read_bytes()
        if held not in (b"old" * 1000, b"new" * 1000):
            yield Problem("torn", "neither old nor new")
        elif told and held == b"old" * 1000:
            yield Problem("lost", "acknowledged, and not there")


def test_a_careless_writer_is_found_out(tmp_path):
    bench, tally = Bench(CarelessScenario(), tmp_path), Tally()
    calls = bench.find_calls()
    assert [(call.name, call.target) for call in calls] == [
        ("openat", "/state/final"),
        ("write", "/state/final"),
        ("write", "/state/final"),
    ]
    for call in calls:
        for fault in FAULTS:
            bench.run(call, fault, tally)
    assert tally.faults.total() == 12
    assert tally.problems["lost"] == 4  # at the open: nothing was written, all was acknowledged
    assert tally.problems["torn"] == 8
    assert tally.problems["untyped"] == 9  # every one that was not killed
    assert set(tally.problems) <= set(KINDS)


def test_calls_that_only_read_are_counted_but_are_no_points():
    log = (
        '7 openat(AT_FDCWD, "/state/a", O_RDONLY) = 3</state/a>\n'
        '7 openat(AT_FDCWD, "/state/a.0123456789ab.tmp", O_RDWR|O_CREAT, 0644) = 3</state/a>\n'
        '7 write(1</elsewhere>, ""..., 5) = 5\n'
        '7 write(3</state/a>, ""..., 5) = 5\n'
    )
    found = [(call.name, call.number, call.target) for call in find_calls(log, "/state")]
    assert found == [("openat", 2, "/a.*.tmp"), ("write", 2, "/a")]


def test_a_child_says_how_it_ended():
    def fail(tell):
        tell(first=1)
        raise ValueError("not typed")

    ending = run_child(fail)
    assert (ending.how, ending.told) == ("untyped", [{"first": 1}])
    assert "not typed" in ending.why
