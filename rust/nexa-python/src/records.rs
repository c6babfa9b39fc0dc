//! Walks records and looks at their labels without making Python objects of the steps: an island of `unsafe`.
//!
//! ```text
//! next:   list or tuple:  item by index, borrowed;   any other iterable:  its iterator's next
//! judge:  exact tuple, last element an exact int:  a table, without a call for the ints that Python keeps ready
//!         anything else:  a new reference, then what `record[-1] in allowed` does
//! ```
//!
//! 1. Calls of the safe interface count references up and down again and wrap their results, for each of a judgement's few
//!    steps; `benches/filter` holds the whole against a generator of Python.
//! 2. Borrowed items are looked at only while no Python code can run; before any can, they become references.
//! 3. An exact list is read as its own iterator does: by index, its length asked anew for each item.
#![expect(
    unsafe_code,
    reason = "borrowed items and labels spare the reference counts that make up most of the time"
)]

use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};

use crate::allowed::{Allowed, SMALL_INTS};

/// Records between two looks at signals and at threads that wait for the interpreter.
const TURNS: usize = 1 << 16;
/// `Records::at` of records that have come to their end.
const EXHAUSTED: usize = usize::MAX;

/// The records of any iterable, each judged by its last element.
pub(crate) struct Records {
    source: Py<PyAny>,
    kind: Kind,
    /// Records that were read (of an iterator: up to [`TURNS`], then anew). Atomic for the compiler's sake: the interpreter lets one
    /// thread at a time in here.
    at: AtomicUsize,
}

#[derive(Clone, Copy)]
enum Kind {
    List,
    Tuple,
    Iterator,
}

type Item = *mut ffi::PyObject;

impl Records {
    /// Begin to read; only an exact list or tuple is read by index.
    pub(crate) fn new(records: &Bound<'_, PyAny>) -> PyResult<Self> {
        let (source, kind) = if records.is_exact_instance_of::<PyList>() {
            (records.clone(), Kind::List)
        } else if records.is_exact_instance_of::<PyTuple>() {
            (records.clone(), Kind::Tuple)
        } else {
            (records.try_iter()?.into_any(), Kind::Iterator)
        };
        Ok(Self { source: source.unbind(), kind, at: AtomicUsize::new(0) })
    }

    /// Return what the records are read from, for the garbage collector.
    pub(crate) fn source(&self) -> &Py<PyAny> {
        &self.source
    }

    /// Return the next record whose label is allowed.
    pub(crate) fn next<'py>(
        &self,
        py: Python<'py>,
        allowed: &Allowed,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        // For both of the blocks below: `source` is an exact list, or an exact tuple, and the function is its type's; it returns the item
        // at an index below its length, borrowed.
        match self.kind {
            Kind::List => {
                // SAFETY: as above.
                self.next_indexed(py, allowed, |list, at| unsafe { ffi::PyList_GetItem(list, at) })
            }
            Kind::Tuple => {
                // SAFETY: as above.
                self.next_indexed(py, allowed, |tuple, at| unsafe { ffi::PyTuple_GetItem(tuple, at) })
            }
            Kind::Iterator => self.next_iterated(py, allowed),
        }
    }

    #[inline(always)]
    fn next_indexed<'py>(
        &self,
        py: Python<'py>,
        allowed: &Allowed,
        item: impl Fn(Item, isize) -> Item,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let source = self.source.as_ptr();
        loop {
            self.pause(py)?;
            let mut at = self.at.load(Ordering::Relaxed);
            if at == EXHAUSTED {
                return Ok(None);
            }
            // SAFETY: lists and tuples are objects with a size; it stays as it is until Python code runs, and up to
            // the end of the inner loop none does.
            let len = unsafe { ffi::Py_SIZE(source) }.cast_unsigned();
            let end = len.min(at - at % TURNS + TURNS);
            let mut undecided = None;
            while at < end {
                // `at` is below a length, which is never above isize::MAX.
                let record = item(source, at.cast_signed());
                at += 1;
                // SAFETY: the item is alive: the list or tuple holds it.
                match unsafe { judge(record, allowed) } {
                    Verdict::Rejected => {}
                    Verdict::Allowed => {
                        self.at.store(at, Ordering::Relaxed);
                        // SAFETY: as above; this takes a reference of our own.
                        return Ok(Some(unsafe { Bound::from_borrowed_ptr(py, record) }));
                    }
                    Verdict::Ask(label) => {
                        // SAFETY: as above, and of its label.
                        undecided = Some(unsafe { (Bound::from_borrowed_ptr(py, record), hold(py, label)) });
                        break;
                    }
                }
            }
            self.at.store(at, Ordering::Relaxed);
            if let Some((record, label)) = undecided {
                if allowed.passes(&record, label)? {
                    return Ok(Some(record));
                }
            } else if at >= len {
                self.at.store(EXHAUSTED, Ordering::Relaxed);
                return Ok(None);
            }
        }
    }

    fn next_iterated<'py>(&self, py: Python<'py>, allowed: &Allowed) -> PyResult<Option<Bound<'py, PyAny>>> {
        loop {
            self.pause(py)?;
            let turn = self.at.load(Ordering::Relaxed);
            if turn == EXHAUSTED {
                return Ok(None);
            }
            self.at.store(turn % TURNS + 1, Ordering::Relaxed);
            // SAFETY: `source` is an iterator: `iter()` has returned it. The result is a new reference or null.
            let record = unsafe { ffi::PyIter_Next(self.source.as_ptr()) };
            if record.is_null() {
                if let Some(error) = PyErr::take(py) {
                    return Err(error);
                }
                self.at.store(EXHAUSTED, Ordering::Relaxed);
                return Ok(None);
            }
            // SAFETY: a new reference to a live object, which becomes ours.
            let (verdict, record) = unsafe { (judge(record, allowed), Bound::from_owned_ptr(py, record)) };
            let passes = match verdict {
                Verdict::Allowed => true,
                Verdict::Rejected => false,
                // SAFETY: the record, which is ours, holds it.
                Verdict::Ask(label) => allowed.passes(&record, unsafe { hold(py, label) })?,
            };
            if passes {
                return Ok(Some(record));
            }
        }
    }

    /// Now and then, let Ctrl-C be noticed and other threads run: by itself a native loop gives Python no chance to, nor does
    /// who drains this iterator in a native loop of his own. Others may have read on meanwhile.
    #[inline(always)]
    fn pause(&self, py: Python<'_>) -> PyResult<()> {
        let at = self.at.load(Ordering::Relaxed);
        if at.is_multiple_of(TURNS) && at != 0 { let_others_run(py) } else { Ok(()) }
    }
}

#[cold]
fn let_others_run(py: Python<'_>) -> PyResult<()> {
    py.check_signals()?;
    py.detach(|| ());
    Ok(())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Allowed,
    Rejected,
    /// Only Python can tell: of this label, or, where it is null, of the record.
    Ask(Item),
}

/// Judge a record where a table can, without running Python code.
///
/// # Safety
/// `record` is a live object, and the caller holds the interpreter.
#[inline(always)]
unsafe fn judge(record: Item, allowed: &Allowed) -> Verdict {
    // SAFETY: types are compared by address. An exact tuple or list has a size, and an item at each index below it, which
    // it holds at least until Python code runs. An exact int is asked for its value, by which none does.
    unsafe {
        let kind = ffi::Py_TYPE(record);
        let is_tuple = kind == &raw mut ffi::PyTuple_Type;
        if !is_tuple && kind != &raw mut ffi::PyList_Type {
            return Verdict::Ask(ptr::null_mut());
        }
        let len = ffi::Py_SIZE(record);
        if len == 0 {
            return Verdict::Ask(ptr::null_mut());
        }
        let label = if is_tuple {
            ffi::PyTuple_GetItem(record, len - 1)
        } else {
            ffi::PyList_GetItem(record, len - 1)
        };
        if let Some(passes) = allowed.small(label.addr()) {
            return if passes { Verdict::Allowed } else { Verdict::Rejected };
        }
        let Some(labels) = allowed.labels() else { return Verdict::Ask(label) };
        if ffi::Py_TYPE(label) != &raw mut ffi::PyLong_Type {
            return Verdict::Ask(label);
        }
        let mut overflow = 0;
        let value = ffi::PyLong_AsLongLongAndOverflow(label, &raw mut overflow);
        match overflow {
            0 if labels.contains(value) => Verdict::Allowed,
            0 => Verdict::Rejected,
            _ => Verdict::Ask(label),
        }
    }
}

/// Return a reference of one's own to the label that Python is to be asked about; `None` stands for the record's last.
///
/// # Safety
/// `label` is null or live.
unsafe fn hold<'py>(py: Python<'py>, label: Item) -> Option<Bound<'py, PyAny>> {
    // SAFETY: the caller's word.
    unsafe { Bound::from_borrowed_ptr_or_opt(py, label) }
}

/// Return the address of the first of the ints that Python keeps ready, if each of them lies [`SMALL_INTS`]' stride behind
/// the one before, as in every `CPython` so far.
///
/// They are never freed once this was called: it keeps a reference to each.
pub(crate) fn small_ints(py: Python<'_>) -> Option<usize> {
    let mut first = None;
    for value in SMALL_INTS {
        // SAFETY: both calls return new references or null; of the first, one is kept for ever.
        let (kept, again) = unsafe {
            let (kept, again) = (ffi::PyLong_FromLongLong(value), ffi::PyLong_FromLongLong(value));
            ffi::Py_XDECREF(again);
            (kept, again)
        };
        let wanted =
            *first.get_or_insert(kept.addr()) + (value - SMALL_INTS.start).cast_unsigned() as usize * 32;
        if kept.is_null() || kept != again || kept.addr() != wanted {
            // SAFETY: a reference that is ours, or null with an error set, which is cleared.
            unsafe { ffi::Py_XDECREF(kept) };
            drop(PyErr::take(py));
            return None;
        }
    }
    first
}
