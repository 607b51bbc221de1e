//! What a relay is told when it starts, and why it may refuse to.

use std::{fmt, net::SocketAddr, path::PathBuf, str::FromStr, time::Duration};

use subrosa_wire::limits;
use url::Url;

use crate::policy::{
    limits::{
        MAX_CONNECTIONS, MAX_CONNECTIONS_PER_ADDRESS, MAX_MAILBOX_BYTES, MAX_MAILBOX_ROWS, MIN_FREE_BYTES,
        RESYNC_INTERVAL, RateLimits, START_CHECK, TLS_CHECK_INTERVAL, WRITE_TIMEOUT,
    },
    registration::RegistrationMode,
};

/// How far a commit goes before a sender reads "accepted".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Synchronous {
    /// The commit is synced to the disk first: survives a power cut.
    #[default]
    Full,
    /// The commit is left to the operating system. Only for the test which proves that
    /// [`Synchronous::Full`] matters; no argument and no release build selects it.
    Off,
}

impl Synchronous {
    /// [`Synchronous::Full`], or in a development build what `SUBROSA_RELAY_SYNCHRONOUS=OFF` asks for.
    #[must_use]
    pub fn from_environment() -> Self {
        if cfg!(debug_assertions) && std::env::var_os("SUBROSA_RELAY_SYNCHRONOUS").is_some_and(|value| value == "OFF") {
            Self::Off
        } else {
            Self::Full
        }
    }
}

/// What a relay speaks with who connects.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Tls {
    /// TLS with a key of its own where other machines can connect; plaintext on loopback and behind a proxy.
    #[default]
    Auto,
    /// TLS with a key of its own, also on loopback.
    SelfSigned,
    /// TLS with a certificate chain and its key, both in PEM.
    Files {
        /// The chain, the relay's own certificate first.
        certificate: PathBuf,
        /// The private key.
        key: PathBuf,
    },
    /// TLS with a certificate for this name from an ACME authority ([`Config::acme`]).
    Acme(String),
}

/// Let's Encrypt.
const DIRECTORY: &str = "https://acme-v02.api.letsencrypt.org/directory";

/// How a relay gets its certificates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcmeSettings {
    /// Where the authority writes to before a certificate ends.
    pub contact: Option<String>,
    /// The authority.
    pub directory: Url,
    /// Who vouches for the authority's own server, beside Mozilla's: for a company's own authority.
    pub root: Option<PathBuf>,
}

impl Default for AcmeSettings {
    fn default() -> Self {
        // The text is a constant; a URL that is none would only make every order fail, and say so.
        let directory = Url::parse(DIRECTORY).unwrap_or_else(|_| unreachable!("{DIRECTORY} is a URL"));
        Self { contact: None, directory, root: None }
    }
}

/// What log lines look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl fmt::Display for LogFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "text",
            Self::Json => "json",
        })
    }
}

impl FromStr for LogFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err("is not text or json".to_owned()),
        }
    }
}

/// Settings of one relay. [`Config::new`] has the values of production; tests shorten times and quotas.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where `relay.db` and the lock file lie. Created if missing, readable by its owner only.
    pub data_dir: PathBuf,
    /// How clients reach the relay, if not by the listener's loopback address.
    pub public_url: Option<Url>,
    /// A TLS proxy stands in front: listening off loopback is allowed, and the last
    /// `X-Forwarded-For` entry is the client's address.
    pub behind_proxy: bool,
    /// Who may register; `None` = open if only this machine reaches the relay, else by token.
    pub registration: Option<RegistrationMode>,
    /// Where the operator's verbs are taken; `None` = nowhere.
    pub admin_socket: Option<PathBuf>,
    /// Where `/metrics` is served; `None` = nowhere.
    pub metrics: Option<SocketAddr>,
    /// How long a start may look at the whole database for damage.
    pub start_check: Duration,
    /// Look for damage at the start and at each read. Only tests that play a relay which changes what it stores switch it
    /// off; no argument does.
    pub refuse_damage: bool,
    /// Whether and how connections are encrypted here.
    pub tls: Tls,
    /// Where [`Tls::Acme`] gets its certificates.
    pub acme: AcmeSettings,
    /// Certificate files are looked at this often.
    pub tls_check_interval: Duration,
    /// Durability of a commit.
    pub synchronous: Synchronous,
    /// A socket that has not authenticated (or said hello) by then is closed.
    pub handshake_timeout: Duration,
    /// A socket that was silent this long is closed.
    pub silence_timeout: Duration,
    /// A session reads its mailbox at least this often, so that a lost wake costs seconds, not messages.
    pub resync_interval: Duration,
    /// A peer that takes no bytes for this long is cut off.
    pub write_timeout: Duration,
    /// Connections served at once; fewer if the limit of open files is lower.
    pub max_connections: usize,
    /// Connections of one client address served at once; never more than three quarters of all.
    pub max_connections_per_address: usize,
    /// Envelopes that may wait for one device.
    pub max_mailbox_rows: u64,
    /// Bytes that may wait for one device.
    pub max_mailbox_bytes: u64,
    /// How often things may be done.
    pub rates: RateLimits,
    /// Submissions are refused while the disk has less space than this; reading and acknowledging go on.
    pub min_free_bytes: u64,
    /// Largest size of the database in pages of 4 KiB; `None` = the disk's size. Storing is
    /// refused beyond it, reading and acknowledging go on.
    pub max_database_pages: Option<u32>,
}

impl Config {
    /// The settings of production for a data directory.
    #[must_use]
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            public_url: None,
            behind_proxy: false,
            registration: None,
            admin_socket: None,
            metrics: None,
            start_check: START_CHECK,
            refuse_damage: true,
            tls: Tls::default(),
            acme: AcmeSettings::default(),
            tls_check_interval: TLS_CHECK_INTERVAL,
            synchronous: Synchronous::from_environment(),
            handshake_timeout: limits::HANDSHAKE_TIMEOUT,
            silence_timeout: limits::SILENCE_TIMEOUT,
            resync_interval: RESYNC_INTERVAL,
            write_timeout: WRITE_TIMEOUT,
            max_connections: MAX_CONNECTIONS,
            max_connections_per_address: MAX_CONNECTIONS_PER_ADDRESS,
            max_mailbox_rows: MAX_MAILBOX_ROWS,
            max_mailbox_bytes: MAX_MAILBOX_BYTES,
            rates: RateLimits::default(),
            min_free_bytes: MIN_FREE_BYTES,
            max_database_pages: None,
        }
    }
}

/// Why a relay does not start, or stopped by itself. Each text names cause and fix.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// The data directory cannot be made or used.
    #[error("cannot use the data directory {path}: {source}. Check that it exists, is writable and has space")]
    DataDir {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The operator's socket cannot be made.
    #[error("cannot make the admin socket {path}: {source}. Choose another place with --admin-socket")]
    AdminSocket {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The listener of `/metrics` cannot be made.
    #[error("cannot serve metrics on {address}: {source}. Choose another address with --metrics")]
    Metrics {
        /// Where.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// A backup cannot be written or read.
    #[error("cannot use the backup file {path}: {source}. Check its name, its directory and the space there")]
    Copy {
        /// The backup.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Another relay has this directory open.
    #[error(
        "another relay already uses the data directory {0}: stop that one first, or give this one its own with --data"
    )]
    Locked(PathBuf),
    /// The database is not readable as one.
    #[error(
        "the database {path} is damaged ({detail}). The relay does not start with it, so nothing more is lost: \
         put a backup in its place with `subrosa-relay restore BACKUP --data DIR` (the damaged file is kept beside it), \
         or move it away and start with an empty data directory (accounts then have to register again)"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What SQLite found.
        detail: String,
    },
    /// The file is a SQLite database of something else.
    #[error("{0} is a database, but not of a Subrosa relay: choose another directory with --data")]
    ForeignDatabase(PathBuf),
    /// Written by a newer relay.
    #[error(
        "the database {path} has schema version {found}, this relay knows versions up to {known}: \
         start the newer relay that wrote it, or restore a backup from before the upgrade"
    )]
    NewerSchema {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// Plaintext where others can reach it, and no name that clients would use.
    #[error(
        "refusing to listen on {0} without TLS: the relay's name is not known. Say how clients reach the proxy in \
         front with --public-url https://YOUR-NAME/, or leave --behind-proxy away: the relay then speaks TLS itself"
    )]
    ProxyWithoutName(SocketAddr),
    /// A certificate of one's own, but nobody said for which name.
    #[error(
        "a certificate needs the name that clients use: say it with --public-url https://YOUR-NAME/ (and :PORT unless it is 443)"
    )]
    CertificateWithoutName,
    /// No name that a certificate could have.
    #[error("{0:?} is no domain name: --domain takes one, for example relay.example.org")]
    Domain(String),
    /// The certificate would be for another name than clients use.
    #[error("the certificate would be for {domain}, but --public-url names {host}: both must be the same host")]
    DomainDiffers {
        /// Of `--domain`.
        domain: String,
        /// Of `--public-url`.
        host: String,
    },
    /// A certificate without its key, or the other way round.
    #[error("a certificate and its key go together: say both --tls-cert FILE and --tls-key FILE")]
    HalfOfTls,
    /// A file of TLS cannot be used.
    #[error("cannot use {path} for TLS: {detail}")]
    TlsFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
    /// The public URL is not one that clients would accept.
    #[error(
        "the public URL {0} must be https://HOST[:PORT]/ (http:// only for this machine or an onion service), without path or query"
    )]
    PublicUrl(Url),
    /// The listener or a thread failed.
    #[error("the system refused what the relay needs to serve: {0}")]
    System(#[from] std::io::Error),
    /// The store stopped while serving.
    #[error(
        "the relay's store stopped: {0}. Everything accepted so far is on disk; look at the disk and start the relay again"
    )]
    Store(String),
}
