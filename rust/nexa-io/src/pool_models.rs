//! Claims about the pool that hold in every order in which threads can take their steps (`make test-loom`).

use std::collections::HashSet;

use loom::sync::Mutex;
use loom::thread;

use super::*;

const BYTES: usize = 64;

fn pool(max_idle_bytes: usize) -> BufferPool {
    BufferPool::new(Alignment::CACHE_LINE, max_idle_bytes)
}

/// Addresses of the buffers that are out; no two are ever the same.
#[derive(Clone, Default)]
struct Out(Arc<Mutex<HashSet<usize>>>);

impl Out {
    fn take(&self, pool: &BufferPool, len: usize) -> PooledBuf {
        let buffer = pool.take(len).unwrap();
        assert!(self.0.lock().unwrap().insert(buffer.as_ptr().addr()), "two have the same memory");
        buffer
    }

    fn give_back(&self, buffer: PooledBuf) {
        assert!(self.0.lock().unwrap().remove(&buffer.as_ptr().addr()));
        drop(buffer);
    }
}

#[test]
fn no_two_takers_have_the_same_memory_and_all_of_it_is_counted() {
    loom::model(|| {
        let (pool, out) = (pool(4 * BYTES), Out::default());
        let theirs = (pool.clone(), out.clone());
        let other = thread::spawn(move || {
            let (pool, out) = theirs;
            let first = out.take(&pool, BYTES);
            out.give_back(first);
            let second = out.take(&pool, BYTES);
            out.give_back(second);
        });
        let mine = out.take(&pool, BYTES);
        out.give_back(mine);
        other.join().unwrap();
        let stats = pool.stats();
        assert_eq!((stats.live_buffers, stats.live_bytes), (0, 0));
        assert_eq!(stats.idle_buffers as u64, stats.allocations);
        assert_eq!(stats.idle_bytes, stats.idle_buffers * BYTES);
        assert!((1..=2).contains(&stats.allocations), "no more than were out at once");
    });
}

#[test]
fn idle_bytes_stay_within_the_bound_whoever_looks_when() {
    loom::model(|| {
        let pool = pool(BYTES);
        let (first, second) = (pool.take(BYTES).unwrap(), pool.take(BYTES).unwrap());
        let others = [first, second].map(|buffer| thread::spawn(move || drop(buffer)));
        assert!(pool.stats().idle_bytes <= BYTES);
        for other in others {
            other.join().unwrap();
        }
        let stats = pool.stats();
        assert_eq!((stats.idle_buffers, stats.idle_bytes, stats.live_buffers), (1, BYTES, 0));
    });
}

#[test]
fn buffers_outlive_the_pool_and_all_is_freed_with_the_last() {
    // That nothing is left over is what the model itself checks, of every reference.
    loom::model(|| {
        let pool = pool(4 * BYTES);
        let (mut mine, theirs) = (pool.take(BYTES).unwrap(), pool.take(2 * BYTES).unwrap());
        let other = thread::spawn(move || drop(theirs));
        let handle = thread::spawn(move || drop(pool));
        mine.fill(7);
        assert!(mine.iter().all(|&byte| byte == 7));
        drop(mine);
        other.join().unwrap();
        handle.join().unwrap();
    });
}

#[test]
fn a_buffer_of_one_thread_is_taken_again_by_another() {
    loom::model(|| {
        let pool = pool(4 * BYTES);
        let theirs = pool.clone();
        let other = thread::spawn(move || {
            let mut buffer = theirs.take(BYTES).unwrap();
            buffer.fill(9);
        });
        let mine = pool.take(BYTES).unwrap();
        assert!(mine[0] == 0 || mine.iter().all(|&byte| byte == 9), "all that was written, or nothing");
        drop(mine);
        other.join().unwrap();
    });
}
