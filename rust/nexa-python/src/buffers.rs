//! Exports Rust memory to Python: the only file of this crate that holds `unsafe`.
#![expect(unsafe_code, reason = "the buffer protocol hands a raw pointer to Python")]

use std::ffi::c_int;
use std::sync::atomic::{AtomicPtr, Ordering};

use nexa_io::PooledBuf;
use pyo3::exceptions::PyBufferError;
use pyo3::ffi;
use pyo3::prelude::*;

/// Writable bytes that Rust allocated and whoever holds this object owns.
///
/// `torch.frombuffer` and `numpy.frombuffer` see them without a copy and keep this object alive; when the last
/// of them dies, the memory goes back to the pool that it came from.
#[pyclass(frozen, module = "nexa_data._core")]
pub struct Buffer {
    /// Address of the first byte. Atomic only because Python may ask from any thread; it never changes.
    start: AtomicPtr<u8>,
    len: usize,
    /// Owns the memory behind `start`. Rust doesn't touch its bytes again once it is here: Python writes them.
    _memory: PooledBuf,
}

impl Buffer {
    /// Hand `memory` over to Python.
    pub(crate) fn new(mut memory: PooledBuf) -> Self {
        let start = AtomicPtr::new(memory.as_mut_ptr());
        Self { start, len: memory.len(), _memory: memory }
    }
}

#[pymethods]
impl Buffer {
    /// Address of the first byte.
    #[getter]
    fn address(&self) -> usize {
        self.start.load(Ordering::Relaxed).addr()
    }

    fn __len__(&self) -> usize {
        self.len
    }

    unsafe fn __getbuffer__(slf: Bound<'_, Self>, view: *mut ffi::Py_buffer, flags: c_int) -> PyResult<()> {
        let this = slf.get();
        let len = ffi::Py_ssize_t::try_from(this.len)
            .map_err(|_| PyBufferError::new_err("the buffer is larger than Python can address"))?;
        let start = this.start.load(Ordering::Relaxed);
        // SAFETY: Python passes a `Py_buffer` of its own for us to fill. `start` is the first of `len` bytes that
        // `_memory` owns, at a fixed address, as long as this object lives, and `PyBuffer_FillInfo` takes a
        // reference to it that the view holds. Nothing in Rust reads or writes the bytes after `new`, so
        // Python's writes through the view alias no Rust reference.
        let filled = unsafe {
            ffi::PyBuffer_FillInfo(view, slf.as_ptr(), start.cast(), len, 0 /* writable */, flags)
        };
        if filled == -1 { Err(PyErr::fetch(slf.py())) } else { Ok(()) }
    }
}
