//! Where the passphrase comes from: the named file, or a person.

use std::path::PathBuf;

use subrosa_client_core::{
    ApiError, ErrorKind,
    keys::{Passphrase, PassphraseFile},
};
use zeroize::Zeroizing;

use crate::{
    args::Global,
    output::{Output, can_ask},
};

/// How to get at the passphrase, once it is known that it is needed.
#[derive(Debug, Clone)]
pub(crate) struct PassphraseSource {
    file: Option<PathBuf>,
    /// What it opens.
    what: &'static str,
    /// The flag that names a file.
    flag: &'static str,
    may_ask: bool,
    out: Output,
}

impl PassphraseSource {
    pub(crate) fn new(global: &Global, out: &Output) -> Self {
        Self {
            file: global.passphrase_file.clone(),
            what: "this account",
            flag: "--passphrase-file",
            may_ask: can_ask(global.no_input),
            out: out.clone(),
        }
    }

    /// For a backup, which has a passphrase of its own.
    pub(crate) fn of_backup(global: &Global, out: &Output, file: Option<PathBuf>) -> Self {
        Self { file, what: "the backup", flag: "--backup-passphrase-file", ..Self::new(global, out) }
    }

    /// For an account that exists. May wait for a person: not for asynchronous threads.
    ///
    /// # Errors
    /// [`ErrorKind::BadPassphrase`] when there is none.
    pub(crate) fn get(&self) -> Result<Passphrase, ApiError> {
        match self.read_file()? {
            Some(passphrase) => Ok(passphrase),
            None => Passphrase::typed(self.ask(&format!("Passphrase of {}: ", self.what))?),
        }
    }

    /// For a new account: a person types it twice.
    ///
    /// # Errors
    /// [`ErrorKind::BadPassphrase`] when there is none, or the two differ.
    pub(crate) fn get_new(&self) -> Result<Passphrase, ApiError> {
        if let Some(passphrase) = self.read_file()? {
            return Ok(passphrase);
        }
        let first = self.ask(&format!("New passphrase for {}: ", self.what))?;
        if first != self.ask("Again: ")? {
            return Err(ApiError::new(ErrorKind::BadPassphrase, "the two passphrases differ").hint("try again"));
        }
        Passphrase::typed(first)
    }

    fn read_file(&self) -> Result<Option<Passphrase>, ApiError> {
        let Some(path) = &self.file else { return Ok(None) };
        let PassphraseFile { passphrase, exposed } = Passphrase::from_file(path)?;
        if exposed {
            self.out.warn(&format!("{} can be read by other users of this machine: chmod 600 {0}", path.display()));
        }
        Ok(Some(passphrase))
    }

    /// Whether there is somebody to ask.
    ///
    /// # Errors
    /// [`ErrorKind::BadPassphrase`] when there is nobody.
    pub(crate) fn check(&self) -> Result<(), ApiError> {
        if self.may_ask {
            return Ok(());
        }
        Err(ApiError::new(
            ErrorKind::BadPassphrase,
            format!("no passphrase for {}, and nobody to ask for one", self.what),
        )
        .hint(format!("name a file that holds it: {} FILE", self.flag)))
    }

    fn ask(&self, question: &str) -> Result<Zeroizing<String>, ApiError> {
        self.check()?;
        rpassword::prompt_password(question).map(Zeroizing::new).map_err(|error| {
            ApiError::new(ErrorKind::BadPassphrase, format!("the passphrase could not be read: {error}"))
                .hint(format!("name a file that holds it: {} FILE", self.flag))
        })
    }
}
