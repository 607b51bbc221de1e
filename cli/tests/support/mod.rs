//! Runs the real program: relays, accounts, commands that end, and commands that go on.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::TempDir;

pub mod schema;
pub mod screen;

/// Nothing here takes longer on a busy machine; what does, hangs.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// The program, without the settings of whoever runs the tests.
pub fn subrosa() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_subrosa"));
    for name in [
        "SUBROSA_HOME",
        "SUBROSA_ACCOUNT",
        "SUBROSA_PASSPHRASE_FILE",
        "SUBROSA_PASSPHRASE_COMMAND",
        "SUBROSA_KEY_FILE",
        "SUBROSA_LOG",
        "NO_COLOR",
        "LC_ALL",
        "LC_CTYPE",
    ] {
        command.env_remove(name);
    }
    command.env("LANG", "C.UTF-8").stdin(Stdio::null());
    command
}

/// Nothing in this acts on a terminal or hides: what a program reads as JSON, whichever way it came.
pub fn assert_harmless(json: &str) {
    let hides = |c: char| matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{e0000}'..='\u{e0fff}');
    let raw: String = json.chars().filter(|&c| (c.is_control() && c != '\n' && c != '\r') || hides(c)).collect();
    assert!(raw.is_empty(), "{raw:?} in {json:?}");
}

/// What a stranger may write: escape sequences of C0 and C1, directions, line separators, what nobody sees, tags.
pub const HOSTILE: &str = "\u{1b}]0;owned\u{7}\u{9b}31m\u{202e}txt.exe\u{2028}\u{200b}\u{e0067}\u{7f}end";

/// How a command ended.
#[derive(Debug)]
pub struct Outcome {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Outcome {
    /// Its only line, after success.
    pub fn line(&self) -> Value {
        let mut lines = self.ok();
        assert_eq!(lines.len(), 1, "{self:?}");
        lines.remove(0)
    }

    /// Its lines, after success.
    pub fn ok(&self) -> Vec<Value> {
        assert_eq!(self.code, Some(0), "{self:?}");
        self.lines()
    }

    /// What it printed before it failed or not.
    pub fn lines(&self) -> Vec<Value> {
        let lines: Vec<Value> =
            self.stdout.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{self:?}"))).collect();
        lines.iter().for_each(schema::check_line);
        lines
    }

    /// The error, after it failed with this exit code.
    pub fn error(&self, code: i32) -> Value {
        assert_eq!(self.code, Some(code), "{self:?}");
        let line = self.stderr.lines().last().unwrap_or_default();
        let error: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{self:?}"));
        assert_eq!((&error["v"], &error["type"]), (&Value::from(1), &Value::from("error")));
        assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()));
        schema::check_line(&error);
        error
    }
}

/// Runs a command to its end.
pub fn run(command: &mut Command, stdin: Option<&[u8]>) -> Outcome {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    if stdin.is_some() {
        command.stdin(Stdio::piped());
    }
    let mut child = command.spawn().unwrap();
    let pid = child.id();
    if let Some(bytes) = stdin {
        let mut pipe = child.stdin.take().unwrap();
        let bytes = bytes.to_vec();
        // A command that does not want it all closes the pipe.
        thread::spawn(move || drop(pipe.write_all(&bytes)));
    }
    let (sender, ended) = mpsc::channel();
    thread::spawn(move || sender.send(child.wait_with_output()));
    let output = match ended.recv_timeout(DEADLINE) {
        Ok(output) => output.unwrap(),
        Err(_) => {
            signal(pid, "KILL");
            panic!("{command:?} hangs");
        }
    };
    Outcome {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Sends a signal by its name.
pub fn signal(pid: u32, name: &str) {
    assert!(Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).status().unwrap().success());
}

/// A command that goes on; killed when dropped.
pub struct Running {
    child: Child,
    lines: Receiver<String>,
    errors: Receiver<String>,
}

impl Running {
    pub fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = lines_of(child.stdout.take().unwrap());
        let errors = lines_of(child.stderr.take().unwrap());
        Self { child, lines, errors }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The next line of its stdout.
    pub fn line(&self) -> String {
        match self.lines.recv_timeout(DEADLINE) {
            Ok(line) => line,
            Err(error) => panic!("no line ({error}); stderr: {:?}", self.errors.try_iter().collect::<Vec<_>>()),
        }
    }

    /// The next JSON line that fits; others are passed over.
    pub fn wait_for(&self, mut fits: impl FnMut(&Value) -> bool) -> Value {
        loop {
            let line = serde_json::from_str(&self.line()).unwrap();
            schema::check_line(&line);
            if fits(&line) {
                return line;
            }
        }
    }

    /// The first line on stderr that contains this.
    pub fn wait_for_note(&self, part: &str) -> String {
        let until = Instant::now() + DEADLINE;
        loop {
            match self.errors.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(line) if line.contains(part) => return line,
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) => panic!("no {part:?} on stderr"),
                Err(RecvTimeoutError::Disconnected) => panic!("ended without {part:?} on stderr"),
            }
        }
    }

    /// Waits until it serves. It does so before it prints anything: a command that is answered by it proves that it stands.
    pub fn stands(&mut self, status: impl Fn() -> Outcome) {
        let until = Instant::now() + DEADLINE;
        loop {
            let status = status().line();
            if status["engine"]["kind"] == "listen" {
                return;
            }
            if let Some(ended) = self.child.try_wait().unwrap() {
                panic!("ended ({ended}) before it stood: {:?}", self.errors.iter().collect::<Vec<_>>());
            }
            assert!(Instant::now() < until, "it does not stand: {status}");
        }
    }

    /// Waits for the end.
    pub fn exit(mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }

    /// Sends a signal and waits for the end.
    pub fn end(mut self, name: &str) -> ExitStatus {
        signal(self.pid(), name);
        self.child.wait().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lines_of(stream: impl std::io::Read + Send + 'static) -> Receiver<String> {
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    lines
}

/// A relay of its own.
pub struct Relay {
    pub url: String,
    /// What `init --relay` takes: address and key.
    pub link: String,
    options: Vec<String>,
    data: TempDir,
    running: Option<Running>,
}

impl Relay {
    pub fn start() -> Self {
        Self::start_with("127.0.0.1:0", &[])
    }

    pub fn start_with(listen: &str, options: &[&str]) -> Self {
        let mut relay = Self {
            url: String::new(),
            link: String::new(),
            options: options.iter().map(|&option| option.to_owned()).collect(),
            data: tempfile::tempdir().unwrap(),
            running: None,
        };
        relay.serve(listen);
        relay
    }

    /// A line of the running relay's answer to its host (its admin socket), as `subrosa-relay` asks.
    fn ask(&self, request: &Value) -> Value {
        let mut socket = UnixStream::connect(self.data().join("admin.sock")).unwrap();
        writeln!(socket, "{request}").unwrap();
        let line = BufReader::new(socket).lines().next().unwrap().unwrap();
        serde_json::from_str(&line).unwrap()
    }

    /// A new registration token for one person.
    fn token(&self, field: &str) -> String {
        let line = self.ask(&json!({ "verb": "token_create", "uses": 1, "expires_s": null, "note": "" }));
        line[field].as_str().unwrap().to_owned()
    }

    /// What its host gives somebody to be let in.
    pub fn registration_token(&self) -> String {
        self.token("token")
    }

    /// The same inside the relay link.
    pub fn entrance_link(&self) -> String {
        self.token("link")
    }

    fn serve(&mut self, listen: &str) {
        let mut command = subrosa();
        command.args(["relay", "serve", "--json", "--listen", listen, "--data"]).arg(self.data.path());
        command.args(&self.options);
        let running = Running::start(&mut command);
        let line: Value = serde_json::from_str(&running.line()).unwrap();
        assert_eq!(line["type"], "listening");
        self.url = line["url"].as_str().unwrap().to_owned();
        self.link = line["link"].as_str().unwrap().to_owned();
        self.running = Some(running);
    }

    /// Kills it.
    pub fn kill(&mut self) {
        self.running = None;
    }

    /// Stops it as a supervisor does; everybody is told to come back.
    pub fn drain(&mut self) {
        let running = self.running.take().expect("it runs");
        assert!(running.end("TERM").success());
    }

    /// Where its database is.
    pub fn data(&self) -> &Path {
        self.data.path()
    }

    /// Starts it again on the same port.
    pub fn restart(&mut self) {
        let (_, address) = self.url.split_once("://").unwrap();
        let address = address.trim_end_matches('/').to_owned();
        self.serve(&address);
    }
}

/// An account in its own directory.
pub struct Account {
    pub name: String,
    place: TempDir,
}

impl Account {
    /// A directory and a passphrase, nothing made yet.
    pub fn prepare(name: &str) -> Self {
        let account = Self { name: name.to_owned(), place: tempfile::tempdir().unwrap() };
        write_private(&account.passphrase_file(), b"a passphrase of several words\n");
        account
    }

    /// Made and registered.
    pub fn init(name: &str, relay: &Relay) -> Self {
        let account = Self::prepare(name);
        let made = account.run_init(&relay.url).line();
        assert_eq!((&made["type"], &made["name"]), (&"account".into(), &name.into()));
        account
    }

    /// What `cp -r` makes of its directory.
    pub fn copy(&self) -> Self {
        let copy = Self::prepare(&self.name);
        assert!(Command::new("cp").arg("-r").arg(self.home()).arg(copy.home()).status().unwrap().success());
        copy
    }

    pub fn run_init(&self, url: &str) -> Outcome {
        let recovery = self.recovery_file();
        self.run(&["init", "--relay", url, "--name", &self.name, "--recovery-file", recovery.to_str().unwrap()])
    }

    pub fn home(&self) -> PathBuf {
        self.place.path().join("home")
    }

    /// What `init` makes.
    pub fn data(&self) -> PathBuf {
        self.home().join("accounts").join(&self.name)
    }

    pub fn passphrase_file(&self) -> PathBuf {
        self.place.path().join("passphrase")
    }

    pub fn recovery_file(&self) -> PathBuf {
        self.place.path().join("words")
    }

    /// A command of this account, as a script would write it.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = subrosa();
        command
            .env("SUBROSA_HOME", self.home())
            .env("SUBROSA_PASSPHRASE_FILE", self.passphrase_file())
            .args(["--json", "--no-input"])
            .args(arguments);
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Outcome {
        run(&mut self.command(arguments), None)
    }

    /// `listen`, once it stands.
    pub fn listen(&self, arguments: &[&str]) -> Running {
        let mut command = self.command(&["listen"]);
        let mut running = Running::start(command.args(arguments));
        running.stands(|| self.run(&["status"]));
        running
    }
}

pub fn write_private(path: &Path, content: &[u8]) {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path).unwrap();
    file.write_all(content).unwrap();
}

/// Makes `guest` a contact of `host`, by a link.
pub fn connect(host: &Account, guest: &Account) {
    let link = host.run(&["invite"]).line()["link"].as_str().unwrap().to_owned();
    let contact = guest.run(&["join", &link]).line();
    assert_eq!(contact["type"], "contact");
}
