//! Several accounts in one home, and the settings.

use crate::support::{Account, Outcome, Relay, connect, run};
use serde_json::Value;

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

/// Another account in the home of `account`.
fn init_beside(account: &Account, relay: &Relay, name: &str) -> Outcome {
    let words = account.home().with_file_name(format!("words-{name}"));
    account.run(&["init", "--relay", &relay.url, "--name", name, "--recovery-file", words.to_str().unwrap()])
}

fn names(account: &Account) -> Vec<(String, bool)> {
    let lines = account.run(&["account", "list"]).ok();
    lines.iter().map(|line| (text(&line["account"]).to_owned(), line["current"] == true)).collect()
}

#[test]
fn several_accounts_live_in_one_home() {
    let relay = Relay::start();
    let home = Account::init("alice", &relay);
    assert_eq!(names(&home), [("alice".to_owned(), true)]);
    assert!(!home.home().join("config.toml").exists());
    init_beside(&home, &relay, "work").line();
    assert_eq!(names(&home), [("alice".to_owned(), true), ("work".to_owned(), false)], "alice goes on being meant");

    assert_eq!(home.run(&["account", "show"]).line()["name"], "alice");
    for arguments in [["--account", "work", "account", "show"], ["account", "show", "--account", "work"]] {
        assert_eq!(home.run(&arguments).line()["name"], "work");
    }
    let mut command = home.command(&["account", "show"]);
    assert_eq!(run(command.env("SUBROSA_ACCOUNT", "work"), None).line()["name"], "work");
    assert_eq!(home.run(&["account", "use", "work"]).line()["current"], true);
    assert_eq!(home.run(&["account", "show"]).line()["name"], "work");

    // Both can run at once, and write to each other.
    let _listens = crate::support::Running::start(&mut home.command(&["--account", "alice", "listen"]));
    let link = home.run(&["invite"]).line()["link"].as_str().unwrap().to_owned();
    home.run(&["--account", "alice", "join", &link]).line();
    home.run(&["--account", "alice", "send", "work", "-m", "to myself"]).line();
    assert_eq!(home.run(&["receive"]).line()["body"], "to myself");

    let error = home.run(&["account", "rename", "alice", "private"]).error(10);
    assert!(text(&error["message"]).contains("`subrosa listen` (pid "), "{error}");
    assert_eq!(home.run(&["account", "rename", "work", "job"]).line()["account"], "job");
    assert_eq!(home.run(&["account", "show"]).line()["name"], "work", "the handle stays, and it stays the current one");
    assert_eq!(home.run(&["account", "use", "work"]).error(4)["code"], "no_account");
    assert_eq!(home.run(&["account", "rename", "job", "../job"]).error(2)["code"], "usage");

    home.run(&["config", "unset", "account"]).line();
    let error = home.run(&["status"]).error(2);
    assert!(text(&error["message"]).contains("alice, job"), "{error}");
    assert!(text(&error["hint"]).contains("--account"), "{error}");
}

#[test]
fn an_account_from_before_stays_where_it_is() {
    let relay = Relay::start();
    let home = Account::init("alice", &relay);
    for entry in std::fs::read_dir(home.data()).unwrap() {
        let path = entry.unwrap().path();
        std::fs::rename(&path, home.home().join(path.file_name().unwrap())).unwrap();
    }
    std::fs::remove_dir_all(home.home().join("accounts")).unwrap();
    assert_eq!(home.run(&["account", "show"]).line()["name"], "alice");
    let error = init_beside(&home, &relay, "alice").error(1);
    assert!(text(&error["message"]).contains("already an account"), "{error}");
    init_beside(&home, &relay, "bob").line();
    assert_eq!(names(&home), [("alice".to_owned(), true), ("bob".to_owned(), false)]);
    assert_eq!(home.run(&["status"]).line()["relay"], "online");
}

#[test]
fn read_receipts_can_be_switched_off_also_under_a_running_engine() {
    let relay = Relay::start();
    let (alice, bob) = (Account::init("alice", &relay), Account::init("bob", &relay));
    connect(&alice, &bob);
    let _listens = alice.listen(&[]);
    let tell = |body: &str| {
        let sent = bob.run(&["send", "alice", "-m", body, "--wait", "delivered"]).line();
        text(&sent["id"]).to_owned()
    };
    let set = alice.run(&["config", "set", "read_receipts", "off"]).line();
    assert_eq!((&set["value"], &set["origin"]), (&"off".into(), &"file".into()));
    let quiet = tell("quietly read");
    assert_eq!(alice.run(&["read", "bob"]).line()["count"], 1);

    alice.run(&["config", "unset", "read_receipts"]).line();
    assert_eq!(std::fs::read_to_string(alice.home().join("config.toml")).unwrap(), "");
    let loud = tell("loudly read");
    assert_eq!(alice.run(&["read", "bob"]).line()["count"], 1);
    // The receipt of the later message is there: the one before would have come with it or earlier.
    let events = crate::support::Running::start(&mut bob.command(&["listen", "--since", "0", "--types", "receipt"]));
    events.wait_for(|event| event["id"] == loud.as_str() && event["status"] == "read");
    assert_eq!(bob.run(&["info", &quiet]).line()["status"], "delivered");
    assert_eq!(bob.run(&["info", &loud]).line()["status"], "read");
}

#[test]
fn delivery_receipts_can_be_switched_off_also_under_a_running_engine() {
    let relay = Relay::start();
    let (alice, bob) = (Account::init("alice", &relay), Account::init("bob", &relay));
    connect(&alice, &bob);
    let listens = alice.listen(&[]);
    alice.run(&["config", "set", "delivery_receipts", "off"]).line();
    let quiet = bob.run(&["send", "alice", "-m", "quietly there", "--wait", "sent"]).line();
    listens.wait_for(|event| event["body"] == "quietly there");
    // What waits to be told is settled now, under the setting of this moment.
    let flush = b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"flush\",\"params\":{\"timeout_ms\":10000}}\n";
    let flushed = crate::support::run(&mut alice.command(&["rpc"]), Some(flush));
    assert!(flushed.stdout.contains("\"done\":true"), "{flushed:?}");
    alice.run(&["config", "unset", "delivery_receipts"]).line();
    bob.run(&["send", "alice", "-m", "loudly there", "--wait", "delivered"]).line();
    assert_eq!(bob.run(&["info", text(&quiet["id"])]).line()["status"], "sent");
}

#[test]
fn settings_come_from_flag_environment_file_and_default_in_this_order() {
    let home = Account::prepare("alice");
    let path = home.run(&["config", "path"]).line();
    let file = home.home().join("config.toml");
    assert_eq!(text(&path["path"]), file.to_str().unwrap());
    let get = |name: &str| home.run(&["config", "get", name]).line();
    assert_eq!((&get("lock_timeout")["value"], &get("lock_timeout")["origin"]), (&"5s".into(), &"default".into()));
    home.run(&["config", "set", "lock_timeout", "200ms"]).line();
    assert_eq!(get("lock_timeout")["origin"], "file");
    let mut command = home.command(&["config", "get", "lock_timeout"]);
    let line = run(command.env("SUBROSA_LOCK_TIMEOUT", "3s"), None).line();
    assert_eq!((&line["value"], &line["origin"]), (&"3s".into(), &"environment".into()));
    let listed = home.run(&["config", "list"]).ok();
    assert!(listed.len() > 4 && listed.iter().all(|line| line["type"] == "setting"), "{listed:?}");

    for arguments in [
        &["config", "get", "colours"][..],
        &["config", "set", "colour", "pink"],
        &["config", "set", "lock_timeout", "soon"],
        &["config", "unset", "nothing"],
    ] {
        let error = home.run(arguments).error(2);
        assert!(error["hint"].is_string(), "{error}");
    }
    assert_eq!(home.run(&["config", "set", "account", "nobody"]).error(4)["code"], "no_account");

    std::fs::write(&file, "# mine\nfuture = 1\ncolour = \"pink\"\n").unwrap();
    let error = home.run(&["status"]).error(2);
    assert!(text(&error["message"]).contains("config.toml"), "{error}");
    assert!(text(&error["hint"]).contains("config unset colour"), "{error}");
    let unset = home.run(&["config", "unset", "colour"]);
    unset.line();
    assert!(unset.stderr.contains("future"), "{unset:?}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "# mine\nfuture = 1\n");
    std::fs::write(&file, "colour = ").unwrap();
    assert_eq!(home.run(&["status"]).error(2)["code"], "usage");
    home.run(&["config", "path"]).line();
}

#[test]
fn a_removed_account_is_gone_at_the_relay_and_here() {
    let mut relay = Relay::start();
    let home = Account::init("alice", &relay);
    init_beside(&home, &relay, "work").line();
    let friend = Account::init("friend", &relay);
    connect(&friend, &home);

    let error = home.run(&["account", "remove", "alice"]).error(2);
    assert!(text(&error["hint"]).contains("--force"), "{error}");
    let listens = crate::support::Running::start(&mut home.command(&["--account", "alice", "listen"]));
    while home.run(&["account", "list"]).ok()[0]["engine"]["kind"] != "listen" {}
    let error = home.run(&["account", "remove", "alice", "--force"]).error(10);
    assert!(text(&error["message"]).contains("`subrosa listen`"), "{error}");
    listens.end("TERM");

    relay.kill();
    let error = home.run(&["account", "remove", "alice", "--force"]).error(3);
    assert!(text(&error["hint"]).contains("--local-only"), "{error}");
    assert!(home.data().join("store.db").exists(), "nothing goes here while it stands there");
    relay.restart();

    home.run(&["account", "remove", "alice", "--force"]).line();
    assert!(!home.data().exists());
    assert_eq!(names(&home), [("work".to_owned(), true)]);
    assert_eq!(home.run(&["account", "remove", "alice", "--force"]).error(4)["code"], "no_account");
    assert_eq!(init_beside(&home, &relay, "alice").code, Some(1), "nobody else gets the handle");
    // Friends are told that it is not there any more.
    let stranger = Account::init("stranger", &relay);
    assert_eq!(stranger.run(&["send", "alice", "-m", "there?"]).error(5)["code"], "not_found");

    relay.kill();
    home.run(&["account", "remove", "work", "--force", "--local-only"]).line();
    assert_eq!(home.run(&["account", "list"]).ok().len(), 0);
    assert_eq!(home.run(&["status"]).error(4)["code"], "no_account");
}

#[test]
fn of_two_copies_the_one_that_is_chosen_goes_on() {
    let relay = Relay::start();
    let (alice, bob) = (Account::init("alice", &relay), Account::init("bob", &relay));
    connect(&alice, &bob);
    // Fetches who joined.
    assert_eq!(alice.run(&["contact", "list"]).ok().len(), 1);
    let copy = alice.copy();
    alice.run(&["send", "bob", "-m", "from the first"]).line();

    let command = "subrosa account keep-this-copy";
    let listens = copy.listen(&["--since", "0"]);
    let notice = listens.wait_for(|event| event["type"] == "notice" && event["code"] == "other_copy");
    assert!(notice["text"].as_str().unwrap().contains(command), "{notice}");
    let status = copy.run(&["status"]).line();
    assert_eq!(status["relay"], "displaced");
    assert!(status["error"].as_str().unwrap().contains(command), "{status}");
    let doctor = copy.run(&["doctor"]);
    assert_eq!(doctor.code, Some(1), "{doctor:?}");
    assert!(doctor.stdout.contains(command));
    let waits = copy.run(&["send", "bob", "-m", "from the copy", "--timeout", "200ms"]);
    let why = waits.error(8);
    assert!(why["message"].as_str().unwrap().contains(command), "{why}");
    assert_eq!(alice.run(&["account", "keep-this-copy"]).line()["count"], 0, "it goes on already");

    // While `listen` runs the engine.
    assert_eq!(copy.run(&["account", "keep-this-copy"]).line()["count"], 1);
    listens.wait_for(|event| event["type"] == "state" && event["status"] == "sent");
    let bodies: Vec<_> = bob.run(&["receive"]).ok().iter().map(|line| line["body"].clone()).collect();
    assert_eq!(bodies, ["from the first", "from the copy"]);
    alice.run(&["send", "bob", "-m", "again", "--timeout", "200ms"]).error(8);
    assert!(alice.run(&["status"]).line()["error"].as_str().unwrap().contains(command));
}

#[test]
fn how_long_messages_are_kept_is_set_for_a_chat_and_for_all_and_nonsense_is_refused() {
    let relay = Relay::start();
    let (alice, bob) = (Account::init("alice", &relay), Account::init("bob", &relay));
    connect(&alice, &bob);
    alice.run(&["send", "bob", "-m", "young", "--wait", "sent"]).line();
    for (text, why) in [
        ("0", "for ever is off"),
        ("1s", "a day (1d) or longer"),
        ("23h", "a day (1d) or longer"),
        ("-1", "is not a time"),
        ("9999999y", "too long a time"),
        ("soon", "is not a time"),
    ] {
        for arguments in [&["chat", "set", "bob", "--keep", text][..], &["config", "set", "keep", text]] {
            let error = alice.run(arguments).error(2);
            assert!(text_of(&error).contains(why), "{arguments:?}: {error}");
        }
    }
    assert_eq!(alice.run(&["config", "get", "keep"]).line()["value"], "off");

    // Nothing is that old: nothing is asked.
    assert_eq!(alice.run(&["chat", "set", "bob", "--keep", "52w"]).line()["keep"], "52w");
    assert_eq!(alice.run(&["chats"]).line()["keep"], "52w");
    assert_eq!(alice.run(&["chat", "set", "bob", "--keep", "off"]).line()["keep"], "off");
    assert_eq!(alice.run(&["chat", "set", "bob", "--keep", "default"]).line()["keep"], Value::Null);
    let set = alice.run(&["config", "set", "keep", "12m"]).error(2);
    assert!(text_of(&set).contains("a day (1d)"), "minutes, not months: {set}");
    let set = alice.run(&["config", "set", "keep", "1Y"]).line();
    assert_eq!((&set["value"], &set["origin"]), (&"1y".into(), &"file".into()));
    let space = alice.run(&["doctor"]).ok().into_iter().find(|check| check["name"] == "space").unwrap();
    assert_eq!(space["level"], "ok");
    assert!(text(&space["message"]).contains("1 message, the oldest 0 days old; kept for 1y"), "{space}");
    alice.run(&["config", "unset", "keep"]).line();
    assert_eq!(alice.run(&["history", "bob"]).line()["body"], "young");
}

/// All that an error says.
fn text_of(error: &Value) -> String {
    format!("{}{}", text(&error["message"]), error["hint"].as_str().unwrap_or_default())
}
