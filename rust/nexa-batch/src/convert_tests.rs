use half::{bf16, f16};
use proptest::prelude::*;

use super::*;
use crate::lanes::tests::on_each_cpu;

fn convert(from: Element, target: Target, scale: f64, shift: f64, source: &[u8]) -> Vec<u8> {
    let wanted = Conversion { target, scale, shift };
    let convert = Convert::new("x", from, &wanted).unwrap().unwrap();
    let [plain, best] = on_each_cpu(|| {
        let mut result = vec![0xa5; source.len() / from.bytes() * target.bytes()];
        convert.run(source, &mut result);
        result
    });
    assert!(plain == best, "{from} to {target} depends on the CPU");
    best
}

fn singles(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks::<4>().0.iter().map(|each| f32::from_ne_bytes(*each)).collect()
}

fn bits(bytes: &[u8]) -> Vec<u16> {
    bytes.as_chunks::<2>().0.iter().map(|each| u16::from_ne_bytes(*each)).collect()
}

#[test]
fn bytes_become_floats_on_a_line() {
    let source: Vec<u8> = (0..=255).collect();
    let found = singles(&convert(Element::U8, Target::Stored(Element::F32), 1.0 / 255.0, -0.5, &source));
    let scale = (1.0 / 255.0_f64) as f32;
    assert_eq!(found, source.iter().map(|&value| f32::from(value) * scale - 0.5).collect::<Vec<_>>());
}

#[test]
fn every_float16_becomes_its_float32_and_comes_back() {
    let source: Vec<u8> = (0..=u16::MAX).flat_map(u16::to_ne_bytes).collect();
    let wide = convert(Element::F16, Target::Stored(Element::F32), 1.0, 0.0, &source);
    for (from, to) in bits(&source).into_iter().zip(singles(&wide)) {
        let expected = f16::from_bits(from).to_f32_const();
        assert!(to.to_bits() == expected.to_bits() || (to.is_nan() && expected.is_nan()), "{from:#x}");
    }
    let back = convert(Element::F32, Target::Stored(Element::F16), 1.0, 0.0, &wide);
    for (from, to) in bits(&source).into_iter().zip(bits(&back)) {
        assert!(from == to || (f16::from_bits(from).is_nan() && f16::from_bits(to).is_nan()), "{from:#x}");
    }
}

#[test]
fn a_double_is_rounded_once() {
    // Half-way between two neighbours, and the least number beyond on either side: by way of a float32 all are ties.
    let ends = |low: f64, high: f64| {
        let middle = f64::midpoint(low, high);
        [middle.next_down(), middle, middle.next_up(), -middle.next_down(), -middle, -middle.next_up()]
    };
    for (target, infinity, value) in [
        (Target::Stored(Element::F16), 0x7c00, (|bits| f16::from_bits(bits).to_f64()) as fn(u16) -> f64),
        (Target::Bf16, 0x7f80, |bits| bf16::from_bits(bits).to_f64()),
    ] {
        let numbers: Vec<f64> = (0..infinity - 1).flat_map(|low| ends(value(low), value(low + 1))).collect();
        let source: Vec<u8> = numbers.iter().flat_map(|number| number.to_ne_bytes()).collect();
        let found = bits(&convert(Element::F64, target, 1.0, 0.0, &source));
        for (low, found) in (0..infinity - 1).zip(found.as_chunks::<6>().0) {
            let even = low + low % 2;
            let expected = [low, even, low + 1].map(|bits| [bits, bits | 0x8000]);
            let expected: Vec<u16> = (0..2).flat_map(|sign| expected.map(|each| each[sign])).collect();
            assert_eq!(found[..], expected, "{target} {low:#x}");
        }
    }
    let ends = [f64::MAX, f64::INFINITY, f64::NEG_INFINITY, 5e-324, -5e-324];
    let source: Vec<u8> = ends.iter().flat_map(|number| number.to_ne_bytes()).collect();
    assert_eq!(
        bits(&convert(Element::F64, Target::Bf16, 1.0, 0.0, &source)),
        [0x7f80, 0x7f80, 0xff80, 0, 0x8000]
    );
    let source = f64::NAN.to_ne_bytes();
    assert!(bf16::from_bits(bits(&convert(Element::F64, Target::Bf16, 1.0, 0.0, &source))[0]).is_nan());
}

#[test]
#[ignore = "all 2^32 numbers: a minute in a release build"]
fn every_float32_becomes_the_nearest_half_and_bfloat16() {
    for block in 0..1_u32 << 12 {
        let numbers = (0..1_u32 << 20).map(|at| block << 20 | at);
        let source: Vec<u8> = numbers.clone().flat_map(u32::to_ne_bytes).collect();
        let half = bits(&convert(Element::F32, Target::Stored(Element::F16), 1.0, 0.0, &source));
        let brain = bits(&convert(Element::F32, Target::Bf16, 1.0, 0.0, &source));
        for ((number, half), brain) in numbers.zip(half).zip(brain) {
            let number = f32::from_bits(number);
            // A shift of nothing leaves every number as it is, but makes a NaN quiet as rounding does.
            assert_eq!(half, f16::from_f32_const(number).to_bits(), "{number}");
            assert_eq!(brain, bf16::from_f32_const(number).to_bits(), "{number}");
        }
    }
}

#[test]
fn what_could_lose_a_digit_of_an_integer_is_refused_with_both_types() {
    for (from, to) in [("int64", "int32"), ("int32", "uint64"), ("float32", "int64"), ("uint8", "int8")] {
        let wanted = Conversion { target: to.parse().unwrap(), scale: 1.0, shift: 0.0 };
        let error = Convert::new("x", from.parse().unwrap(), &wanted).unwrap_err().to_string();
        assert!(error.contains(from) && error.contains(to) && error.contains("'x'"), "{error}");
    }
}

#[test]
fn a_line_wants_a_float_and_finite_numbers() {
    for (to, scale) in [("int64", 2.0), ("float32", f64::NAN), ("float32", f64::INFINITY)] {
        let wanted = Conversion { target: to.parse().unwrap(), scale, shift: 0.0 };
        assert!(Convert::new("x", Element::U8, &wanted).is_err());
    }
}

#[test]
fn the_type_that_is_stored_needs_no_conversion() {
    let wanted = Conversion { target: Target::Stored(Element::F32), scale: 1.0, shift: 0.0 };
    assert!(Convert::new("x", Element::F32, &wanted).unwrap().is_none());
}

#[test]
fn every_integer_widens_to_every_type_that_holds_it() {
    let range = |element: Element| match element {
        Element::Bool => Some((0, 1)),
        Element::U8 => Some((0, i128::from(u8::MAX))),
        Element::I8 => Some((i128::from(i8::MIN), i128::from(i8::MAX))),
        Element::U16 => Some((0, i128::from(u16::MAX))),
        Element::I16 => Some((i128::from(i16::MIN), i128::from(i16::MAX))),
        Element::U32 => Some((0, i128::from(u32::MAX))),
        Element::I32 => Some((i128::from(i32::MIN), i128::from(i32::MAX))),
        Element::U64 => Some((0, i128::from(u64::MAX))),
        Element::I64 => Some((i128::from(i64::MIN), i128::from(i64::MAX))),
        Element::F16 | Element::F32 | Element::F64 => None,
    };
    for from in Element::ALL {
        for to in Element::ALL {
            let (Some(inner), Some(outer)) = (range(from), range(to)) else { continue };
            if from == to || to == Element::Bool {
                continue;
            }
            let wanted = Conversion { target: Target::Stored(to), scale: 1.0, shift: 0.0 };
            let holds = outer.0 <= inner.0 && inner.1 <= outer.1;
            assert_eq!(Convert::new("x", from, &wanted).is_ok(), holds, "{from} to {to}");
            if holds {
                let source: Vec<u8> = [inner.0, inner.1]
                    .iter()
                    .flat_map(|value| value.to_le_bytes()[..from.bytes()].to_vec())
                    .collect();
                let found = convert(from, Target::Stored(to), 1.0, 0.0, &source);
                let expected: Vec<u8> = [inner.0, inner.1]
                    .iter()
                    .flat_map(|value| value.to_le_bytes()[..to.bytes()].to_vec())
                    .collect();
                assert_eq!(found, expected, "{from} to {to}");
            }
        }
    }
}

proptest! {
    #[test]
    fn bfloat16_is_rounded_to_nearest_even(values in prop::collection::vec(any::<u32>(), 0..200)) {
        let source: Vec<u8> = values.iter().flat_map(|bits| bits.to_ne_bytes()).collect();
        for (value, found) in values.iter().zip(bits(&convert(Element::F32, Target::Bf16, 1.0, 0.0, &source))) {
            prop_assert_eq!(found, bf16::from_f32(f32::from_bits(*value)).to_bits());
        }
    }

    #[test]
    fn every_type_of_float_agrees_with_a_number_at_a_time(
        values in prop::collection::vec(any::<i16>(), 0..200), scale in -4.0_f32..4.0, shift in -4.0_f32..4.0,
    ) {
        let source: Vec<u8> = values.iter().flat_map(|value| value.to_ne_bytes()).collect();
        let (scale, shift) = (f64::from(scale), f64::from(shift));
        let naive: Vec<f32> =
            values.iter().map(|&value| f32::from(value) * scale as f32 + shift as f32).collect();
        let single = convert(Element::I16, Target::Stored(Element::F32), scale, shift, &source);
        prop_assert_eq!(singles(&single), naive.clone());
        let half = convert(Element::I16, Target::Stored(Element::F16), scale, shift, &source);
        prop_assert_eq!(bits(&half), naive.iter().map(|&value| f16::from_f32(value).to_bits()).collect::<Vec<_>>());
        let double = convert(Element::I16, Target::Stored(Element::F64), scale, shift, &source);
        let found: Vec<f64> = double.as_chunks::<8>().0.iter().map(|each| f64::from_ne_bytes(*each)).collect();
        prop_assert_eq!(found, values.iter().map(|&value| f64::from(value) * scale + shift).collect::<Vec<_>>());
    }
}
