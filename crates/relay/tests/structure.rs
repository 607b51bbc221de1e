//! The relay cannot decrypt because the code is not in it.
// Test code may stop at the first surprise.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::{
    collections::{HashMap, HashSet},
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
