//! Exports Rust memory to Python: the only file of this crate that holds `unsafe`.
#![expect(unsafe_code, reason = "the buffer protocol hands a raw pointer to Python")]

use std::ffi::c_int;
use std::sync::atomic::{AtomicPtr, Ordering};

use nexa_batch::Memory;
use nexa_io::PooledBuf;
use pyo3::exceptions::PyBufferError;
use pyo3::ffi;
use pyo3::prelude::*;

/// Writable bytes that whoever holds this object owns, or, on request, that lie in a shard's private mapping.
///
/// `torch.frombuffer` and `numpy.frombuffer` see them without a copy and keep this object alive; when the last
/// of them dies, the memory goes back to the pool that it came from, or the mapping loses a holder.
#[pyclass(frozen, module = "nexa_data._core")]
pub struct Buffer {
    /// Address of the first byte. Atomic only because Python may ask from any thread; it never changes.
    start: AtomicPtr<u8>,
    len: usize,
    /// Owns the memory behind `start`, or shares it. Of a pool's buffer, Rust doesn't touch the bytes again once it is
    /// here: Python writes them.
    _memory: Memory,
}

impl Buffer {
    /// Hand `memory` over to Python.
    pub(crate) fn new(mut memory: Memory) -> Self {
        let start = match &mut memory {
            Memory::Own(buffer) => buffer.as_mut_ptr(),
            Memory::Borrowed(column) => column.values.as_ptr().cast_mut(),
        };
        Self { start: AtomicPtr::new(start), len: memory.len(), _memory: memory }
    }

    /// Hand a pool's buffer over to Python.
    pub(crate) fn owned(memory: PooledBuf) -> Self {
        Self::new(Memory::Own(memory))
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
        // `_memory` keeps, at a fixed address, as long as this object lives, and `PyBuffer_FillInfo` takes a
        // reference to it that the view holds. Of an own buffer, nothing in Rust reads or writes the bytes after
        // `new`, so Python's writes through the view alias no Rust reference. A borrowed one lies in memory that may
        // be written (a private mapping, or a file read into a buffer) and that Rust only ever copies from, as
        // numbers of which every pattern of bits is one: as with any mapped file, who writes while another thread
        // copies gets a number that is old or new, which the loader's `borrow` says aloud.
        let filled = unsafe {
            ffi::PyBuffer_FillInfo(view, slf.as_ptr(), start.cast(), len, 0 /* writable */, flags)
        };
        if filled == -1 { Err(PyErr::fetch(slf.py())) } else { Ok(()) }
    }
}
