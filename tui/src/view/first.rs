//! The first run, drawn: the form for a new account, and the recovery words.

use ratatui::{
    Frame,
    layout::Position,
    text::{Line, Span},
};

use super::{
    page::{dots, foot, mask, page, room, wrapped},
    position,
};
use crate::{
    app::App,
    commands::Command,
    editor::Editor,
    sign_in::{Field, First, Remark, Words},
    text::{ELLIPSIS, pad, width},
};

/// Columns of the fields' names.
const NAME: usize = 12;

/// What it is, for somebody who has never seen it.
const WHAT: &str = "Messages that only you and whom you write to can read. No phone number and no company: a name, a relay that anyone \
                    can host, and a link for a friend.";

/// For who has no relay, or only looks around.
const WAYS: [(&str, &str); 2] =
    [("A relay of your own, here:", "subrosa-relay --data relay-data"), ("Only looking around?", "subrosa demo")];

const fn name(field: Field) -> &'static str {
    match field {
        Field::Relay => "Relay",
        Field::Token => "Token",
        Field::Handle => "Handle",
        Field::Keep => "Opens with",
        Field::Passphrase => "Passphrase",
        Field::Again => "Again",
        Field::KeyFile => "Key file",
        Field::Make => "",
    }
}

pub(super) fn draw(frame: &mut Frame<'_>, app: &App, form: &First) -> Option<Position> {
    let columns = room(frame);
    let height = usize::from(frame.area().height).saturating_sub(3);
    let fields = fields(app, form, columns);
    let intro = wrapped(WHAT, columns, app.theme.text);
    let ways = ways(app, columns);
    // What there is no room for is left away: the form itself last.
    let with_ways = fields.lines.len() + 1 + ways.len() <= height;
    let with_intro = fields.lines.len() + intro.len() + 1 + if with_ways { 1 + ways.len() } else { 0 } <= height;
    let mut lines = Vec::new();
    if with_intro {
        lines.extend(intro);
        lines.push(Line::default());
    }
    // The field with the cursor is in view at any height.
    let skip = if with_intro { 0 } else { (fields.focus + 3).saturating_sub(height).min(fields.focus) };
    let above = lines.len();
    lines.extend(fields.lines.into_iter().skip(skip));
    if with_ways {
        lines.push(Line::default());
        lines.extend(ways);
    }
    let title = if form.others.is_empty() { "Welcome to Subrosa" } else { "A new account" };
    let inside = page(frame, app, title, lines);
    let back = if form.others.is_empty() { "leave" } else { "back" };
    let go_on = if form.focus == Field::Make { "make it" } else { "next" };
    foot(
        frame,
        app,
        &[
            (Command::Confirm, go_on),
            (Command::Back, back),
            (Command::ChooseDown, "next field"),
            (Command::ChooseUp, "field above"),
        ],
    );
    fields.cursor.map(|at| position(inside, at, above + fields.focus - skip))
}

struct Fields {
    lines: Vec<Line<'static>>,
    /// The row that has the cursor.
    focus: usize,
    cursor: Option<usize>,
}

fn fields(app: &App, form: &First, columns: usize) -> Fields {
    let theme = &app.theme;
    let mut drawn = Fields { lines: Vec::new(), focus: 0, cursor: None };
    for field in form.fields() {
        let focused = form.focus == field && !form.waiting;
        if field == Field::Make {
            drawn.lines.push(Line::default());
        }
        if form.focus == field {
            drawn.focus = drawn.lines.len();
        }
        let remark = form.remark(field);
        let (value, cursor) = value(app, form, field, columns.saturating_sub(NAME + 2));
        let named = if focused { theme.accent } else { theme.dim };
        let mark = match (&remark, focused) {
            (Remark::Good(_), _) => Span::styled(if theme.signs.unicode { "✓ " } else { "+ " }, theme.ok),
            (Remark::Wrong(_), false) if !is_empty(form, field) => Span::styled("! ", theme.error),
            _ => Span::raw("  "),
        };
        if focused {
            drawn.cursor = cursor.map(|at| at + NAME + 2);
        }
        match field {
            Field::Make => drawn.lines.push(make(app, form, focused)),
            _ => drawn.lines.push(Line::from(vec![Span::styled(pad(name(field), NAME), named), mark, value])),
        }
        if focused && field != Field::Make {
            let (text, style) = match &remark {
                Remark::Hint(text) => (text, theme.dim),
                Remark::Good(text) => (text, theme.ok),
                Remark::Wrong(text) => (text, theme.warning),
            };
            let indent = " ".repeat(NAME + 2);
            for row in wrapped(text, columns.saturating_sub(NAME + 2), style) {
                let mut spans = vec![Span::raw(indent.clone())];
                spans.extend(row.spans.into_iter().map(|span| span.patch_style(style)));
                drawn.lines.push(Line::from(spans));
            }
        }
    }
    if let Some(chosen) = &form.room.opens_with {
        let text = format!("It opens with {}, as you chose.", crate::text::line(chosen));
        let at = drawn.lines.len().saturating_sub(2);
        let rows = wrapped(&text, columns, theme.dim);
        if form.focus == Field::Make {
            drawn.focus += rows.len();
        }
        drawn.lines.splice(at..at, rows);
    }
    if let Some(error) = &form.error {
        drawn.lines.extend(wrapped(error, columns, theme.error));
    }
    drawn
}

fn is_empty(form: &First, field: Field) -> bool {
    match field {
        Field::Relay => form.relay.is_blank(),
        Field::Handle => form.handle.is_blank(),
        Field::Again => form.again.is_empty(),
        _ => false,
    }
}

fn make(app: &App, form: &First, focused: bool) -> Line<'static> {
    let theme = &app.theme;
    if form.waiting {
        return Line::styled("the relay is asked …", theme.dim);
    }
    let style = if focused { theme.accent } else { theme.text };
    let mark = if focused { theme.signs.pointer } else { " " };
    Line::from(vec![
        Span::raw(" ".repeat(NAME)),
        Span::styled(format!("{mark} "), theme.accent),
        Span::styled("Make the account", style),
    ])
}

/// What is in a field; where its cursor is.
fn value(app: &App, form: &First, field: Field, columns: usize) -> (Span<'static>, Option<usize>) {
    let hidden = |count: usize| {
        let (dots, at) = dots(app, count);
        (Span::raw(dots), Some(at))
    };
    match field {
        Field::Relay => shown(&form.relay, columns),
        Field::Token => shown(&form.token, columns),
        Field::Handle => shown(&form.handle, columns),
        Field::KeyFile => shown(&form.key_file, columns),
        Field::Passphrase => hidden(form.passphrase.count()),
        Field::Again => hidden(form.again.count()),
        Field::Keep => (Span::raw(format!("< {} >", form.kept.title())), None),
        Field::Make => (Span::raw(""), None),
    }
}

/// The part of a text around its cursor.
fn shown(editor: &Editor, columns: usize) -> (Span<'static>, Option<usize>) {
    let room = columns.saturating_sub(1).max(1);
    let before = width(&editor.text()[..editor.cursor()]);
    if width(editor.text()) <= room {
        return (Span::raw(editor.text().to_owned()), Some(before));
    }
    let hidden = before.saturating_sub(room.saturating_sub(1));
    let mut at = 0;
    let mut text = String::new();
    for grapheme in unicode_segmentation::UnicodeSegmentation::graphemes(editor.text(), true) {
        let wide = width(grapheme);
        if at >= hidden && at + wide <= hidden + room {
            text.push_str(if at == hidden && hidden > 0 { ELLIPSIS } else { grapheme });
        }
        at += wide;
    }
    (Span::raw(text), Some(before - hidden))
}

fn ways(app: &App, columns: usize) -> Vec<Line<'static>> {
    let widest = WAYS.iter().map(|(text, _)| width(text)).max().unwrap_or(0);
    let beside = WAYS.iter().all(|(_, command)| widest + 2 + width(command) <= columns);
    let mut lines = Vec::new();
    for (text, command) in WAYS {
        let command = Span::styled(command, app.theme.strong);
        if beside {
            lines.push(Line::from(vec![Span::styled(pad(text, widest + 2), app.theme.dim), command]));
        } else {
            lines.push(Line::styled(text, app.theme.dim));
            lines.push(Line::from(vec![Span::raw("  "), command]));
        }
    }
    lines
}

/// The recovery words: numbered, and what they are for.
pub(super) fn draw_words(frame: &mut Frame<'_>, app: &App, words: &Words) -> Option<Position> {
    /// Columns of a word and its number: the longest word has eight letters.
    const CELL: usize = 13;
    let theme = &app.theme;
    let columns = room(frame);
    let height = usize::from(frame.area().height).saturating_sub(3);
    let per_row = (columns / CELL).clamp(1, 4);
    let list: Vec<&str> = words.list().collect();
    let rows = list.len().div_ceil(per_row);
    let mut lines = Vec::new();
    let text = "Write these words down, on paper, in their order. They are shown this once. They will prove that the \
                account is yours; no command takes them yet. Against the loss of this device, make backups: subrosa backup.";
    let text = wrapped(text, columns, theme.text);
    if rows + text.len() + 4 <= height {
        lines.extend(text);
        lines.push(Line::default());
    } else {
        lines.extend(wrapped("Write them down on paper: they are shown this once.", columns, theme.text));
    }
    let hidden = mask(app).repeat(6);
    for row in 0..rows {
        let mut spans = Vec::new();
        for (column, word) in list.iter().skip(row * per_row).take(per_row).enumerate() {
            spans.push(Span::styled(format!("{:>2} ", row * per_row + column + 1), theme.dim));
            // While one of them is asked for, they are on paper or they are not.
            let word = if words.asking { hidden.as_str() } else { word };
            spans.push(Span::styled(pad(word, CELL - 3), if words.asking { theme.dim } else { theme.strong }));
        }
        lines.push(Line::from(spans));
    }
    lines.push(Line::default());
    let mut cursor = None;
    if !words.made {
        lines.push(Line::styled("the relay is asked for the account …", theme.dim));
    } else if !words.asking {
        lines.extend(wrapped("The account is made. When you have the words on paper, press Enter.", columns, theme.ok));
    } else {
        let question = format!("Word {}, from your paper: ", words.asked + 1);
        let (value, at) = shown(&words.answer, columns.saturating_sub(width(&question)));
        cursor = at.map(|at| (width(&question) + at, lines.len()));
        lines.push(Line::from(vec![Span::styled(question, theme.accent), value]));
        if words.wrong {
            lines.push(Line::styled("That is another word: look at your paper again.", theme.error));
        } else if words.confirmed && words.opened.is_none() {
            lines.push(Line::styled("opening the account …", theme.dim));
        }
    }
    let inside = page(frame, app, "Your recovery words", lines);
    let go_on = if words.asking { "go on" } else { "I have written them down" };
    let mut keys = vec![(Command::Confirm, go_on)];
    if words.asking && !words.confirmed {
        keys.push((Command::Back, "see them again"));
    }
    keys.push((Command::QuitTwice, "leave"));
    foot(frame, app, &keys);
    cursor.map(|(x, y)| position(inside, x, y))
}
