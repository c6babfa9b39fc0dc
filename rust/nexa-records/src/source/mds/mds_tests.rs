//! Shards of the format's own writer and of an encoder of the tests' own, and what lies in them.

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type, Int16Type, Int64Type};
use proptest::prelude::*;

use super::*;
use crate::replay::{Said, check, everything};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/sources").join(name)
}

/// Write a shard: columns as (name, encoding, size), samples as their bytes.
fn shard(columns: &[(&str, &str, Option<usize>)], samples: &[Vec<u8>]) -> Vec<u8> {
    let config = serde_json::json!({
        "column_names": columns.iter().map(|column| column.0).collect::<Vec<_>>(),
        "column_encodings": columns.iter().map(|column| column.1).collect::<Vec<_>>(),
        "column_sizes": columns.iter().map(|column| column.2).collect::<Vec<_>>(),
    })
    .to_string();
    let mut offset = u32::try_from(8 + 4 * samples.len() + config.len()).unwrap();
    let mut file = u32::try_from(samples.len()).unwrap().to_le_bytes().to_vec();
    file.extend(offset.to_le_bytes());
    for sample in samples {
        offset += u32::try_from(sample.len()).unwrap();
        file.extend(offset.to_le_bytes());
    }
    file.extend(config.as_bytes());
    file.extend(samples.concat());
    file
}

fn said(bytes: &[u8], options: &ReadOptions) -> Said {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.mds");
    std::fs::write(&path, bytes).unwrap();
    check(&path, Format::Mds);
    everything(&path, Format::Mds, options, 2)
}

fn text(text: &str) -> Vec<u8> {
    [&u32::try_from(text.len()).unwrap().to_le_bytes(), text.as_bytes()].concat()
}

fn assert_golden(batch: &RecordBatch) {
    let column = |name: &str| batch.column_by_name(name).unwrap();
    assert_eq!(batch.num_rows(), 5);
    for row in 0..5usize {
        let n = i64::try_from(row).unwrap();
        assert_eq!(column("b").as_binary::<i32>().value(row), vec![row as u8; row]);
        assert_eq!(column("dec").as_string::<i32>().value(row), format!("{row}.25"));
        assert_eq!(column("f").as_primitive::<Float32Type>().value(row), row as f32 + 0.5);
        assert_eq!(column("i").as_primitive::<Int64Type>().value(row), n - 2);
        assert_eq!(column("j").as_string::<i32>().value(row), format!("{{\"row\": {row}}}"));
        assert_eq!(column("s").as_string::<i32>().value(row), format!("é{row}"));
        assert_eq!(column("si").as_primitive::<Int64Type>().value(row), 10i64.pow(row as u32));
        assert_eq!(column("sf").as_primitive::<Float64Type>().value(row), row as f64 / 4.0);
        let vector: Vec<_> = (0..=row).map(|value| value as f32).collect();
        assert_eq!(
            column("v").as_list::<i32>().value(row).as_primitive::<Float32Type>().values().to_vec(),
            vector
        );
        let tensor = column("t").as_fixed_size_list().value(row);
        assert_eq!(tensor.as_primitive::<Int16Type>().values().to_vec(), vec![row as i16; 6]);
    }
    let spec = crate::column_spec(batch.schema().field_with_name("t").unwrap(), "a".as_ref()).unwrap();
    assert_eq!(spec.row_shape, [2, 3]);
}

#[test]
fn shards_of_the_formats_own_writer_are_read() {
    for name in ["mds/shard.00000.mds", "mds-zstd/shard.00000.mds.zstd"] {
        check(&golden(name), Format::Mds);
        let said = everything(&golden(name), Format::Mds, &ReadOptions::default(), 2);
        assert_eq!((&said.bad, &said.error), (&vec![], &None));
        assert_golden(&said.batch.unwrap());
        assert_eq!(crate::recognise(&golden(name)).unwrap().format, Some(Format::Mds));
    }
}

#[test]
fn columns_are_left_out_and_put_in_order() {
    let columns = Some(vec!["u".to_owned(), "b".to_owned()]);
    let options = ReadOptions { columns, ..ReadOptions::default() };
    let batch = everything(&golden("mds/shard.00000.mds"), Format::Mds, &options, 1).batch.unwrap();
    assert_eq!((batch.num_columns(), batch.schema().field(0).name().as_str()), (2, "u"));
    assert_eq!(batch.column(1).as_binary::<i32>().value(4), [4; 4]);
}

proptest! {
    #[test]
    fn what_was_written_is_read(texts in prop::collection::vec("[a-zé]{0,9}", 0..60)) {
        let samples: Vec<_> = texts.iter().map(|one| text(one)).collect();
        let said = said(&shard(&[("s", "str", None)], &samples), &ReadOptions::default());
        let batch = said.batch.unwrap();
        let read: Vec<_> = batch.column(0).as_string::<i32>().iter().map(Option::unwrap).collect();
        prop_assert_eq!(read, texts);
    }

    #[test]
    fn no_damage_is_a_panic(at in 0usize..882, value in any::<u8>(), keep in 0usize..882) {
        let mut file = std::fs::read(golden("mds/shard.00000.mds")).unwrap();
        file[at] = value;
        let _ = said(&file, &ReadOptions::default());
        let _ = said(&file[..keep], &ReadOptions::default());
    }
}

#[test]
fn a_pickle_is_refused_by_its_column_unless_left_out() {
    let file = shard(&[("p", "pkl", None), ("s", "uint8", Some(1))], &[[text("x"), vec![7]].concat()]);
    assert!(
        said(&file, &ReadOptions::default())
            .error
            .unwrap()
            .contains("column \"p\" is pkl, which is never unpickled")
    );
    let options = ReadOptions { columns: Some(vec!["s".to_owned()]), ..ReadOptions::default() };
    assert_eq!(said(&file, &options).batch.unwrap().num_rows(), 1);
}

#[test]
fn a_cut_shard_gives_what_is_whole_and_counts_the_rest() {
    let samples: Vec<_> = (0..10).map(|row| text(&format!("{row}"))).collect();
    let file = shard(&[("s", "str", None)], &samples);
    let said = said(&file[..file.len() - 12], &ReadOptions::default());
    assert_eq!(said.batch.unwrap().num_rows(), 7);
    assert_eq!((said.bad[0].record, said.bad[0].records), (7, 3));
}

#[test]
fn offsets_and_sizes_that_lie_are_bad_records() {
    let samples: Vec<_> = (0..4).map(|row| text(&format!("{row}"))).collect();
    let mut file = shard(&[("s", "str", None)], &samples);
    let lie = u32::from_le_bytes(file[12..16].try_into().unwrap()) - 9;
    file[12..16].copy_from_slice(&lie.to_le_bytes());
    let bad = said(&file, &ReadOptions::default()).bad;
    assert!(bad.iter().any(|bad| bad.record == 1 && bad.reason.contains("offset")), "{bad:?}");
    let mut file = shard(&[("s", "str", None)], &samples);
    let end = file.len();
    file[end - 5] = 200;
    let said = said(&file, &ReadOptions::default());
    assert_eq!((said.batch.unwrap().num_rows(), said.bad[0].record), (3, 3));
}

#[test]
fn claims_about_samples_cost_no_memory() {
    for claim in [u32::MAX, 50_000_000] {
        let file = [&claim.to_le_bytes()[..], &[0; 8]].concat();
        assert!(said(&file, &ReadOptions::default()).error.unwrap().contains("not a mds file"));
    }
}
