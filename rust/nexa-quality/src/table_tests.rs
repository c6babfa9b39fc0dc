use arrow_array::{ArrayRef, Float64Array, Int64Array, StringArray};

use super::*;

fn batch(rows: std::ops::Range<i64>) -> RecordBatch {
    let number: ArrayRef = Arc::new(
        rows.clone().map(|row| (row % 7 != 0).then(|| (row * 37 % 1009) as f64)).collect::<Float64Array>(),
    );
    let code: ArrayRef = Arc::new(rows.clone().map(|row| row % 3).collect::<Int64Array>());
    let text: ArrayRef =
        Arc::new(rows.map(|row| Some(format!("text {}", row % 50))).collect::<StringArray>());
    RecordBatch::try_from_iter_with_nullable([
        ("x", number, true),
        ("code", code, true),
        ("text", text, true),
    ])
    .unwrap()
}

fn seen(cuts: &[i64]) -> RowStatistics {
    let mut all = RowStatistics::new(Arc::default());
    for pair in cuts.windows(2) {
        all.add(&batch(pair[0]..pair[1]), pair[0].unsigned_abs()).unwrap();
    }
    all
}

#[test]
fn no_cut_shows_in_what_is_stored() {
    let n = 100_000;
    let whole = serde_json::to_value(seen(&[0, n]).summary().unwrap()).unwrap();
    let parts = serde_json::to_value(seen(&[0, 1, 999, 70_000, n]).summary().unwrap()).unwrap();
    let mut left = seen(&[0, 40_000]);
    left.merge(&seen(&[40_000, n])).unwrap();
    let merged = serde_json::to_value(left.summary().unwrap()).unwrap();
    for (other, how) in [(parts, "cut"), (merged, "merged")] {
        for (a, b) in whole["columns"].as_array().unwrap().iter().zip(other["columns"].as_array().unwrap()) {
            for (key, value) in a.as_object().unwrap() {
                if key == "mean" || key == "std" {
                    let (x, y) = (value.as_f64().unwrap(), b[key].as_f64().unwrap());
                    assert!((x - y).abs() <= 1e-12 * x.abs(), "{how} {key}: {x} {y}");
                } else {
                    assert_eq!(value, &b[key], "{how} {key}");
                }
            }
        }
    }
}

#[test]
fn nulls_codes_and_texts_are_counted() {
    let summary = seen(&[0, 7000]).summary().unwrap();
    let [x, code, text] = &summary.columns[..] else { panic!("three columns") };
    assert_eq!((x.nulls, x.values, x.nans), (1000, 7000, 0));
    assert_eq!((code.distinct, code.top[0].1), (3, 2334));
    assert_eq!((text.distinct, text.top.len(), text.max), (50, 20, Some(7.0)));
    assert_eq!(summary.rank_error, 0.0);
}

#[test]
fn other_columns_are_refused() {
    let mut all = seen(&[0, 10]);
    let other = batch(0..10).project(&[0, 1]).unwrap();
    assert!(matches!(all.add(&other, 10), Err(QualityError::Schema { .. })));
}
