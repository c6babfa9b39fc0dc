//! Mixup: each row of a batch and another of it, by a weight from a symmetric beta distribution.
//!
//! ```text
//! a row's words a, u, v, w:  partner = a n / 2^32, of n rows
//! s = (u^(-1/α) - 1) cos² 2πv,  weight = ½ ± ½ √(s / (1 + s)), the sign from w
//! ```
//!
//! s is a t variate of 2α degrees of freedom, squared and divided by them, by Bailey's polar method (Math. Comp. 62, 1994),
//! which Devroye's "Random variate generation in one line of code" (WSC 1996) takes to the symmetric beta distribution.
//! The exponential is that of Cephes (`expf.c`), less one where that one would cancel.

use nexa_io::wide::{Work, dispatch};

use crate::normal::{cosines_and_sines, logarithms};
use crate::philox::Stream;
use crate::walk::{LANES, halves, words};

/// With whom each row of a batch is mixed, and by which weight.
pub struct Mixup {
    partners: Vec<usize>,
    weights: Vec<f32>,
}

impl Mixup {
    /// Draw for rows of these numbers: weights depend on them alone, partners on the number of rows as well.
    #[must_use]
    pub fn draw(stream: &Stream, epoch: u32, rows: &[u64], alpha: f32) -> Self {
        let mut drawn = Self { partners: vec![0; rows.len()], weights: vec![0.0; rows.len()] };
        dispatch(Draw { stream, epoch, rows, alpha, drawn: &mut drawn });
        drawn
    }

    /// Mix rows of `row_len` numbers: `row = weight * row + (1 - weight) * partner`, all partners as they were before.
    ///
    /// # Panics
    /// If there are fewer rows than were drawn for.
    pub fn mix(&self, row_len: usize, values: &mut [f32]) {
        let before = values.to_vec();
        dispatch(Mix { row_len, drawn: self, before: &before, values });
    }

    /// Write the mixed labels of class ids, each a class: `soft` has as many shares a row as there are classes.
    ///
    /// # Panics
    /// If there are fewer rows than were drawn for, or a label is no class.
    pub fn mix_classes(&self, labels: &[i64], num_classes: usize, soft: &mut [f32]) {
        soft.fill(0.0);
        let class = |row: usize| usize::try_from(labels[row]).unwrap_or(usize::MAX);
        for (row, (&partner, &weight)) in self.partners.iter().zip(&self.weights).enumerate() {
            let shares = &mut soft[row * num_classes..][..num_classes];
            shares[class(row)] += weight;
            shares[class(partner)] += 1.0 - weight;
        }
    }
}

struct Draw<'a> {
    stream: &'a Stream,
    epoch: u32,
    rows: &'a [u64],
    alpha: f32,
    drawn: &'a mut Mixup,
}

impl Work for Draw<'_> {
    #[inline(always)]
    fn run(self) {
        let Self { stream, epoch, rows, alpha, drawn } = self;
        let targets = drawn.partners.chunks_mut(LANES).zip(drawn.weights.chunks_mut(LANES));
        for (numbers, (partners, weights)) in rows.chunks(LANES).zip(targets) {
            let (mut low, mut high) = ([0; LANES], [0; LANES]);
            for (at, &row) in numbers.iter().enumerate() {
                (low[at], high[at]) = halves(row);
            }
            let [partner, power, angle, sign] = words(stream.key(), [0; LANES], epoch, low, high);
            let made = beta(alpha, power, angle, sign);
            for (at, (place, weight)) in partners.iter_mut().zip(weights).enumerate() {
                *place = ((u64::from(partner[at]) * rows.len() as u64) >> 32) as usize;
                *weight = made[at];
            }
        }
    }
}

/// Return numbers of the distribution Beta(alpha, alpha).
#[inline(always)]
fn beta(alpha: f32, power: [u32; LANES], angle: [u32; LANES], sign: [u32; LANES]) -> [f32; LANES] {
    let (logarithms, cosines) = (logarithms(power), cosines_and_sines(angle).0);
    let mut weights = [0.0; LANES];
    for lane in 0..LANES {
        // Rounding may make a hair more than 0 of a logarithm; beyond 87 a float's exponential is at its end, and the weight 0 or 1.
        let grown = exponential_less_one((-logarithms[lane] / alpha).clamp(0.0, 87.0));
        let squared = grown * cosines[lane] * cosines[lane];
        let distance = 0.5 * (squared / (1.0 + squared)).sqrt();
        weights[lane] = 0.5 + f32::from_bits(distance.to_bits() | (sign[lane] & (1 << 31)));
    }
    weights
}

/// Return `e^x - 1`, x from 0 to 87.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "a small whole number")]
fn exponential_less_one(x: f32) -> f32 {
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    // The nearest power of two: what is added moves all behind the point out of the number.
    const ROUND: f32 = 12_582_912.0;
    let whole = (x * std::f32::consts::LOG2_E + ROUND) - ROUND;
    let rest = x - whole * LN_2_HIGH - whole * LN_2_LOW;
    let mut sum = 1.987_569_2e-4;
    for coefficient in [1.398_2e-3, 8.333_452e-3, 4.166_579_6e-2, 0.166_666_65, 0.5] {
        sum = sum * rest + coefficient;
    }
    let grown = sum * rest * rest + rest;
    let power = f32::from_bits((127 + whole as i32).cast_unsigned() << 23);
    power * grown + (power - 1.0)
}

struct Mix<'a> {
    row_len: usize,
    drawn: &'a Mixup,
    before: &'a [f32],
    values: &'a mut [f32],
}

impl Work for Mix<'_> {
    #[inline(always)]
    fn run(self) {
        let Self { row_len, drawn, before, values } = self;
        if row_len == 0 {
            return;
        }
        for ((row, &partner), &weight) in
            values.chunks_exact_mut(row_len).zip(&drawn.partners).zip(&drawn.weights)
        {
            let other = &before[partner * row_len..][..row_len];
            for (number, other) in row.iter_mut().zip(other) {
                *number = *number * weight + other * (1.0 - weight);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponentials_are_the_librarys() {
        for step in 0..=87_000_u32 {
            let x = step as f32 * 1e-3;
            let (ours, exact) = (f64::from(exponential_less_one(x)), f64::from(x).exp_m1());
            assert!((ours - exact).abs() <= exact * 3e-7, "{x}: {ours} for {exact}");
        }
    }

    #[test]
    fn weights_have_the_moments_of_their_distribution() {
        let rows: Vec<u64> = (0..200_000).collect();
        for alpha in [0.05, 0.2, 1.0, 8.0] {
            let weights = Mixup::draw(&Stream::new(1, 2), 0, &rows, alpha).weights;
            let moment = |power| weights.iter().map(|&w| f64::from(w).powi(power)).sum::<f64>() / 200_000.0;
            let wanted = 0.25 / (2.0 * f64::from(alpha) + 1.0);
            assert!(weights.iter().all(|weight| (0.0..=1.0).contains(weight)));
            assert!((moment(1) - 0.5).abs() < 0.004, "{alpha}: {}", moment(1));
            assert!((moment(2) - moment(1).powi(2) - wanted).abs() < 0.002, "{alpha}: {}", moment(2));
        }
    }

    #[test]
    fn a_weight_depends_on_the_rows_number_alone_and_partners_are_even() {
        let stream = Stream::new(3, 4);
        let rows: Vec<u64> = (0..50_000).collect();
        let all = Mixup::draw(&stream, 1, &rows, 0.4);
        let some = Mixup::draw(&stream, 1, &rows[1001..1014], 0.4);
        assert_eq!(some.weights, all.weights[1001..1014]);
        assert!(some.partners.iter().all(|&partner| partner < 13));
        let lower = all.partners.iter().filter(|&&partner| partner < 10_000).count();
        assert!(lower.abs_diff(10_000) < 400, "{lower}");
        assert!(Mixup::draw(&stream, 1, &[], 0.4).weights.is_empty());
    }

    #[test]
    fn mixed_rows_and_labels_lie_between_both() {
        let drawn = Mixup { partners: vec![1, 0, 2], weights: vec![0.75, 1.0, 0.25] };
        let mut batch = [0.0, 0.0, 1.0, 2.0, 4.0, 4.0];
        drawn.mix(2, &mut batch);
        assert_eq!(batch, [0.25, 0.5, 1.0, 2.0, 4.0, 4.0]);
        let mut soft = [7.0; 9];
        drawn.mix_classes(&[0, 2, 1], 3, &mut soft);
        assert_eq!(soft, [0.75, 0.0, 0.25, 0.0, 0.0, 1.0, 0.0, 1.0, 0.0]);
    }
}
