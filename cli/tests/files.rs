//! What leaves the program: exports of conversations, completions for shells, man pages.

use std::os::unix::fs::PermissionsExt as _;

use crate::support::{Account, Outcome, Relay, connect, run, subrosa};
use serde_json::Value;

/// Names in a directory, sorted.
fn names(place: &std::path::Path) -> Vec<String> {
    let mut names: Vec<_> =
        std::fs::read_dir(place).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_conversation_is_exported_whole_in_order_and_harmless() {
    let relay = Relay::start();
    let (alice, bob) = (Account::init("alice", &relay), Account::init("bob", &relay));
    connect(&alice, &bob);
    let place = tempfile::tempdir().unwrap();
    // One engine for all of it, and more than one page.
    let _listen = alice.listen(&[]);
    let hostile = "![x](http://tracker.example)\x1b]0;owned\x07\n09:41:00  alice: not mine";
    bob.run(&["send", "alice", "-m", hostile]).ok();
    let count = 259;
    for number in 0..count {
        alice.run(&["send", "bob", "-m", &format!("message {number}"), "--wait", "none"]).ok();
    }

    let json = alice.run(&["export", "bob", "--format", "json"]).ok();
    let own: Vec<&str> =
        json.iter().filter(|line| line["outgoing"] == true).map(|line| line["body"].as_str().unwrap()).collect();
    let expected: Vec<String> = (0..count).map(|number| format!("message {number}")).collect();
    assert_eq!(own, expected, "all pages, oldest first, each once");
    assert!(json.iter().any(|line| line["body"] == hostile), "JSON leaves nothing out");

    for (format, needle) in [("text", "message 258"), ("markdown", "> message 258")] {
        let path = place.path().join(format);
        let arguments = ["export", "bob", "--format", format, "-o", path.to_str().unwrap()];
        let line = alice.run(&arguments).line();
        assert_eq!((&line["type"], &line["messages"]), (&"exported".into(), &(count + 1).into()));
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(needle), "{text}");
        assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{format}");
        assert!(!text.contains("![x]") || format == "text", "no image is fetched from Markdown");
        assert!(!text.lines().any(|line| line.starts_with("09:41:00  alice: not mine")), "{text}");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);

        let error = alice.run(&arguments).error(2);
        assert!(error["hint"].as_str().unwrap().contains("--force"), "{error}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text, "nothing is replaced unasked");
        alice.run(&[&arguments[..], &["--force"]].concat()).ok();
    }
    assert_eq!(names(place.path()), ["markdown", "text"], "nothing else is left");

    let nowhere = place.path().join("carol");
    alice.run(&["export", "carol", "-o", nowhere.to_str().unwrap()]).error(5);
    assert!(!nowhere.exists());
    let error = alice.run(&["export", "bob", "-o", "/no/such/place/file"]).error(1);
    assert!(error["message"].as_str().unwrap().contains("/no/such/place"), "{error}");
}

/// What a shell would be offered for the last of these words.
fn completed(account: &Account, words: &[&str]) -> Vec<String> {
    let mut command = subrosa();
    command.env("SUBROSA_HOME", account.home()).env("SUBROSA_COMPLETE", "zsh").args(["--", "subrosa"]).args(words);
    let Outcome { code, stdout, stderr } = run(&mut command, None);
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    // A description follows a tab.
    stdout.lines().filter_map(|line| line.split('\t').next()).map(str::to_owned).collect()
}

#[test]
fn shells_complete_verbs_always_and_names_while_an_engine_runs() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = run(subrosa().args(["completions", shell]), None);
        assert_eq!(script.code, Some(0), "{script:?}");
        assert!(script.stdout.contains("SUBROSA_COMPLETE"), "{script:?}");
    }
    assert_eq!(run(subrosa().args(["completions", "tcsh"]), None).code, Some(2));

    let relay = Relay::start();
    let (alice, bob) = (Account::init("alice", &relay), Account::init("bob", &relay));
    connect(&alice, &bob);
    alice.run(&["receive", "--timeout", "0"]);
    assert!(completed(&alice, &["hist"]).contains(&"history".to_owned()));
    assert_eq!(completed(&alice, &["history", "b"]), [""; 0], "no engine, no names, no error");
    let _listen = alice.listen(&[]);
    for words in [["history", "b"], ["send", ""], ["verify", "bo"], ["export", "b"]] {
        assert_eq!(completed(&alice, &words)[0], "bob", "{words:?}");
    }
    assert!(completed(&alice, &["history", "x"]).is_empty());
}

#[test]
fn man_pages_are_made_for_every_verb() {
    let page = run(subrosa().arg("man"), None);
    assert_eq!(page.code, Some(0));
    assert!(page.stdout.contains(".SH EXAMPLES") && page.stdout.contains("EXIT STATUS"), "{}", page.stdout);
    let place = tempfile::tempdir().unwrap();
    let dir = place.path().join("man1");
    assert_eq!(run(subrosa().arg("man").arg(&dir), None).code, Some(0));
    let pages = names(&dir);
    for page in ["subrosa.1", "subrosa-send.1", "subrosa-contact-list.1"] {
        assert!(pages.iter().any(|name| name == page), "{pages:?}");
    }
    let error = run(subrosa().args(["--json", "man", "/proc/none"]), None);
    assert_eq!(error.error(1)["type"], Value::from("error"));
}
