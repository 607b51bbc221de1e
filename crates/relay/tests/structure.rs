//! The relay cannot decrypt because the code is not in it.

use std::{
    collections::{HashMap, HashSet},
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

/// Names of all packages that the relay's library and binary are built with.
fn dependencies() -> HashSet<String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--offline", "--manifest-path"])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
        .arg("--filter-platform")
        .arg(host())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let list = |value: &Value| value.as_array().unwrap().clone();
    let names: HashMap<String, String> =
        list(&metadata["packages"]).iter().map(|package| (text(&package["id"]), text(&package["name"]))).collect();
    let nodes: HashMap<String, Value> =
        list(&metadata["resolve"]["nodes"]).into_iter().map(|node| (text(&node["id"]), node)).collect();
    let mut open: Vec<String> =
        names.iter().filter(|(_, name)| *name == "subrosa-relay").map(|(id, _)| id.clone()).collect();
    let mut seen = HashSet::new();
    while let Some(id) = open.pop() {
        if !seen.insert(id.clone()) {
            continue;
        }
        for dependency in list(&nodes[&id]["deps"]) {
            let is_built_in = list(&dependency["dep_kinds"]).iter().any(|kind| kind["kind"] != "dev");
            if is_built_in {
                open.push(text(&dependency["pkg"]));
            }
        }
    }
    seen.iter().map(|id| names[id].clone()).collect()
}

fn host() -> String {
    let output = Command::new("rustc").arg("-vV").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().find_map(|line| line.strip_prefix("host: ")).unwrap().to_owned()
}

#[test]
fn the_relay_is_built_without_the_code_that_decrypts() {
    let dependencies = dependencies();
    assert!(dependencies.contains("subrosa-wire") && dependencies.contains("ed25519-dalek"));
    for absent in ["subrosa-crypto", "subrosa-client-core", "aes-gcm", "x25519-dalek", "libcrux-ml-kem", "hkdf"] {
        assert!(!dependencies.contains(absent), "{absent} is in the relay");
    }
}

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// The files below a directory that are not tests, each without its tests.
fn files(dir: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if !["tests.rs", "conformance.rs"].iter().any(|name| path.ends_with(name)) {
            let text = std::fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap().to_owned();
            found.push((path, code));
        }
    }
    assert!(!found.is_empty());
    found
}

/// A rule says a code, or compares with a bound. What bounds the work of one process is none.
#[test]
fn a_back_end_has_no_rule() {
    let work = ["INTAKE_BYTES", "SUBMIT_UNIT_BYTES", "PAGE_BYTES"];
    for (path, code) in files(&source().join("backend")) {
        let name = path.display();
        for line in code.lines() {
            let says = line.contains("Refusal::never") || line.contains("Refusal {") && !line.contains("fn refusal");
            assert!(!says, "{name} refuses by itself: {line}");
            assert!(!line.contains("wire::limits"), "{name} knows a bound of the protocol: {line}");
        }
        for (at, _) in code.match_indices("limits::") {
            let names = &code[at + 8..];
            let is_end =
                |c: char| if names.starts_with('{') { c == '}' } else { !(c.is_ascii_alphanumeric() || c == '_') };
            let names = &names[..names.find(is_end).unwrap_or(names.len())];
            let known = |name: &str| work.contains(&name) || name == "UNAVAILABLE";
            let mut named =
                names.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).filter(|name| !name.is_empty());
            assert!(named.all(known), "{name} knows a bound: limits::{names}");
        }
        // SQLite has codes of its own.
        let codes = code.lines().filter(|line| line.contains("subrosa_wire") && line.contains("ErrorCode"));
        assert_eq!(codes.count(), 0, "{name} says codes");
    }
}

/// The columns that rules look at, and how often the back end may ask for them.
#[test]
fn each_fact_is_fetched_in_one_place() {
    let facts = [
        "delivery_key",
        "previous_key",
        "previous_until_ms",
        "member_key",
        "previous_member_key",
        "per_day",
        "joined",
        "submits",
        "prekeys",
        "login_mark",
        "last_ec",
        "signed_prekey",
        "seq_floor",
        "uses - used",
    ];
    let all: Vec<(PathBuf, String)> = files(&source().join("backend/embedded"));
    for fact in facts {
        let asks: Vec<String> = all
            .iter()
            .flat_map(|(path, code)| {
                let questions = code.split('"').filter(|text| text.trim_start().starts_with("SELECT"));
                let wanted = questions.filter(|text| {
                    let columns = text.split(" FROM ").next().unwrap();
                    columns.split(|c: char| ",() \n".contains(c)).any(|word| word == fact)
                        || columns.contains(" - ") && columns.contains(fact)
                });
                wanted.map(|text| format!("{}: {text}", path.display())).collect::<Vec<_>>()
            })
            .collect();
        assert_eq!(asks.len(), 1, "{fact}: {asks:#?}");
    }
    // And within one submission each is asked for once: all facts first, then all verdicts, then what they say.
    let intake = std::fs::read_to_string(source().join("backend/embedded/intake.rs")).unwrap();
    for question in
        ["facts::account(", "facts::device(", "facts::token(", "facts::joiner(", "facts::is_known(", "judge("]
    {
        assert_eq!(intake.matches(question).count(), 1, "{question}");
    }
}

/// The rules know no back end, no socket and no clock.
#[test]
fn the_rules_look_at_nothing_but_their_arguments() {
    let state = ["addresses.rs", "descriptors.rs", "frames.rs", "limiter.rs"];
    for (path, code) in files(&source().join("policy")) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        for other in [
            "crate::backend",
            "crate::sockets",
            "crate::router",
            "crate::ledger",
            "crate::shared",
            "now_ms()",
            "today()",
        ] {
            assert!(!code.contains(other), "{name} uses {other}");
        }
        assert!(state.contains(&name.as_str()) || !code.contains("subrosa_ambient"), "{name} looks at the clock");
    }
}

/// The page of the seams names each promise, and each back end keeps all of them.
#[test]
fn every_promise_is_on_the_page_and_kept() {
    let promises: Vec<String> = files(&source().join("conformance"))
        .iter()
        .flat_map(|(_, code)| {
            let heads = code.split("pub(crate) async fn ").skip(1);
            heads.map(|head| head.split('<').next().unwrap().to_owned()).collect::<Vec<_>>()
        })
        .collect();
    assert!(promises.len() > 20);
    let read = |path: PathBuf| std::fs::read_to_string(path).unwrap();
    let page = read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/seams.md"));
    let embedded = read(source().join("backend/embedded/conformance.rs"));
    for promise in promises {
        assert!(page.contains(&format!("`{promise}`")), "docs/seams.md lacks {promise}");
        assert!(embedded.contains(&format!("    {promise},")), "the embedded back end does not show {promise}");
    }
}
