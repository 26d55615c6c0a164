"""The one resource: the coordinator's home."""

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
        home = Home.open(Path(self.path))
        Registry(home.ledger).load()
        return home
