//! Records of classes that can be learnt, record i a pure function of the seed and i.
//!
//! ```text
//! class and cluster:   from the record's own words, by the classes' weights; some labels are another class's instead
//! informative:         the cluster's centre + normal noise
//! redundant:           sums of the informative ones, each with a weight of its own
//! the rest:            normal noise
//! ```
//!
//! The terms are those of scikit-learn's `make_classification` (after Guyon 2003); centres are normal points rather than a
//! hypercube's corners, so that there may be any number of them in any number of dimensions.

use std::ops::Range;

use nexa_io::IoError;
use nexa_io::wide::{Work, dispatch};
use rayon::prelude::*;

use crate::normal::fill_normal;
use crate::philox::Stream;

const LABELS: u64 = 1;
const NOISE: u64 = 2;
const CENTRES: u64 = 3;
const WEIGHTS: u64 = 4;
/// Records that a thread makes at a time: they stay in its cache until all is added to them.
const TASK_ROWS: usize = 256;

/// What records are like.
#[derive(Clone, Debug)]
pub struct Shape {
    /// Features of a record.
    pub num_features: usize,
    /// Classes.
    pub num_classes: usize,
    /// Features that tell the classes apart, the first ones.
    pub n_informative: usize,
    /// Features that are sums of those, the next ones.
    pub n_redundant: usize,
    /// Clusters of each class.
    pub n_clusters_per_class: usize,
    /// Distance of the centres from the origin, in standard deviations of the noise.
    pub class_sep: f32,
    /// Share of the records whose label is drawn anew, whatever their class.
    pub flip_y: f64,
    /// Share of each class; empty for equal ones.
    pub weights: Vec<f64>,
}

/// Makes records.
#[derive(Clone, Debug)]
pub struct Classification {
    shape: Shape,
    labels: Stream,
    noise: Stream,
    /// Cluster by cluster, as long as a record's informative features.
    centres: Vec<f32>,
    /// Informative feature by informative feature: its part in each redundant one.
    weights: Vec<f32>,
    /// The first word that is beyond each class.
    bounds: Vec<u64>,
}

impl Classification {
    /// Plan records of a shape under a seed.
    #[must_use]
    pub fn new(shape: Shape, seed: u64) -> Self {
        let clusters: Vec<u64> = (0..(shape.num_classes * shape.n_clusters_per_class) as u64).collect();
        let mut centres = vec![0.0; clusters.len() * shape.n_informative];
        fill_normal(&Stream::new(seed, CENTRES), 0, &clusters, shape.n_informative, &mut centres);
        centres.iter_mut().for_each(|each| *each *= shape.class_sep);
        let informative: Vec<u64> = (0..shape.n_informative as u64).collect();
        let mut weights = vec![0.0; shape.n_informative * shape.n_redundant];
        fill_normal(&Stream::new(seed, WEIGHTS), 0, &informative, shape.n_redundant, &mut weights);
        #[expect(clippy::cast_precision_loss, reason = "a few features")]
        let scale = 1.0 / (shape.n_informative.max(1) as f32).sqrt();
        weights.iter_mut().for_each(|each| *each *= scale);
        let bounds = bounds(&shape.weights, shape.num_classes);
        Self {
            labels: Stream::new(seed, LABELS),
            noise: Stream::new(seed, NOISE),
            shape,
            centres,
            weights,
            bounds,
        }
    }

    /// Make the records of a range, on all threads.
    ///
    /// # Errors
    /// [`IoError::Threads`] where the system starts no threads.
    pub fn range(&self, rows: Range<u64>) -> Result<(Vec<f32>, Vec<i64>), IoError> {
        self.records(usize::try_from(rows.end - rows.start).unwrap_or(0), |at| rows.start + at as u64)
    }

    /// Make some records, in the order of their numbers.
    ///
    /// # Errors
    /// As [`Classification::range`].
    pub fn rows(&self, rows: &[u64]) -> Result<(Vec<f32>, Vec<i64>), IoError> {
        self.records(rows.len(), |at| rows[at])
    }

    fn records(
        &self,
        count: usize,
        number: impl Fn(usize) -> u64 + Sync,
    ) -> Result<(Vec<f32>, Vec<i64>), IoError> {
        let width = self.shape.num_features;
        let (mut features, mut labels) = (vec![0.0; count * width], vec![0; count]);
        let task = |(task, (features, labels)): (usize, (&mut [f32], &mut [i64]))| {
            let rows: Vec<u64> = (0..labels.len()).map(|at| number(task * TASK_ROWS + at)).collect();
            self.fill(&rows, features, labels);
        };
        let pool = nexa_io::threads::pool()?;
        if count <= TASK_ROWS || pool.current_num_threads() == 1 {
            let parts = features.chunks_mut(TASK_ROWS * width).zip(labels.chunks_mut(TASK_ROWS));
            parts.enumerate().for_each(task);
        } else {
            let parts = features.par_chunks_mut(TASK_ROWS * width).zip(labels.par_chunks_mut(TASK_ROWS));
            pool.install(|| parts.enumerate().for_each(task));
        }
        Ok((features, labels))
    }

    fn fill(&self, rows: &[u64], features: &mut [f32], labels: &mut [i64]) {
        fill_normal(&self.noise, 0, rows, self.shape.num_features, features);
        dispatch(Place { of: self, rows, features, labels });
    }

    /// Return cluster and label of a record.
    #[inline(always)]
    fn drawn(&self, row: u64) -> (usize, i64) {
        let words = self.labels.block(row, 0, 0);
        let class = self.class(words[0]);
        let cluster = part(words[1], self.shape.n_clusters_per_class);
        let flips = self.shape.flip_y > 0.0 && u64::from(words[2]) < threshold(self.shape.flip_y);
        let label = if flips { part(words[3], self.shape.num_classes) } else { class };
        (class * self.shape.n_clusters_per_class + cluster, label.cast_signed() as i64)
    }

    #[inline(always)]
    fn class(&self, word: u32) -> usize {
        if self.shape.weights.is_empty() {
            return part(word, self.shape.num_classes);
        }
        self.bounds.partition_point(|&bound| bound <= u64::from(word)).min(self.shape.num_classes - 1)
    }
}

/// Puts records at their clusters' centres.
struct Place<'a> {
    of: &'a Classification,
    rows: &'a [u64],
    features: &'a mut [f32],
    labels: &'a mut [i64],
}

impl Work for Place<'_> {
    #[inline(always)]
    fn run(self) {
        let Self { of, rows, features, labels } = self;
        let Shape { num_features, n_informative, n_redundant, .. } = of.shape;
        for ((row, label), record) in rows.iter().zip(labels).zip(features.chunks_exact_mut(num_features)) {
            let (cluster, drawn) = of.drawn(*row);
            *label = drawn;
            let (informative, rest) = record.split_at_mut(n_informative);
            let centre = &of.centres[cluster * n_informative..][..n_informative];
            for (value, centre) in informative.iter_mut().zip(centre) {
                *value += centre;
            }
            if n_redundant > 0 {
                let redundant = &mut rest[..n_redundant];
                redundant.fill(0.0);
                for (value, weights) in informative.iter().zip(of.weights.chunks_exact(n_redundant)) {
                    for (sum, weight) in redundant.iter_mut().zip(weights) {
                        *sum += value * weight;
                    }
                }
            }
        }
    }
}

/// Return which of `parts` equal parts of all words a word is in.
#[inline(always)]
fn part(word: u32, parts: usize) -> usize {
    ((u64::from(word) * parts as u64) >> 32) as usize
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of 2^32")]
fn threshold(share: f64) -> u64 {
    (share * 4_294_967_296.0).round() as u64
}

fn bounds(weights: &[f64], classes: usize) -> Vec<u64> {
    let total: f64 = weights.iter().sum();
    let mut sum = 0.0;
    let upto = weights.iter().map(|weight| {
        sum += weight / total;
        threshold(sum)
    });
    upto.take(classes.saturating_sub(1)).collect()
}

#[cfg(test)]
#[path = "classification_tests.rs"]
mod tests;
