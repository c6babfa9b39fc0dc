//! Random numbers by counter: made-up records, words, and what augmentations do to a batch.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, FixedSizeListArray, Float32Array, Int64Array, RecordBatch, UInt32Array};
use arrow_schema::{DataType, Field, Schema};
use nexa_random::{Classification, Mixup, Shape, Stream};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::arrow_c::ArrowBatch;
use crate::errors::Raised;
use crate::views::{View, ViewMut};

/// Records of classes that can be learnt, record i a pure function of seed and i.
#[pyclass(frozen, module = "nexa_data._core")]
pub struct ClassificationRecords {
    made: Classification,
    num_features: usize,
}

#[pymethods]
impl ClassificationRecords {
    /// Plan the records; who asks has checked the numbers.
    #[new]
    #[pyo3(signature = (
        seed, *, num_features, num_classes, n_informative, n_redundant, n_clusters_per_class, class_sep, flip_y, weights
    ))]
    #[expect(clippy::too_many_arguments, reason = "one for each property of the records, by name")]
    fn new(
        seed: u64,
        num_features: usize,
        num_classes: usize,
        n_informative: usize,
        n_redundant: usize,
        n_clusters_per_class: usize,
        class_sep: f32,
        flip_y: f64,
        weights: Vec<f64>,
    ) -> PyResult<Self> {
        if n_informative + n_redundant > num_features || num_features == 0 || num_classes == 0 {
            return Err(PyValueError::new_err(
                "there are fewer features than informative and redundant ones",
            ));
        }
        let shape = Shape {
            num_features,
            num_classes,
            n_informative,
            n_redundant,
            n_clusters_per_class: n_clusters_per_class.max(1),
            class_sep,
            flip_y,
            weights,
        };
        Ok(Self { made: Classification::new(shape, seed), num_features })
    }

    /// Make records `first` to `first + rows` as a record batch of `features` and `label`.
    fn range(&self, py: Python<'_>, first: u64, rows: u64) -> PyResult<ArrowBatch> {
        let made = py.detach(|| self.made.range(first..first + rows));
        let (features, labels) = made.map_err(|error| Raised::from(error).0)?;
        self.batch(features, labels)
    }

    /// Make the records of these numbers (uint64), in their order.
    fn rows(&self, py: Python<'_>, numbers: &Bound<'_, PyAny>) -> PyResult<ArrowBatch> {
        let view = View::of(numbers, "numbers")?;
        let made = py.detach(|| self.made.rows(&words(view.bytes())));
        let (features, labels) = made.map_err(|error| Raised::from(error).0)?;
        self.batch(features, labels)
    }
}

impl ClassificationRecords {
    fn batch(&self, features: Vec<f32>, labels: Vec<i64>) -> PyResult<ArrowBatch> {
        let item = Arc::new(Field::new("item", DataType::Float32, true));
        let width = i32::try_from(self.num_features)?;
        let wrong = |error: arrow_schema::ArrowError| PyValueError::new_err(error.to_string());
        let list = FixedSizeListArray::try_new(item, width, Arc::new(Float32Array::from(features)), None)
            .map_err(wrong)?;
        let schema = Schema::new(vec![
            Field::new("features", list.data_type().clone(), true),
            Field::new("label", DataType::Int64, true),
        ]);
        let columns: Vec<ArrayRef> = vec![Arc::new(list), Arc::new(Int64Array::from(labels))];
        Ok(ArrowBatch(RecordBatch::try_new(schema.into(), columns).map_err(wrong)?))
    }
}

/// Draw `4 * blocks` words (uint32) for each of some rows (uint64), as a record batch of one column `words`.
#[pyfunction]
#[pyo3(signature = (seed, purpose, rows, blocks, epoch = 0))]
pub(crate) fn random_words(
    py: Python<'_>,
    seed: u64,
    purpose: u64,
    rows: &Bound<'_, PyAny>,
    blocks: u32,
    epoch: u32,
) -> PyResult<ArrowBatch> {
    let view = View::of(rows, "rows")?;
    let drawn: Vec<u32> = py.detach(|| {
        let stream = Stream::new(seed, purpose);
        let rows = words(view.bytes());
        rows.iter()
            .flat_map(|&row| (0..blocks).flat_map(move |lane| stream.block(row, epoch, lane)))
            .collect()
    });
    let schema = Schema::new(vec![Field::new("words", DataType::UInt32, false)]);
    let column: ArrayRef = Arc::new(UInt32Array::from(drawn));
    RecordBatch::try_new(schema.into(), vec![column])
        .map(ArrowBatch)
        .map_err(|error| PyValueError::new_err(error.to_string()))
}

/// Change a batch of float32 in place, each row by what its number (uint64) draws: `noise` by (std, 0), `dropout` by (p, scale),
/// `scale` by (low, high).
#[pyfunction]
#[pyo3(signature = (kind, batch, rows, *, seed, purpose, epoch, amounts))]
#[expect(clippy::too_many_arguments, reason = "one for each thing that the numbers depend on, by name")]
pub(crate) fn augment_rows(
    py: Python<'_>,
    kind: &str,
    batch: &Bound<'_, PyAny>,
    rows: &Bound<'_, PyAny>,
    seed: u64,
    purpose: u64,
    epoch: u32,
    amounts: (f64, f64),
) -> PyResult<()> {
    let numbers = View::of(rows, "rows")?;
    let mut view = ViewMut::of(batch, "batch")?;
    let rows = words(numbers.bytes());
    let values = view.floats()?;
    if rows.is_empty() || values.len() % rows.len() != 0 {
        return Err(PyValueError::new_err(format!("{} numbers are no {} rows", values.len(), rows.len())));
    }
    let (row_len, stream) = (values.len() / rows.len(), Stream::new(seed, purpose));
    #[expect(clippy::cast_possible_truncation, reason = "what is done to float32")]
    let (first, second) = (amounts.0 as f32, amounts.1 as f32);
    match kind {
        "noise" => py.detach(|| nexa_random::add_noise(&stream, epoch, &rows, row_len, first, values)),
        "dropout" => py.detach(|| {
            nexa_random::drop_features(&stream, epoch, &rows, row_len, (amounts.0, second), values);
        }),
        "scale" => py.detach(|| {
            nexa_random::scale_features(&stream, epoch, &rows, row_len, (first, second), values);
        }),
        other => return Err(PyValueError::new_err(format!("there is no {other:?}"))),
    }
    Ok(())
}

/// Mix each row of a batch of float32 with another of it, in place, by what its number (uint64) draws.
///
/// With `labels`, class ids (int64), `soft` (float32) becomes their mixed distributions; without, it holds distributions, which
/// are mixed where they lie. Returns whether all labels are classes: if not, nothing is changed.
#[pyfunction]
#[pyo3(signature = (features, rows, labels, soft, *, seed, purpose, epoch, alpha))]
#[expect(clippy::too_many_arguments, reason = "one for each thing that the numbers depend on, by name")]
pub(crate) fn mixup(
    py: Python<'_>,
    features: &Bound<'_, PyAny>,
    rows: &Bound<'_, PyAny>,
    labels: Option<&Bound<'_, PyAny>>,
    soft: &Bound<'_, PyAny>,
    seed: u64,
    purpose: u64,
    epoch: u32,
    alpha: f32,
) -> PyResult<bool> {
    let (numbers, labels) =
        (View::of(rows, "rows")?, labels.map(|labels| View::of(labels, "labels")).transpose()?);
    let rows = words(numbers.bytes());
    let labels: Option<Vec<i64>> =
        labels.map(|labels| labels.bytes().as_chunks().0.iter().copied().map(i64::from_ne_bytes).collect());
    let (mut features, mut soft) = (ViewMut::of(features, "features")?, ViewMut::of(soft, "soft")?);
    if features.overlaps(&soft) {
        return Err(PyValueError::new_err("features and soft must lie apart"));
    }
    let (features, soft) = (features.floats()?, soft.floats()?);
    let fits = |len: usize| !rows.is_empty() && len.is_multiple_of(rows.len());
    if !fits(features.len())
        || !fits(soft.len())
        || labels.as_ref().is_some_and(|labels| labels.len() != rows.len())
    {
        return Err(PyValueError::new_err("features, labels and rows are of one length, and not empty"));
    }
    let (row_len, classes) = (features.len() / rows.len(), soft.len() / rows.len());
    Ok(py.detach(|| {
        let drawn = Mixup::draw(&Stream::new(seed, purpose), epoch, &rows, alpha);
        match &labels {
            Some(labels) if labels.iter().any(|&label| label < 0 || label >= classes as i64) => return false,
            Some(labels) => drawn.mix_classes(labels, classes, soft),
            None => drawn.mix(classes, soft),
        }
        drawn.mix(row_len, features);
        true
    }))
}

fn words(bytes: &[u8]) -> Vec<u64> {
    bytes.as_chunks().0.iter().copied().map(u64::from_ne_bytes).collect()
}
