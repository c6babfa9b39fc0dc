//! Exports Rust memory to Python: the only file of this crate that holds `unsafe`.
#![expect(unsafe_code, reason = "the buffer protocol and DLPack hand raw pointers to Python")]

use std::ffi::{CStr, c_int, c_void};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, Ordering};

use nexa_batch::{Memory, Target};
use nexa_io::PooledBuf;
use nexa_records::Element;
use pyo3::exceptions::{PyBufferError, PyValueError};
use pyo3::ffi;
use pyo3::prelude::*;

/// Writable bytes that whoever holds this object owns, or, on request, that lie in a shard's private mapping.
///
/// `torch.from_dlpack` (of [`dlpack`](Self::dlpack)) and `numpy.frombuffer` see them without a copy; when the last of them
/// dies, and this object, the memory goes back to the pool that it came from, or the mapping loses a holder.
#[pyclass(frozen, module = "nexa_data._core")]
pub struct Buffer {
    /// Address of the first byte. Atomic only because Python may ask from any thread; it never changes.
    start: AtomicPtr<u8>,
    len: usize,
    /// Owns the memory behind `start`, or shares it. Of a pool's buffer, Rust doesn't touch the bytes again once it is
    /// here: Python writes them.
    memory: Arc<Memory>,
}

impl Buffer {
    /// Hand `memory` over to Python.
    pub(crate) fn new(mut memory: Memory) -> Self {
        let start = match &mut memory {
            Memory::Own(buffer) => buffer.as_mut_ptr(),
            Memory::Borrowed(column) => column.values.as_ptr().cast_mut(),
        };
        Self { start: AtomicPtr::new(start), len: memory.len(), memory: Arc::new(memory) }
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

    /// Return a `DLPack` capsule of a tensor of `dtype` (by torch's name) and `shape` over all the bytes.
    ///
    /// Who takes it in (once) frees it from any thread, without the interpreter.
    fn dlpack<'py>(&self, py: Python<'py>, dtype: &str, shape: Vec<i64>) -> PyResult<Bound<'py, PyAny>> {
        let target: Target = dtype
            .parse()
            .map_err(|error: nexa_records::UnknownElement| PyValueError::new_err(error.to_string()))?;
        let items = shape.iter().try_fold(1_usize, |all, &side| all.checked_mul(usize::try_from(side).ok()?));
        if items.and_then(|items| items.checked_mul(target.bytes())) != Some(self.len) {
            return Err(PyValueError::new_err(format!("{} bytes make no {dtype} of {shape:?}", self.len)));
        }
        let mut tensor = Box::new(Tensor {
            managed: DlManagedTensor {
                tensor: DlTensor {
                    data: self.start.load(Ordering::Relaxed).cast(),
                    device_type: DL_CPU,
                    device_id: 0,
                    ndim: c_int::try_from(shape.len())?,
                    dtype: dl_type(target),
                    shape: ptr::null_mut(),
                    strides: ptr::null_mut(),
                    byte_offset: 0,
                },
                context: ptr::null_mut(),
                deleter: Some(delete),
            },
            shape,
            _memory: Arc::clone(&self.memory),
        });
        tensor.managed.tensor.shape = tensor.shape.as_mut_ptr();
        let managed = Box::into_raw(tensor);
        // SAFETY: `managed` is a live `Tensor`, whose first field is what the capsule's name promises, and the destructor
        // frees it if nobody took it in. The address it holds is that of `len` bytes that its `_memory` keeps; that
        // nothing in Rust touches them is argued below. The call returns a new reference, or null with an error set.
        unsafe {
            let capsule = ffi::PyCapsule_New(managed.cast(), UNTAKEN.as_ptr(), Some(drop_untaken));
            if capsule.is_null() {
                drop(Box::from_raw(managed));
            }
            Bound::from_owned_ptr_or_err(py, capsule)
        }
    }

    unsafe fn __getbuffer__(slf: Bound<'_, Self>, view: *mut ffi::Py_buffer, flags: c_int) -> PyResult<()> {
        let this = slf.get();
        let len = ffi::Py_ssize_t::try_from(this.len)
            .map_err(|_| PyBufferError::new_err("the buffer is larger than Python can address"))?;
        let start = this.start.load(Ordering::Relaxed);
        // SAFETY: Python passes a `Py_buffer` of its own for us to fill. `start` is the first of `len` bytes that
        // `memory` keeps, at a fixed address, as long as this object lives, and `PyBuffer_FillInfo` takes a
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

/// The capsule's name until somebody takes the tensor in, who renames it.
const UNTAKEN: &CStr = c"dltensor";
const DL_CPU: c_int = 1;

/// `DLTensor` of `DLPack` 0.x, <https://dmlc.github.io/dlpack/latest/c_api.html>.
#[repr(C)]
struct DlTensor {
    data: *mut c_void,
    device_type: c_int,
    device_id: i32,
    ndim: i32,
    dtype: DlType,
    shape: *mut i64,
    strides: *mut i64,
    byte_offset: u64,
}

/// `DLDataType`.
#[repr(C)]
struct DlType {
    code: u8,
    bits: u8,
    lanes: u16,
}

/// `DLManagedTensor`.
#[repr(C)]
struct DlManagedTensor {
    tensor: DlTensor,
    context: *mut c_void,
    deleter: Option<unsafe extern "C" fn(*mut DlManagedTensor)>,
}

/// What a capsule points to, and what it points to in turn.
#[repr(C)]
struct Tensor {
    managed: DlManagedTensor,
    shape: Vec<i64>,
    _memory: Arc<Memory>,
}

unsafe extern "C" fn delete(managed: *mut DlManagedTensor) {
    if !managed.is_null() {
        // SAFETY: `managed` is the first field of a `Tensor` that `Buffer::dlpack` has boxed, and so at its address;
        // `DLPack` calls this once.
        drop(unsafe { Box::from_raw(managed.cast::<Tensor>()) });
    }
}

/// Free a tensor that nobody has taken in.
unsafe extern "C" fn drop_untaken(capsule: *mut ffi::PyObject) {
    // SAFETY: Python passes the capsule that dies, which holds what its name says: under this name, a `Tensor` of ours.
    unsafe {
        if ffi::PyCapsule_IsValid(capsule, UNTAKEN.as_ptr()) == 1 {
            delete(ffi::PyCapsule_GetPointer(capsule, UNTAKEN.as_ptr()).cast());
        }
    }
}

fn dl_type(target: Target) -> DlType {
    let code = match target {
        Target::Stored(Element::I8 | Element::I16 | Element::I32 | Element::I64) => 0,
        Target::Stored(Element::U8 | Element::U16 | Element::U32 | Element::U64) => 1,
        Target::Stored(Element::F16 | Element::F32 | Element::F64) => 2,
        Target::Bf16 => 4,
        Target::Stored(Element::Bool) => 6,
    };
    DlType { code, bits: u8::try_from(8 * target.bytes()).unwrap_or(u8::MAX), lanes: 1 }
}
