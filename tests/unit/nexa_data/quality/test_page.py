from __future__ import annotations

from html.parser import HTMLParser

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nexa_data.findings import Finding, Severity
from nexa_data.quality.measure import Described, measure_batches
from nexa_data.quality.model import QualityReport, QualityStatistics, Target
from nexa_data.quality.page import number, render_page, share, shown, verdict_text
from nexa_data.quality.report import quality_report

TARGET = Target(kind="dataset", uri="runs/x", name="x")
NAMES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=60)


class Page(HTMLParser):
    """What a page is made of."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.addresses: list[str] = []
        self.ids: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.addresses += [value or "" for name, value in attrs if name in {"href", "src", "action", "data"}]
        self.ids += [value or "" for name, value in attrs if name == "id"]


OURS = {
    "html", "head", "meta", "title", "style", "body", "a", "header", "div", "p", "h1", "h2", "h3", "span", "small", "ul", "li", "b",
    "nav", "main", "section", "strong", "table", "thead", "tbody", "tr", "th", "td", "article", "svg", "path", "bdi", "code", "dl",
    "dt", "dd", "footer",
}  # fmt: skip


def report(name: str = "x", value: str = "v", columns: int = 2, classes: int = 2) -> QualityReport:
    random = np.random.default_rng(0)
    rows = {f"{name}{k}": random.normal(size=60) for k in range(columns)}
    rows |= {
        f"{name}-text": np.array([value, "other"])[random.integers(0, 2, 60)],
        "label": random.integers(0, classes, 60),
    }
    found = measure_batches([("train", pa.record_batch(rows))], Described("label", "class", (value, "b")))
    finding = Finding("nan-share", Severity.ERROR, f"{name} is bad", column=f"{name}0", remedy=value)
    return quality_report(
        found, [finding], TARGET, provenance={name: {"deep": [value]}}, rules=[{name: value}]
    )


@settings(max_examples=60, deadline=None)
@given(NAMES, NAMES)
def test_no_name_or_value_becomes_markup(name: str, value: str) -> None:
    text = render_page(report(name, value))
    page = Page(text)
    assert page.tags <= OURS
    assert not {each for each in page.attributes if each.startswith("on")}
    assert all(address.startswith("#") for address in page.addresses)
    assert len(page.ids) == len(set(page.ids))
    assert not {"\u202e", "\u2066", "\x07"} & set(text)


def test_parts_that_are_absent_are_said_to_be() -> None:
    empty = quality_report(QualityStatistics(splits={}), [], TARGET)
    text = render_page(empty)
    for sentence in (
        "No rule is broken",
        "There are no class labels",
        "There are no columns",
        "wasn't compared with a reference",
        "Rows weren't compared",
        "There is no label",
        "No rules were given",
    ):
        assert sentence in text
    assert verdict_text(empty) == "fit for training, no findings"


def test_very_many_columns_and_classes_stay_readable() -> None:
    text = render_page(report(columns=1500, classes=40))
    assert len(text) < 1_000_000
    assert text.count("<article") == 60
    assert "lie between them" in text
    assert ">x0<" in text  # what has a finding is pictured first


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.1 + 0.2, "0.3"), (12_345_678.0, "12,345,678"), (1.6e12, "1.6e12"), (0.00012, "0.00012"), (-3.0, "−3"),
        (123456.789, "123,457"), (None, "–"), (float("nan"), "–"), (float("inf"), "–"), (0.0, "0"), (1e-300, "1e−300"),
    ],
)  # fmt: skip
def test_numbers_are_as_long_as_one_reads(value: float | None, text: str) -> None:
    assert number(value) == text


def test_a_share_that_is_there_is_never_nothing() -> None:
    assert [share(value) for value in (0.0, 1e-9, 0.0123, 0.5, 1.0, None)] == [
        "0.00 %", "< 0.01 %", "1.23 %", "50.0 %", "100.0 %", "–",
    ]  # fmt: skip
    assert shown("x" * 100, 5) == "xxxxx…"
