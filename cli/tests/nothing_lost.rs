//! No command destroys an account: whichever of its files is missing, empty, cut off or another account's, and whatever is run
//! then, what was readable before is readable afterwards, and the way back is told.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use crate::support::{Outcome, Relay, Running, run, signal, subrosa, write_private};
use serde_json::Value;
use tempfile::TempDir;

/// Every file that an account cannot be without, while its engine was killed.
const FILES: [&str; 4] = ["account.json", "store.key", "store.db", "store.db-wal"];

/// What can have become of it.
const DAMAGES: [Damage; 4] = [Damage::Missing, Damage::Empty, Damage::Cut, Damage::Foreign];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Damage {
    Missing,
    Empty,
    Cut,
    Foreign,
}

/// Two accounts as killed engines leave them, and a place for everything.
struct World {
    relay: Relay,
    place: TempDir,
}

impl World {
    fn new() -> Self {
        let world = Self { relay: Relay::start(), place: tempfile::tempdir().unwrap() };
        write_private(&world.path("backup-passphrase"), b"of the backup\n");
        for (name, home) in [("alice", "pristine"), ("mallory", "foreign")] {
            world.run(home, &world.init(name, &world.relay.url, &[])).line();
            world.run(home, &["send", "me", "-m", "precious", "--wait", "none"]).line();
            if name == "alice" {
                world.run(home, &world.backup("alice.backup")).line();
            }
            // Killed with a log that is not folded in.
            let mut listen = Running::start(&mut world.command(home, &["listen"]));
            listen.stands(|| world.run(home, &["status"]));
            world.run(home, &["send", "me", "-m", "in the log", "--wait", "none"]).line();
            signal(listen.pid(), "KILL");
            listen.exit();
            for file in FILES {
                assert!(fs::metadata(world.account(home, name).join(file)).unwrap().len() > 0, "{name}: {file}");
            }
        }
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    fn account(&self, home: &str, name: &str) -> PathBuf {
        self.path(home).join("accounts").join(name)
    }

    fn command(&self, home: &str, arguments: &[impl AsRef<str>]) -> Command {
        let mut command = subrosa();
        command.env("SUBROSA_HOME", self.path(home)).args(["--json", "--no-input"]);
        command.args(arguments.iter().map(AsRef::as_ref));
        command
    }

    fn run(&self, home: &str, arguments: &[impl AsRef<str>]) -> Outcome {
        run(&mut self.command(home, arguments), None)
    }

    fn init(&self, name: &str, url: &str, more: &[&str]) -> Vec<String> {
        let words =
            self.place.path().join(format!("words-{name}-{}", fs::read_dir(self.place.path()).unwrap().count()));
        let key = self.text("key");
        let init =
            ["init", "--relay", url, "--name", name, "--recovery-file", words.to_str().unwrap(), "--key-file", &key];
        init.iter().chain(more).map(|&word| word.to_owned()).collect()
    }

    fn backup(&self, file: &str) -> Vec<String> {
        ["backup", &self.text(file), "--force", "--backup-passphrase-file", &self.text("backup-passphrase")]
            .map(str::to_owned)
            .to_vec()
    }

    /// Alice's home, with this done to one of her files.
    fn damaged(&self, home: &str, file: &str, damage: Damage) {
        let _ = fs::remove_dir_all(self.path(home));
        let account = self.account(home, "alice");
        fs::create_dir_all(&account).unwrap();
        for name in FILES {
            fs::copy(self.account("pristine", "alice").join(name), account.join(name)).unwrap();
        }
        let target = account.join(file);
        match damage {
            Damage::Missing => fs::remove_file(&target).unwrap(),
            Damage::Empty => fs::write(&target, "").unwrap(),
            Damage::Cut => {
                let content = fs::read(&target).unwrap();
                fs::write(&target, &content[..content.len() / 2]).unwrap();
            }
            Damage::Foreign => {
                fs::copy(self.account("foreign", "mallory").join(file), &target).unwrap();
            }
        }
    }

    /// Every command that writes anything.
    fn verbs(&self) -> Vec<Vec<String>> {
        let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
        let url = &self.relay.url;
        let mut other_key = self.init("alice", url, &[]);
        *other_key.last_mut().unwrap() = self.text("other-key");
        let restore =
            ["restore", &self.text("alice.backup"), "--backup-passphrase-file", &self.text("backup-passphrase")];
        vec![
            self.init("alice", url, &[]),
            other_key,
            self.init("alice", &url.replace("127.0.0.1", "localhost"), &[]),
            self.init("alicia", url, &["--account", "alice"]),
            // Named, it is refused before the dear key of the backup is made.
            words(&[&restore[..], &["--key-file", &self.text("key"), "--account", "alice"]].concat()),
            words(&["account", "use", "alice"]),
            words(&["account", "rename", "alice", "work"]),
            words(&["account", "passphrase", "--new-key-file", &self.text("new-key")]),
            words(&["account", "repair", "alice"]),
            words(&["account", "repair", "alice", "--set-aside"]),
            words(&["config", "set", "ascii", "on"]),
            words(&["config", "unset", "account"]),
            self.backup("made.backup"),
            words(&["send", "me", "-m", "more", "--wait", "none"]),
        ]
    }

    /// The account opens and has what it had.
    fn reads(&self, home: &str) -> bool {
        let outcome = self.run(home, &["history", "me"]);
        outcome.code == Some(0) && outcome.lines().iter().any(|line| line["body"] == "precious")
    }
}

/// What every file below a directory holds.
fn contents(directory: &Path) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            found.extend(contents(&entry.path()));
        } else if entry.file_type().unwrap().is_file() {
            found.push(fs::read(entry.path()).unwrap());
        }
    }
    found
}

/// Arguments and environment of another command.
fn like(command: &mut Command, other: &Command) {
    command.args(other.get_args());
    for (name, value) in other.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
}

/// One error that says what to do, and nothing else.
fn assert_speaks(outcome: &Outcome, what: &str) -> Value {
    let said = |kind: &str| {
        let lines = outcome.stderr.lines().map(|line| serde_json::from_str::<Value>(line).unwrap_or_default());
        lines.filter(|line| line["type"] == kind).count()
    };
    let all = outcome.stderr.lines().count();
    assert_eq!((said("error"), said("progress") + 1), (1, all), "{what}: {outcome:?}");
    let error = outcome.error(outcome.code.unwrap());
    assert!(error["hint"].as_str().is_some_and(|hint| !hint.is_empty()), "{what}: {error}");
    assert!(!outcome.stderr.contains("sqlcipher") && !outcome.stderr.contains("report it"), "{what}: {error}");
    error
}

#[test]
fn whatever_is_lost_and_whatever_is_run_nothing_readable_is_destroyed() {
    let world = World::new();
    for file in FILES {
        for damage in DAMAGES {
            for verb in world.verbs() {
                let what = format!("{file} {damage:?}, subrosa {}", verb.join(" "));
                world.damaged("case", file, damage);
                let before: Vec<Vec<u8>> =
                    FILES.iter().filter_map(|name| fs::read(world.account("case", "alice").join(name)).ok()).collect();
                let outcome = world.run("case", &verb);
                if outcome.code != Some(0) {
                    assert_speaks(&outcome, &what);
                }
                let after = contents(&world.path("case"));
                let kept = before.iter().all(|content| content.is_empty() || after.contains(content));
                assert!(kept || (outcome.code == Some(0) && world.reads("case")), "{what}: {outcome:?}");
                if verb[0] == "init" || verb[0] == "restore" {
                    assert!(kept && outcome.code != Some(0), "{what}: {outcome:?}");
                }
            }
        }
    }
}

#[test]
fn whatever_is_lost_the_program_names_it_and_its_own_advice_brings_back_what_can_be() {
    let world = World::new();
    for file in FILES {
        for damage in DAMAGES {
            let what = format!("{file} {damage:?}");
            world.damaged("case", file, damage);
            let status = world.run("case", &["status"]);
            let opens = status.code == Some(0);
            if !opens {
                let error = assert_speaks(&status, &what);
                let text = format!("{} {}", error["message"], error["hint"]);
                assert!(text.contains(file) && !text.contains("subrosa init"), "{what}: {text}");
                assert!(text.contains("account repair") || text.contains("subrosa restore"), "{what}: {text}");
            }
            let repaired = world.run("case", &["account", "repair"]);
            match file {
                // Public facts are all in the store; a log is not needed to read what was before it.
                "account.json" | "store.db-wal" => {
                    repaired.line();
                    assert!(world.reads("case"), "{what}");
                    let now = fs::read(world.account("case", "alice").join("account.json")).unwrap();
                    assert_eq!(
                        now,
                        fs::read(world.account("pristine", "alice").join("account.json")).unwrap(),
                        "{what}"
                    );
                }
                // Nothing can stand in for these: what is left is set aside, and the backup has room.
                _ => {
                    assert!(!opens, "{what}");
                    let error = assert_speaks(&repaired, &what);
                    assert!(error["hint"].as_str().unwrap().contains("--set-aside"), "{what}: {error}");
                    world.run("case", &["account", "repair", "--set-aside"]).line();
                    let restore = [
                        "restore",
                        &world.text("alice.backup"),
                        "--backup-passphrase-file",
                        &world.text("backup-passphrase"),
                    ];
                    world.run("case", &[&restore[..], &["--key-file", &world.text("key")]].concat()).line();
                    assert!(world.reads("case"), "{what}");
                }
            }
        }
    }
}

#[test]
fn a_backup_is_not_restored_over_what_is_left_of_its_account() {
    let world = World::new();
    let restore =
        ["restore", &world.text("alice.backup"), "--backup-passphrase-file", &world.text("backup-passphrase")];
    for key in ["key", "other-key"] {
        world.damaged("case", "account.json", Damage::Missing);
        let before = contents(&world.path("case"));
        let outcome = world.run("case", &[&restore[..], &["--key-file", &world.text(key)]].concat());
        let error = assert_speaks(&outcome, key);
        assert!(error["hint"].as_str().unwrap().contains("account repair alice"), "{error}");
        let after = contents(&world.path("case"));
        assert!(before.iter().all(|content| after.contains(content)), "{key}");
    }
    // Under another name there is room.
    let beside = ["--key-file", &world.text("key"), "--account", "alice-again"];
    world.run("case", &[&restore[..], &beside].concat()).line();
    let listed = world.run("case", &["account", "list"]);
    assert_eq!(listed.ok().len(), 1);
    assert!(listed.stderr.contains("account repair alice"), "{listed:?}");
}

#[test]
fn a_restore_that_was_killed_goes_on_and_its_key_is_never_replaced() {
    let world = World::new();
    let restore =
        ["restore", &world.text("alice.backup"), "--backup-passphrase-file", &world.text("backup-passphrase")];
    let account = world.account("case", "alice");
    fs::create_dir_all(&account).unwrap();
    let key = fs::read(world.account("pristine", "alice").join("store.key")).unwrap();
    fs::write(account.join("store.key"), &key).unwrap();
    for unfinished in ["store.db.partial-store", "store.db.partial-new", "store.db.partial-new-wal"] {
        fs::write(account.join(unfinished), "half").unwrap();
    }
    write_private(&world.path("other-key"), format!("subrosa-key-1 {}\n", "07".repeat(32)).as_bytes());
    let other = world.run("case", &[&restore[..], &["--key-file", &world.text("other-key")]].concat());
    assert!(assert_speaks(&other, "other key")["hint"].as_str().unwrap().contains("account repair alice"), "{other:?}");
    assert_eq!(fs::read(account.join("store.key")).unwrap(), key);
    world.run("case", &[&restore[..], &["--key-file", &world.text("key")]].concat()).line();
    assert_eq!(fs::read(account.join("store.key")).unwrap(), key);
    assert!(world.reads("case"));
    let mut left: Vec<_> = fs::read_dir(&account).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert!(!left.iter().any(|name| name.to_string_lossy().contains("partial")), "{left:?}");
}

#[test]
fn two_that_make_the_same_account_at_once_make_one() {
    let relay = Relay::start();
    let world = World { relay, place: tempfile::tempdir().unwrap() };
    let first = world.init("alice", &world.relay.url, &[]);
    write_private(&world.path("words"), b"");
    let second = world.init("alice", &world.relay.url, &[]);
    // The key is there, so that they do not differ in what opens it.
    world.run("other", &world.init("bob", &world.relay.url, &[])).line();
    let outcomes = std::thread::scope(|scope| {
        let commands = [&first, &second].map(|arguments| world.command("home", arguments));
        let both = commands.map(|mut command| scope.spawn(move || run(&mut command, None)));
        both.map(|one| one.join().unwrap())
    });
    assert_eq!(outcomes.iter().filter(|outcome| outcome.code == Some(0)).count(), 1, "{outcomes:?}");
    assert_speaks(outcomes.iter().find(|outcome| outcome.code != Some(0)).unwrap(), "the other one");
    assert_eq!(world.run("home", &["status"]).line()["relay"], "online");
}

#[test]
fn an_account_whose_home_says_that_another_one_is_meant_can_be_used_at_once() {
    let relay = Relay::start();
    let world = World { relay, place: tempfile::tempdir().unwrap() };
    fs::create_dir(world.path("home")).unwrap();
    fs::write(world.path("home").join("config.toml"), "# mine\naccount = \"gone\"\n").unwrap();
    let made =
        run(subrosa().env("SUBROSA_HOME", world.path("home")).args(world.init("alice", &world.relay.url, &[])), None);
    assert_eq!(made.code, Some(0), "{made:?}");
    assert!(made.stderr.contains("gone, is not here any more") && made.stderr.contains("use alice"), "{made:?}");
    assert_eq!(world.run("home", &["status"]).line()["relay"], "online");
    assert_eq!(fs::read_to_string(world.path("home").join("config.toml")).unwrap(), "# mine\naccount = \"alice\"\n");

    write_private(&world.path("backup-passphrase"), b"of the backup\n");
    world.run("home", &world.backup("alice.backup")).line();
    fs::remove_dir_all(world.account("home", "alice")).unwrap();
    fs::write(world.path("home").join("config.toml"), "account = \"gone\"\n").unwrap();
    let restore =
        ["restore", &world.text("alice.backup"), "--backup-passphrase-file", &world.text("backup-passphrase")];
    world.run("home", &[&restore[..], &["--key-file", &world.text("key")]].concat()).line();
    assert_eq!(world.run("home", &["account", "show"]).line()["name"], "alice");
}

#[test]
fn a_disk_that_takes_no_more_loses_nothing_and_is_said_to_be_the_cause() {
    let world = World::new();
    // No file may grow beyond so many KiB, and the program learns it as an error.
    let limited = |kib: u32, home: &str, arguments: &[String]| {
        let mut command = Command::new("bash");
        command.args([
            "-c",
            &format!("trap '' XFSZ; ulimit -f {kib}; exec \"$0\" \"$@\""),
            env!("CARGO_BIN_EXE_subrosa"),
        ]);
        let plain = world.command(home, arguments);
        like(&mut command, &plain);
        run(&mut command, None)
    };
    let error = assert_speaks(&limited(40, "new", &world.init("carol", &world.relay.url, &[])), "init");
    assert_eq!(error["code"], "storage", "{error}");
    let left: Vec<_> =
        fs::read_dir(world.account("new", "carol")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["engine.lock"], "nothing half made is left");
    world.run("new", &world.init("carol", &world.relay.url, &[])).line();

    world.damaged("case", "store.db-wal", Damage::Missing);
    let send = ["send", "me", "-m", "more", "--wait", "none"].map(str::to_owned);
    assert_eq!(assert_speaks(&limited(8, "case", &send), "send")["code"], "storage");
    assert!(world.reads("case"));
}

#[test]
fn a_directory_that_cannot_be_written_is_named_with_what_to_do() {
    let world = World::new();
    world.damaged("case", "account.json", Damage::Missing);
    let account = world.account("case", "alice");
    // Root may write everywhere, unless that is taken from it.
    let confined = |arguments: &[&str]| {
        let plain = world.command("case", arguments);
        let mut command = if rustix::process::geteuid().is_root() {
            let mut command = Command::new("setpriv");
            command.args(["--bounding-set=-dac_override,-dac_read_search", env!("CARGO_BIN_EXE_subrosa")]);
            command
        } else {
            Command::new(env!("CARGO_BIN_EXE_subrosa"))
        };
        like(&mut command, &plain);
        run(&mut command, None)
    };
    fs::set_permissions(&account, fs::Permissions::from_mode(0o500)).unwrap();
    let error = assert_speaks(&confined(&["account", "repair"]), "repair");
    assert!(error["code"] == "storage" && error["message"].as_str().unwrap().contains("ermission denied"), "{error}");
    assert!(!account.join("account.json").exists());
    fs::set_permissions(&account, fs::Permissions::from_mode(0o700)).unwrap();
    world.run("case", &["account", "repair"]).line();
    fs::set_permissions(account.join("store.db"), fs::Permissions::from_mode(0o400)).unwrap();
    let error = assert_speaks(&confined(&["send", "me", "-m", "more", "--wait", "none"]), "send");
    assert_eq!(error["code"], "storage", "{error}");
    fs::set_permissions(account.join("store.db"), fs::Permissions::from_mode(0o600)).unwrap();
    assert!(world.reads("case"));
}

#[test]
fn the_settings_of_a_collection_survive_every_command_that_changes_them() {
    let relay = Relay::start();
    let world = World { relay, place: tempfile::tempdir().unwrap() };
    for name in ["alice", "bob"] {
        world.run("home", &world.init(name, &world.relay.url, &[])).line();
    }
    let (link, dotfile) = (world.path("home").join("config.toml"), world.path("subrosa.toml"));
    fs::write(&dotfile, "# my own comment\naccount = \"alice\"\n").unwrap();
    fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink("../subrosa.toml", &link).unwrap();
    for (arguments, left) in [
        (&["config", "unset", "account"][..], "# my own comment\n"),
        (&["account", "use", "bob"], "# my own comment\naccount = \"bob\"\n"),
        (&["account", "rename", "bob", "work"], "# my own comment\naccount = \"work\"\n"),
        (&["account", "remove", "work", "--force", "--local-only"], "# my own comment\n"),
        (&["config", "set", "ascii", "on"], "# my own comment\nascii = true\n"),
        (&["config", "unset", "ascii"], "# my own comment\n"),
    ] {
        world.run("home", arguments).line();
        assert!(link.is_symlink(), "{arguments:?}");
        assert_eq!(fs::read_to_string(&dotfile).unwrap().trim_start_matches('\n'), left, "{arguments:?}");
    }
    fs::remove_file(&dotfile).unwrap();
    world.run("home", &["config", "set", "ascii", "on"]).line();
    assert_eq!(fs::read_to_string(&dotfile).unwrap(), "ascii = true\n", "a link to nothing makes what it points to");
}
