//! Inputs of the property tests, which include this file: the seed corpus of a fuzz target, as it is and damaged.
//!
//! Random bytes rarely get past the first check of a decoder; what was good before it was damaged does. The property test of a
//! decoder and its fuzz target call the same function; this is the 256 cases that run on each change (`PROPTEST_CASES` for more).

use std::path::{Path, PathBuf};

use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};

/// Damage in one input: beyond a few, nothing of the seed is left.
const MAX_CHANGES: usize = 4;

#[derive(Debug, Clone)]
enum Change {
    Set(u8),
    Flip(u8),
    Insert(Vec<u8>),
    Remove(usize),
    /// The rest of another seed.
    Splice(prop::sample::Index),
}

fn corpus(target: &str) -> PathBuf {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let fuzz = crate_folder.ancestors().map(|folder| folder.join("fuzz/corpus")).find(|folder| folder.is_dir());
    fuzz.expect("fuzz/corpus lies beside the crates").join(target)
}

/// Calls a fuzz target's check, which panics on what must not be, with every seed and with damaged ones.
pub(crate) fn hold(target: &str, check: impl Fn(&[u8])) {
    hold_times(target, Config::default().cases, check);
}

/// As [`hold`], with so many damaged ones: for a check that takes long.
pub(crate) fn hold_times(target: &str, cases: u32, check: impl Fn(&[u8])) {
    let mut seeds: Vec<Vec<u8>> = std::fs::read_dir(corpus(target))
        .unwrap_or_else(|error| panic!("{target} has no seeds: {error}"))
        .map(|entry| std::fs::read(entry.unwrap().path()).unwrap())
        .collect();
    seeds.sort();
    assert!(!seeds.is_empty(), "{target} has no seeds");
    seeds.iter().for_each(|seed| check(seed));
    let change = prop_oneof![
        any::<u8>().prop_map(Change::Set),
        (0..8_u8).prop_map(|bit| Change::Flip(1 << bit)),
        prop_oneof![prop::collection::vec(any::<u8>(), 1..8), "\\PC{1,3}".prop_map(String::into_bytes)]
            .prop_map(Change::Insert),
        (1..16_usize).prop_map(Change::Remove),
        any::<prop::sample::Index>().prop_map(Change::Splice),
    ];
    let changes = prop::collection::vec((any::<prop::sample::Index>(), change), 1..=MAX_CHANGES);
    let damaged = (any::<prop::sample::Index>(), changes).prop_map(|(seed, changes)| {
        let mut bytes = seed.get(&seeds).clone();
        for (place, change) in changes {
            let at = place.index(bytes.len() + 1);
            let rest = bytes.split_off(at);
            match change {
                Change::Set(byte) => bytes.extend(std::iter::once(byte).chain(rest.into_iter().skip(1))),
                Change::Flip(bits) => {
                    bytes.extend_from_slice(&rest);
                    bytes[at..].iter_mut().take(1).for_each(|byte| *byte ^= bits);
                }
                Change::Insert(more) => bytes.extend(more.into_iter().chain(rest)),
                Change::Remove(count) => bytes.extend(rest.into_iter().skip(count)),
                Change::Splice(other) => bytes.extend(other.get(&seeds).iter().skip(at)),
            }
        }
        bytes
    });
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let outcome = TestRunner::new(config).run(&damaged, |bytes| {
        check(&bytes);
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{target}: {failure}");
    }
}
