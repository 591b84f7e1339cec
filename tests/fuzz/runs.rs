//! The bodies without a fuzzer: each for a fixed number of inputs, mutated from its seeds. For a
//! longer run `FUZZ_SECONDS=600 cargo test --profile long --lib bodies`; `FUZZ_SEED` changes it.

#![allow(clippy::print_stdout, reason = "a test says what it did")]

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

struct Dice(u64);

impl Dice {
    /// SplitMix64, less than `below`, which is not 0.
    fn below(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let rolled = (z ^ (z >> 31)) % u64::try_from(below).unwrap();
        usize::try_from(rolled).unwrap()
    }

    fn range(&mut self, len: usize) -> std::ops::Range<usize> {
        let start = self.below(len + 1);
        start..start + self.below((len - start).min(24) + 1)
    }
}

/// What breaks parsers.
const PIECES: [&[u8]; 26] = [
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

fn mutated(seeds: &[Vec<u8>], dice: &mut Dice) -> Vec<u8> {
    let mut data = seeds[dice.below(seeds.len())].clone();
    for _ in 0..dice.below(6) {
        let range = dice.range(data.len());
        match dice.below(8) {
            0 => data.truncate(range.start),
            1 => drop(data.drain(range)),
            2 => {
                let copy = data[range].repeat(1 + dice.below(9));
                let at = dice.below(data.len() + 1);
                data.splice(at..at, copy);
            }
            3 => {
                for byte in &mut data[range] {
                    *byte ^= 1 << dice.below(8);
                }
            }
            4 => {
                let other = &seeds[dice.below(seeds.len())];
                let part = dice.range(other.len());
                data.splice(range, other[part].iter().copied());
            }
            5 => data.insert(range.start, u8::try_from(dice.below(256)).unwrap()),
            _ => drop(data.splice(range, PIECES[dice.below(PIECES.len())].iter().copied())),
        }
    }
    data
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

/// So many inputs, or as many as go into `FUZZ_SECONDS`.
fn run(name: &str, count: u64, body: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/seeds").join(name);
    let mut files: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let seeds: Vec<Vec<u8>> = files.iter().map(|file| fs::read(file).unwrap()).collect();
    let seed = number("FUZZ_SEED").unwrap_or(1);
    let until = number("FUZZ_SECONDS").map(|s| Instant::now() + Duration::from_secs(s));
    let mut dice = Dice(seed);
    let mut done = 0;
    while until.map_or(done < count, |until| Instant::now() < until) {
        // The seeds themselves first.
        let at = usize::try_from(done).unwrap();
        let data = seeds.get(at).cloned().unwrap_or_else(|| mutated(&seeds, &mut dice));
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| body(&data))) {
            println!(
                "{name}, input {done} of FUZZ_SEED={seed}: {:?}",
                data.escape_ascii().to_string()
            );
            resume_unwind(panic);
        }
        done += 1;
    }
    println!("{name}: {done} inputs");
}

macro_rules! runs {
    ($($name:ident $count:literal)*) => {
        $(#[test] fn $name() { run(stringify!($name), $count, super::$name); })*
    };
}

runs! {
    callback 3_000
    exchange 3_000
    answers 300
    inventory 150
    journal 150
    plan 2_000
    words 2_000
    typed 2_000
}
