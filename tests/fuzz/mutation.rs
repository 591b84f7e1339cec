//! Runs each property without a fuzzer on a fixed number of inputs, mutated from its seeds. For a
//! longer run: `FUZZ_SECONDS=600 cargo test --profile long --lib properties`. `FUZZ_SEED` gives
//! other inputs.

#![allow(clippy::print_stdout, reason = "a test reports its inputs")]

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

struct Rng(u64);

impl Rng {
    /// Returns the next SplitMix64 number below `below`, which must not be 0.
    fn below(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let number = (z ^ (z >> 31)) % u64::try_from(below).unwrap();
        usize::try_from(number).unwrap()
    }

    fn range(&mut self, len: usize) -> std::ops::Range<usize> {
        let start = self.below(len + 1);
        start..start + self.below((len - start).min(24) + 1)
    }
}

/// Input that often breaks parsers.
const FRAGMENTS: [&[u8]; 26] = [
    b"\r\n",
    b"\n\n",
    b"\0",
    b"\x1b[2J",
    b"\xff",
    b"\xf0\x9f\x98",
    "\u{202e}".as_bytes(),
    "\u{200d}".as_bytes(),
    "e\u{301}\u{301}".as_bytes(),
    "\u{fffd}".as_bytes(),
    b"\"",
    b"\\u0000",
    b"\\ud800",
    b"{\"key\":",
    b"null",
    b"-1",
    b"1e999",
    b"99999999999999999999",
    b"0.001",
    b"[[key]]",
    b"%00%0d%0a",
    b"&code=b",
    b"sk-or-v1-0123456789abcdef0123456789abcdef",
    b"Host: 127.0.0.1:4711\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"9999-12-31T23:59:59Z",
];

fn mutate(seeds: &[Vec<u8>], rng: &mut Rng) -> Vec<u8> {
    let mut data = seeds[rng.below(seeds.len())].clone();
    for _ in 0..rng.below(6) {
        let range = rng.range(data.len());
        match rng.below(8) {
            0 => data.truncate(range.start),
            1 => drop(data.drain(range)),
            2 => {
                let copy = data[range].repeat(1 + rng.below(9));
                let at = rng.below(data.len() + 1);
                data.splice(at..at, copy);
            }
            3 => {
                for byte in &mut data[range] {
                    *byte ^= 1 << rng.below(8);
                }
            }
            4 => {
                let other = &seeds[rng.below(seeds.len())];
                let part = rng.range(other.len());
                data.splice(range, other[part].iter().copied());
            }
            5 => data.insert(range.start, u8::try_from(rng.below(256)).unwrap()),
            _ => drop(data.splice(range, FRAGMENTS[rng.below(FRAGMENTS.len())].iter().copied())),
        }
    }
    data
}

fn env_number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

/// Checks `property` on `count` inputs, or for `FUZZ_SECONDS`.
fn run(name: &str, count: u64, property: fn(&[u8])) {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/seeds").join(name);
    let mut files: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let seeds: Vec<Vec<u8>> = files.iter().map(|file| fs::read(file).unwrap()).collect();
    let seed = env_number("FUZZ_SEED").unwrap_or(1);
    let deadline = env_number("FUZZ_SECONDS").map(|s| Instant::now() + Duration::from_secs(s));
    let mut rng = Rng(seed);
    let mut completed = 0;
    while deadline.map_or(completed < count, |deadline| Instant::now() < deadline) {
        // The unchanged seeds come first.
        let at = usize::try_from(completed).unwrap();
        let data = seeds.get(at).cloned().unwrap_or_else(|| mutate(&seeds, &mut rng));
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| property(&data))) {
            println!(
                "{name}, input {completed} of FUZZ_SEED={seed}: {:?}",
                data.escape_ascii().to_string()
            );
            resume_unwind(panic);
        }
        completed += 1;
    }
    println!("{name}: {completed} inputs");
}

macro_rules! property_tests {
    ($($name:ident $count:literal)*) => {
        $(#[test] fn $name() { run(stringify!($name), $count, super::$name); })*
    };
}

property_tests! {
    callback 3_000
    exchange 3_000
    responses 300
    inventory 150
    journal 150
    plan 2_000
    foreign_text 2_000
    user_input 2_000
}
