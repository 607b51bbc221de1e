//! Every setting: key, help, default and the reason for it.

use std::path::PathBuf;

use super::{
    Settings,
    rates::RATES,
    setting::Setting,
    values::{number, optional, show_option, show_size, show_time, size, switch, time},
};
use crate::{Config, Tls};

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: ([127, 0, 0, 1], 8440).into(),
            log_format: crate::config::LogFormat::Text,
            config: Config::new(""),
        }
    }
}

/// All settings, in the order in which `config check` and the help show them.
pub(crate) fn all() -> impl Iterator<Item = &'static Setting> {
    [GENERAL, RATES].into_iter().flatten()
}

/// Changes one half of certificate and key.
fn with_files(settings: &mut Settings, text: &str, change: impl FnOnce(&mut PathBuf, &mut PathBuf)) {
    let tls = &mut settings.config.tls;
    if !text.is_empty() && !matches!(tls, Tls::Files { .. }) {
        *tls = Tls::Files { certificate: PathBuf::new(), key: PathBuf::new() };
    }
    if let Tls::Files { certificate, key } = tls {
        change(certificate, key);
    }
}

fn show_files(settings: &Settings, part: impl FnOnce(&PathBuf, &PathBuf) -> String) -> String {
    match &settings.config.tls {
        Tls::Files { certificate, key } => part(certificate, key),
        _ => String::new(),
    }
}

const GENERAL: &[Setting] = &[
    Setting {
        key: "data",
        value: "DIR",
        help: "Directory for the database; created if missing",
        reason: "There is none: a database must not appear where nobody looks for it.",
        set: |settings, text| {
            settings.config.data_dir = text.into();
            Ok(())
        },
        show: |settings| settings.config.data_dir.display().to_string(),
    },
    Setting {
        key: "listen",
        value: "ADDRESS:PORT",
        help: "Address to listen on; port 0 picks a free one",
        reason: "Only this machine reaches it until its host decides otherwise.",
        set: |settings, text| {
            settings.listen = text.parse().map_err(|_| "is not ADDRESS:PORT, for example 127.0.0.1:8440".to_owned())?;
            Ok(())
        },
        show: |settings| settings.listen.to_string(),
    },
    Setting {
        key: "public-url",
        value: "URL",
        help: "How clients reach this relay, for example https://relay.example.org/",
        reason: "Without it clients use the address that the relay listens on.",
        set: |settings, text| {
            settings.config.public_url =
                optional(text, |text| text.parse().map_err(|error| format!("is not a URL: {error}")))?;
            Ok(())
        },
        show: |settings| show_option(settings.config.public_url.as_ref()),
    },
    Setting {
        key: "behind-proxy",
        value: "",
        help: "A TLS proxy stands in front: plaintext off loopback is allowed, X-Forwarded-For is believed",
        reason: "Whoever reaches a relay directly could write that header themselves.",
        set: |settings, text| {
            settings.config.behind_proxy = switch(text)?;
            Ok(())
        },
        show: |settings| settings.config.behind_proxy.to_string(),
    },
    Setting {
        key: "tls-cert",
        value: "FILE",
        help: "Certificate chain in PEM, read again when it changes and on SIGHUP; needs tls-key and public-url",
        reason: "None: a relay that others reach then makes a key of its own, and its links name that key.",
        set: |settings, text| {
            with_files(settings, text, |certificate, _| *certificate = text.into());
            Ok(())
        },
        show: |settings| show_files(settings, |certificate, _| certificate.display().to_string()),
    },
    Setting {
        key: "tls-key",
        value: "FILE",
        help: "Private key of tls-cert, in PEM",
        reason: "None, as for tls-cert: the two go together.",
        set: |settings, text| {
            with_files(settings, text, |_, key| *key = text.into());
            Ok(())
        },
        show: |settings| show_files(settings, |_, key| key.display().to_string()),
    },
    Setting {
        key: "domain",
        value: "NAME",
        help: "Get a certificate for this name from Let's Encrypt and renew it; it must lead to this relay at port 443",
        reason: "None: not everybody has a name, and asking an authority tells the world about the relay.",
        set: |settings, text| {
            match (text, &settings.config.tls) {
                ("", _) => {}
                (_, Tls::Files { .. }) => return Err("makes no sense together with tls-cert".to_owned()),
                (domain, _) => settings.config.tls = Tls::Acme(domain.to_owned()),
            }
            Ok(())
        },
        show: |settings| match &settings.config.tls {
            Tls::Acme(domain) => domain.clone(),
            _ => String::new(),
        },
    },
    Setting {
        key: "acme-contact",
        value: "MAIL",
        help: "Mail address that the authority may warn, with domain",
        reason: "None: certificates renew by themselves, and an address is one more thing that others know.",
        set: |settings, text| {
            settings.config.acme.contact = optional(text, |text| Ok(text.trim_start_matches("mailto:").to_owned()))?;
            Ok(())
        },
        show: |settings| show_option(settings.config.acme.contact.as_ref()),
    },
    Setting {
        key: "acme-directory",
        value: "URL",
        help: "Another ACME authority than Let's Encrypt, with domain",
        reason: "Let's Encrypt: free, and believed by every client.",
        set: |settings, text| {
            settings.config.acme.directory = text.parse().map_err(|error| format!("is not a URL: {error}"))?;
            Ok(())
        },
        show: |settings| settings.config.acme.directory.to_string(),
    },
    Setting {
        key: "acme-root",
        value: "FILE",
        help: "Certificates (PEM) that vouch for the server of acme-directory, beside the well-known ones",
        reason: "None: only an authority of one's own needs it.",
        set: |settings, text| {
            settings.config.acme.root = optional(text, |text| Ok(text.into()))?;
            Ok(())
        },
        show: |settings| {
            show_option(settings.config.acme.root.as_ref().map(|path| path.display().to_string()).as_ref())
        },
    },
    Setting {
        key: "tls-self-signed",
        value: "",
        help: "TLS with a key of the relay's own also where only this machine reaches it",
        reason: "Elsewhere a relay without a certificate does that anyway; on loopback nobody listens in.",
        set: |settings, text| {
            match (switch(text)?, &settings.config.tls) {
                (true, Tls::Auto) => settings.config.tls = Tls::SelfSigned,
                (true, Tls::Files { .. } | Tls::Acme(_)) => {
                    return Err("makes no sense together with tls-cert or domain".to_owned());
                }
                _ => {}
            }
            Ok(())
        },
        show: |settings| (settings.config.tls == Tls::SelfSigned).to_string(),
    },
    Setting {
        key: "registration",
        value: "open|token|closed",
        help: "Who may register: everybody, who has a token of yours (subrosa-relay token create), or nobody",
        reason: "Unset means open while only this machine reaches the relay, token as soon as others can: a new relay \
                 must not fill up with strangers before its host has thought about it.",
        set: |settings, text| {
            settings.config.registration = optional(text, str::parse)?;
            Ok(())
        },
        show: |settings| show_option(settings.config.registration.as_ref()),
    },
    Setting {
        key: "admin-socket",
        value: "PATH",
        help: "Unix socket for the host's verbs (token, account, status, drain)",
        reason: "Unset means admin.sock in the data directory: who owns the data may give orders.",
        set: |settings, text| {
            settings.config.admin_socket = optional(text, |text| Ok(text.into()))?;
            Ok(())
        },
        show: |settings| {
            settings.config.admin_socket.as_ref().map_or_else(String::new, |path| path.display().to_string())
        },
    },
    Setting {
        key: "metrics",
        value: "ADDRESS:PORT",
        help: "Serve Prometheus metrics at /metrics on this address, for example 127.0.0.1:9440",
        reason: "Off: how much is written here is nobody's business until the host wants to see it.",
        set: |settings, text| {
            settings.config.metrics =
                optional(text, |text| text.parse().map_err(|_| "is not ADDRESS:PORT".to_owned()))?;
            Ok(())
        },
        show: |settings| show_option(settings.config.metrics.as_ref()),
    },
    Setting {
        key: "log-format",
        value: "text|json",
        help: "Log lines for people or for programs, on stderr",
        reason: "People read the log of a first start.",
        set: |settings, text| {
            settings.log_format = text.parse()?;
            Ok(())
        },
        show: |settings| settings.log_format.to_string(),
    },
    Setting {
        key: "max-connections",
        value: "COUNT",
        help: "Connections served at once; further ones wait in the kernel",
        reason: "Below the usual descriptor limit of 20,000, less what the database and the log need.",
        set: |settings, text| {
            settings.config.max_connections = number(text)?;
            Ok(())
        },
        show: |settings| settings.config.max_connections.to_string(),
    },
    Setting {
        key: "max-connections-per-address",
        value: "COUNT",
        help: "Connections of one client address (IPv6: of one /64) served at once; not counted behind a proxy",
        reason: "A provider may put a thousand households behind one address. Never more than three quarters of all.",
        set: |settings, text| {
            settings.config.max_connections_per_address = number(text)?;
            Ok(())
        },
        show: |settings| settings.config.max_connections_per_address.to_string(),
    },
    Setting {
        key: "handshake-timeout",
        value: "TIME",
        help: "A connection that has not said who it is by then is closed",
        reason: "Longer than a slow phone network needs, short enough that silent connections hold nothing.",
        set: |settings, text| {
            settings.config.handshake_timeout = time(text)?;
            Ok(())
        },
        show: |settings| show_time(settings.config.handshake_timeout),
    },
    Setting {
        key: "silence-timeout",
        value: "TIME",
        help: "A socket that was silent this long is closed",
        reason: "Clients ping each 30 s: two lost pings and some slack.",
        set: |settings, text| {
            settings.config.silence_timeout = time(text)?;
            Ok(())
        },
        show: |settings| show_time(settings.config.silence_timeout),
    },
    Setting {
        key: "write-timeout",
        value: "TIME",
        help: "A peer that takes no bytes for this long is cut off",
        reason: "It is gone, or too slow to be worth its memory; what it has not taken stays in its mailbox.",
        set: |settings, text| {
            settings.config.write_timeout = time(text)?;
            Ok(())
        },
        show: |settings| show_time(settings.config.write_timeout),
    },
    Setting {
        key: "max-mailbox-rows",
        value: "COUNT",
        help: "Envelopes that may wait for one device; further ones are refused, none is dropped",
        reason: "A month of a busy group.",
        set: |settings, text| {
            settings.config.max_mailbox_rows = number(text)?;
            Ok(())
        },
        show: |settings| settings.config.max_mailbox_rows.to_string(),
    },
    Setting {
        key: "max-mailbox-bytes",
        value: "SIZE",
        help: "Bytes that may wait for one device; further ones are refused, none is dropped",
        reason: "Full of the largest envelopes: about two thousand of them.",
        set: |settings, text| {
            settings.config.max_mailbox_bytes = size(text)?;
            Ok(())
        },
        show: |settings| show_size(settings.config.max_mailbox_bytes),
    },
    Setting {
        key: "min-free-bytes",
        value: "SIZE",
        help: "While the disk has less space than this, nothing new is stored; fetching goes on",
        reason: "Twice what one commit can hold (log and database), so that acknowledgements, which make room, \
                 always find some.",
        set: |settings, text| {
            settings.config.min_free_bytes = size(text)?;
            Ok(())
        },
        show: |settings| show_size(settings.config.min_free_bytes),
    },
];
