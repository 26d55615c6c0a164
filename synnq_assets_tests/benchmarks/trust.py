"""Speed of the trust room beside its peers on the same inputs, as one JSON object.

    python -m synnq_assets_tests.benchmarks.trust --entries 1000000 --peers ../peers/bin/python

Ours: durable appends at batches of 1, 10, 100 and 1000, inclusion proofs made and verified, a check
of a whole log, sealing and opening, intake of an update. Peers run in an interpreter of their own,
named by --peers, with `pymerkle`, `pyrage` (age) and `tink` installed; a peer that is missing there
is left out. Rates are per second of wall time; `per core` figures divide by processor time, since
machines are shared. Files lie in --folder, which should be on the disk that matters.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import numpy as np

from synnq_assets.storage.files import hash_file
from synnq_assets.storage.tensors import TensorFile, TensorWriter
from synnq_assets.submissions.intake import measure_tensor
from synnq_assets.trust.audit import AuditLog, LogKeys
from synnq_assets.trust.audit.entries import build_entry, render_entry
from synnq_assets.trust.audit.receipts import verify_receipt
from synnq_assets.trust.merkle import hash_leaf, is_included
from synnq_assets.trust.sealing import open_sealed, seal_bytes

MIB = 1 << 20
KEYS = LogKeys.generate("benchmark")


class Clock:
    """Wall and processor seconds of a block."""

    wall = processor = 0.0

    def rate(self, count):
        """Return counts per second of wall time and of processor time."""
        return {
            "per_second": round(count / self.wall, 1),
            "per_core_second": round(count / max(self.processor, 1e-9), 1),
        }


@contextmanager
def timed():
    clock = Clock()
    wall, processor = time.perf_counter(), time.process_time()
    yield clock
    clock.wall = time.perf_counter() - wall
    clock.processor = time.process_time() - processor


def build_entries(count):
    details = {"sha256": "a" * 64, "decision": "accepted"}
    return [
        build_entry("result", "verified_submission", f"r{k:04d}", actor="a", details=details)
        for k in range(count)
    ]


def measure_appends(folder):
    figures = {}
    for batch, count in ((1, 300), (10, 3000), (100, 30_000), (1000, 60_000)):
        log = AuditLog(folder / f"appends-{batch}.sqlite", KEYS)
        entries = build_entries(batch)
        log.append_all(entries)
        with timed() as clock:
            for _ in range(count // batch):
                log.append_all(entries)
        figures[f"batch_{batch}"] = clock.rate(count // batch * batch)
        log.database.close()
    return figures


def measure_log(folder, num_entries):
    """A long log: proofs, and a check of all of it."""
    log = AuditLog(folder / "long.sqlite", KEYS)
    entries = build_entries(1000)
    while log.size() < num_entries:
        log.append_all(entries)
    bodies = [render_entry(entry) for entry in entries]
    log_size = log.size()
    positions = [int(k) for k in np.random.default_rng(0).integers(0, log_size, 2000)]
    with timed() as proving:
        proofs = [log.prove_inclusion(position, log_size) for position in positions]
    leaves = [hash_leaf(bodies[position % 1000]) for position in positions]
    root = log.root(log_size)
    with timed() as checking_proofs:
        for position, leaf, proof in zip(positions, leaves, proofs, strict=True):
            assert is_included(leaf, position, log_size, list(map(bytes.fromhex, proof)), root)
    with timed() as making:
        receipts = [log.receipt(position) for position in positions]
    with timed() as verifying:
        for position, receipt in zip(positions[:500], receipts, strict=False):
            verify_receipt(receipt, bodies[position % 1000], KEYS.verifier)
    with timed() as checking:
        size, _ = log.verify(KEYS.verifier)
    return {
        "entries": size,
        "proofs_made": proving.rate(len(positions)),
        "proofs_verified": checking_proofs.rate(len(positions)),
        "receipts_made": making.rate(len(positions)),
        "receipts_verified": verifying.rate(500),
        "fsck_seconds": round(checking.wall, 2),
        "fsck_processor_seconds": round(checking.processor, 2),
    }


def measure_sealing(folder, num_mib):
    plaintext, key = os.urandom(num_mib * MIB), os.urandom(32)
    path = folder / "sealed"
    seal_bytes(plaintext, key, b"context", path)
    with timed() as sealing:
        seal_bytes(plaintext, key, b"context", path)
    with timed() as opening:
        assert open_sealed(path, key, b"context") == plaintext
    return {"seal_mib": sealing.rate(num_mib), "open_mib": opening.rate(num_mib)}


def measure_intake(folder, num_mib):
    """Digest, strict profile and streamed figures of one update: what intake does per byte."""
    path, num_tensors = folder / "update.safetensors", 16
    size = num_mib * MIB // 2 // num_tensors
    names = [f"t{k:02d}" for k in range(num_tensors)]
    values = np.random.default_rng(0).integers(15_000, 16_000, size, dtype=np.uint16)
    with TensorWriter(path, {name: ("BF16", (size,)) for name in names}) as writer:
        for name in names:
            writer.append(name, values)
    with timed() as hashing:
        hash_file(path)
    with timed() as clock:
        hash_file(path)
        with TensorFile(path) as file:
            for name in names:
                measure_tensor(file, name)
    return {"mib": clock.rate(num_mib), "digest_alone_mib": hashing.rate(num_mib)}


PEER = r"""
import json, os, sys, tempfile, time
from importlib.metadata import version
num_mib, found = int(sys.argv[1]), {}

def rates(name, count, act):
    wall, processor = time.perf_counter(), time.process_time()
    act()
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    return {name: {"per_second": round(count / wall, 1),
                   "per_core_second": round(count / max(processor, 1e-9), 1)}}

data = os.urandom(num_mib << 20)
folder = tempfile.mkdtemp(dir=sys.argv[2])
try:
    import pyrage
    key = pyrage.x25519.Identity.generate()
    box = {}
    out = os.path.join(folder, "age")
    def seal():
        box["sealed"] = pyrage.encrypt(data, [key.to_public()])
        with open(out, "wb") as file:
            file.write(box["sealed"]); file.flush(); os.fsync(file.fileno())
    found["age (pyrage %s)" % version("pyrage")] = {
        **rates("seal_mib", num_mib, seal),
        **rates("open_mib", num_mib, lambda: pyrage.decrypt(open(out, "rb").read(), [key]))}
except ImportError:
    pass
try:
    import io
    import tink
    from tink import streaming_aead
    streaming_aead.register()
    handle = tink.new_keyset_handle(streaming_aead.streaming_aead_key_templates.AES256_GCM_HKDF_1MB)
    primitive = handle.primitive(streaming_aead.StreamingAead)
    out = os.path.join(folder, "tink")
    def seal():
        with open(out, "wb") as file, primitive.new_encrypting_stream(file, b"context") as stream:
            for begin in range(0, len(data), 1 << 20):
                stream.write(data[begin : begin + (1 << 20)])
    def reopen():
        with open(out, "rb") as file, primitive.new_decrypting_stream(file, b"context") as stream:
            while stream.read(1 << 20):
                pass
    found["tink %s" % version("tink")] = {
        **rates("seal_mib", num_mib, seal), **rates("open_mib", num_mib, reopen)}
except ImportError:
    pass
try:
    from pymerkle import SqliteTree
    tree = SqliteTree(os.path.join(folder, "pymerkle.sqlite"), algorithm="sha256")
    entry = b"x" * 250
    figures = rates("appends_batch_1", 300, lambda: [tree.append_entry(entry) for _ in range(300)])
    bulk = [entry] * 3000
    figures.update(rates("appends_bulk", 3000, lambda: tree.append_entries(bulk, 100)))
    size = tree.get_size()
    prove = lambda: [tree.prove_inclusion(1 + k % size, size) for k in range(200)]
    figures.update(rates("proofs_made", 200, prove))
    found["pymerkle %s" % version("pymerkle")] = figures
except ImportError:
    pass
print(json.dumps(found))
"""


def run_peers(interpreter, num_mib, folder):
    done = subprocess.run(
        [interpreter, "-c", PEER, str(num_mib), str(folder)], capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(f"the peers failed: {done.stderr[-1000:]}")
    return json.loads(done.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--mib", type=int, default=256)
    parser.add_argument("--folder", type=Path, default=Path.cwd())
    parser.add_argument("--peers", help="a Python that has pymerkle, pyrage and tink")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        folder = Path(name)
        figures = {
            "appends": measure_appends(folder),
            "log": measure_log(folder, given.entries),
            "sealing": measure_sealing(folder, given.mib),
            "intake": measure_intake(folder, given.mib),
            "peers": run_peers(given.peers, given.mib, folder) if given.peers else {},
            "versions": {name: version(name) for name in ("cryptography", "numpy")},
            "python": sys.version.split()[0],
            "load_average": os.getloadavg()[0],
        }
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
