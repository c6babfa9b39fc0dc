//! Whether this kernel lets this process use `io_uring`: containers often forbid it.
#![expect(unsafe_code, reason = "the setup call takes a kernel structure by pointer")]

use rustix::io_uring::{io_uring_params, io_uring_setup};

const SWITCH: &str = "/proc/sys/kernel/io_uring_disabled";

/// Try to make the smallest ring and close it again; the reason, where it cannot be.
pub(crate) fn trial() -> Result<(), String> {
    let mut parameters = io_uring_params::default();
    // SAFETY: `parameters` is a zeroed structure of the kernel's own layout that outlives the call; the ring is closed
    // at once and no memory of it is ever mapped.
    match unsafe { io_uring_setup(1, &mut parameters) } {
        Ok(_ring) => Ok(()),
        Err(error) => Err(match std::fs::read_to_string(SWITCH) {
            Ok(value) if value.trim() != "0" => format!("{error} ({SWITCH} is {})", value.trim()),
            _ => error.to_string(),
        }),
    }
}
