//! What the documents promise to be tested: the table of attacks in `docs/threat-model.md` has no row
//! without a test that exists, and the reviewer's path names only files that exist.

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
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
    let page = fs::read_to_string(root().join("docs/threat-model.md")).unwrap();
    let (_, table) = page.split_once("| attack | source | test |").unwrap();
    let mut rows = 0;
    for row in table.lines().skip(2).take_while(|line| line.starts_with('|')) {
        let cells: Vec<_> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [attack, _, test] = cells[..] else { panic!("not three columns: {row}") };
        let (path, name) = test.trim_matches('`').split_once("::").unwrap_or_else(|| panic!("no test: {row}"));
        let text = fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
        assert!(is_test(&text, name), "{attack}: no test {name} in {path}");
        rows += 1;
    }
    assert!(rows >= 30, "the table was not found: {rows} rows");
}

#[test]
fn the_reviewers_path_names_files_that_exist_and_are_short() {
    let page = fs::read_to_string(root().join("docs/review.md")).unwrap();
    let mut files = 0;
    for name in page.split('`').skip(1).step_by(2).filter(|name| name.starts_with("crates/") && name.ends_with(".rs")) {
        let text = fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(text.lines().count() <= 500, "{name} is longer than 500 lines");
        files += 1;
    }
    assert!(files >= 20, "{files} files");
}
