//! Names: who is meant by one, and which one a new contact is shown under.
//!
//! A name that a person types means one contact or none. What a stranger calls themselves never takes a name away from somebody,
//! and what only looks like a known name is marked.

use std::collections::BTreeSet;

use subrosa_wire::AccountId;
use unicode_normalization::UnicodeNormalization as _;

use crate::{
    api::{ApiError, ErrorKind},
    clean::{clean_line, clean_name},
    conversation::ConversationId,
    engine::people::audience::may_hear_from_us,
    store::{
        Db,
        account::Own,
        contacts::{self, ContactRow, NameRow},
        conversations,
    },
};

/// Longest shown name: longer claims are cut.
pub(in crate::engine) const MAX_NAME_CHARS: usize = 40;

/// Shorter beginnings of an id would make a mistyped name hit somebody.
const MIN_ID_PREFIX: usize = 8;

/// Digits of an id that tell people of one name apart.
const MARK_DIGITS: usize = 8;

/// What is compared of names: neither case nor the way of writing an accent makes another name.
pub(in crate::engine) fn folded(name: &str) -> String {
    name.nfc().collect::<String>().to_lowercase().nfc().collect()
}

/// What a name looks like: equal for names that a reader takes for each other (UTS #39, and what it leaves out because it is
/// about whole alphabets: case, and the Latin letters and digits of one shape).
pub(in crate::engine) fn looks(name: &str) -> String {
    let skeleton: String = unicode_security::skeleton(name).collect::<String>().to_lowercase();
    // A font decides whether these differ. `m` is `rn` in the skeleton already.
    skeleton
        .chars()
        .filter(|c| !matches!(c, ' ' | '.' | '_' | '-'))
        .map(|c| match c {
            '1' | 'i' | '|' => 'l',
            '0' => 'o',
            _ => c,
        })
        .collect::<String>()
        .replace("vv", "w")
}

/// A contact told from others of a similar name.
pub(in crate::engine) fn described(contact: &ContactRow) -> String {
    /// Enough to type, and not to be met by chance.
    const SHORT_ID: usize = 12;
    let id: String = contact.account().to_string().chars().take(SHORT_ID).collect();
    format!("{} (handle {}, id {id})", contact.name, contact.peer.handle)
}

/// Finds one contact by name, handle, id or the beginning of one, or the id of the chat with them; an error if several fit.
pub(crate) fn find(db: &Db, own: &Own, who: &str) -> Result<Option<ContactRow>, ApiError> {
    // A whole id, as interfaces give it: found without going through all contacts, and no name stands in its way.
    if let Some(id) = ConversationId::parse(who) {
        let others = conversations::others(db, &id)?;
        let account = others.into_iter().find(|other| own.chat_with(other) == id).unwrap_or(AccountId(id.0));
        if let Some(contact) = contacts::get(db, &account)? {
            return Ok(Some(contact));
        }
    }
    let mut found = BTreeSet::new();
    let (mut named, mut claimed) = (false, Vec::new());
    let asked = folded(who);
    let prefix = id_prefix(who);
    for row in contacts::names(db)? {
        let fits = folded(&row.name) == asked
            || prefix.as_ref().is_some_and(|prefix| row.account.to_string().starts_with(prefix));
        named |= fits;
        if fits || (may_hear_from_us(row.state) && folded(&row.handle) == asked) {
            found.insert(row.account);
        } else if folded(&row.handle) == asked {
            claimed.push(row.account);
        }
    }
    // What strangers call themselves stands in nobody's way while somebody is shown under the name; it does where only a
    // handle would decide.
    if !named {
        found.extend(claimed);
    }
    let found = found.iter().filter_map(|account| contacts::get(db, account).transpose());
    let mut found = found.collect::<Result<Vec<_>, _>>()?;
    if found.len() > 1 {
        return Err(ambiguous(who, &found.iter().map(described).collect::<Vec<_>>()));
    }
    Ok(found.pop())
}

/// Several are meant by one name: nobody is chosen for the person.
pub(in crate::engine) fn ambiguous(who: &str, fit: &[String]) -> ApiError {
    ApiError::new(ErrorKind::Usage, format!("{:?} fits several: {}", clean_line(who), fit.join(", ")))
        .hint("use the whole name as it is shown, or the beginning of the id")
}

/// A text that may be the beginning of an id.
fn id_prefix(text: &str) -> Option<String> {
    (text.len() >= MIN_ID_PREFIX && text.bytes().all(|byte| byte.is_ascii_hexdigit()))
        .then(|| text.to_ascii_lowercase())
}

/// Whether a name would mean somebody else than this account: another contact by name, handle or the beginning of their id, or
/// ourselves.
pub(in crate::engine) fn is_taken(db: &Db, own: &Own, name: &str, except: &AccountId) -> Result<bool, ApiError> {
    let others = contacts::names(db)?.into_iter().filter(|row| row.account != *except).collect::<Vec<_>>();
    Ok(taken(&others, own, name))
}

fn taken(others: &[NameRow], own: &Own, name: &str) -> bool {
    let asked = folded(name);
    let prefix = id_prefix(name);
    let means = |row: &NameRow| {
        folded(&row.name) == asked
            || folded(&row.handle) == asked
            || prefix.as_ref().is_some_and(|prefix| row.account.to_string().starts_with(prefix))
    };
    is_own_name(name) || asked == folded(&own.handle) || others.iter().any(means)
}

/// What a new contact is shown under.
#[derive(Clone)]
pub(in crate::engine) struct Shown {
    pub(in crate::engine) name: String,
    /// Whom the claimed name would be taken for.
    pub(in crate::engine) looks_like: Option<String>,
}

/// The name for a claimed handle: cleaned and cut. What means or looks like somebody else gets a part of the id, which nobody
/// can choose, and says whom it looks like.
pub(in crate::engine) fn shown(db: &Db, own: &Own, claimed: &str, account: &AccountId) -> Result<Shown, ApiError> {
    let mark: String = account.to_string().chars().take(MARK_DIGITS).collect();
    let cleaned: String = clean_name(claimed).chars().take(MAX_NAME_CHARS).collect();
    let base = if cleaned.is_empty() { mark.clone() } else { cleaned };
    let others = contacts::names(db)?.into_iter().filter(|row| row.account != *account).collect::<Vec<_>>();
    let face = looks(&base);
    let alike = |row: &&NameRow| looks(&row.name) == face || looks(&row.handle) == face;
    // Whoever is shown under the name comes first, then the longest known.
    let looks_like = if face == looks(&own.handle) || is_own_name(&base) {
        Some("yourself".to_owned())
    } else {
        let nearest = others.iter().filter(alike).min_by_key(|row| (looks(&row.name) != face, row.since_ms));
        nearest.map(|row| {
            if looks(&row.name) == face { row.name.clone() } else { format!("{} (handle {})", row.name, row.handle) }
        })
    };
    let marked = looks_like.is_some() || taken(&others, own, &base);
    let name = if marked { format!("{base}~{mark}") } else { base };
    Ok(Shown { name, looks_like })
}

/// How the conversation with oneself is shown.
pub(crate) const NOTES_NAME: &str = "Note to self";

/// How it is named in commands. No handle is that short, and no contact is shown under it.
const NOTES_ALIAS: &str = "me";

/// Names that mean ourselves and no contact is shown under.
pub(crate) fn is_own_name(name: &str) -> bool {
    name.eq_ignore_ascii_case(NOTES_ALIAS) || name.eq_ignore_ascii_case(NOTES_NAME)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_a_reader_takes_for_each_other_look_the_same() {
        for (one, other) in [
            ("bob", "b0b"),
            ("bob", "Bob"),
            ("bob", "bоb"), // Cyrillic
            ("bob", "bob\u{200b}"),
            ("martin", "rnartin"),
            ("alice", "a1ice"),
            ("alice", "aIice"),
            ("william", "vvilliam"),
            ("paul.smith", "paul_smith"),
            ("straße", "stra\u{df}e"),
            ("é", "e\u{301}"),
        ] {
            assert_eq!(looks(one), looks(other), "{one} {other}");
        }
        for (one, other) in [("bob", "rob"), ("alice", "alicia"), ("dan", "jan"), ("ana", "anna")] {
            assert_ne!(looks(one), looks(other), "{one} {other}");
        }
    }

    #[test]
    fn neither_case_nor_the_way_an_accent_is_written_makes_another_name() {
        assert_eq!(folded("ÄNNE"), folded("a\u{308}nne"));
        assert_ne!(folded("anne"), folded("änne"));
    }
}
