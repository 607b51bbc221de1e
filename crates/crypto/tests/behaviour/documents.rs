//! What the documents promise to be tested: neither the table of attacks in `docs/threat-model.md` nor the claims in
//! `docs/claims.md` name a test that does not exist, and the reviewer's path names only files that exist.

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The cells of each row of a table, from behind its head.
fn rows(table: &str) -> impl Iterator<Item = Vec<&str>> {
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    rows.map(|row| row.trim_matches('|').split('|').map(str::trim).collect())
}

/// What stands between backticks.
fn code(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// Fails unless `test` is `path::name` of a test that exists.
fn assert_test(test: &str, of: &str) {
    let (path, name) = test.split_once("::").unwrap_or_else(|| panic!("{of}: {test} is no test"));
    assert!(is_test(&read(path), name), "{of}: no test {name} in {path}");
}

/// Whether `name` is a test function in `text`: declared, with a test attribute above it.
fn is_test(text: &str, name: &str) -> bool {
    let declared = [format!("fn {name}("), format!("async fn {name}(")];
    let mut attribute = false;
    for line in text.lines().map(str::trim_start) {
        if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
            attribute = true;
        } else if declared.iter().any(|declared| line.starts_with(declared.as_str())) {
            return attribute;
        } else if !line.starts_with("#[") && !line.starts_with("//") {
            attribute = false;
        }
    }
    false
}

#[test]
fn the_check_knows_a_test_when_it_sees_one() {
    let text = "#[test]\n#[ignore]\nfn a() {}\nfn b() {}\n  #[tokio::test(x)]\n  async fn c() {}\n";
    assert!(is_test(text, "a") && is_test(text, "c"));
    assert!(!is_test(text, "b") && !is_test(text, "d") && !is_test(text, ""));
}

#[test]
fn no_attack_in_the_threat_model_is_without_a_test() {
    let page = read("docs/threat-model.md");
    let (_, table) = page.split_once("| attack | source | test |").unwrap();
    let mut attacks = 0;
    for row in rows(table) {
        let [attack, _, test] = row[..] else { panic!("not three columns: {row:?}") };
        assert_test(test.trim_matches('`'), attack);
        attacks += 1;
    }
    assert!(attacks >= 30, "the table was not found: {attacks} rows");
}

#[test]
fn every_claim_names_a_test_that_exists_or_says_why_there_is_none() {
    const OTHERWISE: [&str; 4] = ["not built", "by construction: `", "measured: docs/", "not tested: "];
    let page = read("docs/claims.md");
    let mut claims = 0;
    for row in page.split("| claim | shown by |").skip(1).flat_map(rows) {
        let [claim, shown] = row[..] else { panic!("not two columns: {row:?}") };
        let mut says = OTHERWISE.iter().any(|form| shown.contains(form));
        for named in code(shown) {
            if named.contains(".rs::") {
                assert_test(named, claim);
                says = true;
            } else if named.contains('/') && named.contains('.') {
                assert!(root().join(named).exists(), "{claim}: no {named}");
            }
        }
        assert!(says, "{claim}: neither a test nor a reason: {shown:?}");
        claims += 1;
    }
    assert!(claims >= 150, "the tables were not found: {claims} rows");
}

#[test]
fn the_reviewers_path_names_files_that_exist_and_are_short() {
    let page = read("docs/review.md");
    let mut files = 0;
    for name in code(&page).filter(|name| name.starts_with("crates/") && name.ends_with(".rs")) {
        assert!(read(name).lines().count() <= 500, "{name} is longer than 500 lines");
        files += 1;
    }
    assert!(files >= 20, "{files} files");
}
