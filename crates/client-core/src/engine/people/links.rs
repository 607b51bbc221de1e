//! Contact links that were handed out: which there are, and taking one back.
//!
//! A link is named by the beginning of the SHA-256 of its token, which the relay has anyhow; its secret is never shown again.

use subrosa_wire::{CapabilityHash, mailbox::MailboxRequest};
use tokio::time::timeout;

use crate::{
    api::{ApiError, Connection, Done, ErrorKind, InviteInfo, Invites, NoParams, Person},
    clean::clean_line,
    engine::{Engine, core::Core, people::introductions::LINK_TIMEOUT},
    store::{self, invites::OpenLink},
};

/// Digits of the hash that name a link: among [`crate::limits::MAX_OPEN_LINKS`] two are alike once in 130,000 times, and then
/// nothing is revoked.
const ID_DIGITS: usize = 8;

/// Fewer digits are a slip of the keyboard.
const MIN_ID_DIGITS: usize = 4;

fn id(hash: &CapabilityHash) -> String {
    let mut id = hex::encode(hash.0);
    id.truncate(ID_DIGITS);
    id
}

impl Core {
    pub(crate) fn invite_list(&self, _params: &NoParams) -> Result<Invites, ApiError> {
        let links = store::invites::open(&self.db, crate::engine::core::now_ms())?;
        let invites = links.into_iter().map(|link| self.invite_info(link)).collect::<Result<_, ApiError>>()?;
        Ok(Invites { invites })
    }

    fn invite_info(&self, link: OpenLink) -> Result<InviteInfo, ApiError> {
        let used_by = match link.used_by {
            Some(account) => Some(Person {
                id: account.to_string(),
                name: store::contacts::name(&self.db, &account)?.unwrap_or_default(),
            }),
            // Nothing is known any more of who was removed.
            None => link.used.then(|| Person { id: String::new(), name: "somebody removed".to_owned() }),
        };
        Ok(InviteInfo { id: id(&link.token.hash()), created_ms: link.created_ms, expires_ms: link.expires_ms, used_by })
    }

    /// Forgets a link's secret at once, and queues that the relay forgets its token. Gives the link's id and the relay's task.
    pub(crate) fn invite_revoke(&mut self, which: &str) -> Result<(String, i64), ApiError> {
        let wanted = which.trim().to_ascii_lowercase();
        if wanted.len() < MIN_ID_DIGITS || !wanted.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(ApiError::new(
                ErrorKind::Usage,
                format!(
                    "{:?} names no link: its id has {MIN_ID_DIGITS} to {ID_DIGITS} hexadecimal digits",
                    clean_line(which)
                ),
            )
            .hint("`subrosa invite list` shows them"));
        }
        let mut found = Vec::new();
        for link in store::invites::open(&self.db, crate::engine::core::now_ms())? {
            let id = id(&link.token.hash());
            if id.starts_with(&wanted) {
                found.push((id, link));
            }
        }
        let [(id, link)] = &found[..] else {
            let message = if found.is_empty() {
                format!("no link of this account that is still open is called {wanted}")
            } else {
                format!("{} links begin with {wanted}", found.len())
            };
            return Err(ApiError::new(ErrorKind::NotFound, message).hint("`subrosa invite list` shows them"));
        };
        if link.used {
            let name = self.invite_info(link.clone())?.used_by.map(|person| person.name).unwrap_or_default();
            return Err(ApiError::new(
                ErrorKind::Failed,
                format!("{name} joined with this link, and nobody else can: there is nothing to revoke"),
            )
            .hint("`subrosa contact block` or `subrosa contact remove` ends a contact"));
        }
        let (id, token) = (id.clone(), link.token.clone());
        self.change(|change| {
            store::invites::revoke(change.db, &token)?;
            let task = change.relay_task(MailboxRequest::RemoveContactToken(token.hash()))?;
            Ok((id, task))
        })
    }
}

impl Engine {
    /// Takes a link back. It is void here when this returns; the relay is waited for as long as it is reached, so that a program
    /// that ends right after has told it.
    pub(in crate::engine) async fn revoke_link(&self, which: String) -> Result<Done, ApiError> {
        let core = &self.inner.core;
        let (id, task) = core.once(move |core| core.invite_revoke(&which)).await?;
        let failures = self.inner.link.borrow().failures;
        let told = async {
            let mut link = self.inner.link.clone();
            let mut progress = self.inner.signals.progress.subscribe();
            while core.run(move |core| Ok(store::tasks::waits(&core.db, task)?)).await? {
                let unreachable = {
                    let state = link.borrow_and_update();
                    state.failures > failures || matches!(state.connection, Connection::Offline | Connection::Removed)
                };
                if unreachable {
                    break;
                }
                tokio::select! {
                    biased;
                    _ = link.changed() => {}
                    _ = progress.changed() => {}
                }
            }
            Ok::<(), ApiError>(())
        };
        // Whether or not it was told by now: the task stays until it was.
        timeout(LINK_TIMEOUT, told).await.unwrap_or(Ok(()))?;
        Ok(Done { id: Some(id), count: 1 })
    }
}
