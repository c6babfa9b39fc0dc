//! Claims about reuse, its bound, and life after the pool.

use std::sync::Barrier;
use std::thread;

use proptest::prelude::*;

use super::*;

fn pool(max_idle_bytes: usize) -> BufferPool {
    BufferPool::new(Alignment::CACHE_LINE, max_idle_bytes)
}

#[test]
fn a_dropped_buffer_is_taken_again_with_its_stale_content() {
    let pool = pool(1 << 20);
    let mut first = pool.take(1000).unwrap();
    first.fill(0x5A);
    let address = first.as_ptr();
    drop(first);
    assert_eq!(
        pool.stats(),
        PoolStats { idle_buffers: 1, idle_bytes: 1024, allocations: 1, ..Default::default() }
    );
    let second = pool.take(999).unwrap();
    assert_eq!((second.as_ptr(), second.len(), second.capacity()), (address, 999, 1024));
    assert!(second.iter().all(|&byte| byte == 0x5A));
    assert_eq!(
        pool.stats(),
        PoolStats { live_buffers: 1, live_bytes: 1024, allocations: 1, ..Default::default() }
    );
}

#[test]
fn when_all_buffers_are_out_it_allocates() {
    let pool = pool(1 << 20);
    let held: Vec<_> = (0..5).map(|_| pool.take(64).unwrap()).collect();
    assert_eq!(pool.stats().allocations, 5);
    drop(held);
    assert_eq!((pool.stats().idle_buffers, pool.stats().live_buffers), (5, 0));
}

#[test]
fn beyond_the_bound_the_longest_idle_is_freed() {
    let pool = pool(2048);
    let (small, large) = (pool.take(512).unwrap(), pool.take(2048).unwrap());
    drop(small);
    assert_eq!(pool.stats().idle_bytes, 512);
    drop(large);
    assert_eq!((pool.stats().idle_buffers, pool.stats().idle_bytes), (1, 2048), "the old size has drained");
    drop(pool.take(4096).unwrap());
    assert_eq!(pool.stats().idle_bytes, 2048, "what alone exceeds the bound is never kept");
}

#[test]
fn a_bound_of_zero_turns_reuse_off() {
    let pool = pool(0);
    drop(pool.take(64).unwrap());
    drop(pool.take(64).unwrap());
    assert_eq!(pool.stats(), PoolStats { allocations: 2, ..Default::default() });
}

#[test]
fn an_empty_buffer_needs_no_memory() {
    let pool = pool(1024);
    let empty = pool.take(0).unwrap();
    assert!(empty.is_empty() && empty.capacity() == 0);
    drop(empty);
    assert_eq!(pool.stats().idle_buffers, 0);
}

#[test]
fn an_impossible_size_is_an_error_and_counts_nothing() {
    let pool = pool(1024);
    for len in [usize::MAX, isize::MAX as usize] {
        assert!(matches!(pool.take(len), Err(IoError::OutOfMemory { .. })));
    }
    assert_eq!(pool.stats(), PoolStats::default());
}

#[test]
fn a_buffer_outlives_every_handle_of_its_pool() {
    let pool = pool(1 << 20);
    let mut buffer = pool.take(300).unwrap();
    drop(pool);
    buffer.fill(9);
    assert_eq!(buffer[299], 9);
}

#[test]
fn buffers_of_many_threads_never_overlap() {
    const THREADS: u8 = 8;
    let pool = pool(1 << 16);
    let barrier = Barrier::new(usize::from(THREADS));
    thread::scope(|scope| {
        for mark in 0..THREADS {
            let (pool, barrier) = (pool.clone(), &barrier);
            scope.spawn(move || {
                barrier.wait();
                for turn in 0..500 {
                    let mut buffer = pool.take(64 + (turn * 37) % 2000).unwrap();
                    buffer.fill(mark);
                    thread::yield_now();
                    assert!(buffer.iter().all(|&byte| byte == mark));
                }
            });
        }
    });
    let stats = pool.stats();
    assert_eq!((stats.live_buffers, stats.live_bytes), (0, 0));
    assert!(stats.idle_bytes <= 1 << 16);
    assert!(stats.allocations < u64::from(THREADS) * 500, "some were reused");
}

proptest! {
    #[test]
    fn a_class_holds_its_length_wastes_a_fifth_at_most_and_is_its_own_class(len in 0usize..1 << 40) {
        let class = size_class(len, Alignment::PAGE).unwrap();
        prop_assert!(class >= len && class.is_multiple_of(4096));
        prop_assert!(class - len <= class / 5 + 4096);
        prop_assert_eq!(size_class(class, Alignment::PAGE), Some(class));
    }

    #[test]
    fn idle_bytes_stay_within_the_bound(lens in prop::collection::vec(0usize..5000, 1..60), bound in 0usize..20_000) {
        let pool = pool(bound);
        let mut held = VecDeque::new();
        for len in lens {
            held.push_back(pool.take(len).unwrap());
            if held.len() > 3 {
                held.pop_front();
            }
            prop_assert!(pool.stats().idle_bytes <= bound);
            prop_assert_eq!(pool.stats().live_buffers, held.len());
        }
    }
}
