//! The palette: chats and commands that match what is typed, best first.

use nucleo_matcher::{
    Config, Matcher, Utf32Str,
    pattern::{CaseMatching, Normalization, Pattern},
};

use subrosa_client_core::api::ContactState;

use super::{App, Weight};
use crate::{
    commands::{Command, TABLE},
    editor::Editor,
    message::Effect,
    overlay::{Found, Overlay, Palette, Purpose, Question, Target, Then},
    text,
};

/// More is not looked through by anybody: one types another letter.
const MAX_FOUND: usize = 100;

/// Matches that stand before the offer to search the messages.
const BEFORE_SEARCH: usize = 5;

impl App {
    pub(super) fn open_palette(&mut self, purpose: Purpose) {
        let mut palette =
            Palette { purpose, query: Editor::default(), found: Vec::new(), selected: 0, named: false, chosen: false };
        self.find(&mut palette);
        self.overlays.push(Overlay::Palette(palette));
    }

    /// Copies the web address in the selected message; of several, the one that is chosen. What is opened is shown first: the
    /// place where it leads learns of it.
    pub(super) fn link(&mut self, open: bool) {
        let Some(entry) = self.open.as_ref().and_then(|open| open.selected()) else { return };
        let mut links: Vec<String> = Vec::new();
        for link in entry.links.iter().take(MAX_FOUND).map(|link| &entry.body[link.clone()]) {
            if !links.iter().any(|known| known == link) {
                links.push(link.to_owned());
            }
        }
        match &*links {
            [] => {}
            [only] if !open => self.take_link(false, &text::address(only)),
            _ => self.open_palette(if open { Purpose::OpenLink(links) } else { Purpose::CopyLink(links) }),
        }
    }

    fn take_link(&mut self, open: bool, address: &str) {
        if open {
            self.effects.push(Effect::OpenLink(address.to_owned()));
            self.remark(Weight::Note, format!("Opening {address}"));
        } else {
            self.copy(address.to_owned());
        }
    }

    /// Searches anew for what is typed.
    pub(super) fn find(&self, palette: &mut Palette) {
        if let Purpose::OpenLink(links) | Purpose::CopyLink(links) = &palette.purpose {
            let entry = |link: &String| {
                let target = Target::Link(text::address(link));
                Found { title: link.clone(), target, matched: Vec::new() }
            };
            palette.found = matching(links.iter().map(entry), palette.query.text());
            palette.selected = 0;
            palette.chosen = false;
            return;
        }
        let chats = (palette.purpose != Purpose::Commands)
            .then(|| {
                // A text is sent on to people who can be written to.
                let forwards = matches!(palette.purpose, Purpose::Forward(_));
                let may = move |state| !forwards || matches!(state, ContactState::Ok | ContactState::Requested);
                let rows = self.chats.all().filter(move |row| may(row.state));
                rows.map(|row| (row.name.clone(), Target::Chat(row.id.clone())))
            })
            .into_iter()
            .flatten();
        let commands = (!matches!(palette.purpose, Purpose::Forward(_)))
            .then(|| {
                TABLE
                    .iter()
                    .filter(|spec| spec.palette && self.applies(spec.command))
                    .map(|spec| (format!("{}: {}", spec.title, spec.help), Target::Command(spec.command)))
            })
            .into_iter()
            .flatten();
        let all = chats.chain(commands).map(|(title, target)| Found { title, target, matched: Vec::new() });
        // A colon is how commands begin in editors.
        let query = palette.query.text().trim().trim_start_matches(':');
        palette.found = matching(all, query);
        palette.named = self.name_first(palette);
        palette.chosen = false;
        let words = palette.query.text().trim();
        if palette.purpose == Purpose::Everything && !words.is_empty() {
            let title = format!("Search all messages for: {words}");
            let target = Target::Words(words.to_owned());
            // After the best matches, where it is seen at every size.
            let at = palette.found.len().min(BEFORE_SEARCH);
            palette.found.insert(at, Found { title, target, matched: Vec::new() });
        }
        palette.selected = 0;
    }

    /// Puts the command that is called exactly as was typed before all guesses. Short words for commands are for where only
    /// commands are looked for: elsewhere they begin names of people.
    fn name_first(&self, palette: &mut Palette) -> bool {
        let typed = palette.query.text().trim();
        let commands = palette.purpose == Purpose::Commands || typed.starts_with(':');
        if matches!(palette.purpose, Purpose::Forward(_)) {
            return false;
        }
        let spelled = |command: Command| {
            [command.spec().name, command.spec().title].iter().any(|name| name.eq_ignore_ascii_case(typed))
        };
        let Some(command) = Command::called(typed).filter(|command| commands || spelled(*command)) else {
            return false;
        };
        if !self.applies(command) {
            return false;
        }
        let spec = command.spec();
        let target = Target::Command(command);
        let known = palette.found.iter().position(|found| found.target == target);
        let entry = match known {
            Some(at) => palette.found.remove(at),
            None => Found { title: format!("{}: {}", spec.title, spec.help), target, matched: Vec::new() },
        };
        palette.found.insert(0, entry);
        true
    }

    /// Asks whether a text is to be sent on to this chat.
    fn ask_to_forward(&mut self, chat: &str, body: String) {
        /// Columns of the text that are shown: enough to know it again.
        const SHOWN: usize = 120;
        let Some(name) = self.chats.get(chat).map(|row| row.name.clone()) else { return };
        let shown = text::line(body.trim());
        let text = format!(
            "\u{201c}{}\u{201d} goes to {name}, marked as forwarded: they see that somebody else wrote it, not who.",
            text::fit(&shown, SHOWN)
        );
        self.question(Question {
            title: format!("Forward to {name}?"),
            text,
            no: "No, send nothing",
            yes: "Forward it",
            then: Then::Forward { chat: chat.to_owned(), text: body },
            is_yes: false,
        });
    }

    /// Sends somebody else's text on, and goes where it went.
    pub(super) fn forward(&mut self, chat: &str, body: String) {
        self.open_chat(chat);
        self.send_text(chat, body, None, true);
    }

    pub(super) fn take_found(&mut self, purpose: Purpose, target: &Target) {
        match (purpose, target) {
            (Purpose::Forward(body), Target::Chat(chat)) => {
                self.ask_to_forward(chat, body);
            }
            (purpose, Target::Link(address)) => self.take_link(matches!(purpose, Purpose::OpenLink(_)), address),
            (_, Target::Chat(chat)) => self.open_chat(chat),
            (_, Target::Words(words)) => self.open_search(false, words),
            (_, Target::Command(command)) => self.run(*command),
        }
    }
}

impl Palette {
    /// The command that this entry would run although nobody named or chose it, and that must not be guessed.
    pub(super) fn guess(&self, found: &Found) -> Option<Command> {
        match found.target {
            Target::Command(command) => {
                let meant = self.chosen || (self.named && self.selected == 0) || command.may_be_guessed();
                (!meant).then_some(command)
            }
            _ => None,
        }
    }
}

/// The entries that match, best first; all of them, in their order, for an empty query.
fn matching(all: impl Iterator<Item = Found>, query: &str) -> Vec<Found> {
    if query.trim().is_empty() {
        return all.take(MAX_FOUND).collect();
    }
    let mut matcher = Matcher::new(Config::DEFAULT);
    let pattern = Pattern::parse(query, CaseMatching::Ignore, Normalization::Smart);
    let mut letters = Vec::new();
    let mut scored: Vec<(u32, Found)> = all
        .filter_map(|mut found| {
            let mut matched = Vec::new();
            let score = pattern.indices(Utf32Str::new(&found.title, &mut letters), &mut matcher, &mut matched)?;
            matched.sort_unstable();
            matched.dedup();
            found.matched = matched;
            Some((score, found))
        })
        .collect();
    // Stable: what is equally good stays in its order, newest chats first.
    scored.sort_by_key(|(score, _)| std::cmp::Reverse(*score));
    scored.into_iter().take(MAX_FOUND).map(|(_, found)| found).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_match_comes_first_and_says_what_matched() {
        let entry = |title: &str| Found {
            title: title.to_owned(),
            target: Target::Command(Command::Quit),
            matched: Vec::new(),
        };
        let all = || ["Maria", "Robin", "Robert Inman", "世界"].map(entry).into_iter();
        let titles = |query: &str| matching(all(), query).into_iter().map(|found| found.title).collect::<Vec<_>>();
        assert_eq!(titles("").len(), 4);
        assert_eq!(titles("robin")[0], "Robin");
        assert_eq!(titles("rin").len(), 2);
        assert_eq!(titles("世"), ["世界"]);
        assert!(titles("xyz").is_empty());
        assert_eq!(matching(all(), "rob")[0].matched, [0, 1, 2]);
    }
}
