"""The staging cache is kept below a bound, and nobody loses what he reads."""

from __future__ import annotations

import gc
import os
import pickle
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from nexa_data.artifacts import ArtifactWriter, is_complete, lock_path, verify_artifact
from nexa_data.errors import ArtifactError, ConfigError, StagingError
from nexa_data.holds import Hold, hold_artifact, last_use_ns
from nexa_data.loaders.torch_loader import build_loader
from nexa_data.locks import Flock
from nexa_data.prepare import prepare_from_config
from nexa_data.staging import evict, unstage
from nexa_data.staging.cache import StagingCache
from nexa_data.staging.store import STORE_NAME
from staging_catalog import Catalog, entry, report_of, ways

if TYPE_CHECKING:
    from pathlib import Path

ONE = 150_000  # bytes of the fixture's shards


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """Return an empty folder for staged copies."""
    (tmp_path / "cache").mkdir()
    return tmp_path / "cache"


def stage(cache: Path, name: str, mark: int, used: int, **options: Any) -> Path:
    """Stage 100 kB in two shards of their own, last used at a time."""
    source = cache.parent / f"from-{name}"
    source.mkdir()
    made = Catalog(source)
    for at in range(2):
        made.write(f"s{at}.bin", bytes([mark, at]) * 25_000)
    made.stage(cache / name, **options)
    os.utime(cache / name / "COMPLETE", (used, used))
    return cache / name


def there(cache: Path) -> set[str]:
    return {path.name for path in cache.iterdir() if not path.name.startswith(".")}


def test_bytes_under_several_names_count_once(cache: Path, catalog: Catalog) -> None:
    catalog.stage(cache / "one")
    before = StagingCache(cache).bytes
    catalog.stage(cache / "two")
    after = StagingCache(cache).bytes
    assert ONE <= before < ONE + 10_000
    assert after - before < 10_000


def test_the_least_recently_used_goes_first_and_only_as_much_as_is_needed(cache: Path) -> None:
    for name, mark, used in (("b", 1, 200), ("a", 2, 300), ("c", 3, 100)):
        stage(cache, name, mark, used)
    freed = evict(cache, 220_000)
    assert there(cache) == {"a", "b"}
    assert freed.artifacts == [str(cache / "c")]
    assert StagingCache(cache).bytes <= 220_000
    assert freed.bytes >= 80_000
    for name in "ab":
        verify_artifact(cache / name)
    assert evict(cache, "220kB").bytes == 0


def test_what_the_store_alone_knows_goes_before_any_artifact(cache: Path) -> None:
    stage(cache, "old", 1, 100)
    gone = stage(cache, "gone", 2, 200)
    unstage(gone, keep_store=True)
    freed = evict(cache, 120_000)
    assert there(cache) == {"old"}
    assert (freed.artifacts, freed.entries) == ([], 2)
    verify_artifact(cache / "old")


def test_shards_that_another_artifact_links_stay(cache: Path, catalog: Catalog) -> None:
    catalog.stage(cache / "one")
    os.utime(cache / "one" / "COMPLETE", (1, 1))
    catalog.stage(cache / "two")
    evict(cache, StagingCache(cache).bytes - 1)
    assert there(cache) == {"two"}
    verify_artifact(cache / "two")
    assert entry(cache, bytes([1]) * 10_000).exists()


def test_what_is_held_is_written_or_is_of_another_kind_stays(cache: Path) -> None:
    held, busy = stage(cache, "held", 1, 1), stage(cache, "busy", 2, 2)
    stage(cache, "free", 3, 3)
    with ArtifactWriter(cache / "other", kind="dataset") as writer:
        (writer.path / "x").write_bytes(b"x" * 100_000)
        writer.publish()
    hold, lock = hold_artifact(held), Flock(lock_path(busy))
    assert hold
    lock.acquire()
    with pytest.raises(
        StagingError, match=r"0 bytes are to come to the 31\d,\d{3} .* of which 10\d,\d{3} may be"
    ):
        evict(cache, 100_000)
    assert there(cache) == {"held", "busy", "free", "other"}
    evict(cache, 220_000)
    assert there(cache) == {"held", "busy", "other"}
    lock.release()
    hold.close()
    evict(cache, 1)
    assert there(cache) == {"other"}
    assert is_complete(cache / "other")


def test_staging_makes_room_for_what_is_to_come(cache: Path, catalog: Catalog) -> None:
    for name, mark, used in (("b", 1, 200), ("a", 2, 300)):
        stage(cache, name, mark, used)
    catalog.stage(cache / "new", evict="lru", max_bytes="280kB")
    assert there(cache) == {"a", "new"}
    assert report_of(cache / "new")["evicted"]["artifacts"] == [str(cache / "b")]
    assert StagingCache(cache).bytes <= 280_000


def test_a_bound_that_cannot_be_kept_is_refused_before_the_first_byte(cache: Path, catalog: Catalog) -> None:
    stage(cache, "a", 1, 100)
    with pytest.raises(
        StagingError, match=r"150,000 bytes are to come .* the bound is 100,000; nothing was copied"
    ):
        catalog.stage(cache / "new", evict="lru", max_bytes=100_000)
    with pytest.raises(StagingError, match=r"150,000 bytes are to come .*evict=.lru."):
        catalog.stage(cache / "new", max_bytes=200_000)
    assert there(cache) == {"a"}
    verify_artifact(cache / "a")
    catalog.stage(cache / "new", max_bytes=300_000)
    assert there(cache) == {"a", "new"}


def test_what_is_about_to_be_linked_is_not_evicted(cache: Path, catalog: Catalog) -> None:
    catalog.stage(cache / "one")
    unstage(cache / "one", keep_store=True)
    stage(cache, "a", 1, 100)
    catalog.stage(cache / "two", evict="lru", max_bytes=ONE + 10_000)
    assert ways(cache / "two") == {"linked": 5}
    assert there(cache) == {"two"}


def test_evicting_without_a_bound_is_refused(cache: Path, catalog: Catalog) -> None:
    with pytest.raises(ConfigError, match="max_bytes"):
        catalog.stage(cache / "new", evict="lru")
    with pytest.raises(ConfigError, match="known: lru"):
        catalog.stage(cache / "new", evict="fifo", max_bytes=1)


def test_unstaging_removes_the_artifact_and_what_nothing_else_links(cache: Path, catalog: Catalog) -> None:
    catalog.stage(cache / "one")
    del catalog.lines["s5.bin"]
    catalog.save()
    catalog.stage(cache / "two")
    freed = unstage(cache / "one")
    assert there(cache) == {"two"}
    assert 50_000 <= freed.bytes < 60_000
    assert not entry(cache, bytes([5]) * 50_000).exists()
    verify_artifact(cache / "two")
    unstage(cache / "two")
    assert os.listdir(cache) == []  # noqa: PTH208 (hidden ones too)


def test_unstaging_removes_what_a_killed_run_left(cache: Path, catalog: Catalog) -> None:
    (catalog.folder / "s3.bin").write_bytes(b"wrong")
    with pytest.raises(StagingError):
        catalog.stage(cache / "out")
    (cache / ".out.lock").touch()
    assert unstage(cache / "out").bytes >= 120_000
    assert os.listdir(cache) == []  # noqa: PTH208 (hidden ones too)
    with pytest.raises(ArtifactError, match="nothing staged"):
        unstage(cache / "out")


def test_unstaging_refuses_what_is_read_written_or_something_else(
    cache: Path, catalog: Catalog, small_config: dict[str, Any]
) -> None:
    catalog.stage(cache / "out")
    hold, lock = hold_artifact(cache / "out"), Flock(lock_path(cache / "out"))
    with pytest.raises(ArtifactError, match="a process reads"):
        unstage(cache / "out")
    lock.acquire()
    with pytest.raises(ArtifactError, match="is being staged"):
        unstage(cache / "out", force=True)
    lock.release()
    prepared = prepare_from_config(small_config)
    (cache / "folder").mkdir()
    (cache / "link").symlink_to("out")
    for other in (prepared.path, cache / "folder", cache / "link"):
        with pytest.raises(ArtifactError, match="no staged artifact"):
            unstage(other, force=True)
    assert verify_artifact(prepared.path) == prepared
    verify_artifact(cache / "out")
    unstage(cache / "out", force=True)
    assert hold
    assert there(cache) == {"folder", "link"}


def descriptors(folder: Path) -> int:
    found = (os.path.realpath(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd"))  # noqa: PTH208
    return sum(path.startswith(str(folder)) and path.endswith("COMPLETE") for path in found)


def held(folder: Path) -> bool:
    """Return whether another process finds the artifact held."""
    code = "import sys; from pathlib import Path; from nexa_data.holds import unheld\nwith unheld(Path(sys.argv[1])) as free: print(free)"
    done = subprocess.run([sys.executable, "-c", code, folder], capture_output=True, text=True, check=True)
    return done.stdout.strip() == "False"


def test_a_loader_holds_the_staged_copy_as_long_as_it_lives(
    cache: Path, small_config: dict[str, Any]
) -> None:
    small_config["data"]["cache_dir"] = str(cache)
    loader: Any = build_loader(small_config, "train")
    folder = loader.dataset.folder
    assert folder.parent == cache
    assert held(folder)
    copy = pickle.loads(pickle.dumps(loader.dataset))  # noqa: S301 (our own)
    for _ in range(5):
        build_loader(small_config, "train")
    gc.collect()
    assert descriptors(folder) == 2
    del loader
    gc.collect()
    assert held(folder)
    del copy
    gc.collect()
    assert descriptors(folder) == 0
    assert not held(folder)
    evict(cache, 1)
    assert there(cache) == set()


def test_opening_a_staged_copy_is_its_last_use(cache: Path, small_config: dict[str, Any]) -> None:
    small_config["data"]["cache_dir"] = str(cache)
    loader: Any = build_loader(small_config, "train")
    folder = loader.dataset.folder
    os.utime(folder / "COMPLETE", (1, 1))
    (folder / "COMPLETE").chmod(0o444)
    build_loader(small_config, "train", rank=0, world_size=2)
    assert last_use_ns(folder) > 10**18
    verify_artifact(folder)


def test_a_hold_survives_a_fork_of_its_process(cache: Path, catalog: Catalog) -> None:
    catalog.stage(cache / "out")
    code = (
        "import os, sys\nfrom pathlib import Path\nfrom nexa_data.holds import hold_artifact\n"
        "hold = hold_artifact(Path(sys.argv[1]))\n"
        "if os.fork() == 0:\n    os.close(1)\n    sys.stdin.read()\nos._exit(0)\n"
    )
    command = [sys.executable, "-c", code, cache / "out"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout
        assert parent.stdout.read() == b""
        assert parent.wait(60) == 0
        with pytest.raises(StagingError):
            evict(cache, 1)
        assert parent.stdin
        parent.stdin.close()


def test_an_artifact_that_is_being_removed_is_not_held(cache: Path, catalog: Catalog) -> None:
    from nexa_data.holds import unheld

    catalog.stage(cache / "out")
    with unheld(cache / "out") as free:
        assert free
        assert hold_artifact(cache / "out") is None
    assert isinstance(hold_artifact(cache / "out"), Hold)
    assert hold_artifact(cache / "nothing") is None
    assert (cache / STORE_NAME).exists()
