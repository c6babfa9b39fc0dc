//! Keeps a copy below a bandwidth, so that it leaves a shared disk or network to others.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use super::transfer::pause;
use crate::control::Control;
use crate::error::IoError;

/// Spaces blocks out in time; 0 bytes a second mean without bound.
#[derive(Debug)]
pub(crate) struct Pace {
    bytes_per_s: u64,
    /// When the next block may begin.
    next: Mutex<Instant>,
}

impl Pace {
    pub(crate) fn new(bytes_per_s: u64) -> Self {
        Self { bytes_per_s, next: Mutex::new(Instant::now()) }
    }

    /// Wait until a block of so many bytes may begin, and pass unless the work is cancelled.
    ///
    /// # Errors
    /// [`IoError::Cancelled`] as soon as that is asked for.
    pub(crate) fn admit(&self, bytes: usize, control: &Control) -> Result<(), IoError> {
        if self.bytes_per_s == 0 {
            return control.check();
        }
        pause(self.wait_for(bytes, Instant::now()), control)
    }

    /// Book a block; time that nobody used is not saved up, or a pause would be followed by a burst.
    fn wait_for(&self, bytes: usize, now: Instant) -> Duration {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let begin = (*next).max(now);
        #[expect(clippy::cast_precision_loss, reason = "a rate needs no more than 52 bits")]
        let takes =
            Duration::try_from_secs_f64(bytes as f64 / self.bytes_per_s as f64).unwrap_or(Duration::MAX);
        *next = begin.checked_add(takes).unwrap_or(begin);
        begin - now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_spaced_by_their_bytes_and_idle_time_is_not_saved() {
        let pace = Pace::new(1000);
        let start = Instant::now() + Duration::from_secs(1);
        let ms = Duration::from_millis;
        assert_eq!(pace.wait_for(100, start), ms(0));
        assert_eq!(pace.wait_for(100, start), ms(100));
        assert_eq!(pace.wait_for(100, start), ms(200));
        assert_eq!(pace.wait_for(100, start + ms(250)), ms(50));
        assert_eq!(pace.wait_for(100, start + ms(5000)), ms(0));
        assert_eq!(pace.wait_for(100, start + ms(5000)), ms(100));
    }

    #[test]
    fn no_bound_is_no_wait_and_a_cancelled_one_ends() {
        let control = Control::new();
        assert!(Pace::new(0).admit(usize::MAX, &control).is_ok());
        let pace = Pace::new(1);
        assert!(pace.admit(1 << 30, &control).is_ok());
        control.cancel();
        assert!(matches!(pace.admit(1, &control), Err(IoError::Cancelled)));
    }
}
