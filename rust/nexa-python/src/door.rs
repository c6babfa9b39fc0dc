//! The one door for long work: releases the GIL, runs, polls for Ctrl-C, maps the error.

use std::any::Any;
use std::sync::mpsc;
use std::time::Duration;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

/// How often signals are looked at.
const POLL: Duration = Duration::from_millis(50);

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
    long_work_telling(py, control, |control, _: &(dyn Fn(()) + Sync)| work(control), |_| Ok(()))
}

/// Do as [`long_work`], and hand what `work` tells to `listen` while it goes on: on the calling thread, with the GIL, in
/// the order in which it was told, all that has gathered at once.
///
/// # Errors
/// As [`long_work`]; what `listen` returned, after the work was cancelled and has stopped. After Ctrl-C `listen` still
/// hears what was finished until then; after an error of its own it is not called again.
pub(crate) fn long_work_telling<T, E, M>(
    py: Python<'_>,
    control: Option<&Control>,
    work: impl FnOnce(&nexa_io::Control, &(dyn Fn(M) + Sync)) -> Result<T, E> + Send,
    mut listen: impl FnMut(Vec<M>) -> PyResult<()>,
) -> PyResult<T>
where
    T: Send,
    E: Send + Into<crate::errors::Raised>,
    M: Send,
{
    let control = control.map_or_else(nexa_io::Control::default, |control| control.inner.clone());
    let (sender, mut told) = mpsc::channel::<M>();
    let (raised, outcome) = std::thread::scope(|scope| {
        let theirs = &control;
        // The sender is dropped when the work ends, also by a panic: that ends the waiting.
        let worker = scope.spawn(move || work(theirs, &|message| drop(sender.send(message))));
        let (mut raised, mut deaf) = (None, false);
        loop {
            // A receiver may be used by one thread at a time: lending it mutably proves that it is.
            let told = &mut told;
            let heard = py.detach(move || match told.recv_timeout(POLL) {
                Ok(first) => Ok(std::iter::once(first).chain(told.try_iter()).collect()),
                Err(mpsc::RecvTimeoutError::Timeout) => Ok(Vec::new()),
                Err(ended @ mpsc::RecvTimeoutError::Disconnected) => Err(ended),
            });
            let Ok(messages) = heard else { break };
            let listened = if messages.is_empty() || deaf { Ok(()) } else { listen(messages) };
            deaf |= listened.is_err();
            if let Err(error) = listened.and_then(|()| py.check_signals()) {
                control.cancel();
                raised.get_or_insert(error);
            }
        }
        (raised, py.detach(|| worker.join()))
    });
    match (raised, outcome) {
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
