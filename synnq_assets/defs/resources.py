"""The one resource: the coordinator's home."""

from functools import lru_cache
from pathlib import Path

import dagster as dg

from synnq_assets.federation import Registry
from synnq_assets.trust import Home


class HomeResource(dg.ConfigurableResource):
    """Opens the coordinator's home, with every granted and enrolled key on its keyring."""

    path: str

    def open(self) -> Home:
        """Return the opened home.

        Raises:
            SettingsError: there is no home; run `synnq init`.
        """
        home = _open_home(self.path)
        Registry(home.ledger).load()
        return home


@lru_cache(maxsize=4)
def _open_home(path: str) -> Home:
    # Sensors open the home at every tick; what they verified once stays verified.
    return Home.open(Path(path))
