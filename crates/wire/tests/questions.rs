//! The threat model has a row for each question that a relay answers, and it says what the schema says.

use std::collections::{BTreeMap, BTreeSet};

fn read(path: &str) -> String {
    std::fs::read_to_string(format!("{}/{path}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn schema() -> String {
    let dir = format!("{}/proto/subrosa/v1", env!("CARGO_MANIFEST_DIR"));
    let file = std::fs::read_dir(dir).unwrap().next().unwrap().unwrap().path();
    std::fs::read_to_string(file).unwrap()
}

/// Types and names of the fields of each message.
fn messages(schema: &str) -> BTreeMap<String, Vec<(String, String)>> {
    let mut messages: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
    let mut open = None;
    for line in schema.lines() {
        let line = line.split("//").next().unwrap().trim();
        if let Some(name) = line.strip_prefix("message ") {
            let name = name.split([' ', '{']).next().unwrap().to_owned();
            messages.insert(name.clone(), Vec::new());
            open = Some(name).filter(|_| !line.ends_with("{}"));
        } else if let (Some(name), Some((field, _))) = (&open, line.split_once(" = ")) {
            let mut words = field.split_whitespace().filter(|word| *word != "repeated");
            let (kind, field) = (words.next().unwrap(), words.next().unwrap());
            messages.get_mut(name).unwrap().push((kind.to_owned(), field.to_owned()));
        } else if line.starts_with("enum ") {
            open = None;
        }
    }
    messages
}

/// Whether a message names an account, in itself or in what it holds.
fn names_somebody(messages: &BTreeMap<String, Vec<(String, String)>>, message: &str) -> bool {
    messages.get(message).is_some_and(|fields| {
        fields.iter().any(|(kind, field)| {
            ["account", "handle", "device"].contains(&field.as_str()) || names_somebody(messages, kind)
        })
    })
}

fn camel(field: &str) -> String {
    field.split('_').map(|word| word[..1].to_uppercase() + &word[1..]).collect()
}

/// The questions of HTTPS: the message behind each path.
fn https(schema: &str) -> Vec<String> {
    let mut lines = schema.lines();
    let mut found = Vec::new();
    while let Some(line) = lines.next() {
        if line.starts_with("// /v1/") {
            let message = lines.next().unwrap().strip_prefix("message ").unwrap();
            found.push(message.split(' ').next().unwrap().to_owned());
        }
    }
    found
}

#[test]
fn every_question_has_its_row_and_none_but_the_request_lane_names_another_account() {
    let schema = schema();
    let messages = messages(&schema);
    let page = read("../../docs/threat-model.md");
    let table = page.split("## Every question").nth(1).unwrap().split("\n## ").next().unwrap();
    let rows: BTreeMap<&str, Vec<&str>> = table
        .lines()
        .filter_map(|line| line.strip_prefix("| `"))
        .map(|row| {
            let (name, rest) = row.split_once("` | ").unwrap();
            (name, rest.trim_end_matches('|').split(" | ").map(str::trim).collect())
        })
        .collect();
    let row = |name: &str| rows.get(name).unwrap_or_else(|| panic!("no row for {name}"));
    let mut expected: BTreeSet<String> = BTreeSet::from(["Submit".to_owned()]);
    assert_eq!(row("Submit")[0], "anonymous");
    for question in https(&schema) {
        assert_eq!(row(&question)[0], "HTTPS, anonymous");
        expected.insert(question);
    }
    let requests: Vec<&(String, String)> = messages["Request"].iter().filter(|(_, field)| field != "id").collect();
    assert!(requests.len() >= 8);
    for (kind, field) in requests {
        let name = camel(field);
        let row = row(&name);
        assert_eq!(row[0], "mailbox, authenticated", "{name}");
        assert_eq!(names_somebody(&messages, kind), name == "SubmitRequest", "{name} names another account");
        assert_eq!(row[1].starts_with("nobody else"), name != "SubmitRequest", "{name}: {row:?}");
        expected.insert(name);
    }
    let named: BTreeSet<String> = rows.keys().map(|name| (*name).to_owned()).collect();
    assert_eq!(named, expected);
    assert!(rows.values().all(|cells| cells.len() == 4 && cells.iter().all(|cell| !cell.is_empty())));
}
