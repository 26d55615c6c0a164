import subprocess
import sys
import textwrap

import pytest

from synnq_assets.corpora.sources import build_source
from synnq_assets.errors import CorpusError, SettingsError
from synnq_assets.settings.recipe import SourceSettings

LONG = "This sentence of documentation is repeated until the module has enough of it. " * 8


def read(**params):
    settings = SourceSettings(name="py", kind="python-environment", params=params)
    return list(build_source(settings).read())


def install(folder, name, metadata, files):
    """Write an installed distribution, as an installer leaves it."""
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    head = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\nSummary: A package\n{metadata}\n"
    (info / "METADATA").write_text(f"{head}\nThe long description of {name}.\n")
    for path, content in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(textwrap.dedent(content))
    (info / "RECORD").write_text("".join(f"{path},,\n" for path in files))


@pytest.mark.parametrize(
    ("metadata", "licence", "is_contradicted"),
    [
        ("License-Expression: MIT OR Apache-2.0", "MIT OR Apache-2.0", False),
        ("License: BSD 3-Clause License", "BSD-3-Clause", False),
        ("Classifier: License :: OSI Approved :: MIT License", "MIT", False),
        (
            "License: MIT License\nClassifier: License :: OSI Approved :: MIT License\n"
            "Classifier: License :: OSI Approved :: Academic Free License (AFL)",
            "MIT",
            False,
        ),
        (
            "License: ISC\nClassifier: License :: OSI Approved :: BSD License",
            "ISC",
            True,
        ),
        ("License: Dual\nClassifier: License :: OSI Approved :: BSD License", "Dual", False),
        (
            "Classifier: License :: OSI Approved :: MIT License\n"
            "Classifier: License :: OSI Approved :: Apache Software License",
            "MIT AND Apache-2.0",
            False,
        ),
        ("Keywords: none", "", False),
    ],
)
def test_the_licence_is_read_from_metadata(
    tmp_path, monkeypatch, metadata, licence, is_contradicted
):
    install(tmp_path, "synnq-test-package", metadata, {})
    monkeypatch.syspath_prepend(str(tmp_path))
    [document] = read(packages=["synnq_test.package"])
    assert document.licence == licence
    assert document.licence_conflict == is_contradicted
    assert document.text.strip() == "The long description of synnq-test-package."
    assert document.origin == "python:synnq-test-package==1.0#METADATA"


def test_docstrings_are_read_without_importing_and_foreign_code_is_passed_over(
    tmp_path, monkeypatch
):
    module = f'"""{LONG}"""\nraise SystemExit\n\n\nclass A:\n    """Of the class."""\n'
    files = {
        "pkg/own.py": module,
        "pkg/_vendor/foreign.py": module,
        "pkg/tests/test_own.py": module,
        "pkg/short.py": '"""Too little."""\n',
        "pkg/broken.py": "def (",
    }
    install(tmp_path, "synnq-test-package", "License: MIT", files)
    monkeypatch.syspath_prepend(str(tmp_path))
    documents = read(packages=["synnq-test-package"])
    assert [document.doc_type for document in documents] == ["package_description", "docstrings"]
    assert documents[1].origin == "python:synnq-test-package==1.0#pkg/own.py"
    assert documents[1].text == f"{LONG.strip()}\n\nOf the class."
    assert documents[1].domain == "software"


def test_a_sample_is_stable_and_spread_over_packages():
    packages = ["pydantic", "hypothesis", "pytest", "numpy"]
    documents = read(packages=packages, max_documents=12)
    assert len(documents) == 12
    names = [document.origin.split(":")[1].split("==")[0] for document in documents]
    assert {names.count(name) for name in packages} == {3}
    assert read(packages=packages[::-1], max_documents=12) == documents
    assert read(packages=packages, max_documents=5) == documents[:5]


def test_reading_imports_none_of_the_packages():
    code = (
        "import sys\n"
        "from synnq_assets.corpora.sources.python_environment import PythonEnvironmentSource as S\n"
        "params = {'packages': ['hypothesis', 'pytest'], 'max_documents': 8}\n"
        "print(len(list(S('py', params).read())))\n"
        "print('hypothesis' in sys.modules, 'torch' in sys.modules)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.split() == ["8", "False", "False"]


def test_a_package_that_is_not_installed_is_named():
    with pytest.raises(CorpusError, match="'pydantik' is not installed here; did you mean"):
        read(packages=["pydantik"])
    with pytest.raises(SettingsError, match=r"params.max_documents: .*greater than 0"):
        read(max_documents=0)
