from __future__ import annotations

import sys

import pytest
from nexa_data.datasets.files import find_files
from nexa_data.datasets.hub import HubName, parse_hub_uri
from nexa_data.errors import ConfigError, MissingDependencyError


@pytest.mark.parametrize(
    ("uri", "wanted"),
    [
        ("hf://me/tiny", HubName("me/tiny")),
        ("hf://datasets/me/tiny", HubName("me/tiny")),
        ("HF://me/tiny.v2_x-y@v1.0", HubName("me/tiny.v2_x-y", "v1.0")),
        ("hf://me/tiny@refs/convert/parquet", HubName("me/tiny", "refs/convert/parquet")),
        ("hf://me/tiny@refs%2Fpr%2F1?split=dev", HubName("me/tiny", "refs/pr/1", None, "dev")),
        ("hf://me/tiny?config=wiki%20de&split=train", HubName("me/tiny", None, "wiki de", "train")),
    ],
)
def test_a_name_says_dataset_revision_config_and_split(uri: str, wanted: HubName) -> None:
    assert parse_hub_uri(uri) == wanted


@pytest.mark.parametrize(
    ("uri", "what"),
    [
        ("hf://tiny", "names no dataset"),
        ("hf://me/tiny/data/*.parquet", "names no dataset"),
        ("hf://me/tiny@", "names no dataset"),
        ("hf://me/../etc", "names no dataset"),
        ("hf://spaces/me/tiny", "names no dataset"),
        ("hf://me/tiny?spilt=train", "did you mean 'split'"),
        ("hf://me/tiny?revision=v1", "revision=v1 is not taken"),
        ("hf://me/tiny?split=", "split= is not taken"),
        ("hf://me/tiny?split=a&split=b", "each option once"),
    ],
)
def test_what_is_no_name_of_the_hub_is_refused_with_the_form(uri: str, what: str) -> None:
    with pytest.raises(ConfigError, match=what) as refused:
        find_files([uri])
    assert "hf://OWNER/NAME@REVISION" in str(refused.value)


def test_without_the_extra_the_error_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingDependencyError, match=r"hf://me/tiny.*pip install 'nexa-data\[hf\]'"):
        find_files(["hf://me/tiny"])
