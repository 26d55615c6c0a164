"""Faults at every write-side system call: killed, I/O error, disk full, disk that stays full.

    tracing.py     what strace is told, and what it says
    children.py    a forked child that strace watches from a known call on
    scenario.py    what a scenario is: prepare a state, act on it, check what stands
    harness.py     one point for each call and fault; run as a module, it prints one JSON object
    scenarios/     audit log, intake, registry, shard writer, release, home

A scenario is imported and prepared once. Each point forks a child from there, attaches strace,
and lets the child act on a fresh copy of the state; strace injects one fault at one call. Then
another child opens what is left, checks it, does the same act again without faults, and checks
once more.

A kill leaves what the kernel holds in its page cache: loss of power is another matter.

Source: the fault tests of Tessera (github.com/transparency-dev/tessera, integration/fault/posix).
"""
