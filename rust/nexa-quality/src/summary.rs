//! What was found, in the form in which it is stored.

use serde::Serialize;

use crate::cells::Kind;
use crate::column::{Column, Integer};
use crate::distinct::float_key;
use crate::fences::{beyond, fences};
use crate::moments::wide;
use crate::sample::rank_error;

/// Points of a quantile function.
const QUANTILES: usize = 257;
const BINS: usize = 32;
/// Most frequent values that are listed.
const TOP: usize = 20;

/// The statistics of one split.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// Rows that came.
    pub rows: u64,
    /// Rows of the sample.
    pub sample_rows: u64,
    /// How far, with probability 0.99, a quantile's rank is off at most, as a share of the rows.
    pub rank_error: f64,
    /// The columns, in the order of the batch.
    pub columns: Vec<ColumnSummary>,
    /// Columns of types that were not looked at.
    #[serde(skip)]
    pub skipped: Vec<String>,
}

/// The statistics of one column; fields as `nexa_data.quality.model.ColumnQuality` documents them.
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "documented where they are read")]
pub struct ColumnSummary {
    pub name: String,
    pub(crate) kind: Kind,
    pub dtype: String,
    pub values: u64,
    pub nulls: u64,
    pub nans: u64,
    pub first_missing: Option<u64>,
    pub positive_infinities: u64,
    pub negative_infinities: u64,
    pub zeros: u64,
    pub min: Option<f64>,
    pub max: Option<f64>,
    pub mean: Option<f64>,
    pub std: Option<f64>,
    pub quantiles: Option<Vec<f64>>,
    pub histogram: Option<Histogram>,
    pub outliers: u64,
    pub fences: Option<(f64, f64)>,
    pub distinct: u64,
    pub distinct_error: f64,
    pub top: Vec<(Value, u64)>,
    pub top_exact: bool,
}

/// Counts between ascending edges.
#[derive(Clone, Debug, Serialize, PartialEq)]
pub struct Histogram {
    /// n + 1 edges.
    pub edges: Vec<f64>,
    /// n counts.
    pub counts: Vec<u64>,
}

/// A value as it is shown.
#[derive(Clone, Debug, Serialize, PartialEq)]
#[serde(untagged)]
#[expect(missing_docs, reason = "each is what its name says")]
pub enum Value {
    Flag(bool),
    Signed(i64),
    Unsigned(u64),
    Float(f64),
    Text(String),
}

impl Summary {
    pub(crate) fn new(rows: u64, sampled: usize, columns: Vec<ColumnSummary>, skipped: Vec<String>) -> Self {
        let rank_error = rank_error(sampled, rows);
        Self { rows, sample_rows: sampled as u64, rank_error, columns, skipped }
    }
}

/// Return what was found of a column.
pub(crate) fn summarise(column: &Column) -> ColumnSummary {
    let seen = &column.moments;
    let sorted = sorted(column);
    let (distinct, distinct_error) = distinct(column, &sorted);
    let finite = |value: f64| value.is_finite().then_some(value);
    let ordered = ordered(column, &sorted);
    let fences = fences(&ordered, seen.min).filter(|_| column.kind == Kind::Number);
    let (top, top_exact) = top(column, &sorted);
    ColumnSummary {
        name: column.name.clone(),
        kind: column.kind,
        dtype: column.dtype.clone(),
        values: column.values,
        nulls: column.nulls,
        nans: seen.nans,
        first_missing: column.first_missing,
        positive_infinities: seen.positive_infinities,
        negative_infinities: seen.negative_infinities,
        zeros: seen.zeros,
        min: finite(seen.min),
        max: finite(seen.max),
        mean: seen.mean().and_then(finite),
        std: seen.std().and_then(finite),
        quantiles: quantiles(&ordered, seen.min, seen.max),
        histogram: histogram(&ordered, seen.min, seen.max, seen.finite),
        outliers: fences.map_or(0, |fences| beyond(&ordered, fences, seen.finite)),
        fences,
        distinct,
        distinct_error,
        top,
        top_exact,
    }
}

/// Return how many values are distinct, and the error of that: of numbers that are all in the sample, none.
fn distinct(column: &Column, sorted: &[f64]) -> (u64, f64) {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let whole = column.values == column.sampled().len() as u64;
    let exact = column.integer.is_none() || column.moments.min.abs().max(column.moments.max.abs()) < EXACT;
    match column.distinct.estimate() {
        (_, error) if error > 0.0 && whole && exact && column.kind == Kind::Number => {
            (runs(sorted.iter()).count() as u64, 0.0)
        }
        other => other,
    }
}

/// Return the finite values, ascending, and how often each counts: of all rows where they were counted, else of the sample.
fn ordered(column: &Column, sorted: &[f64]) -> Vec<(f64, u64)> {
    let spans = matches!(column.kind, Kind::Text | Kind::Binary);
    match column.distinct.counts() {
        Some(counts) if !spans => {
            let numbers = counts.map(|(key, count)| (number(column, key), count));
            let mut found: Vec<_> = numbers.filter(|(value, _)| value.is_finite()).collect();
            found.sort_unstable_by(|(a, _), (b, _)| a.total_cmp(b));
            found
        }
        _ => sorted.iter().filter(|value| value.is_finite()).map(|&value| (value, 1)).collect(),
    }
}

/// Return the sample's values but for NaN, ascending: as integers in the same order, by which they are sorted faster. Of numbers that
/// were all counted nobody asks for them.
fn sorted(column: &Column) -> Vec<f64> {
    const SIGN: u64 = 1 << 63;
    if column.distinct.counts().is_some() && !matches!(column.kind, Kind::Text | Kind::Binary) {
        return Vec::new();
    }
    let there = column.sampled().iter().filter(|value| !value.is_nan());
    let mut keys: Vec<u64> = there
        .map(|&value| float_key(value))
        .map(|bits| if bits & SIGN == 0 { bits | SIGN } else { !bits })
        .collect();
    keys.sort_unstable();
    let back = |key: u64| f64::from_bits(if key & SIGN == 0 { !key } else { key & !SIGN });
    keys.into_iter().map(back).collect()
}

#[expect(clippy::cast_precision_loss, reason = "shown in a picture")]
fn number(column: &Column, key: u64) -> f64 {
    match column.integer {
        Some(Integer::Signed) => key.cast_signed() as f64,
        Some(Integer::Unsigned) => key as f64,
        _ => f64::from_bits(key),
    }
}

/// Return the quantile function between the order statistics, as numpy's default is (Hyndman and Fan 1996, definition 7).
fn quantiles(ordered: &[(f64, u64)], min: f64, max: f64) -> Option<Vec<f64>> {
    let total: u64 = ordered.iter().map(|(_, count)| count).sum();
    if total == 0 {
        return None;
    }
    let steps = QUANTILES as u64 - 1;
    let (mut at, mut passed) = (0, 0);
    let mut order_statistic = |rank: u64| {
        while passed + ordered[at].1 <= rank {
            passed += ordered[at].1;
            at += 1;
        }
        // The next one may be of the value that follows.
        let next = if rank + 1 < passed + ordered[at].1 { at } else { (at + 1).min(ordered.len() - 1) };
        (ordered[at].0, ordered[next].0)
    };
    let mut found: Vec<f64> = (0..=steps)
        .map(|step| {
            let (rank, rest) = ((total - 1) * step / steps, (total - 1) * step % steps);
            let (low, high) = order_statistic(rank);
            let share = wide(rest) / wide(steps);
            // Of values at both ends of the scale the distance is infinite.
            low * (1.0 - share) + high * share
        })
        .collect();
    found[0] = min;
    found[QUANTILES - 1] = max;
    Some(found)
}

fn histogram(ordered: &[(f64, u64)], min: f64, max: f64, finite: u64) -> Option<Histogram> {
    let total: u64 = ordered.iter().map(|(_, count)| count).sum();
    if total == 0 {
        return None;
    }
    if min >= max || !(max - min).is_finite() {
        return Some(Histogram { edges: vec![min, max], counts: vec![finite] });
    }
    let width = (max - min) / wide(BINS as u64);
    let mut edges: Vec<f64> = (0..=BINS).map(|at| min + width * wide(at as u64)).collect();
    edges[BINS] = max;
    edges.dedup();
    let bins = edges.len() - 1;
    let mut upto = vec![0_u64; bins];
    for (value, count) in ordered {
        let bin = edges.partition_point(|edge| edge <= value).clamp(1, bins) - 1;
        upto[bin] += count;
    }
    // Scaled to all rows so that the sum is theirs.
    let mut passed = 0;
    let mut given = 0;
    for count in &mut upto {
        passed += *count;
        let due = scaled(passed, finite, total);
        *count = due - given;
        given = due;
    }
    Some(Histogram { edges, counts: upto })
}

/// Return `count * to / of`, rounded.
#[expect(clippy::cast_possible_truncation, reason = "at most `to`")]
pub(crate) fn scaled(count: u64, to: u64, of: u64) -> u64 {
    ((u128::from(count) * u128::from(to) + u128::from(of) / 2) / u128::from(of)) as u64
}

/// Return all values and their counts, the most frequent first, unless they are too many.
pub(crate) fn counted(column: &Column) -> Option<Vec<(Value, u64)>> {
    let mut all: Vec<(u64, u64)> = column.distinct.counts()?.collect();
    all.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| by_value(column, a.0, b.0)));
    Some(all.into_iter().map(|(key, count)| (value(column, key), count)).collect())
}

fn top(column: &Column, sorted: &[f64]) -> (Vec<(Value, u64)>, bool) {
    if let Some(mut all) = counted(column) {
        all.truncate(TOP);
        return (all, true);
    }
    let rows = column.sampled().len() as u64;
    let whole = column.values == rows;
    let mut found: Vec<(Value, u64)> = if matches!(column.kind, Kind::Text | Kind::Binary) {
        let mut texts: Vec<&str> = column.texts().collect();
        texts.sort_unstable();
        runs(texts.iter()).map(|(text, count)| (Value::Text((**text).to_owned()), count)).collect()
    } else {
        runs(sorted.iter()).map(|(&number, count)| (shown(column, number), count)).collect()
    };
    // What came once may be one of very many.
    found.retain(|(_, count)| *count > 1 && count * 1000 >= rows);
    found.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    found.truncate(TOP);
    if !whole {
        found.iter_mut().for_each(|(_, count)| *count = scaled(*count, column.values, rows));
    }
    (found, whole)
}

fn by_value(column: &Column, a: u64, b: u64) -> std::cmp::Ordering {
    match column.distinct.text(a) {
        Some(text) => Some(text).cmp(&column.distinct.text(b)),
        None => number(column, a).total_cmp(&number(column, b)),
    }
}

fn value(column: &Column, key: u64) -> Value {
    if let Some(text) = column.distinct.text(key) {
        return Value::Text(text.to_owned());
    }
    match column.integer {
        Some(Integer::Signed) => Value::Signed(key.cast_signed()),
        Some(Integer::Unsigned) => Value::Unsigned(key),
        _ => shown(column, f64::from_bits(key)),
    }
}

#[expect(clippy::cast_possible_truncation, reason = "integers of 32 bits, or rounded ones of 64")]
fn shown(column: &Column, number: f64) -> Value {
    match column.kind {
        Kind::Boolean => Value::Flag(number != 0.0),
        _ if column.integer.is_some() => Value::Signed(number as i64),
        _ if number.is_finite() => Value::Float(number),
        _ => Value::Text(if number > 0.0 { "inf" } else { "-inf" }.to_owned()),
    }
}

/// Yield each of some sorted values once, with how often it comes.
fn runs<'a, T: PartialEq + 'a>(sorted: impl Iterator<Item = &'a T>) -> impl Iterator<Item = (&'a T, u64)> {
    let mut sorted = sorted.peekable();
    std::iter::from_fn(move || {
        let first = sorted.next()?;
        let mut count = 1;
        while sorted.next_if(|next| *next == first).is_some() {
            count += 1;
        }
        Some((first, count))
    })
}
