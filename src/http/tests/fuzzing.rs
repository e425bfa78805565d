//! The fuzz bodies on the samples and on seeded mutations of them: a smoke test, the fuzzer does the rest.

use super::splitting::SAMPLES;
use super::*;

const MUTATIONS: u64 = 20_000;

/// Seeded, so that a failure comes again.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }
}

/// A sample with a few bytes replaced, inserted, removed or repeated.
fn mutated(numbers: &mut Numbers) -> Vec<u8> {
    const BYTES: &[u8] = b"\r\n\t :;,0159aAfFzZ/?%*\"\0\x7f\x80\xff";
    let mut bytes = SAMPLES[numbers.below(SAMPLES.len())].to_vec();
    for _ in 0..numbers.below(4) {
        let at = numbers.below(bytes.len());
        match numbers.below(4) {
            0 => bytes[at] = BYTES[numbers.below(BYTES.len())],
            1 => bytes.insert(at, BYTES[numbers.below(BYTES.len())]),
            2 if bytes.len() > 1 => drop(bytes.remove(at)),
            _ => {
                let end = (at + numbers.below(40)).min(bytes.len());
                bytes.extend_from_within(at..end);
            }
        }
    }
    bytes
}

#[test]
fn heads_survive_mutation() {
    for seed in 0..MUTATIONS {
        fuzz::head(&mutated(&mut Numbers(seed)));
    }
}

#[test]
fn exchanges_are_the_same_however_they_are_split() {
    for seed in 0..MUTATIONS {
        let mut numbers = Numbers(seed);
        let choices: Vec<u8> = (0..8).map(|_| numbers.below(256) as u8).collect();
        fuzz::exchange(&[choices, mutated(&mut numbers)].concat());
    }
}

#[test]
fn accept_encoding_survives_noise() {
    const PARTS: &[&str] = &["gzip", "x-gzip", "*", ";q=0", ";q=0.5", ";q=1", ",", "\n", " ", ";", "br", "="];
    for seed in 0..MUTATIONS {
        let mut numbers = Numbers(seed);
        let text: String = (0..numbers.below(8)).map(|_| PARTS[numbers.below(PARTS.len())]).collect();
        fuzz::accept_encoding(text.as_bytes());
    }
}
