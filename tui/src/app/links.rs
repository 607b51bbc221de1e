//! Contact links: making one, seeing which are open, taking one back.

use subrosa_client_core::{
    ApiError,
    api::{Done, Invite, InviteParams, InviteRevokeParams, Invites, NoParams},
};

use super::{App, Weight};
use crate::{
    ask::Call,
    overlay::{Links, Overlay, Question, Then},
};

impl App {
    /// The card from which a link is made: only there it is, as a link that is made can be used.
    pub(super) fn show_links(&mut self) {
        self.overlays.push(Overlay::Links(Links::default()));
        self.ask(Call::Links(NoParams {}));
    }

    /// Makes a link.
    pub(super) fn make_link(&mut self) {
        self.overlays.push(Overlay::Invite(None));
        self.ask(Call::Invite(InviteParams::default()));
    }

    /// What the selected entry of the card leads to.
    pub(super) fn take_link_entry(&mut self, links: Links) {
        let makes = links.selected == 0;
        self.overlays.push(Overlay::Links(links));
        if makes { self.make_link() } else { self.ask_to_revoke() }
    }

    /// Asks whether the selected link is to be taken back.
    pub(super) fn ask_to_revoke(&mut self) {
        let Some(Overlay::Links(links)) = self.overlays.last() else { return };
        let Some(link) = links.selected() else { return };
        if let Some(person) = &link.used_by {
            let name = crate::text::line(&person.name);
            return self.remark(Weight::Note, format!("{name} joined with this link: nobody else can"));
        }
        let id = crate::text::line(&link.id);
        let text = format!(
            "It was made {}. Whoever opens it from now on is refused; you are not told that they tried.",
            self.clock.near(link.created_ms)
        );
        self.question(Question {
            title: format!("Revoke the link {id}?"),
            text,
            no: "No, it stays good",
            yes: "Revoke it",
            then: Then::Ask(Call::Revoke(InviteRevokeParams { id: link.id.clone() })),
            is_yes: false,
        });
    }

    pub(super) fn invited(&mut self, answer: Result<Invite, ApiError>) {
        match (answer, self.overlays.last_mut()) {
            (Ok(invite), Some(Overlay::Invite(card))) => {
                *card = Some(invite);
                self.refresh_links();
            }
            (Ok(_), _) => self.remark(Weight::Note, "A link was made that nobody has seen: revoke it among the links"),
            (Err(error), card) => {
                if matches!(card, Some(Overlay::Invite(None))) {
                    self.overlays.pop();
                }
                self.failed(&error);
            }
        }
    }

    pub(super) fn links_answer(&mut self, answer: Result<Invites, ApiError>) {
        let card = self.overlays.iter_mut().find_map(|overlay| match overlay {
            Overlay::Links(links) => Some(links),
            _ => None,
        });
        match (answer, card) {
            (Ok(invites), Some(links)) => {
                let selected = links.selected().map(|link| link.id.clone());
                let at = invites.invites.iter().position(|link| Some(&link.id) == selected.as_ref());
                links.selected = at.map_or(links.selected, |at| at + 1).min(invites.invites.len());
                links.open = Some(invites.invites);
            }
            (Err(error), Some(_)) => self.failed(&error),
            (_, None) => {}
        }
    }

    pub(super) fn revoked(&mut self, answer: Result<Done, ApiError>) {
        match answer {
            Ok(done) => {
                let id = crate::text::line(&done.id.unwrap_or_default());
                self.remark(Weight::Good, format!("The link {id} is revoked: nobody gets in with it any more"));
            }
            Err(error) => self.failed(&error),
        }
        self.refresh_links();
    }

    /// Reads them again while their card is open.
    pub(super) fn refresh_links(&mut self) {
        if self.overlays.iter().any(|overlay| matches!(overlay, Overlay::Links(_))) {
            self.ask(Call::Links(NoParams {}));
        }
    }
}
