//! The house, as README.md draws it: imports run one way, and the relay cannot know what it must not know.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn metadata(arguments: &[&str]) -> Value {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--offline", "--manifest-path"])
        .arg(root().join("Cargo.toml"))
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn list<'a>(value: &'a Value, field: &str) -> &'a [Value] {
    value[field].as_array().unwrap()
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap()
}

/// What each package of the workspace is built with, of the workspace's other packages.
fn imports(with_dev: bool) -> BTreeMap<String, BTreeSet<String>> {
    let metadata = metadata(&["--no-deps"]);
    let names: BTreeSet<&str> = list(&metadata, "packages").iter().map(|package| text(package, "name")).collect();
    list(&metadata, "packages")
        .iter()
        .map(|package| {
            let imports = list(package, "dependencies")
                .iter()
                .filter(|dependency| with_dev || dependency["kind"] != "dev")
                .map(|dependency| text(dependency, "name"))
                .filter(|name| names.contains(name))
                .map(ToOwned::to_owned)
                .collect();
            (text(package, "name").to_owned(), imports)
        })
        .collect()
}

#[test]
fn imports_run_one_way() {
    /// Package, and all it may import. Crash points and pseudo-terminals are tools of the tests and know nothing.
    const ALLOWED: &[(&str, &[&str])] = &[
        ("subrosa-ambient", &[]),
        ("subrosa-tasks", &["subrosa-ambient"]),
        ("subrosa-crash-point", &[]),
        ("subrosa-pty", &[]),
        ("subrosa-wire", &[]),
        ("subrosa-crypto", &["subrosa-ambient"]),
        ("subrosa-relay", &["subrosa-ambient", "subrosa-tasks", "subrosa-wire", "subrosa-crash-point"]),
        (
            "subrosa-client-core",
            &["subrosa-ambient", "subrosa-tasks", "subrosa-crypto", "subrosa-wire", "subrosa-crash-point"],
        ),
        ("subrosa-tui", &["subrosa-ambient", "subrosa-client-core", "subrosa-crash-point"]),
        ("subrosa", &["subrosa-ambient", "subrosa-tasks", "subrosa-tui", "subrosa-client-core", "subrosa-relay"]),
    ];
    for (package, imports) in imports(false) {
        if package == "subrosa-harness" {
            continue;
        }
        let (_, allowed) = ALLOWED
            .iter()
            .find(|(name, _)| *name == package)
            .unwrap_or_else(|| panic!("{package} is new: say here what it may import"));
        let forbidden: Vec<_> = imports.iter().filter(|name| !allowed.contains(&name.as_str())).collect();
        assert!(forbidden.is_empty(), "{package} must not import {forbidden:?}");
    }
    // Not even their tests: both are to be read alone.
    let all = imports(true);
    assert!(all["subrosa-wire"].is_empty() && all["subrosa-crypto"].iter().eq(["subrosa-ambient"]));
}

/// Names of everything that a package is built with, near and far.
fn built_with(package: &str) -> BTreeSet<String> {
    let host = Command::new("rustc").arg("-vV").output().unwrap();
    let host = String::from_utf8(host.stdout).unwrap();
    let host = host.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
    let metadata = metadata(&["--filter-platform", host]);
    let names: HashMap<&str, &str> =
        list(&metadata, "packages").iter().map(|package| (text(package, "id"), text(package, "name"))).collect();
    let nodes: HashMap<&str, &Value> =
        list(&metadata["resolve"], "nodes").iter().map(|node| (text(node, "id"), node)).collect();
    let mut open: Vec<&str> = names.iter().filter(|(_, name)| **name == package).map(|(id, _)| *id).collect();
    let mut seen = BTreeSet::new();
    while let Some(id) = open.pop() {
        if seen.insert(id) {
            let normal = |dependency: &&Value| list(dependency, "dep_kinds").iter().any(|kind| kind["kind"].is_null());
            open.extend(list(nodes[id], "deps").iter().filter(normal).map(|dependency| text(dependency, "pkg")));
        }
    }
    seen.into_iter().map(|id| names[id].to_owned()).collect()
}

#[test]
fn the_relay_is_built_without_the_code_that_decrypts() {
    let relay = built_with("subrosa-relay");
    assert!(relay.contains("subrosa-wire") && relay.contains("ed25519-dalek"), "{relay:?}");
    for absent in ["subrosa-crypto", "subrosa-client-core", "x25519-dalek", "aes-gcm", "hkdf", "libcrux-ml-kem"] {
        assert!(!relay.contains(absent), "{absent} is in the relay");
    }
    let wire = built_with("subrosa-wire");
    for absent in ["subrosa-crypto", "ed25519-dalek", "x25519-dalek", "aes-gcm", "rusqlite"] {
        assert!(!wire.contains(absent), "{absent} is in wire");
    }
    let crypto = built_with("subrosa-crypto");
    for absent in ["tokio", "rusqlite", "reqwest", "prost", "subrosa-wire"] {
        assert!(!crypto.contains(absent), "{absent} is in crypto: it has no input, output or storage");
    }
}

/// Every file below a directory with one of these endings.
fn files(directory: &Path, endings: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, endings));
        } else if path.extension().is_some_and(|ending| endings.iter().any(|wanted| ending == *wanted)) {
            found.push(path);
        }
    }
    found
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|letter: char| !letter.is_alphanumeric() && letter != '_').filter(|word| !word.is_empty())
}

/// Names of messages and fields of the content schema.
fn content_names() -> BTreeSet<String> {
    let schema =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("proto/subrosa/content/v1/content.proto"));
    let schema = schema.unwrap();
    let mut names = BTreeSet::new();
    for line in schema.lines().map(|line| line.split("//").next().unwrap().trim()) {
        let parts: Vec<&str> = words(line).collect();
        match parts[..] {
            ["message", name] => drop(names.insert(name.to_owned())),
            [.., field, number] if line.ends_with(';') && number.bytes().all(|byte| byte.is_ascii_digit()) => {
                names.insert(field.to_owned());
            }
            _ => {}
        }
    }
    names
}

#[test]
fn what_messages_say_is_known_to_the_engine_only() {
    /// Words that the content schema shares with the protocol between client and relay, where they mean what the relay
    /// must know: its own account's handle, relay and pin, device lists and capabilities. `Hello` is the first frame.
    const SHARED: &[&str] = &[
        "account_record",
        "clock",
        "contact_token",
        "delivery_key",
        "device_list",
        "handle",
        "hello",
        "Hello",
        "items",
        "Item",
        "list_version",
        "member_key",
        "pin",
        "relay",
        "state",
        "status",
        "text",
        "version",
    ];
    let names = content_names();
    let secret: BTreeSet<&str> = names.iter().map(String::as_str).filter(|name| !SHARED.contains(name)).collect();
    for known in ["message_id", "Introduction", "sent_ms", "Transcript", "ContactSync", "read_sync", "ts_ms"] {
        assert!(secret.contains(known), "{known} is read from the schema");
    }
    // Common words that say nothing by themselves: their qualified names are checked below.
    const COMMON: &[&str] = &[
        "Content",
        "content",
        "forwarded",
        "Receipt",
        "receipt",
        "Text",
        "peer",
        "answered",
        "verified",
        "origin",
        "random",
        "shown",
    ];
    for package in ["wire", "relay"] {
        for file in files(&root().join("crates").join(package), &["rs", "proto"]) {
            let source = fs::read_to_string(&file).unwrap();
            let said: Vec<_> = words(&source).filter(|word| secret.contains(word) && !COMMON.contains(word)).collect();
            assert!(said.is_empty(), "{} mentions {said:?}", file.display());
            assert!(!source.contains("subrosa.content"), "{}", file.display());
        }
    }
    let schemas = files(&root().join("crates"), &["proto"]);
    let holders: Vec<_> = schemas
        .iter()
        .filter(|file| fs::read_to_string(file).unwrap().contains("package subrosa.content"))
        .map(|file| file.strip_prefix(root().join("crates")).unwrap().components().next().unwrap().as_os_str())
        .collect();
    assert_eq!(holders, ["client-core"]);
}

#[test]
fn json_that_leaves_is_written_in_one_place_for_each_program() {
    /// Files in which a serializer is called, and why what it writes is not for a stream: everything else goes through
    /// `json_line`, which lets nothing of others act on a terminal.
    const ALLOWED: &[(&str, &str)] = &[
        ("crates/client-core/src/clean.rs", "the writer of clients"),
        ("crates/relay/src/json.rs", "the writer of the relay"),
        ("crates/client-core/src/account.rs", "our own account.json"),
        ("crates/client-core/src/backup/make.rs", "encrypted with the backup"),
        ("crates/client-core/src/client.rs", "values for the connection, which writes them"),
        ("crates/client-core/src/engine/core/mod.rs", "results kept in the store"),
        ("crates/client-core/src/keys.rs", "our own store.key"),
        ("crates/client-core/src/lock.rs", "who holds the lock"),
        ("crates/client-core/src/requests.rs", "hashed"),
    ];
    let mut writers = BTreeSet::new();
    for directory in ["cli/src", "tui/src", "crates/client-core/src", "crates/relay/src"] {
        for file in files(&root().join(directory), &["rs"]) {
            let name = file.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
            if name.ends_with("fuzzing.rs") || name.ends_with("tests.rs") || name.contains("/tests/") {
                continue;
            }
            let source = fs::read_to_string(&file).unwrap();
            // Tests write what they like.
            let source = source.split("#[cfg(test)]").next().unwrap();
            let calls = ["serde_json::to_", "json::to_string", "json::to_vec", "to_writer(", "Serializer::new"];
            // `roff.to_writer` is the man page's.
            if calls.iter().any(|call| source.replace("roff.to_writer", "").contains(call)) {
                writers.insert(name.clone());
            }
            // A value shows itself as JSON.
            let shows = |line: &str| {
                let written =
                    ["write!", "writeln!", "print!", "println!", "format!"].iter().any(|call| line.contains(call));
                line.contains("answer.to_string()") || (written && line.contains("json!("))
            };
            // The client's ping says nothing of anybody.
            assert!(
                !source.lines().any(shows) || name == "crates/client-core/src/rpc/client.rs",
                "{name} writes a JSON value by itself"
            );
        }
    }
    let unknown: Vec<_> = writers.iter().filter(|name| !ALLOWED.iter().any(|(file, _)| file == *name)).collect();
    assert!(unknown.is_empty(), "{unknown:?}: use json_line, or say here why nobody sees it");
    assert!(writers.len() >= 5, "the search finds what is there: {writers:?}");
}

#[test]
fn calls_within_a_process_are_function_calls() {
    /// JSON begins where a call leaves the process, and in what the engine stores.
    const STORED: &str = "crates/client-core/src/engine/core/mod.rs";
    let mut looked_at = 0;
    let engine = files(&root().join("crates/client-core/src/engine"), &["rs"]);
    let interface = files(&root().join("tui/src"), &["rs"]);
    for file in engine.into_iter().chain(interface).chain([root().join("crates/client-core/src/open.rs")]) {
        let name = file.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
        if name == STORED || name.contains("/tests") {
            continue;
        }
        looked_at += 1;
        let source = fs::read_to_string(&file).unwrap();
        let source = source.split("#[cfg(test)]\nmod tests {").next().unwrap();
        assert!(!words(source).any(|word| word == "serde_json"), "{name} makes or reads JSON");
        // Only what is on the other side of a socket is asked in JSON.
        let remote = source.matches("Remote(").count();
        assert_eq!(remote, source.matches("Remote(PassedOn(caller))").count(), "{name}");
    }
    assert!(looked_at > 40, "the search finds what is there: {looked_at}");
}

/// A select without an order draws lots, which no seed of the simulation decides: the same life would not be the same.
#[test]
fn of_what_is_ready_at_once_the_first_is_named() {
    let mut looked_at = 0;
    let client = files(&root().join("crates/client-core/src"), &["rs"]);
    for file in client.into_iter().chain(files(&root().join("crates/relay/src"), &["rs"])) {
        let name = file.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
        if name.contains("tests") {
            continue;
        }
        let source = fs::read_to_string(&file).unwrap();
        for (_, after) in source.match_indices("select! {").map(|(at, found)| source.split_at(at + found.len())) {
            looked_at += 1;
            assert!(after.trim_start().starts_with("biased;"), "{name}: a select! without an order");
        }
    }
    assert!(looked_at > 20, "the search finds what is there: {looked_at}");
}

/// Sections are cited by their titles: numbers change, and nobody notices.
#[test]
fn the_protocol_is_cited_by_titles_that_it_has() {
    const PROTOCOL: &str = "docs/protocol.md";
    let protocol = fs::read_to_string(root().join(PROTOCOL)).unwrap();
    let titles: BTreeSet<&str> = protocol
        .lines()
        .filter_map(|line| line.strip_prefix("## ")?.split_once(". ").map(|(_, title)| title))
        .collect();
    let mut cited = 0;
    for directory in ["crates", "cli", "tui", "harness"] {
        for file in files(&root().join(directory), &["rs"]) {
            let source = fs::read_to_string(&file).unwrap();
            // A citation may go on in the next line of a comment.
            let words: Vec<&str> =
                source.split_whitespace().filter(|word| !matches!(*word, "//" | "///" | "//!")).collect();
            let text = words.join(" ");
            for (at, found) in text.match_indices(PROTOCOL) {
                let after = text[at + found.len()..].trim_start_matches('`');
                let numbered = after.trim_start_matches([',', ' ', '(']).starts_with("section ");
                assert!(!numbered, "{}: {}", file.display(), &text[at..].chars().take(60).collect::<String>());
                if let Some(title) = after.strip_prefix(", \"").and_then(|rest| rest.split('"').next()) {
                    assert!(titles.contains(title), "{}: {PROTOCOL} has no section {title:?}", file.display());
                    cited += 1;
                }
            }
        }
    }
    assert!(cited > 20, "the search finds what is there: {cited}");
}

/// Whether code names a crate: a path that begins with it, or an import. Comments do not count.
fn names_crate(code: &str, name: &str) -> bool {
    code.lines().map(|line| line.split("//").next().unwrap()).any(|line| {
        line.match_indices(name).any(|(at, _)| {
            let (before, after) = (&line[..at], &line[at + name.len()..]);
            let begins = !before.ends_with(|letter: char| letter.is_alphanumeric() || letter == '_' || letter == ':');
            let rooted = begins || before.ends_with(" ::") || before.ends_with("(::");
            let imported = before.ends_with("use ") || before.ends_with("extern crate ");
            rooted && (after.starts_with("::") || (imported && after.starts_with([';', ' '])))
        })
    })
}

#[test]
fn every_dependency_is_used() {
    let metadata = metadata(&["--no-deps"]);
    let mut wanted = BTreeSet::new();
    let mut unused = Vec::new();
    for package in list(&metadata, "packages") {
        let directory = Path::new(text(package, "manifest_path")).parent().unwrap();
        // Programs are built from `src` alone; tests, benches and examples from all of it.
        let read = |parts: &[&str]| -> String {
            let parts = parts.iter().map(|part| directory.join(part)).filter(|part| part.exists());
            let sources = parts.flat_map(|part| if part.is_dir() { files(&part, &["rs"]) } else { vec![part] });
            sources.map(|source| fs::read_to_string(source).unwrap()).collect::<Vec<_>>().join("\n")
        };
        let (built, building, all) =
            (read(&["src"]), read(&["build.rs"]), read(&["src", "tests", "benches", "examples"]));
        for dependency in list(package, "dependencies") {
            let name = text(dependency, "name");
            wanted.insert(name.to_owned());
            let code = match dependency["kind"].as_str() {
                None => &built,
                Some("build") => &building,
                Some(_) => &all,
            };
            let named = dependency["rename"].as_str().unwrap_or(name).replace('-', "_");
            if !names_crate(code, &named) {
                unused.push(format!("{} ({}): {name}", text(package, "name"), dependency["kind"]));
            }
        }
    }
    assert!(unused.is_empty(), "nothing uses: {unused:#?}");
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap().parse::<toml_edit::DocumentMut>().unwrap();
    let offered: BTreeSet<String> =
        manifest["workspace"]["dependencies"].as_table().unwrap().iter().map(|(name, _)| name.to_owned()).collect();
    let left: Vec<_> = offered.difference(&wanted).collect();
    assert!(left.is_empty(), "no package of the workspace uses {left:?}");
    assert!(offered.len() > 50, "the search finds what is there: {}", offered.len());
}

#[test]
fn a_crate_is_named_by_a_path_or_an_import() {
    for code in [
        "use bytes::Bytes;",
        "let b = bytes::Bytes::new();",
        "use bytes;",
        "use bytes as b;",
        "fn f(b: ::bytes::Bytes)",
    ] {
        assert!(names_crate(code, "bytes"), "{code}");
    }
    for code in
        ["let bytes = 1;", "// bytes::Bytes", "self.bytes.len()", "mod::bytes::X", "my_bytes::X", "use bytes_more::X;"]
    {
        assert!(!names_crate(code, "bytes"), "{code}");
    }
}
