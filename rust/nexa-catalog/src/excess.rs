//! A bound on findings: beyond it they are counted, since a file of another format would give millions.

use crate::{Code, Finding, Severity};

/// Most findings that are kept. Beyond, they are counted: a file of another format would otherwise give a finding
/// for each of its millions of lines.
pub const MAX_FINDINGS: usize = 10_000;

/// The findings that were counted and not kept.
#[derive(Default)]
pub(crate) struct Excess {
    count: u64,
    worst: Option<Severity>,
}

impl Excess {
    pub(crate) fn keep(&mut self, findings: &mut Vec<Finding>, finding: Finding) {
        if findings.len() < MAX_FINDINGS {
            findings.push(finding);
        } else {
            self.count(1, finding.severity);
        }
    }

    pub(crate) fn count(&mut self, count: usize, severity: Severity) {
        if count > 0 {
            self.count += count as u64;
            self.worst = self.worst.max(Some(severity));
        }
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.count += other.count;
        self.worst = self.worst.max(other.worst);
    }

    pub(crate) fn finding(&self) -> Option<Finding> {
        let worst = self.worst?;
        let message = format!("{} more findings are not listed", self.count);
        let finding = Finding::new(Code::TooManyFindings, message).severity(worst);
        Some(finding.fix("mend what is listed and check again; perhaps the file is not a catalog"))
    }
}
