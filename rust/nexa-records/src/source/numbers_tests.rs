//! Numbers beside the standard library's reading of them.

use proptest::prelude::*;

use super::*;

fn json(text: &str) -> Option<Parts> {
    parts(text.as_bytes(), 0, Grammar::Json).filter(|parts| parts.end == text.len())
}

fn table(text: &str) -> Option<Parts> {
    parts(text.as_bytes(), 0, Grammar::Table).filter(|parts| parts.end == text.len())
}

#[test]
fn json_has_one_grammar_and_tables_a_looser_one() {
    for good in ["0", "-0", "10", "1.5", "1e5", "1E+5", "-0.0e-0", "123456789012345678901234567890.5"] {
        assert!(json(good).is_some() && table(good).is_some(), "{good}");
    }
    for loose in ["01", "+1", ".5", "5.", "-.5", "00", "+.5e1"] {
        assert!(json(loose).is_none() && table(loose).is_some(), "{loose}");
    }
    for bad in ["", "-", ".", "+", "e5", "1e", "1e+", "--1", "0x1", "1_0", "٣"] {
        assert!(json(bad).is_none() && table(bad).is_none(), "{bad}");
    }
}

#[test]
fn whole_numbers_are_exact_up_to_64_bits() {
    for text in
        ["0", "-9223372036854775808", "9223372036854775807", "18446744073709551615", "9999999999999999999"]
    {
        let value = json(text).and_then(|parts| parts.integer(text.as_bytes()));
        assert_eq!(value.map(|value| value.to_string()).as_deref(), Some(text));
    }
    for text in ["18446744073709551616", "99999999999999999999999", "1.0", "1e3"] {
        assert_eq!(json(text).and_then(|parts| parts.integer(text.as_bytes())), None, "{text}");
    }
}

/// Decimals between two floats, on their limits and beyond.
const HARD: [&str; 14] = [
    "9007199254740993",
    "9007199254740992.9999999",
    "1e22",
    "1e23",
    "8.5e-323",
    "4.9e-324",
    "2.4e-324",
    "1.7976931348623159e308",
    "1e999",
    "-0.0",
    "16777217",
    "16777216.999999999999999",
    "1.401298464324817e-45",
    "3.4028235677973366e38",
];

fn same(text: &str) {
    let parts = table(text).unwrap();
    assert_eq!(parts.double(text.as_bytes()).to_bits(), text.parse::<f64>().unwrap().to_bits(), "{text}");
    assert_eq!(
        parts.single(text.as_bytes()).to_bits(),
        text.parse::<f32>().unwrap().to_bits(),
        "{text} as a single"
    );
}

#[test]
fn decimals_that_are_hard_to_round_are_rounded_as_the_standard_library_does() {
    HARD.into_iter().for_each(same);
}

proptest! {
    #[test]
    fn a_decimal_is_read_as_the_standard_library_does(
        sign in "[-+]?", whole in "[0-9]{1,22}", fraction in "(\\.[0-9]{0,22})?", power in "(e[-+]?[0-9]{1,3})?",
    ) {
        same(&format!("{sign}{whole}{fraction}{power}"));
    }

    #[test]
    fn what_a_float_is_written_as_reads_as_that_float(double in any::<f64>(), single in any::<f32>()) {
        for text in [format!("{double:e}"), format!("{single:e}"), format!("{double}"), format!("{single}")] {
            if double.is_finite() && single.is_finite() {
                same(&text);
            }
        }
    }

    #[test]
    fn only_digits_are_digits(bytes in prop::array::uniform8(any::<u8>())) {
        let n = bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let value = bytes[..n].iter().fold(0, |value, digit| value * 10 + u64::from(digit - b'0'));
        prop_assert_eq!(eight(u64::from_le_bytes(bytes)), (value, n));
    }

    #[test]
    fn any_bytes_give_a_number_that_the_standard_library_reads_too(text in "[-+.eE0-9x]{0,12}") {
        if let Some(parts) = json(&text) {
            prop_assert!(text.parse::<f64>().is_ok());
            prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&text).is_ok(), parts.double(text.as_bytes()).is_finite());
        } else {
            prop_assert!(serde_json::from_str::<serde_json::Value>(&text).is_err());
        }
    }
}
