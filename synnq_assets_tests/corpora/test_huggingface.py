import json
import os
import subprocess
import sys

import pytest

from synnq_assets.corpora.sources import build_source
from synnq_assets.errors import CorpusError, SettingsError
from synnq_assets.settings.recipe import SourceSettings


def read(**params):
    return list(build_source(SourceSettings(name="hf", kind="huggingface", params=params)).read())


def test_a_local_data_set_is_streamed(tmp_path):
    rows = [{"text": f"text {n}", "lang": "fr", "license": ["mit", "cc0-1.0"]} for n in range(5)]
    file = tmp_path / "rows.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    documents = read(id="json", data_files=[str(file)], max_documents=3)
    assert [document.text for document in documents] == ["text 0", "text 1", "text 2"]
    assert documents[0].language == "fr"
    assert documents[0].licence == "mit AND cc0-1.0"
    assert documents[0].origin == "hf:json"
    with pytest.raises(CorpusError, match="data set 'json' has no column 'body'"):
        read(id="json", data_files=[str(file)], columns={"text": "body"})


def test_an_unreachable_hub_is_one_sentence():
    code = (
        "from synnq_assets.corpora.sources.huggingface import HuggingFaceSource as S\n"
        "from synnq_assets.errors import CorpusError\n"
        "try: list(S('hf', {'id': 'nobody/nothing'}).read())\n"
        "except CorpusError as error: print(error)"
    )
    environment = os.environ | {"HF_HUB_OFFLINE": "1"}
    result = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert "data set 'nobody/nothing' cannot be streamed" in result.stdout
    assert "use a directory source" in result.stdout
    assert result.stdout.count("\n") == 1


def test_the_id_is_required():
    with pytest.raises(SettingsError, match=r"params.id: required parameter is missing"):
        read()
