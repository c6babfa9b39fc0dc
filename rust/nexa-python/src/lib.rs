//! Translates the Rust crates to the Python module `nexa_data._core`, and nothing else.
//!
//! One file per verb. Long work goes through [`door`], errors through [`errors`], memory through [`buffers`].

#![allow(
    clippy::needless_pass_by_value,
    reason = "what Python passes is converted into values that a function owns"
)]

mod allowed;
mod arrow_c;
mod buffers;
mod catalog;
mod copy;
mod door;
mod errors;
mod filter;
mod gather;
mod loader;
mod moments;
mod order;
mod packed;
mod quality;
mod ragged;
mod random;
mod records;
mod row_mask;
mod shard;
mod source;
mod system;
mod teacher;
mod views;

/// The native core of nexa-data.
#[pyo3::pymodule]
mod _core {
    #[pymodule_export]
    use crate::arrow_c::ArrowBatch;
    #[pymodule_export]
    use crate::buffers::Buffer;
    #[pymodule_export]
    use crate::catalog::{CatalogLines, read_catalog, staged_name};
    #[pymodule_export]
    use crate::copy::{CopyPlan, CopyReport, copy_files, digest_file};
    #[pymodule_export]
    use crate::door::Control;
    #[pymodule_export]
    use crate::filter::{LabelFilter, select_labels};
    #[pymodule_export]
    use crate::gather::SplitGather;
    #[pymodule_export]
    use crate::loader::{Assembler, Ticket};
    #[pymodule_export]
    use crate::moments::{ClassCounts, Moments};
    #[pymodule_export]
    use crate::order::{Mixture, Order, Selection, group_by_label, select_by_label};
    #[pymodule_export]
    use crate::packed::{PackedEpoch, Packer};
    #[pymodule_export]
    use crate::quality::{Duplicates, RowStatistics};
    #[pymodule_export]
    use crate::random::{ClassificationRecords, augment_rows, mixup, random_words};
    #[pymodule_export]
    use crate::row_mask::{LabelKeys, RowMask};
    #[pymodule_export]
    use crate::shard::{shard_info, write_shard};
    #[pymodule_export]
    use crate::source::{SourceBatches, SourceReader, recognise_source};
    #[pymodule_export]
    use crate::system::{
        after_fork, after_fork_in_child, before_fork, build_info, default_threads, exchange_paths,
        filesystem, probe, set_threads,
    };

    #[pymodule_export]
    use crate::teacher::TeacherJournal;

    /// Version of the order of an epoch that this build draws.
    #[pymodule_export]
    const ORDER_VERSION: u32 = nexa_batch::ORDER_VERSION;

    /// Version of the packing of sequences that this build does.
    #[pymodule_export]
    const PACK_VERSION: u32 = nexa_batch::PACK_VERSION;
    /// Positions among which the turns of a mixture's sources are mixed.
    #[pymodule_export]
    const MIXTURE_WINDOW: u64 = nexa_batch::MIXTURE_WINDOW;
}
