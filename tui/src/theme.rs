//! How things look: styles by role and the signs, in full colour, without colour, and in ASCII.
//!
//! Views ask for a role (`own`, `dim`, `tick_read`), never for a colour. The default theme uses the terminal's own sixteen
//! colours, so it follows the person's palette on dark and on light; what is told by colour is also told by a sign or a weight.

use std::str::FromStr as _;

use ratatui::style::{Color, Modifier, Style};
use serde::Deserialize;
use subrosa_client_core::{api::MessageStatus, ticks};

/// Signs that differ between Unicode and ASCII.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Signs {
    pub(crate) unicode: bool,
    pub(crate) vertical: &'static str,
    pub(crate) horizontal: &'static str,
    pub(crate) pointer: &'static str,
    pub(crate) selected: &'static str,
    pub(crate) dot: &'static str,
    pub(crate) ring: &'static str,
    pub(crate) down: &'static str,
    pub(crate) reply: &'static str,
    pub(crate) quote: &'static str,
    pub(crate) forwarded: &'static str,
    pub(crate) separator: &'static str,
    pub(crate) muted: &'static str,
    pub(crate) pinned: &'static str,
    pub(crate) draft: &'static str,
    pub(crate) request: &'static str,
    pub(crate) verified: &'static str,
    pub(crate) more: &'static str,
}

const UNICODE: Signs = Signs {
    unicode: true,
    vertical: "│",
    horizontal: "─",
    pointer: "▸",
    selected: "▌",
    dot: "●",
    ring: "○",
    down: "↓",
    reply: "↪",
    quote: "▎",
    forwarded: "»",
    separator: "·",
    muted: "∅",
    pinned: "⌃",
    draft: "✎",
    request: "?",
    verified: "✔",
    more: "…",
};

const ASCII: Signs = Signs {
    unicode: false,
    vertical: "|",
    horizontal: "-",
    pointer: ">",
    selected: ">",
    dot: "*",
    ring: "o",
    down: "v",
    reply: ">",
    quote: "|",
    forwarded: ">>",
    separator: "-",
    muted: "x",
    pinned: "^",
    draft: "~",
    request: "?",
    verified: "ok",
    more: "...",
};

/// Styles by role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Theme {
    pub(crate) signs: Signs,
    /// `false`: weights and signs only.
    pub(crate) colour: bool,
    pub(crate) text: Style,
    /// What matters less: times, hints, lines.
    pub(crate) dim: Style,
    /// Titles.
    pub(crate) strong: Style,
    /// What can be pressed, what is selected, unread counts.
    pub(crate) accent: Style,
    /// Our own name.
    pub(crate) own: Style,
    /// Names of others, chosen by their id.
    pub(crate) names: Vec<Style>,
    /// The selected row or message.
    pub(crate) selected: Style,
    pub(crate) line: Style,
    /// The line before new messages.
    pub(crate) new: Style,
    pub(crate) read: Style,
    pub(crate) ok: Style,
    pub(crate) warning: Style,
    pub(crate) error: Style,
    /// A match of what was searched for.
    pub(crate) found: Style,
    pub(crate) link: Style,
}

/// A role that a person may recolour: its name, its style, and whether the colour is the one behind the letters.
type Role = (&'static str, fn(&mut Theme) -> &mut Style, bool);

const ROLES: &[Role] = &[
    ("text", |theme| &mut theme.text, false),
    ("dim", |theme| &mut theme.dim, false),
    ("strong", |theme| &mut theme.strong, false),
    ("accent", |theme| &mut theme.accent, false),
    ("own", |theme| &mut theme.own, false),
    ("line", |theme| &mut theme.line, false),
    ("new", |theme| &mut theme.new, false),
    ("read", |theme| &mut theme.read, false),
    ("ok", |theme| &mut theme.ok, false),
    ("warning", |theme| &mut theme.warning, false),
    ("error", |theme| &mut theme.error, false),
    ("link", |theme| &mut theme.link, false),
    ("selected", |theme| &mut theme.selected, true),
    ("found", |theme| &mut theme.found, true),
];

/// Names of the built-in themes.
pub const THEMES: &[&str] = &["calm", "calm-light", "contrast", "dusk", "plain"];

impl Theme {
    /// A built-in theme.
    pub(crate) fn named(name: &str) -> Option<Self> {
        let plain = Style::new();
        let fg = |colour: Color| plain.fg(colour);
        let bold = |colour: Color| plain.fg(colour).add_modifier(Modifier::BOLD);
        let calm = Self {
            signs: UNICODE,
            colour: true,
            text: plain,
            dim: fg(Color::DarkGray),
            strong: plain.add_modifier(Modifier::BOLD),
            accent: bold(Color::Cyan),
            own: fg(Color::Cyan),
            names: [Color::Green, Color::Magenta, Color::Yellow, Color::Blue, Color::LightRed, Color::LightGreen]
                .map(fg)
                .to_vec(),
            selected: plain.bg(Color::Indexed(236)),
            line: fg(Color::Indexed(240)),
            new: bold(Color::Yellow),
            read: bold(Color::LightBlue),
            ok: fg(Color::Green),
            warning: fg(Color::Yellow),
            error: bold(Color::Red),
            found: plain.fg(Color::Black).bg(Color::Yellow),
            link: plain.add_modifier(Modifier::UNDERLINED),
        };
        Some(match name {
            "calm" => Self { dim: fg(Color::Indexed(245)), ..calm },
            "calm-light" => Self {
                dim: fg(Color::Indexed(242)),
                line: fg(Color::Indexed(250)),
                accent: bold(Color::Indexed(25)),
                own: fg(Color::Indexed(25)),
                names: [28, 90, 130, 24, 124, 64].map(|index| fg(Color::Indexed(index))).to_vec(),
                selected: plain.bg(Color::Indexed(254)),
                new: bold(Color::Indexed(130)),
                read: bold(Color::Indexed(26)),
                ok: fg(Color::Indexed(28)),
                warning: fg(Color::Indexed(130)),
                error: bold(Color::Indexed(124)),
                ..calm
            },
            "contrast" => Self {
                dim: plain,
                line: plain,
                selected: plain.add_modifier(Modifier::REVERSED),
                accent: bold(Color::LightYellow),
                own: bold(Color::LightCyan),
                names: [Color::LightGreen, Color::LightMagenta, Color::LightYellow, Color::White].map(bold).to_vec(),
                ..calm
            },
            "dusk" => Self {
                dim: fg(Color::Rgb(0x7f, 0x84, 0x9c)),
                line: fg(Color::Rgb(0x45, 0x47, 0x5a)),
                accent: bold(Color::Rgb(0xcb, 0xa6, 0xf7)),
                own: fg(Color::Rgb(0xcb, 0xa6, 0xf7)),
                names: [
                    (0xa6, 0xe3, 0xa1),
                    (0xfa, 0xb3, 0x87),
                    (0x94, 0xe2, 0xd5),
                    (0xf5, 0xc2, 0xe7),
                    (0x89, 0xb4, 0xfa),
                ]
                .map(|(r, g, b)| fg(Color::Rgb(r, g, b)))
                .to_vec(),
                selected: plain.bg(Color::Rgb(0x31, 0x32, 0x44)),
                new: bold(Color::Rgb(0xf9, 0xe2, 0xaf)),
                read: bold(Color::Rgb(0x89, 0xdc, 0xeb)),
                ok: fg(Color::Rgb(0xa6, 0xe3, 0xa1)),
                warning: fg(Color::Rgb(0xf9, 0xe2, 0xaf)),
                error: bold(Color::Rgb(0xf3, 0x8b, 0xa8)),
                ..calm
            },
            "plain" => Self::without_colour(UNICODE),
            _ => return None,
        })
    }

    /// Weights only: `NO_COLOR`.
    pub(crate) fn without_colour(signs: Signs) -> Self {
        let plain = Style::new();
        let bold = plain.add_modifier(Modifier::BOLD);
        let dim = plain.add_modifier(Modifier::DIM);
        let reversed = plain.add_modifier(Modifier::REVERSED);
        Self {
            signs,
            colour: false,
            text: plain,
            dim,
            strong: bold,
            accent: bold,
            own: bold,
            names: vec![bold],
            selected: reversed,
            line: dim,
            new: bold,
            read: bold,
            ok: plain,
            warning: bold,
            error: bold,
            found: reversed,
            link: plain.add_modifier(Modifier::UNDERLINED),
        }
    }

    /// What this terminal can show of a theme.
    pub(crate) fn limited(self, colour: bool, unicode: bool) -> Self {
        let signs = if unicode { UNICODE } else { ASCII };
        if colour { Self { signs, ..self } } else { Self::without_colour(signs) }
    }

    /// The theme with some roles changed.
    ///
    /// # Errors
    /// The first colour that is none, or role that there is not.
    pub(crate) fn changed(mut self, changes: &Changes) -> Result<Self, String> {
        for (role, text) in &changes.0 {
            let colour = Color::from_str(text).map_err(|_| {
                format!("[tui.colours] {role} = {text:?} is no colour: write red, #ff8800, or a number up to 255")
            })?;
            let (_, place, ground) = ROLES.iter().find(|(name, ..)| name == role).ok_or_else(|| {
                let names: Vec<&str> = ROLES.iter().map(|(name, ..)| *name).collect();
                format!("[tui.colours] there is no role named {role:?}; there are {}", names.join(", "))
            })?;
            let place = place(&mut self);
            *place = if *ground { place.bg(colour) } else { place.fg(colour) };
        }
        Ok(self)
    }

    /// The style of somebody's name: the same one every time.
    pub(crate) fn name(&self, id: &str) -> Style {
        let sum = id.bytes().fold(0_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(usize::from(byte)));
        self.names.get(sum % self.names.len().max(1)).copied().unwrap_or(self.strong)
    }

    /// How far a message got: sign and style. Every state has a sign of its own in every set.
    pub(crate) fn tick(&self, status: MessageStatus) -> (&'static str, Style) {
        let style = match status {
            MessageStatus::Read => self.read,
            MessageStatus::Failed | MessageStatus::Expired => self.error,
            _ => self.dim,
        };
        (ticks::sign(status, self.colour, self.signs.unicode), style)
    }
}

/// Colours by role, from the configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct Changes(pub(crate) std::collections::BTreeMap<String, String>);

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashSet};

    use super::*;

    #[test]
    fn every_state_of_a_message_looks_different_everywhere() {
        use MessageStatus::{Delivered, Expired, Failed, Queued, Read, Sent};
        for name in THEMES {
            for (colour, unicode) in [(true, true), (true, false), (false, true), (false, false)] {
                let theme = Theme::named(name).unwrap().limited(colour, unicode);
                let all = [Queued, Sent, Delivered, Read, Failed, Expired].map(|status| theme.tick(status));
                assert_eq!(all.iter().collect::<HashSet<_>>().len(), all.len(), "{name} {colour} {unicode}");
                assert!(unicode || all.iter().all(|(sign, _)| sign.is_ascii()));
                if !colour {
                    let signs: HashSet<_> = all.iter().map(|(sign, _)| sign).collect();
                    assert_eq!(signs.len(), all.len(), "without colour the signs alone differ");
                }
            }
        }
        assert!(Theme::named("no such theme").is_none());
    }

    #[test]
    fn a_theme_is_changed_by_role_and_mistakes_are_named() {
        let changes = |role: &str, colour: &str| Changes(BTreeMap::from([(role.to_owned(), colour.to_owned())]));
        let calm = || Theme::named("calm").unwrap();
        assert_eq!(calm().changed(&changes("own", "#ff8800")).unwrap().own.fg, Some(Color::Rgb(255, 136, 0)));
        for (role, _, ground) in ROLES {
            let mut theme = calm().changed(&changes(role, "#010203")).unwrap();
            let style = ROLES.iter().find(|(name, ..)| name == role).map(|(_, place, _)| *place(&mut theme)).unwrap();
            assert_eq!(if *ground { style.bg } else { style.fg }, Some(Color::Rgb(1, 2, 3)), "{role}");
        }
        let error = |role, colour| calm().changed(&changes(role, colour)).unwrap_err();
        assert_eq!(
            error("own", "no colour"),
            "[tui.colours] own = \"no colour\" is no colour: write red, #ff8800, or a number up to 255"
        );
        assert!(error("moustache", "red").contains("no role named \"moustache\"; there are text, dim,"));
    }
}
