from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nexa_data.config import Config, load_config
from nexa_data.errors import ConfigError, NexaError, ShardNotFoundError

if TYPE_CHECKING:
    from pathlib import Path


def written(folder: Path, text: str) -> Path:
    path = folder / "config.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def data(**keys: Any) -> dict[str, Any]:
    return {"data": {"dataset_name": "synthetic"} | keys}


def test_only_the_name_is_required_and_the_defaults_are_those_of_the_design() -> None:
    config = load_config({"data": {"dataset_name": "synthetic"}})
    assert config.data.dataset_version == "1"
    assert config.data.split.shares() == {"train": 0.8, "validation": 0.1, "test": 0.1}
    assert (config.data.batch_size, config.data.shuffle, config.seed) == (32, True, 0)
    assert config.data.preprocessing.num_samples == 10_000
    assert config.data.n_threads is None
    assert (config.experiment.name, config.experiment.output_dir) == ("default", "runs")


def test_an_unknown_key_is_refused_with_its_line_and_the_nearest_known_key(tmp_path: Path) -> None:
    path = written(tmp_path, "# a comment\ndata:\n  dataset_name: synthetic\n  batch_sise: 3\n")
    with pytest.raises(ConfigError, match=r"config\.yaml:4: data\.batch_sise: unknown key.*batch_size"):
        load_config(path)


def test_an_unknown_key_of_a_nested_section_has_its_own_line(tmp_path: Path) -> None:
    path = written(
        tmp_path, "data:\n  dataset_name: synthetic\n  split:\n    train: 0.9\n    validaton: 0.1\n"
    )
    with pytest.raises(ConfigError, match=r":5: data\.split\.validaton: unknown key.*`validation`"):
        load_config(path)


def test_an_unknown_key_that_resembles_nothing_lists_the_known(tmp_path: Path) -> None:
    path = written(tmp_path, "data:\n  dataset_name: synthetic\n  zzzz: 1\n")
    with pytest.raises(ConfigError, match=r":3: data\.zzzz: unknown key; known here: .*batch_size"):
        load_config(path)


def test_every_fault_is_reported_at_once(tmp_path: Path) -> None:
    path = written(tmp_path, "data:\n  dataset_name: synthetic\n  batch_size: 0\n  shufle: true\n")
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    lines = str(caught.value).splitlines()
    assert len(lines) == 2
    assert any(":3: data.batch_size" in line for line in lines)
    assert any(":4: data.shufle" in line for line in lines)


def test_an_override_at_fault_is_reported_as_an_override(tmp_path: Path) -> None:
    path = written(tmp_path, "data:\n  dataset_name: synthetic\n  batch_size: 8\n")
    with pytest.raises(ConfigError, match=r"override data\.batch_size=-2: data\.batch_size"):
        load_config(path, overrides=["data.batch_size=-2"])


@pytest.mark.parametrize("overrides", [["data.batch_size=64"], {"data.batch_size": 64}])
def test_overrides_win_over_the_file(tmp_path: Path, overrides: Any) -> None:
    path = written(tmp_path, "data:\n  dataset_name: synthetic\n  batch_size: 8\n")
    assert load_config(path).data.batch_size == 8
    assert load_config(path, overrides=overrides).data.batch_size == 64


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("cache_dir", None),
        ("cache_dir", "a: b # c"),
        ("shuffle", False),
        ("source_uri", ["a.csv", "b.csv"]),
        ("dataset_version", "1.0"),
        ("filters", [{"label": {"allow": [1]}}]),
    ],
)
def test_an_override_by_mapping_keeps_its_value_and_type(key: str, value: Any) -> None:
    config = load_config(data(cache_dir="/x"), overrides={f"data.{key}": value})
    assert getattr(config.data, key) == value


def test_a_label_map_takes_numbers_and_truth_values_as_yaml_reads_them(tmp_path: Path) -> None:
    path = written(
        tmp_path, "data:\n  dataset_name: x\n  preprocessing:\n    label_map: {10: 0, 2.5: 1, true: 2}\n"
    )
    expected = {"10": 0, "2.5": 1, "true": 2}
    assert load_config(path).data.preprocessing.label_map == expected
    mapping = data(preprocessing={"label_map": {10: 0, 2.5: 1, True: 2}})
    assert load_config(mapping).data.preprocessing.label_map == expected


def test_a_key_that_stands_twice_is_refused_with_its_line(tmp_path: Path) -> None:
    path = written(tmp_path, "data:\n  dataset_name: x\n  batch_size: 3\n  batch_size: 4\n")
    with pytest.raises(ConfigError, match=r"config\.yaml:\d: .*duplicate key"):
        load_config(path)


def test_an_override_without_a_space_after_the_colon_is_refused_at_its_place() -> None:
    # PyYAML before 6.0.2 reads a key there, which nobody knows.
    with pytest.raises(ConfigError, match=r"data\.batch\.ragged=.*(space after a colon|unknown key)"):
        load_config(data(), overrides=["data.batch.ragged={features:{as:padded}}"])


@pytest.mark.parametrize("value", ["[1", "{a: 'b}"])
def test_an_override_that_is_no_yaml_is_named_with_the_remedy(value: str) -> None:
    with pytest.raises(ConfigError, match=r"data\.batch\.ragged=.* is not valid YAML.*space after a colon"):
        load_config(data(), overrides=[f"data.batch.ragged={value}"])


@pytest.mark.parametrize("override", ["data.batch_size", "=3", " =3"])
def test_an_override_without_key_or_value_is_refused(override: str) -> None:
    with pytest.raises(ConfigError, match="key=value"):
        load_config(data(), overrides=[override])


def test_an_override_of_a_checked_config_keeps_the_rest(tmp_path: Path) -> None:
    path = written(tmp_path, "data:\n  dataset_name: synthetic\n  batch: {as: dict}\n  batch_size: 8\n")
    config = load_config(load_config(path), overrides=["data.shuffle=false"])
    assert (config.data.shuffle, config.data.batch_size, config.data.batch.as_) == (False, 8, "dict")
    assert config.origin == str(path)


def test_an_environment_variable_is_put_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, "data:\n  dataset_name: synthetic\n  cache_dir: ${oc.env:NEXA_TEST_DIR}/x\n")
    monkeypatch.setenv("NEXA_TEST_DIR", "/fast")
    assert load_config(path).data.cache_dir == "/fast/x"


def test_an_unset_environment_variable_is_an_error_that_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NEXA_TEST_DIR", raising=False)
    path = written(tmp_path, "data:\n  dataset_name: synthetic\n  cache_dir: ${oc.env:NEXA_TEST_DIR}\n")
    with pytest.raises(ConfigError, match="NEXA_TEST_DIR"):
        load_config(path)


def test_a_default_of_null_leaves_the_key_unset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NEXA_TEST_DIR", raising=False)
    path = written(tmp_path, "data:\n  dataset_name: synthetic\n  cache_dir: ${oc.env:NEXA_TEST_DIR,null}\n")
    assert load_config(path).data.cache_dir is None


def test_further_top_level_sections_are_let_be_even_if_they_cannot_be_resolved(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "model: {width: 3, from: '${oc.env:NOBODY_SETS_THIS}'}\ntraining: {lr: 0.1}\nevaluation: []\n"
        "project: x\ndata:\n  dataset_name: synthetic\n",
    )
    assert load_config(path).data.dataset_name == "synthetic"


def test_an_unknown_key_of_experiment_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"experiment\.nme: unknown key.*`name`"):
        load_config(data() | {"experiment": {"nme": "x"}})


@pytest.mark.parametrize("shares", [(0.5, 0.5, 0.5), (0.8, 0.1, 0.0), (0.0, 0.0, 0.0)])
def test_shares_that_do_not_sum_to_one_are_refused(shares: tuple[float, ...]) -> None:
    split = dict(zip(("train", "validation", "test"), shares, strict=True))
    with pytest.raises(ConfigError, match=f"sum to {sum(shares):g}, not 1"):
        load_config(data(split=split))


@pytest.mark.parametrize("shares", [(1.0, 0.0, 0.0), (0.7, 0.15, 0.15), (0.1, 0.2, 0.7)])
def test_shares_that_sum_to_one_up_to_rounding_are_taken(shares: tuple[float, ...]) -> None:
    split = dict(zip(("train", "validation", "test"), shares, strict=True))
    assert load_config(data(split=split)).data.split.shares() == split


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("batch_size", 0),
        ("batch_size", True),
        ("batch_size", 2.5),
        ("threads", 0),
        ("num_workers", -1),
        ("split", {"train": 1.5, "validation": -0.5, "test": 0}),
        ("split", {"train": float("nan")}),
        ("dataset_version", "../up"),
        ("dataset_version", ""),
        ("on_error", "skip_everything"),
        ("source_uri", ""),
        ("source_uri", ["a.csv", ""]),
        ("cache_dir", ""),
        ("format", "xlsx"),
        ("order", {"mode": "sideways"}),
        ("batch", {"as": "list"}),
        ("batch", {"tail": "chop"}),
        ("shards", {"rows": 0}),
        ("preprocessing", {"num_classes": 1}),
        ("preprocessing", {"features": []}),
        ("preprocessing", {"features": ["a", "a"]}),
        ("preprocessing", {"seed": -1}),
        ("preprocessing", {"seed": 2**64}),
        ("preprocessing", {"class_sep": 0}),
        ("label", {"column": "y", "kind": "ordinal"}),
    ],
)
def test_an_impossible_value_is_refused_with_its_key(key: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=rf"data\.{key}"):
        load_config(data(**{key: value}))


@pytest.mark.parametrize("name", ["../up", "a/b", "", ".hidden", "-dash"])
def test_a_dataset_name_that_would_leave_the_store_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=r"data\.dataset_name"):
        load_config({"data": {"dataset_name": name}})


def test_a_version_that_yaml_reads_as_a_number_is_a_name(tmp_path: Path) -> None:
    path = written(tmp_path, "data:\n  dataset_name: synthetic\n  dataset_version: 1.5\n")
    assert load_config(path).data.dataset_version == "1.5"


def test_threads_and_num_workers_are_two_names_of_one_setting() -> None:
    assert load_config(data(num_workers=3)).data.n_threads == 3
    assert load_config(data(threads=3)).data.n_threads == 3
    assert load_config(data(threads=3, num_workers=3)).data.n_threads == 3
    assert load_config(data(num_workers=0)).data.n_threads is None
    with pytest.raises(ConfigError, match="threads and num_workers"):
        load_config(data(threads=2, num_workers=3))


def test_batch_size_and_global_batch_size_exclude_each_other() -> None:
    assert load_config(data(global_batch_size=64)).data.global_batch_size == 64
    with pytest.raises(ConfigError, match="exclude each other"):
        load_config(data(global_batch_size=64, batch_size=8))


@pytest.mark.parametrize(
    "keys",
    [
        {"label": "y"},
        {"label": {"column": "y"}},
        {"preprocessing": {"label": "y"}},
        {"label": "y", "preprocessing": {"label": {"column": "y", "kind": "class"}}},
    ],
)
def test_the_label_may_be_named_in_any_of_its_forms(keys: dict[str, Any]) -> None:
    label = load_config(data(**keys)).data.label_config
    assert (label.column, label.kind) == ("y", "class")


def test_two_labels_that_differ_are_refused() -> None:
    with pytest.raises(ConfigError, match="differ"):
        load_config(data(label="y", preprocessing={"label": "z"}))


def test_the_form_of_the_label_does_not_change_the_content() -> None:
    short, long = load_config(data(label="y")), load_config(data(preprocessing={"label": {"column": "y"}}))
    assert short.data.content() == long.data.content()


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "batch_size": st.integers(1, 999),
            "threads": st.integers(1, 9),
            "shuffle": st.booleans(),
            "pin_memory": st.booleans(),
            "cache_dir": st.just("/x"),
            "augmentations": st.just(["gaussian_noise"]),
            "order": st.just({"mode": "none"}),
        },
    )
)
def test_settings_of_the_loader_do_not_change_the_content(keys: dict[str, Any]) -> None:
    assert load_config(data(**keys)).data.content() == load_config(data()).data.content()


@pytest.mark.parametrize(
    "keys",
    [
        {"preprocessing": {"seed": 1}},
        {"preprocessing": {"num_samples": 7}},
        {"dataset_version": "2"},
        {"split": {"train": 1, "validation": 0, "test": 0}},
        {"filters": [{"label": {"allow": [1]}}]},
        {"shards": {"rows": 5}},
        {"label": {"column": "label", "kind": "float"}},
    ],
)
def test_what_changes_the_data_changes_the_content(keys: dict[str, Any]) -> None:
    assert load_config(data(**keys)).data.content() != load_config(data()).data.content()


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "empty"),
        ("# nothing\n", "empty"),
        ("- a\n- b\n", "not a mapping"),
        ("just words\n", "not a mapping"),
        ("data:\n", "data is missing|data"),
        ("experiment: {name: x}\n", "data is missing"),
        ("data: 3\n", "data"),
        ("data:\n  batch_size: 3\n", r"dataset_name is missing"),
    ],
)
def test_a_config_without_the_needed_is_refused(tmp_path: Path, text: str, what: str) -> None:
    with pytest.raises(ConfigError, match=what):
        load_config(written(tmp_path, text))


@pytest.mark.parametrize("text", ["data: [\n", "data:\n  a: b: c\n", "data:\n\t- x\n", 'data: "open\n'])
def test_malformed_yaml_is_refused_with_its_line(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match=r"config\.yaml:\d+: not valid YAML"):
        load_config(written(tmp_path, text))


def test_a_config_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_bytes(b"data:\n  dataset_name: \xff\xfe\n")
    with pytest.raises(ConfigError, match="UTF-8"):
        load_config(path)


def test_a_missing_config_is_named_with_its_absolute_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ShardNotFoundError, match=str(tmp_path / "none.yaml")) as caught:
        load_config("none.yaml")
    assert isinstance(caught.value, FileNotFoundError)


def test_a_folder_in_place_of_a_config_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        load_config(tmp_path)


@pytest.mark.parametrize("wrong", [3, None, ["data"], 1.5])
def test_what_is_no_config_is_refused(wrong: Any) -> None:
    with pytest.raises(ConfigError, match="a config is a path"):
        load_config(wrong)


def test_a_config_is_taken_as_it_is_and_cannot_be_changed() -> None:
    config = load_config(data())
    assert load_config(config) is config
    with pytest.raises(ValueError, match="frozen"):
        config.data.batch_size = 3


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
        max_leaves=8,
    )
)
def test_any_mapping_gives_a_config_or_a_typed_error(value: Any) -> None:
    with contextlib.suppress(NexaError):
        assert isinstance(load_config({"data": value}), Config)
