//! What is done to the rows of a batch in place, each row's randomness a function of its own number and the epoch.

use crate::normal::normals;
use crate::philox::Stream;
use crate::walk::{LANES, Step, for_each_number};

/// Add normal noise of a standard deviation to every number.
pub fn add_noise(stream: &Stream, epoch: u32, rows: &[u64], row_len: usize, std: f32, batch: &mut [f32]) {
    for_each_number(stream, epoch, rows, row_len, batch, Noise(std));
}

struct Noise(f32);

impl Step for Noise {
    #[inline(always)]
    fn make(&self, words: [[u32; LANES]; 2]) -> [[f32; LANES]; 2] {
        normals(words)
    }

    #[inline(always)]
    fn put(&self, number: f32, made: f32) -> f32 {
        number + made * self.0
    }
}

/// Set each number to 0 with probability `p`, known to 2^-32, and multiply the others by `scale`.
pub fn drop_features(
    stream: &Stream,
    epoch: u32,
    rows: &[u64],
    row_len: usize,
    (p, scale): (f64, f32),
    batch: &mut [f32],
) {
    if p >= 1.0 {
        batch.fill(0.0);
        return;
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of 2^32")]
    let bound = (p * 4_294_967_296.0).round().min(4_294_967_295.0) as u32;
    for_each_number(stream, epoch, rows, row_len, batch, Drop { bound, scale });
}

struct Drop {
    bound: u32,
    scale: f32,
}

impl Step for Drop {
    /// Return masks of bits: what is dropped is 0, also where it was NaN.
    #[inline(always)]
    fn make(&self, words: [[u32; LANES]; 2]) -> [[f32; LANES]; 2] {
        let mut masks = [[0.0; LANES]; 2];
        for (masks, words) in masks.iter_mut().zip(words) {
            for lane in 0..LANES {
                masks[lane] = f32::from_bits(0_u32.wrapping_sub(u32::from(words[lane] >= self.bound)));
            }
        }
        masks
    }

    #[inline(always)]
    fn put(&self, number: f32, made: f32) -> f32 {
        f32::from_bits((number * self.scale).to_bits() & made.to_bits())
    }
}

/// Multiply every number by one from `low` to `high`.
pub fn scale_features(
    stream: &Stream,
    epoch: u32,
    rows: &[u64],
    row_len: usize,
    (low, high): (f32, f32),
    batch: &mut [f32],
) {
    for_each_number(
        stream,
        epoch,
        rows,
        row_len,
        batch,
        Scale { low, step: (high - low) * (1.0 / 16_777_216.0) },
    );
}

struct Scale {
    low: f32,
    step: f32,
}

impl Step for Scale {
    #[inline(always)]
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_wrap, reason = "24 bits")]
    fn make(&self, words: [[u32; LANES]; 2]) -> [[f32; LANES]; 2] {
        let mut factors = [[0.0; LANES]; 2];
        for (factors, words) in factors.iter_mut().zip(words) {
            for lane in 0..LANES {
                factors[lane] = self.low + ((words[lane] >> 8) as i32 as f32 + 0.5) * self.step;
            }
        }
        factors
    }

    #[inline(always)]
    fn put(&self, number: f32, made: f32) -> f32 {
        number * made
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROWS: [u64; 3] = [4, 9, 1 << 33];

    #[test]
    fn what_a_row_draws_depends_on_its_number_alone() {
        let stream = Stream::new(1, 2);
        type Augment = fn(&Stream, &[u64], &mut [f32]);
        let each: [Augment; 3] = [
            |stream, rows, batch| add_noise(stream, 1, rows, 6, 0.5, batch),
            |stream, rows, batch| drop_features(stream, 1, rows, 6, (0.5, 2.0), batch),
            |stream, rows, batch| scale_features(stream, 1, rows, 6, (0.5, 1.5), batch),
        ];
        for augment in each {
            let mut together = [1.0; 18];
            augment(&stream, &ROWS, &mut together);
            for (at, row) in ROWS.into_iter().enumerate() {
                let mut alone = [1.0; 6];
                augment(&stream, &[row], &mut alone);
                assert_eq!(together[at * 6..][..6], alone);
            }
        }
    }

    #[test]
    fn rates_and_bounds_are_those_asked_for() {
        let rows: Vec<u64> = (0..10_000).collect();
        let stream = Stream::new(3, 4);
        let mut dropped = vec![f32::NAN; 320_000];
        drop_features(&stream, 0, &rows, 32, (0.25, 1.0), &mut dropped);
        let zeros = dropped.iter().filter(|&&number| number == 0.0).count();
        assert!((zeros as f64 / 320_000.0 - 0.25).abs() < 0.005, "{zeros}");
        for (p, left) in [(0.0, 320_000.0), (1.0, 0.0)] {
            let mut batch = vec![1.0; 320_000];
            drop_features(&stream, 0, &rows, 32, (p, 1.0), &mut batch);
            let sum: f64 = batch.iter().map(|&number| f64::from(number)).sum();
            assert_eq!(sum, left);
        }
        let mut scaled = vec![1.0; 320_000];
        scale_features(&stream, 0, &rows, 32, (0.8, 1.2), &mut scaled);
        assert!(scaled.iter().all(|&number| (0.8..=1.2).contains(&number)));
    }
}
