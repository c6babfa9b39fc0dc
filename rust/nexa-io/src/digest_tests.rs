//! Known answers, from implementations that share no code with ours: `xxhash` and `blake3` from C, Python's hashlib,
//! and a bitwise CRC-32C.

use proptest::prelude::*;

use super::*;

/// 100,000 bytes: several of every algorithm's inner blocks.
fn long() -> Vec<u8> {
    (0..100_000u32).map(|i| u8::try_from((i * 7 + 3) % 251).unwrap()).collect()
}

fn digest_of(algorithm: Algorithm, bytes: &[u8]) -> String {
    let mut hasher = Hasher::new(algorithm);
    hasher.update(bytes);
    hasher.finish().to_string()
}

#[test]
fn known_answers() {
    let inputs: [&[u8]; 4] = [b"", b"abc", b"123456789", &long()];
    let answers = [
        (
            Algorithm::Sha256,
            [
                "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
                "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
                "sha256:15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225",
                "sha256:5889ab642baa09c41570b8888cbf45f3762152cea2490ea6b150208a99c92b10",
            ],
        ),
        (
            Algorithm::Blake3,
            [
                "blake3:af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262",
                "blake3:6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85",
                "blake3:b7d65b48420d1033cb2595293263b6f72eabee20d55e699d0df1973b3c9deed1",
                "blake3:32506b6d9c0c2de4a2a2629ab5bd99627bdab64e2eb212b30321535e9c4db912",
            ],
        ),
        (
            Algorithm::Xxh3,
            [
                "xxh3:99aa06d3014798d86001c324468d497f",
                "xxh3:06b05ab6733a618578af5f94892f3950",
                "xxh3:33119477ede5dcd5e9716427681d5860",
                "xxh3:c0f903c0bf0d5d15d449c3d3e190d6d6",
            ],
        ),
        (Algorithm::Crc32c, ["crc32c:00000000", "crc32c:364b3fb7", "crc32c:e3069283", "crc32c:4fb573fe"]),
    ];
    for (algorithm, expected) in answers {
        for (input, answer) in inputs.iter().zip(expected) {
            assert_eq!(digest_of(algorithm, input), answer, "{} bytes", input.len());
        }
    }
}

#[test]
fn case_is_accepted_and_not_kept() {
    let digest: Digest = "crc32c:E3069283".parse().unwrap();
    assert_eq!(digest.to_string(), "crc32c:e3069283");
    assert_eq!((digest.hex(), digest.as_bytes()), ("e3069283".to_owned(), &[0xE3, 6, 0x92, 0x83][..]));
}

#[test]
fn anything_else_is_refused_with_its_text() {
    let zeros = |n| "0".repeat(n);
    for text in [
        String::new(),
        "e3069283".into(),
        "crc32c:".into(),
        "crc32c:e306928".into(),
        "crc32c:e30692830".into(),
        "crc32c:+3069283".into(),
        "crc32c:e306928 ".into(),
        "crc32c:e306928é".into(),
        format!("sha256:{}", zeros(63)),
        format!("blake3:{}", zeros(65)),
        format!("xxh3:{}", zeros(16)),
    ] {
        match text.parse::<Digest>() {
            Err(IoError::MalformedDigest { text: named, .. }) => assert_eq!(named, text),
            other => panic!("{text:?}: {other:?}"),
        }
    }
    for text in ["md5:00", "SHA256:00", " sha256:00", ":00"] {
        assert!(matches!(text.parse::<Digest>(), Err(IoError::UnknownAlgorithm { .. })), "{text:?}");
    }
}

proptest! {
    #[test]
    fn how_bytes_are_cut_makes_no_difference(bytes in prop::collection::vec(any::<u8>(), 0..3000), cut in 0usize..3000) {
        let (head, tail) = bytes.split_at(cut.min(bytes.len()));
        for algorithm in Algorithm::ALL {
            let mut hasher = Hasher::new(algorithm);
            hasher.update(head);
            hasher.update(tail);
            let digest = hasher.finish();
            prop_assert_eq!(digest.to_string(), digest_of(algorithm, &bytes));
            prop_assert_eq!(digest.to_string().to_uppercase().replacen(
                &algorithm.name().to_uppercase(), algorithm.name(), 1).parse::<Digest>().unwrap(), digest);
        }
    }

    #[test]
    fn no_text_panics(text in "\\PC{0,80}") {
        let _ = text.parse::<Digest>();
    }
}
