"""A released model: a folder that loads with one line and verifies without a network.

In: the records of a campaign, the weights of one promoted round, the release key. Out: a folder
in Hugging Face form with a model card, AI Act papers and provenance, and the record that signs
every byte of it.

    inputs.py         ReleaseInputs, and what must hold before anything is written
    facts.py          the figures that card and papers share
    build.py          write the folder beside, verify it, rename it
    verify.py         check a folder, from one root key or none
    contents.py       the layout; the exact set of files
    llama.py          the tensors that a config.json calls for
    provenance.py     lineage, evaluations, shards and key grants as files
    card.py           the model card (README.md)
    tables.py         Markdown tables of the card and the papers
    sources.py        kinds of corpus source, in the words of the AI Act template
    summary.py        public summary of training content, AI Act Art. 53(1)(d)
    documentation.py  Model Documentation Form, AI Act Art. 53(1)(a) and (b)
"""

from synnq_assets.release.build import build_release
from synnq_assets.release.inputs import ReleaseInputs, ReportedEnergy
from synnq_assets.release.verify import VerifiedRelease, verify_release

__all__ = [
    "ReleaseInputs",
    "ReportedEnergy",
    "VerifiedRelease",
    "build_release",
    "verify_release",
]
