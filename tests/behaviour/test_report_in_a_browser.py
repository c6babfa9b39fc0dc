"""The report as a person sees it: in a real browser, without a screen."""

from __future__ import annotations

import fcntl
import itertools
import os
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest
from nexa_data.findings import Finding, Severity
from nexa_data.quality.drift import measure_drift
from nexa_data.quality.measure import Described, measure_batches
from nexa_data.quality.model import QualityReport, Target
from nexa_data.quality.observations import observe
from nexa_data.quality.page import write_page
from nexa_data.quality.report import quality_report

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SECTIONS = ["findings", "labels", "columns", "drift", "duplicates", "association", "rules", "provenance"]
HOSTILE = [
    "<script>document.title='owned'</script>",
    '"><img src=x onerror=alert(1)>',
    "a\u202egnp.exe",
    "x" * 10_000,
    "\x07tab\tline\nbreak",
    "🜁 ключ 値",
    "{{ 7 * 7 }}",
    "&lt;b&gt;",
]


def _browser() -> str | None:
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def _install(lock: Path) -> None:
    """Install the browser where that is one command; several workers of pytest may get here at once."""
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        return
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        if _browser() is None:
            for command in (["apt-get", "update", "-qq"], ["apt-get", "install", "-y", "-qq", "chromium"]):
                subprocess.run(command, capture_output=True, check=False, timeout=600)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    sync_api = pytest.importorskip(
        "playwright.sync_api", reason="playwright isn't installed: pip install playwright"
    )
    if _browser() is None:
        _install(tmp_path_factory.getbasetemp().parent / "browser.lock")
    found = _browser()
    if found is None:
        pytest.skip("there is no Chromium: apt-get install chromium")
    with sync_api.sync_playwright() as play:
        launched = play.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield launched
        launched.close()


def report(kind: str) -> QualityReport:
    random = np.random.default_rng(0)

    def rows(n: int, shift: float = 0.0) -> pa.RecordBatch:
        columns: dict[str, Any] = {f"sensor {k}": random.normal(k, 1 + k, n) for k in range(48)}
        columns["text"] = pa.array(["word " * (k % 9) for k in range(n)])
        if kind == "hostile":
            columns |= {name: random.integers(0, 3, n) for name in HOSTILE}
            columns["values"] = pa.array([HOSTILE[k % len(HOSTILE)] for k in range(n)])
        columns["sensor 3"] = columns["sensor 3"] + shift
        columns["label"] = random.integers(0, 4, n)
        return pa.record_batch(columns)

    described = Described(
        label="label", kind="class", classes=tuple(HOSTILE[:4]) if kind == "hostile" else ()
    )
    train = rows(3000)
    splits = [("train", train), ("validation", rows(400)), ("test", rows(400))]
    if kind != "clean":
        splits[2] = ("test", pa.concat_batches([splits[2][1], train.slice(0, 30)]))
    found = measure_batches(splits, described)
    drift = None
    if kind != "clean":
        reference = measure_batches([("train", rows(3000, shift=9.0))], described)
        drift = measure_drift(found, reference, Target(kind="dataset", uri="runs/before", name="before"))
    findings = list(observe(found, drift))
    if kind != "clean":
        findings.append(
            Finding("nan-share", Severity.ERROR, "3 % are NaN", column="sensor 5", remedy="fill them")
        )
    name = HOSTILE[0] if kind == "hostile" else "weather"
    target = Target(kind="dataset", uri=f"/data/{name}", name=name, version="3", hash="sha256:12ab")
    provenance = {
        "inputs": {"config": {"seed": 0, "split": {"train": 0.8}}, "source": HOSTILE},
        "labels": {"key": "ab"},
    }
    return quality_report(
        found, findings, target, rules=[{"max_nan_share": 0}], drift=drift, provenance=provenance
    )


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    made = {kind: folder / f"{kind}.html" for kind in ("clean", "faulty", "hostile")}
    for kind, path in made.items():
        write_page(report(kind), path)
    return made


def opened(browser: Any, path: Path, width: int = 1440, scheme: str = "light") -> tuple[Any, list[str]]:
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    heard: list[str] = []
    page.on("console", lambda message: heard.append(message.text))
    page.on("pageerror", lambda error: heard.append(str(error)))
    page.on("request", lambda request: heard.append(request.url))
    page.goto(path.as_uri())
    return page, [each for each in heard if each != path.as_uri()]


@pytest.mark.parametrize("kind", ["clean", "faulty", "hostile"])
@pytest.mark.parametrize("width", [360, 1440])
def test_every_section_is_seen_and_the_page_needs_nothing_else(
    browser: Any, pages: dict[str, Path], kind: str, width: int
) -> None:
    page, heard = opened(browser, pages[kind], width)
    assert heard == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for section in SECTIONS:
        box = page.locator(f"section#{section}").bounding_box()
        assert box["width"] > 0.8 * min(width, 1120) - 40
        assert box["height"] > 50
        assert page.locator(f"section#{section} h2").is_visible()
    assert page.locator("h1").count() == 1
    levels = page.evaluate("[...document.querySelectorAll('h1,h2,h3')].map(each => +each.tagName[1])")
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))


@pytest.mark.parametrize(
    ("kind", "said"),
    [("clean", "Fit for training"), ("faulty", "Not fit for training"), ("hostile", "Not fit")],
)
def test_the_verdict_is_what_one_sees_first(
    browser: Any, pages: dict[str, Path], kind: str, said: str
) -> None:
    page, _ = opened(browser, pages[kind], 360)
    assert said in page.locator("h1").inner_text()
    assert page.locator("h1").bounding_box()["y"] < 200


def test_hostile_names_and_values_are_text(browser: Any, pages: dict[str, Path]) -> None:
    page, heard = opened(browser, pages["hostile"])
    assert heard == []
    assert "owned" not in page.title() or page.title().startswith("Not fit for training: <script>")
    assert page.evaluate("document.querySelectorAll('script, img, iframe, link, object').length") == 0
    assert page.get_by_text("<script>document.title='owned'</script>").count() > 1
    assert page.get_by_text("{{ 7 * 7 }}").count() > 0
    text = page.inner_text("body")
    assert not {"\u202e", "\x07"} & set(text)


def test_the_keyboard_reaches_every_part(browser: Any, pages: dict[str, Path]) -> None:
    page, _ = opened(browser, pages["faulty"])
    reached = []
    for _ in range(len(SECTIONS) + 1):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.getAttribute('href')"))
    assert reached == ["#findings", *(f"#{section}" for section in SECTIONS)]
    page.keyboard.press("Enter")
    assert page.evaluate("location.hash") == "#provenance"


def test_pictures_and_tables_say_in_words_what_they_show(browser: Any, pages: dict[str, Path]) -> None:
    page, _ = opened(browser, pages["faulty"])
    pictures = page.evaluate(
        "[...document.querySelectorAll('svg')].map(each => [each.getAttribute('role'), each.querySelector('title').textContent])"
    )
    assert len(pictures) > 40
    assert all(role == "img" and len(title) > 15 for role, title in pictures)
    assert page.evaluate(
        "[...document.querySelectorAll('th')].every(each => ['row', 'col'].includes(each.scope))"
    )
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map(each => each.id)")
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(browser: Any, pages: dict[str, Path], scheme: str) -> None:
    page, _ = opened(browser, pages["faulty"], scheme=scheme)
    weakest = page.evaluate(
        """() => {
        const channel = value => (value /= 255) <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
        const light = colour => { const [r, g, b] = colour.match(/[\\d.]+/g).map(Number);
            return 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b); };
        const ground = element => { for (; element; element = element.parentElement) {
            const colour = getComputedStyle(element).backgroundColor;
            if (!colour.endsWith(', 0)')) return colour; } return 'rgb(255, 255, 255)'; };
        let least = 21;
        for (const element of document.querySelectorAll('body *')) {
            if (![...element.childNodes].some(each => each.nodeType === 3 && each.textContent.trim())) continue;
            if (element.closest('svg')) continue;
            const [a, b] = [light(getComputedStyle(element).color), light(ground(element))];
            least = Math.min(least, (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05));
        }
        return least; }"""
    )
    assert weakest >= 4.5


def test_it_prints(browser: Any, pages: dict[str, Path]) -> None:
    page, _ = opened(browser, pages["faulty"])
    assert page.pdf(format="A4")[:5] == b"%PDF-"


def test_fifty_columns_stay_small(pages: dict[str, Path]) -> None:
    assert pages["clean"].stat().st_size < 200_000
