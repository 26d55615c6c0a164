"""The release: a small model with its card, papers and signed record, as one folder."""

from collections.abc import Iterator
from pathlib import Path

from synnq_assets.release import build_release, verify_release
from synnq_assets.trust import SigningKey
from synnq_assets_tests.faults.children import Tell, Told
from synnq_assets_tests.faults.scenario import Problem, Scenario
from synnq_assets_tests.release.release_folder import make_inputs


class ReleaseScenario(Scenario):
    """A release folder is whole and verifies, or it is not there."""

    name = "release"

    def prepare(self, folder: Path) -> None:
        import transformers  # noqa: F401 - imported once, not at each point

        (folder / "state").mkdir()
        root, self.key = SigningKey.generate(), SigningKey.generate()
        self.inputs = make_inputs(folder / "inputs", root, self.key)

    def act(self, state: Path, tell: Tell) -> None:
        tell(record=build_release(self.inputs, self.key, state / "release").digest())

    def check(self, state: Path, told: Told, *, is_complete: bool) -> Iterator[Problem]:
        visible = {path.name for path in state.iterdir() if not path.name.startswith(".")}
        if visible - {"release"}:
            yield Problem("torn", f"{sorted(visible)} stand where a release should")
        if "release" not in visible:
            if told or is_complete:
                yield Problem("lost", "the release")
            return
        record = verify_release(state / "release", self.inputs.root_public_key).record
        if any(fact["record"] != record.digest() for fact in told):
            yield Problem("twice", "another release was acknowledged than the one that stands")


SCENARIO = ReleaseScenario()
