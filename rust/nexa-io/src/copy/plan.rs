//! What a copy runs with, chosen from the disk, the machine and the jobs; every choice can be overridden.
//!
//! 1. **Engine.** `io_uring` where a ring can be made; else threads. Containers often forbid it, and then say so only when
//!    it is tried.
//! 2. **Block: 2 MiB.** The disk's latency vanishes in it. Twice as much is no faster and costs a digest more time, since
//!    less of the block is in a cache when its turn comes.
//! 3. **Threads.** A SHA-256 keeps up to 2 GB/s a core, so a fast disk wants several cores, and even a slow one is left
//!    waiting by a single thread that hashes. A disk that turns wants one reader, or its head spends the time between files.
//! 4. **Memory.** Writes gain from being several in flight, reads hardly. 16 MiB a thread hold eight blocks, 32 MiB are
//!    the least; memory beyond that bought nothing on the disks that were measured.

use std::fmt;
use std::num::NonZero;
use std::path::Path;
use std::str::FromStr;

use super::{CopyJob, CopyOptions};
use crate::align::Alignment;
use crate::error::IoError;

/// What moves the blocks of a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Engine {
    /// `io_uring` where the kernel allows it, else threads.
    #[default]
    Auto,
    /// Linux's `io_uring`: a thread keeps many reads and writes in flight.
    IoUring,
    /// Threads that each read, hash and write one block at a time.
    Threads,
}

impl Engine {
    /// Return the name: `auto`, `io_uring` or `threads`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::IoUring => "io_uring",
            Self::Threads => "threads",
        }
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Engine {
    type Err = IoError;

    fn from_str(text: &str) -> Result<Self, IoError> {
        [Self::Auto, Self::IoUring, Self::Threads]
            .into_iter()
            .find(|engine| engine.name() == text)
            .ok_or_else(|| IoError::UnknownEngine { name: text.to_owned() })
    }
}

/// What a copy ran with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyPlan {
    /// The engine: never [`Engine::Auto`].
    pub engine: Engine,
    /// Why it is not `io_uring`, where that was not what was asked for.
    pub engine_reason: Option<String>,
    /// Threads that move blocks.
    pub threads: usize,
    /// Bytes per read and write.
    pub block_bytes: usize,
    /// Bytes of memory for blocks, in all.
    pub memory_bytes: usize,
    /// What blocks in memory and in files are aligned to.
    pub alignment: Alignment,
}

const BLOCK_BYTES: usize = 2 << 20;
const LEAST_MEMORY: usize = 32 << 20;
const MEMORY_PER_THREAD: usize = 16 << 20;
/// More threads than blocks of a thread's share help nobody; disks beyond eight cores of SHA-256 are rare.
const MOST_THREADS: usize = 8;

impl CopyPlan {
    /// Choose for these jobs; `trial` says whether a ring can be made.
    pub(crate) fn choose(
        jobs: &[CopyJob],
        options: &CopyOptions,
        trial: impl Fn() -> Result<(), String>,
    ) -> Self {
        let device =
            jobs.first().and_then(|job| job.destination.parent()).map_or_else(Device::default, Device::of);
        let cpus = std::thread::available_parallelism().map_or(1, NonZero::get);
        let (engine, engine_reason) = engine(options.engine, trial);
        Self::from(options, engine, engine_reason, device, cpus)
    }

    fn from(
        options: &CopyOptions,
        engine: Engine,
        engine_reason: Option<String>,
        device: Device,
        cpus: usize,
    ) -> Self {
        let alignment = device.alignment;
        let block_bytes = match options.block_bytes {
            0 => BLOCK_BYTES,
            n => alignment.round_up_len(n).unwrap_or(BLOCK_BYTES),
        };
        let mut threads = match (options.threads, engine) {
            (0, _) if device.rotational => 1,
            (0, _) => cpus.min(MOST_THREADS),
            (n, _) => n,
        };
        if engine == Engine::Threads && options.threads == 0 {
            // These wait for the disk most of the time: in each there is one block, so a few more are needed.
            threads = (2 * threads).max(4);
        }
        let memory_bytes = match options.max_memory {
            0 => LEAST_MEMORY.max(MEMORY_PER_THREAD.saturating_mul(threads)),
            n => n,
        };
        // A bound on memory is kept by fewer threads, then by smaller blocks.
        threads = threads.min(memory_bytes / block_bytes).max(1);
        let whole_blocks = memory_bytes / alignment.bytes() * alignment.bytes();
        let block_bytes = block_bytes.min(whole_blocks.max(alignment.bytes()));
        let memory_bytes = whole_blocks.max(threads.saturating_mul(block_bytes));
        Self { engine, engine_reason, threads, block_bytes, memory_bytes, alignment }
    }
}

/// Choose the engine; `trial` says whether a ring can be made.
fn engine(asked: Engine, trial: impl Fn() -> Result<(), String>) -> (Engine, Option<String>) {
    match asked {
        Engine::Threads => (Engine::Threads, None),
        Engine::Auto | Engine::IoUring => match trial() {
            Ok(()) => (Engine::IoUring, None),
            Err(reason) => (Engine::Threads, Some(format!("io_uring cannot be used: {reason}"))),
        },
    }
}

/// What the destination's disk says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Device {
    rotational: bool,
    alignment: Alignment,
}

impl Default for Device {
    fn default() -> Self {
        Self { rotational: false, alignment: Alignment::PAGE }
    }
}

impl Device {
    #[cfg(target_os = "linux")]
    fn of(folder: &Path) -> Self {
        use std::os::unix::fs::MetadataExt;

        let Ok(metadata) = std::fs::metadata(folder) else { return Self::default() };
        let (major, minor) = (rustix::fs::major(metadata.dev()), rustix::fs::minor(metadata.dev()));
        let device = format!("/sys/dev/block/{major}:{minor}");
        // A partition has no queue of its own, its disk does.
        let found = ["", ".."].iter().map(|up| Path::new(&device).join(up)).find_map(|disk| {
            let rotational = std::fs::read_to_string(disk.join("queue/rotational")).ok()?;
            Some(rotational.trim() == "1" && !is_virtual(&disk))
        });
        let rotational = found.unwrap_or(false);
        Self { rotational, alignment: direct_alignment(folder) }
    }

    #[cfg(not(target_os = "linux"))]
    fn of(_folder: &Path) -> Self {
        Self::default()
    }
}

/// Say whether a disk is a hypervisor's: those call themselves rotational for want of a better word.
#[cfg(target_os = "linux")]
fn is_virtual(disk: &Path) -> bool {
    const DRIVERS: [&str; 3] = ["virtio_blk", "vbd", "xen_blkfront"];
    let driver = std::fs::read_link(disk.join("device/driver")).ok();
    let name = driver.as_deref().and_then(Path::file_name).and_then(|name| name.to_str());
    name.is_some_and(|name| DRIVERS.contains(&name))
}

/// Ask for what direct I/O in a folder must be aligned to: a page, or more where the disk says so (Linux 6.1).
#[cfg(target_os = "linux")]
fn direct_alignment(folder: &Path) -> Alignment {
    use rustix::fs::{AtFlags, StatxFlags, statx};

    // Folders don't answer, files do.
    let Ok(file) = crate::probe::nameless_file(folder) else { return Alignment::PAGE };
    let Ok(facts) = statx(&file, "", AtFlags::EMPTY_PATH, StatxFlags::DIOALIGN) else {
        return Alignment::PAGE;
    };
    let needed = facts.stx_dio_mem_align.max(facts.stx_dio_offset_align);
    usize::try_from(needed)
        .ok()
        .and_then(Alignment::new)
        .map_or(Alignment::PAGE, |it| it.max(Alignment::PAGE))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(options: &CopyOptions, engine: Engine, rotational: bool, cpus: usize) -> (usize, usize, usize) {
        let device = Device { rotational, ..Device::default() };
        let plan = CopyPlan::from(options, engine, None, device, cpus);
        (plan.threads, plan.block_bytes, plan.memory_bytes)
    }

    #[test]
    fn plans_by_table() {
        const MIB: usize = 1 << 20;
        let auto = CopyOptions::default();
        let (ring, threads) = (Engine::IoUring, Engine::Threads);
        assert_eq!(plan(&auto, ring, true, 2), (1, 2 * MIB, 32 * MIB), "a disk that turns");
        assert_eq!(plan(&auto, ring, false, 2), (2, 2 * MIB, 32 * MIB));
        assert_eq!(plan(&auto, ring, false, 64), (8, 2 * MIB, 128 * MIB));
        assert_eq!(plan(&auto, threads, true, 2), (4, 2 * MIB, 64 * MIB));
        let small = CopyOptions { max_memory: 4 * MIB, ..auto.clone() };
        assert_eq!(plan(&small, threads, false, 8), (2, 2 * MIB, 4 * MIB), "fewer threads");
        let tiny = CopyOptions { max_memory: 100_000, ..auto.clone() };
        assert_eq!(plan(&tiny, ring, false, 8), (1, 98_304, 98_304), "smaller blocks");
        let nothing = CopyOptions { max_memory: 1, block_bytes: 1, ..auto.clone() };
        assert_eq!(plan(&nothing, ring, false, 8), (1, 4096, 4096), "a page at least");
        let own = CopyOptions { threads: 3, block_bytes: 5000, ..auto };
        assert_eq!(plan(&own, ring, true, 1), (3, 8192, 48 * MIB));
    }

    #[test]
    fn a_ring_that_cannot_be_made_is_said_and_threads_take_over() {
        let refused = || Err("EPERM".to_owned());
        assert_eq!(engine(Engine::Threads, refused), (Engine::Threads, None));
        let reason = Some("io_uring cannot be used: EPERM".to_owned());
        assert_eq!(engine(Engine::Auto, refused), (Engine::Threads, reason.clone()));
        assert_eq!(engine(Engine::IoUring, refused), (Engine::Threads, reason));
        assert_eq!(engine(Engine::Auto, || Ok(())), (Engine::IoUring, None));
    }

    #[test]
    fn an_engine_is_its_name() {
        for engine in [Engine::Auto, Engine::IoUring, Engine::Threads] {
            assert_eq!(engine.name().parse::<Engine>().unwrap(), engine);
        }
        assert!(matches!("aio".parse::<Engine>(), Err(IoError::UnknownEngine { .. })));
    }
}
