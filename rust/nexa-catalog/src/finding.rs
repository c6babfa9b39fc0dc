//! A finding is a value that people read and programs count, so its code is a name that never changes.

use std::fmt;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Worth a look; the catalog is usable.
    Warning,
    /// The entry cannot be used.
    Error,
    /// The catalog and the data contradict each other: data is missing or is not what it was.
    Critical,
}

impl Severity {
    /// Give the name: `warning`, `error` or `critical`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Critical => "critical",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $severity:ident;)*) => {
        /// What kind of finding it is.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $($(#[$doc])* $variant,)*
        }

        impl Code {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Give the stable name, such as `missing-uri`.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// Give the severity that the code has unless its place says otherwise.
            #[must_use]
            pub const fn severity(self) -> Severity {
                match self {
                    $(Self::$variant => Severity::$severity,)*
                }
            }
        }
    };
}

codes! {
    /// A line is not UTF-8.
    InvalidUtf8 = "invalid-utf8", Error;
    /// A line is not JSON.
    InvalidJson = "invalid-json", Error;
    /// A line is JSON, but no object.
    NotAnObject = "not-an-object", Error;
    /// A line is longer than [`MAX_LINE_BYTES`](crate::MAX_LINE_BYTES).
    LineTooLong = "line-too-long", Error;
    /// A key stands twice in a line.
    DuplicateKey = "duplicate-key", Error;
    /// A line has no `uri`.
    MissingUri = "missing-uri", Error;
    /// A key's value is of another JSON type than it should be.
    WrongType = "wrong-type", Error;
    /// A count is below zero.
    NegativeNumber = "negative-number", Error;
    /// A count is not a whole number of 64 bits.
    InvalidNumber = "invalid-number", Error;
    /// A `uri` has a scheme that is not read.
    UnknownScheme = "unknown-scheme", Error;
    /// A `uri` leads where a catalog's should not.
    UnsafeUri = "unsafe-uri", Error;
    /// A `uri` has a name or a path that no file can have.
    NameTooLong = "name-too-long", Error;
    /// A `uri` leads into what is another line's shard: a name is a file or a folder.
    NameConflict = "name-conflict", Error;
    /// Two lines lead to one shard.
    DuplicateUri = "duplicate-uri", Error;
    /// A checksum is not `algorithm:hexadecimal`.
    InvalidChecksum = "invalid-checksum", Error;
    /// A checksum is of an algorithm that we do not know.
    UnknownChecksumAlgorithm = "unknown-checksum-algorithm", Error;
    /// A split's name is not one, or is likely a misspelling.
    InvalidSplit = "invalid-split", Error;
    /// The catalog has no entries.
    EmptyCatalog = "empty-catalog", Error;
    /// A shard is not there.
    MissingShard = "missing-shard", Critical;
    /// A shard is a folder, a pipe or a device.
    NotAFile = "not-a-file", Error;
    /// A shard has another size than the catalog says.
    WrongSize = "wrong-size", Critical;
    /// A shard has another number of records than the catalog says.
    WrongRecords = "wrong-records", Critical;
    /// A shard has another digest than the catalog says.
    WrongChecksum = "wrong-checksum", Critical;
    /// A shard cannot be read, or is not what its name says.
    UnreadableShard = "unreadable-shard", Critical;
    /// A shard's columns are not those of the first shard.
    SchemaMismatch = "schema-mismatch", Error;
    /// A symbolic link leads out of the catalog's folder.
    UnsafeSymlink = "unsafe-symlink", Error;
    /// There were more findings than [`MAX_FINDINGS`](crate::MAX_FINDINGS); the rest is counted here.
    TooManyFindings = "too-many-findings", Error;
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One thing that is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What kind of finding it is.
    pub code: Code,
    /// How bad it is.
    pub severity: Severity,
    /// The catalog's line, counted from 1; `None` for what belongs to no line.
    pub line: Option<u64>,
    /// The shard's `uri`, where it is known.
    pub shard: Option<String>,
    /// The JSON key at fault; for `schema-mismatch` the shard's column.
    pub column: Option<String>,
    /// What is wrong, in words.
    pub message: String,
    /// What to do about it.
    pub remedy: Option<String>,
}

impl Finding {
    /// Make a finding with its code's severity and no place.
    #[must_use]
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        let severity = code.severity();
        Self { code, severity, line: None, shard: None, column: None, message: message.into(), remedy: None }
    }

    pub(crate) fn at(mut self, line: u64) -> Self {
        self.line = Some(line);
        self
    }

    pub(crate) fn of(mut self, shard: &str) -> Self {
        self.shard = Some(shard.to_owned());
        self
    }

    pub(crate) fn key(mut self, column: &str) -> Self {
        self.column = Some(column.to_owned());
        self
    }

    pub(crate) fn fix(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    pub(crate) fn severity(mut self, severity: Severity) -> Self {
        self.severity = severity;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_names_are_kebab_case_and_unique() {
        let mut names: Vec<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert!(
            names
                .iter()
                .all(|name| name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'))
        );
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Code::ALL.len());
    }
}
