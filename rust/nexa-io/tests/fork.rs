//! A forked child gets a pool of its own: alone in this file, since a fork copies one thread only.
#![expect(unsafe_code, reason = "fork has no safe wrapper")]

use std::ffi::{c_int, c_uint};

use rayon::prelude::*;

unsafe extern "C" {
    fn fork() -> c_int;
    fn waitpid(process: c_int, status: *mut c_int, options: c_int) -> c_int;
    fn alarm(seconds: c_uint) -> c_uint;
    fn _exit(status: c_int) -> !;
}

fn sum_in_pool() -> u64 {
    nexa_io::threads::pool().map_or(0, |pool| pool.install(|| (0..1000u64).into_par_iter().sum()))
}

#[test]
fn the_pool_works_on_both_sides_of_a_fork() {
    assert_eq!(sum_in_pool(), 499_500);
    // SAFETY: the child touches only the pool, no lock of the test harness, and leaves through _exit.
    let child = unsafe { fork() };
    if child == 0 {
        // SAFETY: the alarm turns a hang into a death that the parent sees; _exit runs nothing of the parent's.
        unsafe {
            alarm(60);
            _exit(if sum_in_pool() == 499_500 && sum_in_pool() == 499_500 { 0 } else { 1 });
        }
    }
    let mut status = -1;
    // SAFETY: `child` is our own child and `status` outlives the call.
    assert_eq!(unsafe { waitpid(child, &raw mut status, 0) }, child);
    assert_eq!(status, 0, "the child hung or failed");
    assert_eq!(sum_in_pool(), 499_500, "the parent's pool is unharmed");
}
