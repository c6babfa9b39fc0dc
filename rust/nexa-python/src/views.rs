//! Lends the memory of Python's buffers to native work, without a copy: an island of `unsafe`.
#![expect(
    unsafe_code,
    reason = "the buffer protocol lends raw pointers, and a copy of a column costs more than its filter"
)]

use std::slice;

use pyo3::buffer::PyUntypedBuffer;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;

/// The bytes of an object that exports them in one piece; it stays alive and in its place as long as this does.
pub(crate) struct View(PyUntypedBuffer);

impl View {
    /// Borrow from `object`.
    pub(crate) fn of(object: &Bound<'_, PyAny>, name: &str) -> PyResult<Self> {
        let buffer = PyUntypedBuffer::get(object)
            .map_err(|_| PyTypeError::new_err(format!("{name} must be a buffer, such as a numpy array")))?;
        if !buffer.is_c_contiguous() {
            return Err(PyValueError::new_err(format!("{name} must be contiguous")));
        }
        Ok(Self(buffer))
    }

    /// Return the bytes.
    ///
    /// They are read once by whoever is called with them, as numbers of which every pattern of bits is one, and no answer's
    /// memory depends on their being the same twice.
    pub(crate) fn bytes(&self) -> &[u8] {
        let len = self.0.len_bytes();
        if len == 0 {
            return &[];
        }
        // SAFETY: the exporter promises `len` readable bytes from `buf_ptr` on, in one piece as was asked above, at a fixed place until the
        // buffer is released, which is when `self` is dropped. Arrow's memory is never written; of a numpy array, another
        // Python thread may write a number while it is read, as with any array shared between threads, by which that number is the old or the new one.
        unsafe { slice::from_raw_parts(self.0.buf_ptr().cast::<u8>(), len) }
    }

    /// Return `rows` rows of `width` bytes from row `first` on.
    pub(crate) fn rows(&self, first: usize, rows: usize, width: usize, name: &str) -> PyResult<&[u8]> {
        let range =
            first.checked_mul(width).zip(first.checked_add(rows).and_then(|end| end.checked_mul(width)));
        range.and_then(|(start, end)| self.bytes().get(start..end)).ok_or_else(|| {
            PyValueError::new_err(format!(
                "{name} has {} bytes, not rows {first} to {first} + {rows} of {width} bytes",
                self.bytes().len()
            ))
        })
    }
}

/// The memory of an object that exports it in one piece and for writing; it stays alive and in its place as long as this does.
pub(crate) struct ViewMut {
    buffer: PyUntypedBuffer,
    name: String,
}

impl ViewMut {
    /// Borrow from `object`.
    pub(crate) fn of(object: &Bound<'_, PyAny>, name: &str) -> PyResult<Self> {
        let buffer = PyUntypedBuffer::get(object)
            .map_err(|_| PyTypeError::new_err(format!("{name} must be a buffer, such as a numpy array")))?;
        if !buffer.is_c_contiguous() || buffer.readonly() {
            return Err(PyValueError::new_err(format!("{name} must be contiguous and writable")));
        }
        Ok(Self { buffer, name: name.to_owned() })
    }

    /// Say whether both have a byte in common.
    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        let ends = |of: &Self| {
            let start = of.buffer.buf_ptr().addr();
            (start, start + of.buffer.len_bytes())
        };
        let ((ours, our_end), (theirs, their_end)) = (ends(self), ends(other));
        ours < their_end && theirs < our_end
    }

    /// Return the memory as numbers of 32 bits.
    pub(crate) fn floats(&mut self) -> PyResult<&mut [f32]> {
        let (start, len) = (self.buffer.buf_ptr().cast::<f32>(), self.buffer.len_bytes() / size_of::<f32>());
        if len == 0 {
            return Ok(&mut []);
        }
        if !start.is_aligned() {
            return Err(PyValueError::new_err(format!("{} must lie at a multiple of 4 bytes", self.name)));
        }
        // SAFETY: the exporter promises so many writable bytes from `buf_ptr` on, in one piece, aligned, as was asked above, at a fixed place
        // until the buffer is released, which is when `self` is dropped; any bytes are such numbers. `self` is borrowed
        // for as long as the slice lives, so that there is no second one; the caller of the native function lends his batch to
        // it alone, as he would to any function that writes into it.
        Ok(unsafe { slice::from_raw_parts_mut(start, len) })
    }
}
