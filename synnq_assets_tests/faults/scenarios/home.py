"""A home: created with its keys, which are then wrapped."""

import os
from collections.abc import Iterator
from pathlib import Path

from synnq_assets.errors import TrustError
from synnq_assets.settings import resolve_settings
from synnq_assets.trust import Home
from synnq_assets.trust.keyfiles import KeyFacts, KeyFile, read_facts, read_private, rewrap_keys
from synnq_assets.trust.wrapping.file import FileWrapper
from synnq_assets_tests.faults.children import Tell, Told
from synnq_assets_tests.faults.scenario import Problem, Scenario

NUM_KEYS = 10


class HomeScenario(Scenario):
    """A home has all its keys or does not exist; wrapping loses none, whenever it is cut off."""

    name = "home"

    def prepare(self, folder: Path) -> None:
        (folder / "state/wrapping").mkdir(parents=True)
        self.settings = resolve_settings("local", "smoke")

    def act(self, state: Path, tell: Tell) -> None:
        os.environ["SYNNQ_KEY_FOLDER"] = str(state / "wrapping")
        path = state / "home"
        home = Home.open(path) if path.exists() else Home.create(path, self.settings)
        tell(keys=[read_facts(file).public_key for file in home.key_files])
        if any(read_facts(file).wrapper is None for file in home.key_files):
            rewrap_keys(home.key_files, FileWrapper(state / "wrapping"))
        tell(is_wrapped=True)

    def check(self, state: Path, told: Told, *, is_complete: bool) -> Iterator[Problem]:
        if not (state / "home").exists():
            if told or is_complete:
                yield Problem("lost", "the home")
            return
        home = Home.open(state / "home")
        files = home.key_files
        if len(files) != NUM_KEYS:
            yield Problem("torn", f"a home with {len(files)} keys")
        facts = [self._open(state, file) for file in files]
        for fact in told:
            if "keys" in fact and fact["keys"] != [item.public_key for item in facts]:
                yield Problem("lost", "a key was replaced by another")
            if "is_wrapped" in fact and any(item.wrapper is None for item in facts):
                yield Problem("lost", "a key stands plain after it was wrapped")
        if is_complete:
            plain = [path for path in (state / "home/keys").iterdir() if self._is_plain(path)]
            if plain:
                yield Problem("torn", f"{plain[0].name} still holds a plain key")

    def _open(self, state: Path, file: KeyFile) -> KeyFacts:
        read_private(file, FileWrapper(state / "wrapping"))
        return read_facts(file)

    def _is_plain(self, path: Path) -> bool:
        try:
            return read_facts(KeyFile(path)).wrapper is None
        except TrustError:
            return False


SCENARIO = HomeScenario()
