"""One target under atheris, guided by coverage, from its samples.

    python -m synnq_assets_tests.fuzzing.fuzz_one TARGET [libFuzzer options]

Source: libFuzzer, https://llvm.org/docs/LibFuzzer.html
"""

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["synnq_assets"], enable_loader_override=False):
    from synnq_assets_tests.fuzzing.mutations import PIECES
    from synnq_assets_tests.fuzzing.targets import build_targets, try_target


def main() -> None:
    """Write samples and dictionary, then fuzz until libFuzzer ends; a finding ends it at once."""
    target = build_targets()[sys.argv[1]]
    folder = Path(tempfile.mkdtemp(prefix="synnq-corpus-"))
    (folder / "seeds").mkdir()
    for number, sample in enumerate(target.samples):
        (folder / "seeds" / f"{number:03d}").write_bytes(sample)
    words = ("".join(f"\\x{byte:02x}" for byte in piece) for piece in PIECES if len(piece) <= 64)
    (folder / "words").write_text("".join(f'"{word}"\n' for word in words))

    def run_one(data: bytes) -> None:
        try_target(target, data)

    options = [f"-dict={folder / 'words'}", f"-artifact_prefix={folder}/", *sys.argv[2:]]
    atheris.Setup([sys.argv[0], *options, str(folder / "seeds")], run_one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
