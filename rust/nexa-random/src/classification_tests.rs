use super::*;

fn shape() -> Shape {
    Shape {
        num_features: 9,
        num_classes: 3,
        n_informative: 4,
        n_redundant: 2,
        n_clusters_per_class: 2,
        class_sep: 2.0,
        flip_y: 0.0,
        weights: vec![],
    }
}

#[test]
fn a_record_is_the_same_however_it_is_asked_for() {
    let made = Classification::new(shape(), 5);
    let (features, labels) = made.range(100..1500).unwrap();
    let (some, theirs) = made.rows(&[1499, 100, 700]).unwrap();
    for (at, row) in [1499, 100, 700].into_iter().enumerate() {
        let place = row as usize - 100;
        assert_eq!(some[at * 9..][..9], features[place * 9..][..9]);
        assert_eq!(theirs[at], labels[place]);
    }
    let (far, _) = made.range(1 << 50..(1 << 50) + 1).unwrap();
    assert!(far.iter().all(|value| value.is_finite()));
}

#[test]
fn redundant_features_are_sums_of_the_informative_ones() {
    let made = Classification::new(shape(), 1);
    let (features, _) = made.range(0..50).unwrap();
    for record in features.chunks(9) {
        for redundant in 0..2 {
            let sum: f32 = (0..4).map(|at| record[at] * made.weights[at * 2 + redundant]).sum();
            assert!((sum - record[4 + redundant]).abs() < 1e-5);
        }
    }
}

#[test]
fn classes_have_their_weights_and_labels_flip_at_their_rate() {
    let n = 200_000;
    let counts = |made: &Classification| {
        let (_, labels) = made.range(0..n).unwrap();
        let mut counts = [0_u64; 3];
        labels.iter().for_each(|&label| counts[label as usize] += 1);
        counts.map(|count| count as f64 / n as f64)
    };
    let weighted = Shape { weights: vec![0.7, 0.2, 0.1], ..shape() };
    for (found, wanted) in counts(&Classification::new(weighted.clone(), 2)).into_iter().zip([0.7, 0.2, 0.1])
    {
        assert!((found - wanted).abs() < 0.005, "{found} {wanted}");
    }
    assert!(counts(&Classification::new(shape(), 2)).iter().all(|share| (share - 1.0 / 3.0).abs() < 0.005));
    let (_, sound) = Classification::new(weighted.clone(), 2).range(0..n).unwrap();
    let (_, flipped) = Classification::new(Shape { flip_y: 0.3, ..weighted }, 2).range(0..n).unwrap();
    let changed = sound.iter().zip(&flipped).filter(|(a, b)| a != b).count() as f64 / n as f64;
    // Of those drawn anew a third gets the label that it had.
    assert!((changed - 0.2).abs() < 0.005, "{changed}");
}
