//! An account directory under test: what the command line needs to drive it.

use std::{
    ffi::OsStr,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Output, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use subrosa_client_core::api::{ContactState, Contacts, Invite, InviteParams, JoinParams, NoParams};
use tokio::process::Command;

use crate::{programs::Programs, rpc::Rpc};

/// Longest run of one verb: key derivation in a development build on a loaded machine included.
const VERB_TIMEOUT: Duration = Duration::from_secs(60);
/// Between two looks at something that has no event.
const POLL: Duration = Duration::from_millis(20);

/// One account's directory.
#[derive(Debug, Clone)]
pub struct Account {
    /// Handle.
    pub name: String,
    /// `SUBROSA_HOME`.
    pub home: PathBuf,
    /// `SUBROSA_PASSPHRASE_FILE`.
    pub passphrase: PathBuf,
    /// Account id, once `init` has run.
    pub id: String,
    /// Which of its directories this is, where an account has several in one run.
    pub copy: Option<String>,
    programs: Programs,
}

impl Account {
    /// Runs `init` for a new account below `root`, with `environment` added to the process.
    ///
    /// # Errors
    /// `init` fails.
    pub async fn init(
        programs: &Programs,
        root: &Path,
        name: &str,
        relay: &str,
        environment: &[(String, String)],
    ) -> Result<Self> {
        let passphrase = root.join(format!("{name}.passphrase"));
        std::fs::write(&passphrase, format!("correct horse {name}\n"))?;
        std::fs::set_permissions(&passphrase, std::fs::Permissions::from_mode(0o600))?;
        let mut account = Self {
            name: name.to_owned(),
            home: root.join(name),
            passphrase,
            id: String::new(),
            copy: None,
            programs: programs.clone(),
        };
        let recovery = root.join(format!("{name}.recovery"));
        let mut command = account.command();
        command.envs(environment.iter().map(|(key, value)| (key, value)));
        command.args(["init", "--json", "--relay", relay, "--name", name, "--recovery-file"]).arg(recovery);
        let line = json_line(&finish(command).await?)?;
        account.id = line.get("id").and_then(Value::as_str).context("init printed no id")?.to_owned();
        Ok(account)
    }

    /// An account that [`Account::init`] made below `root` earlier.
    #[must_use]
    pub fn existing(programs: &Programs, root: &Path, name: &str, id: &str) -> Self {
        Self {
            name: name.to_owned(),
            home: root.join(name),
            passphrase: root.join(format!("{name}.passphrase")),
            id: id.to_owned(),
            copy: None,
            programs: programs.clone(),
        }
    }

    /// Another directory of this account, called `copy`; nothing is made.
    #[must_use]
    pub fn copy_at(&self, copy: &str, home: &Path) -> Self {
        Self { home: home.to_owned(), copy: Some(copy.to_owned()), ..self.clone() }
    }

    /// What the journal calls this directory: the account id, and which of several it is.
    #[must_use]
    pub fn place(&self) -> String {
        self.copy.as_ref().map_or_else(|| self.id.clone(), |copy| format!("{}/{copy}", self.id))
    }

    /// The account's directory.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.home.join("accounts").join(&self.name)
    }

    /// The engine's socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.data().join("engine.sock")
    }

    /// A `subrosa` process for this account; the verb is still to be added.
    #[must_use]
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.programs.client);
        command
            .env("SUBROSA_HOME", &self.home)
            .env("SUBROSA_PASSPHRASE_FILE", &self.passphrase)
            .env_remove("SUBROSA_CRASH_AT")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    /// Runs a verb with `--json --no-input` and returns its whole output; it must succeed.
    ///
    /// # Errors
    /// It fails or takes too long.
    pub async fn run<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(&self, arguments: I) -> Result<String> {
        let mut command = self.command();
        command.args(arguments).args(["--json", "--no-input"]);
        let output = finish(command).await?;
        String::from_utf8(output.stdout).context("output is not UTF-8")
    }

    /// A connection to the running engine.
    ///
    /// # Errors
    /// None serves.
    pub async fn rpc(&self) -> Result<Rpc> {
        Rpc::connect(&self.socket()).await.with_context(|| format!("socket of {}", self.name))
    }

    /// Makes `other` a contact through a link while both engines run, and waits until both sides may talk.
    ///
    /// # Errors
    /// It does not come about in time.
    pub async fn befriend(&self, other: &Self) -> Result<()> {
        let invite: Invite = self.rpc().await?.call("invite", &InviteParams::default(), VERB_TIMEOUT).await?;
        let joiner = JoinParams { link: invite.link };
        let _contact: Value = other.rpc().await?.call("join", &joiner, VERB_TIMEOUT).await?;
        self.wait_contact(&other.id).await?;
        other.wait_contact(&self.id).await
    }

    /// Waits until an account id is a contact both sides talk to.
    ///
    /// # Errors
    /// Not in time.
    pub async fn wait_contact(&self, id: &str) -> Result<()> {
        let deadline = tokio::time::Instant::now() + VERB_TIMEOUT;
        let mut rpc = self.rpc().await?;
        loop {
            let known: Contacts = rpc.call("contact.list", &NoParams {}, VERB_TIMEOUT).await?;
            if known.contacts.iter().any(|contact| contact.id == id && contact.state == ContactState::Ok) {
                return Ok(());
            }
            if tokio::time::Instant::now() > deadline {
                bail!("{} never became a full contact of {}: {:?}", id, self.name, known.contacts);
            }
            tokio::time::sleep(POLL).await;
        }
    }
}

/// Runs a command to its end; it must succeed.
///
/// # Errors
/// It cannot start, takes too long or exits with a failure; the error carries its standard error.
pub async fn finish(mut command: Command) -> Result<Output> {
    let name = format!("{:?}", command.as_std());
    let output = tokio::time::timeout(VERB_TIMEOUT, command.output())
        .await
        .with_context(|| format!("no end after {VERB_TIMEOUT:?}: {name}"))?
        .with_context(|| format!("starting {name}"))?;
    ensure!(output.status.success(), "{name}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
    Ok(output)
}

/// The first JSON line of an output.
///
/// # Errors
/// There is none.
pub fn json_line(output: &Output) -> Result<Value> {
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().next().context("no output line")?;
    serde_json::from_str(line).with_context(|| format!("not JSON: {line}"))
}
