//! Contacts, links and safety numbers as people read them.

use subrosa_client_core::{
    api::{Contact, ContactState, Identity, InviteInfo},
    clean::clean_line,
};

use super::{
    columns::{NAME_COLUMNS, fit, short_id},
    ticks::Ticks,
    time,
};

pub(super) const fn contact_state(state: ContactState) -> &'static str {
    match state {
        ContactState::Request => "wants to talk",
        ContactState::Requested => "asked",
        ContactState::Ok => "contact",
        ContactState::Blocked => "blocked",
        ContactState::Removed => "removed",
    }
}

pub(super) fn contact(it: &Contact, ticks: Ticks) -> String {
    let verified = if it.verified { "verified" } else { "not verified" };
    let alike = it.looks_like.as_ref().map(|other| format!("  looks like {}", clean_line(other))).unwrap_or_default();
    format!(
        "{}  {}  {:<13}  {verified:<12}  {}  {}{alike}",
        ticks.bold(&fit(&it.name, NAME_COLUMNS)),
        ticks.dim(&short_id(&it.id)),
        contact_state(it.state),
        clean_line(&it.relay),
        ticks.dim(&clean_line(&it.origin)),
    )
}

/// A link that was made: its id, since when, until when, and who used it.
pub(super) fn open_link(it: &InviteInfo, ticks: Ticks) -> String {
    let state = match &it.used_by {
        Some(person) => format!("used by {}", clean_line(&person.name)),
        None => ticks.bold("open"),
    };
    format!(
        "{}  made {}  ends {}  {state}",
        clean_line(&it.id),
        time::short(it.created_ms),
        ticks.dim(&time::short(it.expires_ms))
    )
}

pub(super) fn identity(it: &Identity, ticks: Ticks) -> String {
    let mut text = format!("Safety number with {}:\n\n", ticks.bold(&clean_line(&it.name)));
    let number = clean_line(&it.safety_number);
    let groups: Vec<&str> = number.split_whitespace().collect();
    for row in groups.chunks(4) {
        text.push_str(&format!("    {}\n", row.join("  ")));
    }
    text.push('\n');
    text.push_str(if it.verified { "verified" } else { "not verified" });
    if let Some(at) = it.changed_ms {
        text.push_str(&format!(" since {}", time::short(at)));
    }
    text.push('\n');
    text
}
