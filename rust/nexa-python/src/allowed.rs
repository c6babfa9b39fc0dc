//! Which labels of records pass: by table where that decides exactly as `label in allowed` would, else by asking.

use std::ops::Range;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

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

/// Members of which a table is made at once; of more, when so many records per member were asked for.
const SMALL_SET: usize = 256;
const MEMBERS_PER_ASKED: usize = 4;

/// The container that was handed in, or a copy, and what could be made of it.
pub(crate) struct Allowed {
    /// Asked with `in` where no table decides.
    container: Py<PyAny>,
    /// Members of a copy; `None` for a container of another kind, of which no table is made.
    members: Option<usize>,
    /// Records that the container was asked about while there was no table.
    asked: AtomicUsize,
    /// What decides about ints, once it is made; `None` if it can't be.
    table: OnceLock<Option<Table>>,
}

/// The ints among the members, where nothing else that is a member can equal an int.
struct Table {
    labels: LabelSet,
    /// Address of the first of the ints that Python keeps ready; 0 where they aren't known.
    first_small: usize,
    /// Whether each of these passes.
    small: [bool; SMALL_INTS_LEN],
}

impl Allowed {
    /// An exact `set` or `frozenset` is copied, so that later changes by the caller don't show.
    pub(crate) fn new(allowed: &Bound<'_, PyAny>) -> PyResult<Self> {
        let mut this = Self {
            container: allowed.clone().unbind(),
            members: None,
            asked: AtomicUsize::new(0),
            table: OnceLock::new(),
        };
        if !allowed.is_exact_instance_of::<PySet>() && !allowed.is_exact_instance_of::<PyFrozenSet>() {
            return Ok(this);
        }
        let py = allowed.py();
        // Of a frozenset this is the frozenset itself, of a set a copy that hashes nothing again.
        this.container = py.get_type::<PyFrozenSet>().call1((allowed,))?.unbind();
        let members = this.container.bind(py).len()?;
        this.members = Some(members);
        if members <= SMALL_SET {
            this.make_table(py)?;
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
        if let Some(table) = self.table_for_another(record.py())?
            && label.is_exact_instance_of::<PyInt>()
            && let Ok(label) = label.extract()
        {
            return Ok(table.labels.contains(label));
        }
        self.container.bind(record.py()).contains(label)
    }

    /// Say whether a label passes that is one of the ints that Python keeps ready; `None` if it is none of them.
    #[inline(always)]
    pub(crate) fn small(&self, address: usize) -> Option<bool> {
        let table = self.table()?;
        // What lies before the first wraps around, and what lies between two has low bits that the rotation makes high
        // ones: one comparison covers all.
        let place = address.wrapping_sub(table.first_small).rotate_right(STRIDE_SHIFT);
        table.small.get(place).copied()
    }

    /// Return what decides about ints of 64 bits, if that is made.
    #[inline(always)]
    pub(crate) fn labels(&self) -> Option<&LabelSet> {
        Some(&self.table()?.labels)
    }

    #[inline(always)]
    fn table(&self) -> Option<&Table> {
        self.table.get()?.as_ref()
    }

    /// Return the table, which is made when as many records were asked about as are worth its cost: to look at a hundred
    /// thousand members takes longer than to ask for a thousand records.
    fn table_for_another(&self, py: Python<'_>) -> PyResult<Option<&Table>> {
        if let (None, Some(members)) = (self.table.get(), self.members) {
            let asked = self.asked.load(Ordering::Relaxed);
            if asked >= members / MEMBERS_PER_ASKED {
                self.make_table(py)?;
            }
            // The interpreter lets one thread at a time in here.
            self.asked.store(asked + 1, Ordering::Relaxed);
        }
        Ok(self.table())
    }

    fn make_table(&self, py: Python<'_>) -> PyResult<()> {
        static FIRST_SMALL: PyOnceLock<Option<usize>> = PyOnceLock::new();
        let table = ints(self.container.bind(py))?.map(|members| {
            let labels = LabelSet::new(members);
            let first_small = FIRST_SMALL.get_or_init(py, || small_ints(py));
            let mut small = [false; _];
            for (passes, value) in small.iter_mut().zip(SMALL_INTS) {
                *passes = first_small.is_some() && labels.contains(value);
            }
            Table { labels, first_small: first_small.unwrap_or(0), small }
        });
        // Another thread's is the same: both are of one copy.
        let _ = self.table.set(table);
        Ok(())
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
