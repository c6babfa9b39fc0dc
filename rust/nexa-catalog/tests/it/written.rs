//! The catalogs and shards that the tests check.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::{Float32Array, Int64Array, RecordBatch};
use arrow_ipc::writer::FileWriter;
use nexa_catalog::{Checks, Entry, Finding, Parsed, parse, validate};
use nexa_io::{Algorithm, Control, digest_file};
use tempfile::TempDir;

/// A folder of its own, with a catalog and shards in it.
pub struct Folder {
    temp: TempDir,
}

impl Folder {
    pub fn new() -> Self {
        Self { temp: tempfile::tempdir().unwrap() }
    }

    pub fn root(&self) -> &Path {
        self.temp.path()
    }

    pub fn put(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.root().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }

    /// Write a shard of `rows` labels, and give the entry that tells the truth about it.
    pub fn shard(&self, line: u64, name: &str, rows: usize) -> Entry {
        let labels = Int64Array::from_iter_values(0..rows as i64);
        self.columns(line, name, &RecordBatch::try_from_iter([("label", Arc::new(labels) as _)]).unwrap())
    }

    /// The same with a label of another type.
    pub fn odd_shard(&self, line: u64, name: &str, rows: usize) -> Entry {
        let labels = Float32Array::from(vec![0.0; rows]);
        self.columns(line, name, &RecordBatch::try_from_iter([("label", Arc::new(labels) as _)]).unwrap())
    }

    fn columns(&self, line: u64, name: &str, batch: &RecordBatch) -> Entry {
        let mut bytes = Vec::new();
        let mut writer = FileWriter::try_new(&mut bytes, batch.schema_ref()).unwrap();
        writer.write(batch).unwrap();
        writer.finish().unwrap();
        drop(writer);
        let path = self.put(name, &bytes);
        let (size, digest) = digest_file(&path, Algorithm::Sha256, &Control::default()).unwrap();
        Entry {
            line,
            bytes: Some(size),
            records: Some(batch.num_rows() as u64),
            checksum: Some(digest),
            ..Entry::new(name)
        }
    }

    pub fn check(&self, entries: &[Entry], checks: &Checks) -> Vec<Finding> {
        let entries = entries.iter().cloned().collect();
        validate(self.root(), &entries, checks, &Control::default()).unwrap()
    }
}

pub const ALL: Checks = Checks { shards: true, footers: true, content: true, for_staging: true };
pub const IN_PLACE: Checks = Checks { for_staging: false, ..ALL };

pub fn read(text: impl AsRef<[u8]>) -> Parsed {
    parse(text.as_ref(), &Control::default()).unwrap()
}

/// The findings as `line code column`.
pub fn brief(findings: &[Finding]) -> Vec<String> {
    findings
        .iter()
        .map(|finding| {
            let line = finding.line.map_or("-".to_owned(), |line| line.to_string());
            format!("{line} {} {}", finding.code, finding.column.as_deref().unwrap_or("-"))
        })
        .collect()
}
