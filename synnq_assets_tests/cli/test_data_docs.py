import subprocess
import time
import urllib.error
import urllib.request
from contextlib import contextmanager

import pytest

from synnq_assets.cli.data_docs import plan_data_docs_server
from synnq_assets.settings import resolve_settings
from synnq_assets.trust import Home


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.delenv("SYNNQ_DATA_DOCS_URL", raising=False)
    return Home.create(tmp_path / "home", resolve_settings("local", "smoke"))


def fetch(url):
    deadline = time.monotonic() + 30
    while True:
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return answer.read().decode()
        except urllib.error.HTTPError:
            raise
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.1)


@contextmanager
def serving(server):
    with subprocess.Popen(server.command, stderr=subprocess.DEVNULL) as process:
        try:
            fetch(server.url)
            yield
        finally:
            process.kill()


def read_port(home):
    return (home.path / "dagster" / "data_docs_port").read_text().strip()


def test_pages_are_served_on_loopback_and_nothing_else_is(home):
    page = home.path / "data_docs" / "own" / "index.html"
    page.parent.mkdir(parents=True)
    page.write_text("expectations")
    server = plan_data_docs_server(home)
    assert server.url == f"http://127.0.0.1:{read_port(home)}"
    with serving(server):
        assert fetch(f"{server.url}/own/index.html") == "expectations"
        for path in ("settings.json", "../settings.json", "%2e%2e/settings.json", "..%2fkeys/"):
            with pytest.raises(urllib.error.HTTPError, match="404"):
                fetch(f"{server.url}/{path}")


def test_a_home_keeps_its_port_over_restarts(home):
    first = plan_data_docs_server(home)
    with serving(first):
        pass
    assert plan_data_docs_server(home) == first


def test_what_serves_this_home_already_is_left_to_it(home):
    first = plan_data_docs_server(home)
    with serving(first):
        second = plan_data_docs_server(home)
    assert (second.url, second.command) == (first.url, [])


def test_another_home_on_the_same_port_moves_aside(home, tmp_path):
    other = Home.create(tmp_path / "other", resolve_settings("local", "smoke"))
    (other.path / "data_docs").mkdir()
    first = plan_data_docs_server(home)
    (other.path / "dagster" / "data_docs_port").write_text(read_port(home))
    with serving(first):
        second = plan_data_docs_server(other)
        assert second.url != first.url
        with serving(second):
            assert fetch(f"{second.url}/home-mark.txt") != fetch(f"{first.url}/home-mark.txt")
    assert plan_data_docs_server(other).url == second.url


@pytest.mark.parametrize("text", ["", "x", "0", "-1", "99999999999"])
def test_a_damaged_note_of_the_port_is_replaced(home, text):
    (home.path / "dagster" / "data_docs_port").write_text(text)
    server = plan_data_docs_server(home)
    assert server.url.endswith(f":{read_port(home)}")
    assert 1024 < int(read_port(home)) < 65536


def test_behind_a_proxy_links_name_the_proxy_and_the_upstream_is_served(home, monkeypatch):
    monkeypatch.setenv("SYNNQ_DATA_DOCS_URL", "https://docs.example.org/synnq/")
    server = plan_data_docs_server(home)
    assert server.url == "https://docs.example.org/synnq"
    assert read_port(home) in server.command
