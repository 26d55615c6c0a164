"""Signals end a command in order; a second one does not cut the clearing up short."""

import signal
import subprocess
import sys

import pytest

LEAVES = """
import sys, time
from synnq_assets.cli.signals import leave_on_signals, undisturbed
leave_on_signals()
try:
    print("ready", flush=True)
    time.sleep(60)
finally:
    with undisturbed():
        print("clearing up", flush=True)
        sys.stdin.readline()
        print("cleared up", flush=True)
"""


def start(*, before=""):
    process = subprocess.Popen(
        [sys.executable, "-c", before + LEAVES],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, -signal.SIGINT)],
    ids=["SIGTERM", "SIGHUP", "SIGINT"],
)
def test_a_signal_lets_the_command_clear_up_and_a_second_one_waits(number, code):
    process = start()
    process.send_signal(number)
    assert process.stdout.readline() == "clearing up\n"
    for again in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        process.send_signal(again)
    assert process.communicate("go on\n", timeout=60)[0] == "cleared up\n"
    assert process.returncode == code


def test_what_nohup_ignores_stays_ignored():
    process = start(before="import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n")
    process.send_signal(signal.SIGHUP)
    process.send_signal(signal.SIGTERM)
    process.communicate("go on\n", timeout=60)
    assert process.returncode == 143
