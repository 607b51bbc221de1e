//! Until when a certificate from a file holds, and what its host is told.
//!
//! A relay starts with an ended certificate, too: clients refuse it, but a renewed file is taken without a restart, and a relay
//! that does not start takes none.

use std::path::Path;

use x509_parser::parse_x509_certificate;

use crate::clock::minute;

/// Left when the host is warned: renewal is due weeks earlier (certbot and lego: at a third of the time that it holds).
const SOON_MS: u64 = 7 * 24 * 3_600_000;

/// How a certificate stands at a moment; times in milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It holds for longer than a week, or cannot be read: then `rustls` has refused it before.
    Good,
    EndsSoon(u64),
    Ended(u64),
    /// Its time has not begun: mostly the clock of this machine is wrong.
    NotYet(u64),
}

impl Standing {
    /// Of a certificate in DER.
    pub(super) fn of(certificate: Option<&impl AsRef<[u8]>>, now_ms: u64) -> Self {
        let Some(Ok((_, parsed))) = certificate.map(|certificate| parse_x509_certificate(certificate.as_ref())) else {
            return Self::Good;
        };
        let ms = |seconds: i64| u64::try_from(seconds).unwrap_or(0).saturating_mul(1_000);
        let begin = ms(parsed.validity().not_before.timestamp());
        let end = ms(parsed.validity().not_after.timestamp());
        match now_ms {
            now if now >= end => Self::Ended(end),
            now if now < begin => Self::NotYet(begin),
            now if now.saturating_add(SOON_MS) >= end => Self::EndsSoon(end),
            _ => Self::Good,
        }
    }

    /// Into the log.
    pub(super) fn tell(self, file: &Path) {
        let file = file.display();
        match self {
            Self::Good => tracing::info!(%file, "the TLS certificate holds again"),
            Self::EndsSoon(at) => {
                tracing::warn!(%file, ends = minute(at), "the TLS certificate ends within a week: is it renewed?");
            }
            Self::Ended(at) => tracing::error!(
                %file, ended = minute(at),
                "the TLS certificate has ended: no client connects. Renew it; the new file is taken without a restart"
            ),
            Self::NotYet(at) => tracing::error!(
                %file, begins = minute(at),
                "the TLS certificate does not hold yet: no client connects. Is the clock of this machine right?"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    const DAY_MS: u64 = 24 * 3_600_000;

    #[test]
    fn a_certificate_holds_from_its_first_to_its_last_moment() {
        let mut params = CertificateParams::new(vec!["relay.example.org".to_owned()]).unwrap();
        (params.not_before, params.not_after) = (date_time_ymd(2026, 1, 1), date_time_ymd(2026, 4, 1));
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let (begin, end) = (1_767_225_600_000, 1_775_001_600_000);
        for (now, standing) in [
            (begin - 1, Standing::NotYet(begin)),
            (begin, Standing::Good),
            (end - 8 * DAY_MS, Standing::Good),
            (end - 7 * DAY_MS, Standing::EndsSoon(end)),
            (end - 1, Standing::EndsSoon(end)),
            (end, Standing::Ended(end)),
        ] {
            assert_eq!(Standing::of(Some(certificate.der()), now), standing, "{now}");
        }
        assert_eq!(Standing::of(Some(&b"no certificate"), end), Standing::Good);
    }
}
