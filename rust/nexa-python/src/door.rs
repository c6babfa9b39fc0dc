//! The one door for long work: releases the GIL, runs, polls for Ctrl-C, maps the error.

use std::any::Any;
use std::sync::mpsc;
use std::time::Duration;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

/// Stops long work from another thread, and tells how far it is.
#[pyclass(frozen, module = "nexa_data._core")]
pub struct Control {
    pub(crate) inner: nexa_io::Control,
}

#[pymethods]
impl Control {
    #[new]
    fn new() -> Self {
        Self { inner: nexa_io::Control::default() }
    }

    /// Ask the work to stop at its next block.
    fn cancel(&self) {
        self.inner.cancel();
    }

    /// Bytes that are done.
    #[getter]
    fn bytes(&self) -> u64 {
        self.inner.bytes()
    }

    /// Files that are done.
    #[getter]
    fn files(&self) -> u64 {
        self.inner.files()
    }
}

/// Run `work` on a thread of its own with the GIL released; Ctrl-C cancels it and is raised once it has stopped.
///
/// # Errors
/// What `work` returned, mapped; `KeyboardInterrupt` or whatever a signal handler raised; a `RuntimeError` for a
/// panic, which is a defect of ours and never takes the process down.
pub(crate) fn long_work<T, E>(
    py: Python<'_>,
    control: Option<&Control>,
    work: impl FnOnce(&nexa_io::Control) -> Result<T, E> + Send,
) -> PyResult<T>
where
    T: Send,
    E: Send + Into<crate::errors::Raised>,
{
    let control = control.map_or_else(nexa_io::Control::default, |control| control.inner.clone());
    let (sender, mut done) = mpsc::channel::<()>();
    let (signal, outcome) = std::thread::scope(|scope| {
        let theirs = &control;
        let worker = scope.spawn(move || {
            // Dropped when the work ends, also by a panic: that wakes the waiting thread.
            let _sender = sender;
            work(theirs)
        });
        let mut signal = None;
        loop {
            // A receiver may be used by one thread at a time: lending it mutably proves that it is.
            let done = &mut done;
            let waited = py.detach(move || done.recv_timeout(Duration::from_millis(50)));
            if waited != Err(mpsc::RecvTimeoutError::Timeout) {
                break;
            }
            if let Err(raised) = py.check_signals() {
                control.cancel();
                signal = Some(raised);
                break;
            }
        }
        (signal, py.detach(|| worker.join()))
    });
    match (signal, outcome) {
        (Some(raised), _) => Err(raised),
        (None, Ok(result)) => result.map_err(|error| error.into().0),
        (None, Err(panic)) => Err(panicked(&*panic)),
    }
}

fn panicked(panic: &(dyn Any + Send)) -> PyErr {
    let text = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message");
    PyRuntimeError::new_err(format!("nexa-data's native core panicked: {text}; please report it"))
}
