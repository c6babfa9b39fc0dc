//! A fork never splits work in two: it waits until no thread of ours is in the middle of something.
//!
//! A forked child has one thread and a copy of all memory. A lock that another thread held at that moment stays locked in
//! the child for ever: the buffer pool's, the allocator of a shard that is just being opened. So every piece of work
//! that takes such locks is done [inside](enter), and whoever forks first [closes](close) the gate: new work waits, and
//! the work under way, a batch at most, is let come to its end.
//!
//! ```text
//! enter:  count myself in; closed meanwhile? count myself out, wait, again
//! close:  close; wait until nobody is inside
//! open:   in the parent and in the child, open again
//! ```
//!
//! Two counters and no lock: there is nothing here that a fork could break.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

/// Forks that are about to happen or happening.
static CLOSED: AtomicUsize = AtomicUsize::new(0);
/// Pieces of work under way.
static INSIDE: AtomicUsize = AtomicUsize::new(0);

/// A fork takes some hundred microseconds; nothing is gained by looking more often.
const LOOK_AGAIN: Duration = Duration::from_micros(20);

/// Work that no fork may split; over when it is dropped.
#[derive(Debug)]
pub struct Inside(());

/// Begin work that no fork may split, waiting for forks that are happening.
///
/// It must not be nested: the inner one would wait for a fork that waits for the outer one.
#[must_use]
pub fn enter() -> Inside {
    enter_for(|| false)
}

/// Begin work that somebody who is inside may be waiting for: then it begins at once, else as [`enter`] does.
///
/// A fork waits for the one who waits, and so for this work too: without a way in, all three would wait for each other.
#[must_use]
pub fn enter_for(awaited: impl Fn() -> bool) -> Inside {
    loop {
        INSIDE.fetch_add(1, SeqCst);
        if CLOSED.load(SeqCst) == 0 || awaited() {
            return Inside(());
        }
        INSIDE.fetch_sub(1, SeqCst);
        std::thread::sleep(LOOK_AGAIN);
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        INSIDE.fetch_sub(1, SeqCst);
    }
}

/// Before a fork: let nobody begin, and wait until all work under way is over.
pub fn close() {
    CLOSED.fetch_add(1, SeqCst);
    while INSIDE.load(SeqCst) > 0 {
        std::thread::sleep(LOOK_AGAIN);
    }
}

/// After a fork, in the parent.
pub fn open() {
    CLOSED.fetch_sub(1, SeqCst);
}

/// After a fork, in the child, whose only thread is not inside.
pub fn open_in_child() {
    INSIDE.store(0, SeqCst);
    CLOSED.store(0, SeqCst);
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;
    use std::thread;

    use super::*;

    #[test]
    fn while_the_gate_is_closed_nobody_is_inside() {
        static WORKING: AtomicUsize = AtomicUsize::new(0);
        let over = AtomicBool::new(false);
        let seen = thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    while !over.load(SeqCst) {
                        let inside = enter();
                        WORKING.fetch_add(1, SeqCst);
                        thread::yield_now();
                        WORKING.fetch_sub(1, SeqCst);
                        drop(inside);
                    }
                });
            }
            let seen: Vec<usize> = (0..200)
                .map(|_| {
                    close();
                    thread::yield_now();
                    let working = WORKING.load(SeqCst);
                    open();
                    working
                })
                .collect();
            over.store(true, SeqCst);
            seen
        });
        assert_eq!(seen, vec![0; 200]);
        drop(enter());
    }

    #[test]
    fn what_somebody_inside_waits_for_begins_while_a_fork_is_waiting() {
        let waiting = enter();
        let forking = thread::spawn(|| {
            close();
            open();
        });
        while CLOSED.load(SeqCst) == 0 {
            thread::yield_now();
        }
        drop(enter_for(|| true));
        drop(waiting);
        forking.join().unwrap();
    }
}
