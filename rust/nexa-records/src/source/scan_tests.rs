//! What the scan promises, on a cutter and decoder of numbers.

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Int64Array, RecordBatch};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use proptest::prelude::*;

use super::*;
use crate::{BadRecord, Format};

/// Units with so many pieces each, every piece of two rows; what happens at some (unit, piece).
#[derive(Clone, Debug, Default)]
struct Numbers {
    pieces: Vec<u64>,
    fails: Option<(u64, u64)>,
    panics: Option<(u64, u64)>,
    lost: Vec<u64>,
}

struct Cutter(u64, Numbers);

impl Cut for Cutter {
    fn next(&mut self) -> Result<Option<Unit>, RecordError> {
        let unit = self.0;
        self.0 += 1;
        let work = if self.1.lost.contains(&unit) { Work::Lost(bad()) } else { Work::Part(unit) };
        Ok((unit < self.1.pieces.len() as u64).then_some(Unit { offset: unit, work }))
    }
}

fn bad() -> BadRecord {
    BadRecord { record: 0, records: 3, offset: None, column: None, reason: "lost".into(), raw: vec![] }
}

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("x", DataType::Int64, false)]))
}

fn value(unit: u64, piece: u64) -> i64 {
    i64::try_from(unit * 1000 + piece).unwrap()
}

impl Decode for Numbers {
    fn decode(&self, unit: Unit) -> Result<Pieces, RecordError> {
        let Work::Part(unit) = unit.work else { panic!("lost units are not decoded") };
        let (this, pieces) = (self.clone(), self.pieces[usize::try_from(unit).unwrap()]);
        Ok(Box::new((0..pieces).map(move |piece| {
            assert_ne!(this.panics, Some((unit, piece)), "as asked");
            if this.fails == Some((unit, piece)) {
                return Err(RecordError::Truncated { path: "a".into(), detail: format!("{unit}/{piece}") });
            }
            let rows = Int64Array::from(vec![value(unit, piece); 2]);
            let batch = RecordBatch::try_new(schema(), vec![Arc::new(rows)]).unwrap();
            Ok(Decoded::good(batch))
        })))
    }
}

fn scan(numbers: &Numbers, threads: usize) -> Scan {
    let opened = Opened {
        path: "a".into(),
        format: Format::Npy,
        schema: schema(),
        rows: None,
        cutter: Box::new(Cutter(0, numbers.clone())),
        decoder: Arc::new(numbers.clone()),
    };
    opened.scan(threads)
}

/// Everything that a scan says, as text.
fn all(numbers: &Numbers, threads: usize) -> Vec<String> {
    scan(numbers, threads)
        .map(|piece| match piece {
            Ok(decoded) => {
                let values = decoded.batch.column(0).as_primitive::<Int64Type>().values().to_vec();
                let bad: Vec<_> = decoded.bad.iter().map(|bad| (bad.record, bad.records)).collect();
                format!("{values:?} {bad:?}")
            }
            Err(error) => error.to_string(),
        })
        .collect()
}

fn any_numbers() -> impl Strategy<Value = Numbers> {
    let place = || prop::option::of((0u64..6, 0u64..4));
    (prop::collection::vec(0u64..5, 0..8), place(), place(), prop::collection::vec(0u64..8, 0..3))
        .prop_map(|(pieces, fails, panics, lost)| Numbers { pieces, fails, panics, lost })
}

proptest! {
    #[test]
    fn any_number_of_threads_says_what_one_says(numbers in any_numbers()) {
        let one = all(&numbers, 1);
        for threads in 2..5 {
            prop_assert_eq!(&all(&numbers, threads), &one);
        }
    }

    #[test]
    fn a_scan_may_be_left_at_any_piece(numbers in any_numbers(), taken in 0usize..10, threads in 1usize..4) {
        let one = all(&numbers, 1);
        let left: Vec<_> = scan(&numbers, threads).take(taken).collect();
        prop_assert_eq!(left.len(), one.len().min(taken));
    }
}

#[test]
fn pieces_come_in_order_and_bad_records_have_their_number_in_the_file() {
    let numbers = Numbers { pieces: vec![2, 0, 9, 1], lost: vec![2], ..Numbers::default() };
    assert_eq!(all(&numbers, 3), ["[0, 0] []", "[1, 1] []", "[] [(4, 3)]", "[3000, 3000] []"]);
}

#[test]
fn what_comes_before_a_failure_is_delivered_and_nothing_after() {
    let numbers = Numbers { pieces: vec![2, 3, 2], fails: Some((1, 1)), ..Numbers::default() };
    for threads in [1, 2, 4] {
        let said = all(&numbers, threads);
        assert_eq!(said[..3], ["[0, 0] []", "[1, 1] []", "[1000, 1000] []"]);
        assert!(said[3].contains("1/1"), "{said:?}");
        assert_eq!(said.len(), 4);
    }
}

#[test]
fn a_panic_of_a_decoder_is_an_error() {
    let numbers = Numbers { pieces: vec![1, 1], panics: Some((1, 0)), ..Numbers::default() };
    for threads in [1, 3] {
        let said = all(&numbers, threads);
        assert!(said[1].contains("the decoder gave up") && said[1].contains("as asked"), "{said:?}");
    }
}

#[test]
fn scans_that_nobody_goes_on_with_stop_no_other() {
    let numbers = Numbers { pieces: vec![50; 50], ..Numbers::default() };
    let mut left: Vec<_> = (0..20).map(|_| scan(&numbers, 4)).collect();
    for scan in &mut left {
        assert!(scan.next().is_some());
    }
    assert_eq!(scan(&numbers, 4).count(), 2500);
}
