//! Bytes between disk and aligned memory.
//!
//! The ground floor: everything above it that reads, copies, hashes or holds bytes in bulk does it through this
//! crate, and nothing here knows what the bytes mean.
//!
//! - [`AlignedBuf`] and [`BufferPool`]: memory whose alignment is a type, reused because first-touch page faults
//!   cost more than the copies into it.
//! - [`Reserve`]: memory that grows where it lies, and is used again.
//! - [`Digest`] and [`Hasher`]: checksums that name their algorithm.
//! - [`copy_files`]: shards from anywhere to local disk past the page cache, hashed in the same pass.
//! - [`ShardBytes`]: a shard as one slice, mapped where a mapping is safe and read where it is not.
//! - [`available_memory`]: how much this process may still take.
//! - [`FilePieces`]: a file read piece by piece into the caller's memory.
//! - [`DirectFile`]: a file read in large pieces past the page cache.
//! - [`place`] and [`probe`](mod@probe): what a filesystem can do, and the renames that publish a result.
//! - [`forks`]: a fork waits until no thread of ours is in the middle of something.
//! - [`threads`]: the one pool of compute threads of this process.
//! - [`wide`]: a loop compiled for each kind of CPU.
//!
//! What it is not: an object store client, an async runtime, or a file format. Every call blocks; callers that hold a
//! lock of their own (an interpreter's, say) release it first and stop long work through [`Control`].

pub mod align;
pub mod buffer;
pub mod control;
pub mod copy;
pub mod digest;
mod digest_file;
pub mod direct;
pub mod error;
pub mod forks;
pub mod mapped;
mod memory;
mod pieces;
pub mod place;
pub mod pool;
mod prefetch;
pub mod probe;
mod regular;
mod reserve;
pub mod threads;
#[cfg(target_os = "linux")]
mod uring;
pub mod wide;
mod writeback;

pub use align::Alignment;
pub use buffer::AlignedBuf;
pub use control::Control;
pub use copy::{
    CopyJob, CopyMode, CopyOptions, CopyPlan, CopyReport, Engine, JobSource, ShardSource, SourceFacts,
    copy_files,
};
pub use digest::{Algorithm, Digest, Hasher};
pub use digest_file::digest_file;
pub use direct::{DirectFile, DirectPiece};
pub use error::IoError;
pub use mapped::{Access, ShardBytes};
pub use memory::available_memory;
pub use pieces::FilePieces;
pub use pool::{BufferPool, PoolStats, PooledBuf};
pub use prefetch::prefetch;
pub use probe::{Probe, probe};
pub use reserve::{Reserve, ReservedBuf};
pub use writeback::start_writeback;
