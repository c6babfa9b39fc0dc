//! Bytes between disk and aligned memory.
