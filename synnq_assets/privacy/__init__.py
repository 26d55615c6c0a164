"""What may leave a node, and under which names it is remembered.

In: figures, errors and ids. Out: the same, if they are on the allow-list; codes in the place of
error texts; pseudonyms in the place of node ids. The boundary is the allow-list, at the node, and
again where its figures arrive. Tripwires behind it catch what should not be there at all.

    telemetry.py   the registered figures: name, type, coarseness; losses as aggregates alone
    failures.py    an error as a code: its class and where in this program it came from
    tripwires.py   shapes of personal data and of machines' names; a hit is never repeated
    pseudonyms.py  keyed pseudonyms of node ids, salted commitments to anything else

Keys of pseudonyms and salts are kept by trust/concealing.py.
"""

from synnq_assets.privacy.failures import FAILURE_CODE, build_failure_code, find_failure_code
from synnq_assets.privacy.pseudonyms import build_pseudonym, commit_text
from synnq_assets.privacy.telemetry import (
    DIAGNOSTICS,
    METRICS,
    TRAINING_LOG,
    Figure,
    count_sequences,
    select_figures,
)
from synnq_assets.privacy.tripwires import find_tripwire

__all__ = [
    "DIAGNOSTICS",
    "FAILURE_CODE",
    "METRICS",
    "TRAINING_LOG",
    "Figure",
    "build_failure_code",
    "build_pseudonym",
    "commit_text",
    "count_sequences",
    "find_failure_code",
    "find_tripwire",
    "select_figures",
]
