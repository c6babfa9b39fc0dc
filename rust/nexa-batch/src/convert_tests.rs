use proptest::prelude::*;

use super::*;

fn convert(from: Element, target: Target, scale: f64, shift: f64, source: &[u8]) -> Vec<u8> {
    let wanted = Conversion { target, scale, shift };
    let convert = Convert::new("x", from, &wanted).unwrap().unwrap();
    let mut result = vec![0xa5; source.len() / from.bytes() * target.bytes()];
    convert.run(source, &mut result);
    result
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
            let expected = bf16::from_f32(f32::from_bits(*value));
            prop_assert!(found == expected.to_bits() || (expected.is_nan() && bf16::from_bits(found).is_nan()));
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
