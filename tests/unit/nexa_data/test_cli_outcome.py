"""Every kind of failure has its exit code and its words, and SIGTERM is an interrupt."""

from __future__ import annotations

import logging
import signal
import threading
from typing import TYPE_CHECKING

import pytest
from nexa_data.errors import (
    ArtifactError,
    CatalogError,
    ConfigError,
    ContentMismatchError,
    MissingDependencyError,
    RecordError,
    ShardNotFoundError,
    StagingError,
    TeacherError,
    ValidationRefusedError,
)
from nexa_data.outcome import error_lines, exit_code, terminate_like_interrupt

if TYPE_CHECKING:
    from types import FrameType


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ArtifactError("x"), 1),
        (MissingDependencyError("x"), 1),
        (OSError("x"), 1),
        (RecordError("x"), 3),
        (RuntimeError("x"), 1),
        (ShardNotFoundError("x"), 1),
        (StagingError("x"), 1),
        (TeacherError("x"), 1),
        (ConfigError("x"), 2),
        (CatalogError("x"), 3),
        (ContentMismatchError("x"), 3),
        (ValidationRefusedError("x"), 3),
        (KeyboardInterrupt(), 4),
    ],
)
def test_each_kind_of_error_has_its_exit_code(error: BaseException, code: int) -> None:
    assert exit_code(error) == code


def test_each_fault_has_a_line_and_details_stay_below_it() -> None:
    error = StagingError(
        "2 of 3 shards could not be staged:\n  a: gone\n  b: gone", remedy="look at the disk"
    )
    assert error_lines(error) == [
        "error: 2 of 3 shards could not be staged:",
        "  a: gone",
        "  b: gone; look at the disk",
    ]
    assert error_lines(ConfigError("one\ntwo")) == ["error: one", "error: two"]


def test_errors_of_the_system_are_told_as_they_are() -> None:
    assert error_lines(PermissionError(13, "Permission denied", "/data")) == [
        "error: /data: Permission denied"
    ]
    assert error_lines(MemoryError())[0].startswith("error: out of memory")
    missing = ModuleNotFoundError("No module named 'torch'", name="torch")
    assert error_lines(missing) == ["error: the package 'torch' isn't installed; pip install torch"]


def test_what_nobody_expected_asks_for_a_report() -> None:
    assert error_lines(ZeroDivisionError("division by zero")) == [
        "error: unexpected ZeroDivisionError: division by zero; run it again with --debug and report what it shows"
    ]


def test_sigterm_is_an_interrupt_inside_the_block_and_what_it_was_outside() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), terminate_like_interrupt():
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_handler_that_was_there_is_called_first() -> None:
    called: list[int] = []

    def theirs(number: int, frame: FrameType | None) -> None:
        del frame
        called.append(number)

    before = signal.signal(signal.SIGTERM, theirs)
    try:
        with pytest.raises(KeyboardInterrupt), terminate_like_interrupt():
            signal.raise_signal(signal.SIGTERM)
        assert signal.getsignal(signal.SIGTERM) is theirs
    finally:
        signal.signal(signal.SIGTERM, before)
    assert called == [signal.SIGTERM]


def test_a_process_that_ignores_ctrl_c_is_terminated_all_the_same() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with pytest.raises(KeyboardInterrupt), terminate_like_interrupt():
            signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGINT, before)


def test_nested_blocks_interrupt_once() -> None:
    interrupts: list[int] = []

    def counting(number: int, frame: FrameType | None) -> None:
        del frame
        interrupts.append(number)

    before = signal.signal(signal.SIGINT, counting)
    try:
        with terminate_like_interrupt(), terminate_like_interrupt():
            signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGINT, before)
    assert interrupts == [signal.SIGINT]


def test_another_thread_leaves_signals_alone() -> None:
    before = signal.getsignal(signal.SIGTERM)
    seen: list[object] = []

    def work() -> None:
        with terminate_like_interrupt():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]


def test_warnings_are_shown_and_logs_only_when_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    from nexa_data.console import configure_logging

    log = logging.getLogger("nexa_data.somewhere")
    configure_logging(verbose=False)
    log.info("quiet")
    log.warning("loud")
    assert capsys.readouterr().err == "warning: loud\n"
    configure_logging(verbose=True)
    log.info("heard")
    assert capsys.readouterr().err.endswith("INFO nexa_data.somewhere: heard\n")
    configure_logging(verbose=False)
