//! Which labels of records pass: by table where that decides exactly as `label in allowed` would, else by asking.

use std::ops::Range;

use nexa_filter::LabelSet;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyFrozenSet, PyInt, PySet, PyString};

use crate::records::small_ints;

/// The ints of which Python keeps one object each, by which these can be told without a look into them.
pub(crate) const SMALL_INTS: Range<i64> = -5..257;
/// Bytes from one of them to the next, as a power of two.
const STRIDE_SHIFT: u32 = 5;
const SMALL_INTS_LEN: usize = 262;

/// The container that was handed in, or a copy, and what could be made of it.
pub(crate) struct Allowed {
    /// Asked with `in` where no table decides.
    container: Py<PyAny>,
    /// The ints among the members, if nothing else that is a member can equal an int.
    table: Option<LabelSet>,
    /// Address of the first of the ints that Python keeps ready; 0 without a table.
    first_small: usize,
    /// Whether each of these passes.
    small: [bool; SMALL_INTS_LEN],
}

impl Allowed {
    /// An exact `set` or `frozenset` is copied, so that later changes by the caller don't show.
    pub(crate) fn new(allowed: &Bound<'_, PyAny>) -> PyResult<Self> {
        static FIRST_SMALL: PyOnceLock<Option<usize>> = PyOnceLock::new();
        let mut this =
            Self { container: allowed.clone().unbind(), table: None, first_small: 0, small: [false; _] };
        if !allowed.is_exact_instance_of::<PySet>() && !allowed.is_exact_instance_of::<PyFrozenSet>() {
            return Ok(this);
        }
        let py = allowed.py();
        // Of a frozenset this is the frozenset itself, of a set a copy that hashes nothing again.
        this.container = py.get_type::<PyFrozenSet>().call1((allowed,))?.unbind();
        this.table = ints(this.container.bind(py))?.map(LabelSet::new);
        if let Some(table) = &this.table
            && let Some(first) = FIRST_SMALL.get_or_init(py, || small_ints(py))
        {
            this.first_small = *first;
            for (passes, value) in this.small.iter_mut().zip(SMALL_INTS) {
                *passes = table.contains(value);
            }
        }
        Ok(this)
    }

    /// Return the container, for the garbage collector.
    pub(crate) fn container(&self) -> &Py<PyAny> {
        &self.container
    }

    /// Answer as `record[-1] in allowed` does; `label` is the last element where it is known.
    pub(crate) fn passes<'py>(
        &self,
        record: &Bound<'py, PyAny>,
        label: Option<Bound<'py, PyAny>>,
    ) -> PyResult<bool> {
        let label = label.map_or_else(|| record.get_item(-1), Ok)?;
        if self.has_table()
            && label.is_exact_instance_of::<PyInt>()
            && let Ok(label) = label.extract()
        {
            return Ok(self.has(label));
        }
        self.container.bind(record.py()).contains(label)
    }

    /// Say whether a label passes that is one of the ints that Python keeps ready; `None` if it is none of them.
    #[inline(always)]
    pub(crate) fn small(&self, address: usize) -> Option<bool> {
        // What lies before the first wraps around, and what lies between two has low bits that the rotation makes high
        // ones: one comparison covers all.
        let place = address.wrapping_sub(self.first_small).rotate_right(STRIDE_SHIFT);
        self.small.get(place).copied()
    }

    /// Say whether [`has`](Self::has) decides about ints of 64 bits.
    #[inline(always)]
    pub(crate) fn has_table(&self) -> bool {
        self.table.is_some()
    }

    /// Say whether an int of 64 bits passes.
    #[inline(always)]
    pub(crate) fn has(&self, label: i64) -> bool {
        self.table.as_ref().is_some_and(|table| table.contains(label))
    }
}

/// Return the members that are ints of 64 bits, or `None` if there are others that may equal such an int.
fn ints(members: &Bound<'_, PyAny>) -> PyResult<Option<Vec<i64>>> {
    let mut found = Vec::with_capacity(members.len()?);
    for member in members.try_iter()? {
        let member = member?;
        if member.is_exact_instance_of::<PyInt>() || member.is_exact_instance_of::<PyBool>() {
            // One beyond 64 bits equals no label that the table is asked for.
            found.extend(member.extract::<i64>().ok());
        } else if !member.is_exact_instance_of::<PyString>() && !member.is_none() {
            return Ok(None);
        }
    }
    Ok(Some(found))
}
