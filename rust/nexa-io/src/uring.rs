//! Whether this kernel lets this process use `io_uring`: containers often forbid it.

use io_uring::{IoUring, Probe, opcode};

const SWITCH: &str = "/proc/sys/kernel/io_uring_disabled";

/// Try to make the smallest ring, ask it for the operations that a copy needs, and close it again; the reason, where
/// something is missing.
pub(crate) fn trial() -> Result<(), String> {
    let ring = IoUring::new(1).map_err(|error| match std::fs::read_to_string(SWITCH) {
        Ok(value) if value.trim() != "0" => format!("{error} ({SWITCH} is {})", value.trim()),
        _ => error.to_string(),
    })?;
    let mut probe = Probe::new();
    let asked = ring.submitter().register_probe(&mut probe);
    asked.map_err(|error| {
        format!("it cannot be asked what it can do ({error}): it is older than Linux 5.6")
    })?;
    let needed = [opcode::Read::CODE, opcode::Write::CODE, opcode::ReadFixed::CODE, opcode::WriteFixed::CODE];
    match needed.iter().find(|code| !probe.is_supported(**code)) {
        Some(code) => Err(format!("it lacks the operation {code}")),
        None => Ok(()),
    }
}
