//! Tab in the real shells: whatever a contact is called, one word comes of it, it means that contact, and nothing is run.
//!
//! A shell that is missing fails the test: `.ci/run` installs them.

use std::{path::Path, process::Command, time::Instant};

use crate::support::{Account, Relay, Running, connect};
use subrosa_pty::{Result, Terminal, keys};
use tempfile::TempDir;

/// What is begun, and the name that it is the beginning of.
const NAMES: [(&str, &str); 9] = [
    ("my", "my frank"),
    ("it", "it's \"quoted\""),
    ("sub", "sub $(touch pwned) `touch pwned`"),
    ("wow", "wow! such; rm & | x"),
    ("glob", "glob * ? [a-z] {a,b} ~ #"),
    ("col", "col:on=at@per%cent^"),
    ("back", "back\\slash \\n"),
    ("🌊", "🌊 wave 海 é"),
    ("line", "line\nbreak"),
];

struct Shell {
    name: &'static str,
    terminal: Terminal,
    place: TempDir,
}

struct Alice {
    account: Account,
    bob: String,
    _listen: Running,
    _relay: Relay,
}

/// Alice, whose engine runs, and Bob, whom she calls what she likes.
fn alice() -> Alice {
    let relay = Relay::start();
    let (account, bob) = (Account::init("alice", &relay), Account::init("bob", &relay));
    connect(&account, &bob);
    let listen = account.listen(&[]);
    let bob = account.run(&["contact", "show", "bob"]).line()["id"].as_str().unwrap().to_owned();
    Alice { account, bob, _listen: listen, _relay: relay }
}

impl Alice {
    /// Names Bob; gives the name as it is kept.
    fn call_him(&self, name: &str) -> String {
        self.account.run(&["contact", "rename", "--", &self.bob, name]).line()["name"].as_str().unwrap().to_owned()
    }

    /// A shell with the program's completion, a plain prompt, and a function that shows its arguments.
    fn shell(&self, name: &'static str) -> Result<Shell> {
        let place = tempfile::tempdir().unwrap();
        let script = crate::support::run(crate::support::subrosa().args(["completions", name]), None);
        assert_eq!(script.code, Some(0));
        let file = place.path().join("completion");
        std::fs::write(&file, script.stdout).unwrap();
        let mut command = Command::new(name);
        let (arguments, rc) = match name {
            "bash" => (
                vec!["--noprofile", "--norc", "-i"],
                format!(
                    "bind 'set bell-style none'; bind 'set enable-bracketed-paste off'; PS1='$ '; source {}; show() {{ printf '[%s]' \"$@\"; echo END; }}; set -H",
                    file.display()
                ),
            ),
            "zsh" => (
                vec!["-f", "-i"],
                format!(
                    "PS1='$ '; autoload -Uz compinit; compinit -u -D; bindkey -e; source {}; show() {{ printf '[%s]' \"$@\"; echo END; }}",
                    file.display()
                ),
            ),
            _ => (
                vec!["--no-config", "--interactive"],
                format!(
                    "function fish_prompt; echo '$ '; end; source {}; function show; printf '[%s]' $argv; echo END; end; set -g fish_autosuggestion_enabled 0",
                    file.display()
                ),
            ),
        };
        let program = Path::new(env!("CARGO_BIN_EXE_subrosa")).parent().unwrap();
        let path = std::env::var("PATH").unwrap();
        command
            .args(arguments)
            .current_dir(place.path())
            .env("HOME", place.path())
            .env("XDG_CONFIG_HOME", place.path())
            .env("XDG_DATA_HOME", place.path())
            .env("HISTFILE", "/dev/null")
            .env("PATH", format!("{}:{path}", program.display()))
            .env("LANG", "C.UTF-8")
            .env("LC_ALL", "C.UTF-8")
            .env("TERM", "xterm-256color")
            .env("SUBROSA_HOME", self.account.home());
        let mut terminal = Terminal::start(command, 160, 50)?;
        terminal.send(&format!("{rc}{}", keys::ENTER))?;
        // The line as it is typed has another text than what it prints.
        terminal.send(&format!("show stan'd's{}", keys::ENTER))?;
        terminal.wait_for("[stands]END")?;
        Ok(Shell { name, terminal, place })
    }
}

impl Shell {
    /// Types this, presses Tab, and gives the arguments that came of it, once they are these. A busy engine may not have
    /// answered in time: then Tab has done nothing and is pressed again.
    fn completes(&mut self, typed: &str, expected: &[&str]) -> Result<()> {
        let shown = format!("[subrosa]{}END", expected.iter().map(|word| format!("[{word}]")).collect::<String>());
        let until = Instant::now() + crate::support::DEADLINE;
        loop {
            self.terminal.send(&format!("subrosa {typed}{}", keys::TAB))?;
            // The line is run only by what comes next, which no shell reads before it is done with the Tab.
            self.terminal.send(&format!("{}show {}", keys::ctrl('a'), keys::ENTER))?;
            let mark = format!("m{}", until.saturating_duration_since(Instant::now()).as_nanos());
            self.terminal.send(&format!("show '{mark}'.{}", keys::ENTER))?;
            self.terminal.wait_for(&format!("[{mark}.]END"))?;
            if self.terminal.shows(&shown) {
                break;
            }
            assert!(Instant::now() < until, "{}: {typed:?} did not become {shown}\n{}", self.name, self.terminal);
            self.terminal.send(&keys::ctrl('c'))?;
            std::thread::yield_now();
        }
        let left: Vec<_> = std::fs::read_dir(self.place.path()).unwrap().flatten().collect();
        assert!(left.iter().all(|file| file.file_name() != "pwned"), "{}: {typed} ran something", self.name);
        Ok(())
    }
}

fn every_name_is_one_word(name: &'static str) -> Result<()> {
    let alice = alice();
    let mut shell = alice.shell(name)?;
    for (begun, called) in NAMES {
        let kept = alice.call_him(called);
        assert!(kept.starts_with(begun), "{kept}");
        shell.completes(&format!("send {begun}"), &["send", &kept])?;
    }
    // Behind a quote that was begun, and in the middle of a name.
    alice.call_him("my $x \"frank\"");
    shell.completes("send 'my", &["send", "my $x \"frank\""])?;
    shell.completes("send \"my", &["send", "my $x \"frank\""])?;
    shell.completes("send my\\ ", &["send", "my $x \"frank\""])?;
    // A flag cannot be quoted: the id stands for it.
    alice.call_him("-m dash");
    shell.completes(&format!("send {}", &alice.bob[..6]), &["send", &alice.bob[..16]])?;
    // Every place for a chat or a person.
    alice.call_him("my frank");
    for verb in [
        "export",
        "history",
        "contact show",
        "contact rename",
        "contact remove",
        "chat set",
        "verify",
        "read",
        "search --chat",
    ] {
        let expected: Vec<_> = verb.split(' ').chain(["my frank"]).collect();
        shell.completes(&format!("{verb} my"), &expected)?;
    }
    Ok(())
}

#[test]
fn in_bash_every_name_is_completed_to_one_word_that_runs_nothing() -> Result<()> {
    every_name_is_one_word("bash")
}

#[test]
fn in_zsh_every_name_is_completed_to_one_word_that_runs_nothing() -> Result<()> {
    every_name_is_one_word("zsh")
}

#[test]
fn in_fish_every_name_is_completed_to_one_word_that_runs_nothing() -> Result<()> {
    every_name_is_one_word("fish")
}
