"""Shapes of personal data and of machines' names trip; figures, ids and codes do not."""

import pytest

from synnq_assets import __version__
from synnq_assets.privacy import find_tripwire
from synnq_assets.records.base import sha256_hex


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("write to erika.mustermann@example.org please", "e-mail address"),
        ("erika(at)example.org", "e-mail address"),
        ("00:1a:2B:3c:4d:5e", "MAC address"),
        ("GPU-6f1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d", "UUID"),
        ("/home/erika/run", "path"),
        ("cannot open /scratch/project_465000123/x.pt", "path"),
        ("~/private/notes", "path"),
        (r"C:\Users\Erika", "path"),
        ("on nid001.lumi.csc.fi now", "host name"),
        ("gpu-7.cluster.internal", "host name"),
        ("+49 30 1234567", "telephone number"),
        ("0039 011 670 6111", "telephone number"),
        ("from 10.24.3.117:4422", "IP address"),
        ("[fe80::1ff:fe23:4567:890a]", "IP address"),
        ("2001:db8::1", "IP address"),
        ("DE89 3704 0044 0532 0130 00", "IBAN"),
        ("it60x0542811101000000123456", "IBAN"),
        ("x" * (2**20 + 1), "long text"),
    ],
)
def test_a_shape_is_found_and_only_named(text, kind):
    assert find_tripwire(text) == kind


@pytest.mark.parametrize(
    "text",
    [
        "",
        sha256_hex(b"a shard"),
        "r0007.lumi-g-03.1",
        "r0007|lumi-g-03",
        "local-r0001.node-east.1",
        "OrderError@0123456789ab",
        "2026-11-23T09:24:48.931730Z",
        "model.layers.0.mlp.down_proj.weight",
        "training_log.parquet: column loss is text, expected floating",
        "parquet-cpp-arrow version 25.0.1",
        "steward, release, log",
        "de.health",
        "loss rose by 5.5% (from 2.000 to 2.110); at most 5.0% is accepted",
        "DE89 3704 4044 0532 0130 01",  # no valid checksum
        "1234.5678.90",
        "::",
        __version__,
    ],
)
def test_figures_ids_and_our_own_sentences_do_not_trip(text):
    assert find_tripwire(text) is None
