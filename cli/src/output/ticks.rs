//! How far a message got, in a glance: ◷ ✓ ✓✓, and ✓✓ bold and blue once it is read.

use anstyle::{AnsiColor, Style};
pub(crate) use subrosa_client_core::ticks::name;
use subrosa_client_core::{api::MessageStatus, ticks};

/// What the terminal can show. Without colour and without Unicode every state still differs from the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ticks {
    /// Colours and bold.
    pub(crate) colour: bool,
    /// More than ASCII.
    pub(crate) unicode: bool,
}

impl Ticks {
    /// The sign alone, without colour codes.
    pub(crate) const fn sign(self, status: MessageStatus) -> &'static str {
        ticks::sign(status, self.colour, self.unicode)
    }

    /// The sign in its colour.
    pub(crate) fn show(self, status: MessageStatus) -> String {
        let style = match status {
            MessageStatus::Read => Style::new().bold().fg_color(Some(AnsiColor::BrightBlue.into())),
            MessageStatus::Failed | MessageStatus::Expired => Style::new().fg_color(Some(AnsiColor::Red.into())),
            _ => Style::new().dimmed(),
        };
        self.paint(self.sign(status), style)
    }

    /// Text in a style, if there are styles.
    pub(crate) fn paint(self, text: &str, style: Style) -> String {
        if self.colour { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }

    /// Text that matters less.
    pub(crate) fn dim(self, text: &str) -> String {
        self.paint(text, Style::new().dimmed())
    }

    /// Text that matters more.
    pub(crate) fn bold(self, text: &str) -> String {
        self.paint(text, Style::new().bold())
    }
}

/// Whether the locale's characters are UTF-8: the first of the three variables that is set decides.
pub(crate) fn locale_is_utf8() -> bool {
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()));
    locale.is_some_and(|locale| {
        let locale = locale.to_ascii_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [MessageStatus; 6] = [
        MessageStatus::Queued,
        MessageStatus::Sent,
        MessageStatus::Delivered,
        MessageStatus::Read,
        MessageStatus::Failed,
        MessageStatus::Expired,
    ];

    #[test]
    fn every_state_looks_different_on_every_terminal() {
        for (colour, unicode) in [(false, false), (false, true), (true, false), (true, true)] {
            let ticks = Ticks { colour, unicode };
            let shown: std::collections::HashSet<_> = ALL.map(|status| ticks.show(status)).into_iter().collect();
            assert_eq!(shown.len(), ALL.len(), "{ticks:?}: {shown:?}");
            assert!(unicode || shown.iter().all(|text| text.is_ascii()));
            assert!(colour || shown.iter().all(|text| !text.contains('\x1b')));
        }
    }
}
