"""Distillation beside what people collect and keep with: one program, a part for each question, a table for each part.

The method stands in each part's docstring: `collector` (rows asked for a second), `journal` (answers made durable a second), `scale` (a million rows)
and `materialize` (soft targets on disk, `python -m benches.distill.materialize`).

    make bench-distill
    make bench-distill BENCH_ARGS='--quick'
    make bench-distill BENCH_ARGS='--only collector,journal --rounds 5'
    make bench-distill BENCH_ARGS='--only scale --large'
    make bench-distill BENCH_ARGS='--readme'

Results: `runs/bench-distill/PART.json` and `PART.md`; `--readme` writes the last runs' tables into the README, between its marks. What is
written to be measured is deleted at once.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from benches.distill import collector, journal, scale
from benches.staging import machine

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "runs" / "bench-distill"
_MARKS = ("<!-- bench-distill: table -->", "<!-- bench-distill: end -->")


class Part(Protocol):
    """One question: measured, then shown."""

    def measure(self, chosen: argparse.Namespace, folder: Path) -> dict[str, Any]:
        """Return what the rounds found, as JSON has it; nothing stays in `folder`."""
        ...

    def table(self, found: dict[str, Any]) -> str:
        """Return it as Markdown."""
        ...


PARTS: Mapping[str, Part] = {
    "collector": cast("Part", collector),
    "journal": cast("Part", journal),
    "scale": cast("Part", scale),
}
ALONE = ("materialize",)
"""Parts that are programs of their own."""


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benches.distill", description=(__doc__ or "").split("\n")[0]
    )
    every = [*PARTS, *ALONE]
    parser.add_argument("--only", default=",".join(every), help="parts, comma separated; all by default")
    parser.add_argument("--rounds", type=int, help="3 by default; 1 with --quick")
    parser.add_argument("--quick", action="store_true", help="a tenth of the rows or less: a smoke test")
    parser.add_argument("--large", action="store_true", help="scale with the whole million, once")
    parser.add_argument(
        "--readme", action="store_true", help="write the last runs' tables into the README, and run nothing"
    )
    chosen = parser.parse_args()
    chosen.only = chosen.only.split(",")
    unknown = [word for word in chosen.only if word not in every]
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}; known: {', '.join(every)}")
    chosen.rounds = chosen.rounds or (1 if chosen.quick else 3)
    return chosen


def _alone(name: str, chosen: argparse.Namespace) -> None:
    flags = ["--quick"] if chosen.quick else ["--rounds", str(chosen.rounds)]
    subprocess.run([sys.executable, "-m", f"benches.distill.{name}", *flags], cwd=ROOT, check=True)


def _measured(name: str, chosen: argparse.Namespace) -> None:
    facts = machine.facts(RESULTS)
    found = PARTS[name].measure(chosen, RESULTS)
    text = PARTS[name].table(found)
    lines = "".join(
        f"- {fact}: {value}\n" for fact, value in facts.items() if fact not in {"disk scheduler", "peers"}
    )
    file = RESULTS / (f"{name}-quick" if chosen.quick else name)
    file.with_suffix(".json").write_text(
        json.dumps({"machine": facts, "rounds": chosen.rounds, "found": found}, indent=1)
    )
    file.with_suffix(".md").write_text(f"{lines}\n{text}")
    print(f"{lines}\n{text}")


def _into_readme() -> None:
    readme = ROOT / "README.md"
    texts = []
    for name, part in PARTS.items():
        results = RESULTS / f"{name}.json"
        if results.is_file():
            texts.append(part.table(json.loads(results.read_text())["found"]))
    before, begin, rest = readme.read_text().partition(_MARKS[0])
    _, end, after = rest.partition(_MARKS[1])
    if not (begin and end):
        sys.exit(f"{readme}: has no {_MARKS[0]} … {_MARKS[1]} to write between")
    shown = "\n".join(texts)
    readme.write_text(f"{before}{begin}\n{shown}{end}{after}")


def main() -> None:
    """Run the parts that were chosen."""
    chosen = _arguments()
    if chosen.readme:
        _into_readme()
        return
    RESULTS.mkdir(parents=True, exist_ok=True)
    for name in chosen.only:
        if name in PARTS:
            _measured(name, chosen)
        else:
            _alone(name, chosen)


if __name__ == "__main__":
    main()
