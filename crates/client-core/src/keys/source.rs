//! Where what opens an account comes from: a person, a file, a command, a key file, the keyring of the system.
//!
//! `store.key` remembers the source, never the secret. A passphrase goes through Argon2id; a key file and a keyring entry hold 32
//! random bytes, which need no slow derivation.

use std::{
    fmt,
    io::Read as _,
    os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{KEY_BYTES, MAX_PASSPHRASE_BYTES, Passphrase, PassphraseFile, keyring};
use crate::{
    api::{ApiError, ErrorKind},
    files::storage_error,
    replace,
};

/// A command may ask a person for something (`pass` for the passphrase of a GPG key).
const COMMAND_TIMEOUT: Duration = Duration::from_secs(120);

/// How often it is looked whether a command that has closed its output has ended.
const COMMAND_POLL: Duration = Duration::from_millis(10);

/// What a key file begins with, so that no other file is taken for one.
const KEY_FILE_PREFIX: &str = "subrosa-key-1 ";

/// A key file has about 80 bytes; more is not one.
const MAX_KEY_FILE_BYTES: u64 = 256;

/// Where what opens an account comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum KeySource {
    /// A person is asked for a passphrase.
    Ask,
    /// The first line of a file is the passphrase.
    PassphraseFile {
        /// Absolute.
        path: PathBuf,
    },
    /// The first line that a command prints is the passphrase.
    PassphraseCommand {
        /// Words as a shell would split them; no shell runs.
        command: String,
    },
    /// A file with a random key.
    KeyFile {
        /// Absolute.
        path: PathBuf,
    },
    /// The keyring of the system holds a random key.
    Keyring {
        /// The entry's name.
        entry: String,
    },
}

impl fmt::Display for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ask => f.write_str("a passphrase that is asked for"),
            Self::PassphraseFile { path } => write!(f, "the passphrase in {}", path.display()),
            Self::PassphraseCommand { command } => write!(f, "the passphrase that `{command}` prints"),
            Self::KeyFile { path } => write!(f, "the key file {}", path.display()),
            Self::Keyring { .. } => f.write_str("a key in the keyring of this system"),
        }
    }
}

impl KeySource {
    /// Whether it gives a random key, not a passphrase.
    #[must_use]
    pub const fn is_random(&self) -> bool {
        matches!(self, Self::KeyFile { .. } | Self::Keyring { .. })
    }

    /// Gets the secret; `ask` is for the source that is a person.
    ///
    /// # Errors
    /// [`ErrorKind::BadPassphrase`] with the source and what to do.
    pub fn open(&self, ask: impl FnOnce() -> Result<Passphrase, ApiError>) -> Result<StoreSecret, ApiError> {
        match self {
            Self::Ask => Ok(StoreSecret::of_passphrase(ask()?, Self::Ask)),
            Self::PassphraseFile { path } => {
                let PassphraseFile { passphrase, exposed } = Passphrase::from_file(path)?;
                let source = if is_pipe(path) { Self::Ask } else { self.clone() };
                Ok(StoreSecret { exposed, ..StoreSecret::of_passphrase(passphrase, source) })
            }
            Self::PassphraseCommand { command } => Ok(StoreSecret::of_passphrase(from_command(command)?, self.clone())),
            Self::KeyFile { path } => read_key_file(path),
            Self::Keyring { entry } => keyring::read(entry).map(|key| StoreSecret::of_key(key, self.clone())),
        }
    }

    /// As [`KeySource::open`] for a new account: a key file and a keyring entry that are not there yet are made.
    ///
    /// # Errors
    /// As [`KeySource::open`]; the file or the entry cannot be made.
    pub fn open_or_make(&self, ask: impl FnOnce() -> Result<Passphrase, ApiError>) -> Result<StoreSecret, ApiError> {
        match self {
            Self::KeyFile { path } if !path.exists() => make_key_file(path),
            Self::Keyring { entry } => {
                let key = random_key()?;
                keyring::write(entry, &key)?;
                Ok(StoreSecret::of_key(key, self.clone()))
            }
            _ => self.open(ask),
        }
    }

    /// A new entry of the keyring, named after the account.
    ///
    /// # Errors
    /// The system has no randomness.
    pub fn new_keyring_entry(account: &str) -> Result<Self, ApiError> {
        let mut bytes = [0; 8];
        fill(&mut bytes)?;
        Ok(Self::Keyring { entry: format!("{account} {}", hex::encode(bytes)) })
    }

    /// Removes what only this source held: the keyring's entry. Files are their owner's.
    ///
    /// # Errors
    /// The keyring refuses.
    pub fn forget(&self) -> Result<(), ApiError> {
        match self {
            Self::Keyring { entry } => keyring::remove(entry),
            _ => Ok(()),
        }
    }
}

/// What opens an account's `store.key`, and where it comes from. Wiped when dropped, never shown.
#[derive(Clone)]
pub struct StoreSecret {
    pub(super) bytes: Zeroizing<Vec<u8>>,
    pub(super) source: KeySource,
    exposed: bool,
    pub(super) is_random: bool,
}

impl StoreSecret {
    /// A passphrase and where it comes from.
    #[must_use]
    pub fn of_passphrase(passphrase: Passphrase, source: KeySource) -> Self {
        Self { bytes: passphrase.0, source, exposed: false, is_random: false }
    }

    fn of_key(key: Zeroizing<[u8; KEY_BYTES]>, source: KeySource) -> Self {
        Self { bytes: Zeroizing::new(key.to_vec()), source, exposed: false, is_random: true }
    }

    /// Where it comes from.
    #[must_use]
    pub const fn source(&self) -> &KeySource {
        &self.source
    }

    /// Other users of the machine can read the file it is in; worth a warning.
    #[must_use]
    pub const fn is_exposed(&self) -> bool {
        self.exposed
    }
}

impl From<&Passphrase> for StoreSecret {
    fn from(passphrase: &Passphrase) -> Self {
        Self::of_passphrase(passphrase.clone(), KeySource::Ask)
    }
}

impl From<&Self> for StoreSecret {
    fn from(secret: &Self) -> Self {
        secret.clone()
    }
}

fn bad(message: impl Into<String>) -> ApiError {
    ApiError::new(ErrorKind::BadPassphrase, message)
}

/// What is read once cannot be read again next time.
fn is_pipe(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|found| found.file_type().is_fifo() || found.file_type().is_char_device())
}

fn fill(bytes: &mut [u8]) -> Result<(), ApiError> {
    subrosa_ambient::fill(bytes)
        .map_err(|error| ApiError::new(ErrorKind::Failed, format!("the system gives no random numbers: {error}")))
}

fn random_key() -> Result<Zeroizing<[u8; KEY_BYTES]>, ApiError> {
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    fill(&mut key[..])?;
    Ok(key)
}

/// A key as its file has it.
pub(crate) fn key_file_line(key: &[u8; KEY_BYTES]) -> Zeroizing<String> {
    Zeroizing::new(format!("{KEY_FILE_PREFIX}{}\n", *Zeroizing::new(hex::encode(key))))
}

/// The key in what a key file holds.
pub(crate) fn key_in(content: &[u8]) -> Option<Zeroizing<[u8; KEY_BYTES]>> {
    let digits = content.strip_prefix(KEY_FILE_PREFIX.as_bytes())?;
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    hex::decode_to_slice(digits.strip_suffix(b"\n").unwrap_or(digits), &mut key[..]).ok()?;
    Some(key)
}

fn make_key_file(path: &Path) -> Result<StoreSecret, ApiError> {
    use std::io::Write as _;
    let key = random_key()?;
    let line = key_file_line(&key);
    // A link to a disk where nothing is yet.
    let there = replace::target(path).map_err(|error| storage_error("find the key file", path, &error))?;
    let written = std::fs::File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&there)
        .and_then(|mut file| file.write_all(line.as_bytes()).and_then(|()| file.sync_all()));
    written.map_err(|error| storage_error("make the key file", path, &error))?;
    Ok(StoreSecret::of_key(key, KeySource::KeyFile { path: path.to_path_buf() }))
}

fn read_key_file(path: &Path) -> Result<StoreSecret, ApiError> {
    let failed = |error: std::io::Error| {
        bad(format!("cannot read the key file {}: {error}", path.display()))
            .hint("it may be on a disk that is not there; name it with --key-file or SUBROSA_KEY_FILE")
    };
    let file = std::fs::File::open(path).map_err(failed)?;
    let exposed = file.metadata().map_err(failed)?.mode() & 0o077 != 0;
    let mut content = Zeroizing::new(Vec::with_capacity(MAX_KEY_FILE_BYTES as usize + 1));
    file.take(MAX_KEY_FILE_BYTES).read_to_end(&mut content).map_err(failed)?;
    let key = key_in(&content).ok_or_else(|| {
        bad(format!("{} is no key file of subrosa", path.display())).hint(
            "a file with a passphrase is named with --passphrase-file; a key file is made by `init --key-file FILE`",
        )
    })?;
    Ok(StoreSecret { exposed, ..StoreSecret::of_key(key, KeySource::KeyFile { path: path.to_path_buf() }) })
}

/// The first line that a command prints. Its stderr is the terminal's, its stdin is empty, its output is never shown.
fn from_command(command: &str) -> Result<Passphrase, ApiError> {
    let words = shlex::split(command).filter(|words| !words.is_empty()).ok_or_else(|| {
        ApiError::new(ErrorKind::Usage, format!("`{command}` is no command: a quote is open, or it is empty"))
            .hint("for example --passphrase-command 'pass show subrosa'; for a pipe write: sh -c '…'")
    })?;
    let failed = |why: String| {
        bad(format!("the passphrase command `{command}` {why}")).hint("run it by hand: it has to print the passphrase")
    };
    let (program, arguments) = words.split_first().ok_or_else(|| failed("is empty".to_owned()))?;
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| failed(format!("does not start: {error}")))?;
    let begun = subrosa_ambient::instant();
    let (sender, printed) = mpsc::channel();
    let output = child.stdout.take();
    // On a thread: whoever keeps the pipe open must not keep us.
    std::thread::spawn(move || {
        let limit = MAX_PASSPHRASE_BYTES + 3;
        let mut content = Zeroizing::new(Vec::with_capacity(limit));
        let read = output.map_or(Ok(0), |output| output.take(limit as u64).read_to_end(&mut content));
        // Nobody waits any more after the timeout.
        let _ = sender.send(read.map(|_| content));
    });
    let result = match printed.recv_timeout(COMMAND_TIMEOUT) {
        Ok(Ok(content)) => wait(&mut child, begun).map(|()| content),
        Ok(Err(error)) => Err(format!("cannot be read: {error}")),
        Err(_) => Err(format!("printed nothing within {} s", COMMAND_TIMEOUT.as_secs())),
    };
    if result.is_err() {
        // It may have ended already.
        let _ = child.kill();
        let _ = child.wait();
    }
    let content = result.map_err(failed)?;
    let line = content.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    Passphrase::checked(Zeroizing::new(line.to_vec()), &format!("the first line that `{command}` prints"))
}

/// Waits for the command's end; it has closed its output, or said more than is read.
fn wait(child: &mut std::process::Child, begun: Instant) -> Result<(), String> {
    loop {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => return Ok(()),
            Ok(Some(status)) => return Err(format!("failed ({status})")),
            Ok(None) if begun.elapsed() >= COMMAND_TIMEOUT => return Err("does not end".to_owned()),
            Ok(None) => std::thread::sleep(COMMAND_POLL),
            Err(error) => return Err(format!("cannot be waited for: {error}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(text: &str) -> Result<StoreSecret, ApiError> {
        KeySource::PassphraseCommand { command: text.to_owned() }.open(|| panic!("nobody is asked"))
    }

    fn refused(result: Result<StoreSecret, ApiError>) -> ApiError {
        match result {
            Ok(_) => panic!("was accepted"),
            Err(error) => error,
        }
    }

    #[test]
    fn a_commands_first_line_is_the_passphrase() {
        for (text, expected) in [
            ("echo 'two words'", "two words"),
            ("printf 'one\\ntwo\\n'", "one"),
            ("printf %s 'no newline'", "no newline"),
            ("sh -c 'echo a | tr a b'", "b"),
            ("echo $HOME | cat", "$HOME | cat"),
        ] {
            assert_eq!(&command(text).ok().unwrap().bytes[..], expected.as_bytes(), "{text}");
        }
    }

    #[test]
    fn a_command_that_does_not_give_one_is_named_and_its_output_is_not() {
        for text in
            ["", "echo 'open", "/nothing/here", "false", "true", "yes | cat", "sh -c 'echo secret-text; exit 3'"]
        {
            let error = refused(command(text));
            assert!(error.hint.is_some() && !error.message.contains("secret-text\n"), "{error}");
        }
        assert!(refused(command("sh -c 'exit 3'")).message.contains("exit status: 3"));
        // More than a passphrase: it is not read to its end.
        let error =
            refused(command("sh -c 'while :; do echo -n xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; done'"));
        assert_eq!(error.code, ErrorKind::BadPassphrase);
    }

    #[test]
    fn a_key_file_is_made_once_private_and_read_again() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("key");
        let source = KeySource::KeyFile { path: path.clone() };
        let nobody = || panic!("nobody is asked");
        assert_eq!(refused(source.open(nobody)).code, ErrorKind::BadPassphrase, "opening makes none");
        let made = source.open_or_make(nobody).ok().unwrap();
        let again = source.open_or_make(nobody).ok().unwrap();
        assert!(made.bytes == again.bytes && made.bytes.len() == KEY_BYTES && made.is_random && !again.is_exposed());
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        for content in ["", "a passphrase\n", "subrosa-key-1 00\n", &format!("subrosa-key-1 {}x\n", "0".repeat(64))] {
            std::fs::write(&path, content).unwrap();
            assert_eq!(refused(source.open_or_make(nobody)).code, ErrorKind::BadPassphrase, "{content:?}");
            assert_eq!(std::fs::read_to_string(&path).unwrap(), content, "nothing is overwritten");
        }
    }
}
