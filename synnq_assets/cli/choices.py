"""Names in a recipe, looked up where their families are registered, before anything is created.

Settings are ground and know no room; a misspelt rule would show itself after the first round only.
"""

import importlib.util

from synnq_assets.errors import SettingsError
from synnq_assets.settings import Settings


def verify_choices(settings: Settings) -> Settings:
    """Return the settings if every variant that they name exists. Imports no torch.

    Raises:
        SettingsError: an unknown architecture, rule, outer optimiser, parallelism, or licence, or a
            wrong parameter; the message names the setting and the nearest known name.
        UnknownSourceError: an unknown kind of corpus source.
    """
    # Rooms are imported when they are asked: the command line starts without them.
    from synnq_assets.aggregation import build_outer, build_rule
    from synnq_assets.corpora.licences import parse_accepted
    from synnq_assets.corpora.sources import build_source
    from synnq_assets.modeling.architectures import find_architecture
    from synnq_assets.training.strategies import verify_strategy

    recipe = settings.recipe
    try:
        find_architecture(recipe.model.architecture)
    except SettingsError as error:
        raise SettingsError(f"model.architecture: {error}") from error
    try:
        verify_strategy(recipe.training.parallelism)
    except SettingsError as error:
        raise SettingsError(f"training.parallelism: {error}") from error
    build_rule(recipe.aggregation.rule)
    build_outer(recipe.aggregation.outer)
    for source in recipe.corpus.sources:
        build_source(source)
    if importlib.util.find_spec("license_expression"):  # of the extra `curate`
        parse_accepted(recipe.corpus.licences)
    return settings
