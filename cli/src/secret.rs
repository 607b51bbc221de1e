//! What opens the account: chosen by flag, else by environment, else as `store.key` remembers it, else a person is asked.

use std::path::{Path, PathBuf};

use subrosa_client_core::{
    ApiError, ErrorKind,
    home::Home,
    keys::{self, KeySource, Passphrase, StoreSecret},
};

use crate::{
    args::{Global, NewSecret},
    output::Output,
    passphrase::PassphraseSource,
};

/// The variables that name a source; a flag overrides them, and one that does not fit an account's kind of key is passed over:
/// the environment is the same for all accounts.
const FILE_VARIABLE: &str = "SUBROSA_PASSPHRASE_FILE";
const COMMAND_VARIABLE: &str = "SUBROSA_PASSPHRASE_COMMAND";
const KEY_FILE_VARIABLE: &str = "SUBROSA_KEY_FILE";

/// How to get at what opens an account, once it is known that it is needed.
#[derive(Debug, Clone)]
pub(crate) struct Secret {
    flag: Option<KeySource>,
    environment: Vec<KeySource>,
    person: PassphraseSource,
    out: Output,
}

impl Secret {
    /// What flags and environment say.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`] when several flags say something.
    pub(crate) fn new(global: &Global, out: &Output) -> Result<Self, ApiError> {
        // clap fills this one from the environment, too.
        let named = variable(FILE_VARIABLE);
        let flag_file = global.passphrase_file.clone().filter(|file| named.as_ref() != Some(file));
        let flags = [
            flag_file.map(passphrase_file),
            global.passphrase_command.clone().map(|command| KeySource::PassphraseCommand { command }),
            global.key_file.clone().map(key_file),
        ];
        let flag = only_one(flags.into_iter().flatten().collect())?;
        let command = std::env::var(COMMAND_VARIABLE).ok().filter(|command| !command.is_empty());
        let environment = [
            named.map(passphrase_file),
            command.map(|command| KeySource::PassphraseCommand { command }),
            variable(KEY_FILE_VARIABLE).map(key_file),
        ];
        let person = PassphraseSource::new(&Global { passphrase_file: None, ..global.clone() }, out);
        Ok(Self { flag, environment: environment.into_iter().flatten().collect(), person, out: out.clone() })
    }

    /// For an account that exists. May wait for a person, a command or a keyring: not for asynchronous threads.
    ///
    /// # Errors
    /// [`ErrorKind::BadPassphrase`] when there is none.
    pub(crate) fn get(&self, home: &Home) -> Result<StoreSecret, ApiError> {
        self.warned(self.get_from(home, || self.person.get())?)
    }

    /// As [`Secret::get`], with another way to ask a person, and without a word on the terminal.
    ///
    /// # Errors
    /// As [`Secret::get`].
    pub(crate) fn get_from(
        &self,
        home: &Home,
        ask: impl FnOnce() -> Result<Passphrase, ApiError>,
    ) -> Result<StoreSecret, ApiError> {
        self.source_of(home).open(ask)
    }

    /// Where what opens this account comes from.
    pub(crate) fn source_of(&self, home: &Home) -> KeySource {
        let random = keys::takes_random_key(home);
        let fitting = self.environment.iter().find(|source| source.is_random() == random);
        self.flag.clone().or_else(|| fitting.cloned()).unwrap_or_else(|| keys::remembered(home))
    }

    /// What flags or the environment choose for a new account.
    pub(crate) fn chosen(&self) -> Option<&KeySource> {
        self.flag.as_ref().or_else(|| self.environment.first())
    }

    /// For a new account: what the flags choose, else the environment, else a passphrase that a person types twice.
    ///
    /// # Errors
    /// [`ErrorKind::BadPassphrase`] when there is none; [`ErrorKind::Usage`] when several are chosen.
    pub(crate) fn make(&self, account: &str, keyring: bool) -> Result<StoreSecret, ApiError> {
        self.warned(self.source_for(account, keyring)?.open_or_make(|| self.person.get_new())?)
    }

    /// Finds out what would keep [`Secret::make`] from succeeding, without asking anybody or making anything.
    ///
    /// # Errors
    /// As [`Secret::make`].
    pub(crate) fn check(&self, account: &str, keyring: bool) -> Result<(), ApiError> {
        match self.source_for(account, keyring)? {
            source @ KeySource::PassphraseFile { .. } => source.open(|| self.person.get()).map(drop),
            KeySource::Ask => self.person.check(),
            _ => Ok(()),
        }
    }

    fn source_for(&self, account: &str, keyring: bool) -> Result<KeySource, ApiError> {
        let keyring = keyring.then(|| KeySource::new_keyring_entry(account)).transpose()?;
        let chosen = only_one(self.flag.iter().cloned().chain(keyring).collect())?;
        Ok(chosen.or_else(|| self.chosen().cloned()).unwrap_or(KeySource::Ask))
    }

    /// For an account that gets another one: what `--new-…` and `--keyring` choose, else a passphrase that a person types twice.
    ///
    /// # Errors
    /// As [`Secret::make`].
    pub(crate) fn change(&self, account: &str, new: NewSecret) -> Result<StoreSecret, ApiError> {
        let keyring = new.keyring.then(|| KeySource::new_keyring_entry(account)).transpose()?;
        let chosen = [
            new.new_passphrase_file.map(passphrase_file),
            new.new_passphrase_command.map(|command| KeySource::PassphraseCommand { command }),
            new.new_key_file.map(key_file),
            keyring,
        ];
        let source = only_one(chosen.into_iter().flatten().collect())?.unwrap_or(KeySource::Ask);
        self.warned(source.open_or_make(|| self.person.get_new())?)
    }

    fn warned(&self, secret: StoreSecret) -> Result<StoreSecret, ApiError> {
        if secret.is_exposed() {
            self.out.warn(&format!("{} can be read by other users of this machine: chmod 600 it", secret.source()));
        }
        Ok(secret)
    }
}

fn variable(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|path| !path.is_empty()).map(PathBuf::from)
}

fn passphrase_file(path: PathBuf) -> KeySource {
    KeySource::PassphraseFile { path: absolute(&path) }
}

fn key_file(path: PathBuf) -> KeySource {
    KeySource::KeyFile { path: absolute(&path) }
}

/// It is remembered: the next command may run elsewhere.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf())
}

fn only_one(mut sources: Vec<KeySource>) -> Result<Option<KeySource>, ApiError> {
    if sources.len() > 1 {
        let all: Vec<String> = sources.iter().map(ToString::to_string).collect();
        return Err(ApiError::new(ErrorKind::Usage, format!("one thing opens an account, not {}", all.join(" and ")))
            .hint("name one of them"));
    }
    Ok(sources.pop())
}
