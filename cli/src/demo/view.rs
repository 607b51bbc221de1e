//! The live chat's picture: a pure function of what is known.

use ratatui::{
    Frame,
    layout::{Constraint, Layout, Position, Rect},
    style::{Color, Modifier, Style},
    text::{Line, Span},
    widgets::{Block, Borders, Paragraph},
};
use subrosa_client_core::{
    api::{Message, MessageStatus},
    clean::{clean_line, clean_text},
};
use unicode_segmentation::UnicodeSegmentation as _;
use unicode_width::UnicodeWidthStr as _;

use super::editor::Editor;
use crate::output::{human::fit, ticks::Ticks, time};

/// Columns of `09:41 robin  `.
const MARGIN: usize = 13;

/// Below this there is no room for a conversation.
const SMALLEST: (u16, u16) = (30, 6);

/// Everything the picture shows.
pub(super) struct View<'a> {
    pub(super) messages: &'a [Message],
    pub(super) editor: &'a Editor,
    /// The relay, and whether it is reached.
    pub(super) status: &'a str,
    /// Lines scrolled up from the newest.
    pub(super) scroll: usize,
    pub(super) ticks: Ticks,
}

/// Draws it; returns how far it can be scrolled.
pub(super) fn draw(frame: &mut Frame<'_>, view: &View<'_>) -> usize {
    let area = frame.area();
    if area.width < SMALLEST.0 || area.height < SMALLEST.1 {
        frame.render_widget(Paragraph::new("terminal too small"), area);
        return 0;
    }
    let [head, body, input, foot] =
        Layout::vertical([Constraint::Length(1), Constraint::Min(1), Constraint::Length(2), Constraint::Length(1)])
            .areas(area);
    let bold = Style::new().add_modifier(Modifier::BOLD);
    let dim = Style::new().add_modifier(Modifier::DIM);
    let title = Line::from(vec![
        Span::styled("robin", bold),
        Span::styled("  verified by contact link, end-to-end encrypted", dim),
    ]);
    frame.render_widget(Paragraph::new(title), head);

    let lines: Vec<Line<'_>> =
        view.messages.iter().flat_map(|message| message_lines(message, usize::from(body.width), view.ticks)).collect();
    let height = usize::from(body.height);
    let furthest = lines.len().saturating_sub(height);
    let first = furthest - view.scroll.min(furthest);
    let shown: Vec<Line<'_>> = lines.into_iter().skip(first).take(height).collect();
    // The newest message stands above the input line, also while there are few.
    let blank = u16::try_from(height - shown.len()).unwrap_or(0);
    let place = Rect { y: body.y + blank, height: body.height - blank, ..body };
    frame.render_widget(Paragraph::new(shown), place);

    draw_input(frame, view.editor, input);
    let below = if view.scroll.min(furthest) > 0 { "newer messages below  " } else { "" };
    let foot_line = format!("{below}{}  ·  Enter sends  ·  Ctrl-C ends, all is removed", view.status);
    frame.render_widget(Paragraph::new(Span::styled(foot_line, dim)), foot);
    furthest
}

fn draw_input(frame: &mut Frame<'_>, editor: &Editor, area: Rect) {
    let block = Block::new().borders(Borders::TOP);
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let prompt = "> ";
    let room = usize::from(inner.width).saturating_sub(prompt.len() + 1);
    // The part around the cursor, if the whole is wider than the line.
    let hidden = editor.column().saturating_sub(room);
    let mut column = 0;
    let text: String = editor
        .text()
        .graphemes(true)
        .filter(|grapheme| {
            let begin = column;
            column += grapheme.width();
            begin >= hidden && column - hidden <= room
        })
        .collect();
    frame.render_widget(Paragraph::new(format!("{prompt}{text}")), inner);
    let cursor = prompt.len() + editor.column() - hidden;
    let x = inner.x + u16::try_from(cursor).unwrap_or(0).min(inner.width.saturating_sub(1));
    frame.set_cursor_position(Position { x, y: inner.y });
}

fn message_lines(message: &Message, width: usize, ticks: Ticks) -> Vec<Line<'static>> {
    let name = if message.outgoing { "you" } else { &message.from.name };
    let colour = if message.outgoing { Color::Cyan } else { Color::Green };
    let colour = |style: Style| if ticks.colour { style.fg(colour) } else { style };
    let sign = message.status.map(|status| (format!("  {}", ticks.sign(status)), tick_style(status, ticks)));
    let sign_width = sign.as_ref().map_or(0, |(text, _)| text.width());
    let room = width.saturating_sub(MARGIN + sign_width).max(1);
    let mut lines: Vec<Line<'static>> = Vec::new();
    for row in clean_text(&message.body).lines().flat_map(|line| wrap(line, room)) {
        let margin = if lines.is_empty() {
            let head = format!("{:>5} ", time::clock(message.ts_ms));
            vec![
                Span::styled(head, Style::new().add_modifier(Modifier::DIM)),
                Span::styled(
                    fit(&clean_line(name), MARGIN - 7) + " ",
                    colour(Style::new().add_modifier(Modifier::BOLD)),
                ),
            ]
        } else {
            vec![Span::raw(" ".repeat(MARGIN))]
        };
        lines.push(Line::from([margin, vec![Span::raw(row)]].concat()));
    }
    if let (Some(last), Some((text, style))) = (lines.last_mut(), sign) {
        last.push_span(Span::styled(text, style));
    }
    lines
}

fn tick_style(status: MessageStatus, ticks: Ticks) -> Style {
    match status {
        MessageStatus::Read if ticks.colour => Style::new().fg(Color::LightBlue).add_modifier(Modifier::BOLD),
        MessageStatus::Read => Style::new().add_modifier(Modifier::BOLD),
        MessageStatus::Failed | MessageStatus::Expired if ticks.colour => Style::new().fg(Color::Red),
        _ => Style::new().add_modifier(Modifier::DIM),
    }
}

/// Breaks a line at spaces, and words that are too long between graphemes.
fn wrap(line: &str, width: usize) -> Vec<String> {
    let mut rows = vec![String::new()];
    let mut used = 0;
    let begin_row = |rows: &mut Vec<String>, used: &mut usize| {
        rows.push(String::new());
        *used = 0;
    };
    for word in line.split_inclusive(' ') {
        let shown = word.trim_end_matches(' ').width();
        if used > 0 && used + shown > width {
            begin_row(&mut rows, &mut used);
        }
        for grapheme in word.graphemes(true) {
            let columns = grapheme.width();
            if used + columns > width {
                if grapheme == " " {
                    continue;
                }
                if used > 0 {
                    begin_row(&mut rows, &mut used);
                }
            }
            if let Some(row) = rows.last_mut() {
                row.push_str(grapheme);
            }
            used += columns;
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use ratatui::{Terminal, backend::TestBackend};
    use subrosa_client_core::api::Person;

    use super::*;

    fn message(outgoing: bool, body: &str, status: Option<MessageStatus>) -> Message {
        Message {
            id: "1".to_owned(),
            chat: "c".to_owned(),
            from: Person { id: "r".to_owned(), name: "robin".to_owned() },
            outgoing,
            ts_ms: time::now_ms(),
            body: body.to_owned(),
            status,
            ..Message::default()
        }
    }

    fn picture(width: u16, height: u16, messages: &[Message], scroll: usize, input: &str) -> (Vec<String>, usize) {
        let mut editor = Editor::default();
        editor.insert(input);
        let ticks = Ticks { colour: false, unicode: true };
        let view = View { messages, editor: &editor, status: "relay online", scroll, ticks };
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        let mut furthest = 0;
        terminal.draw(|frame| furthest = draw(frame, &view)).unwrap();
        let buffer = terminal.backend().buffer();
        let rows = (0..height)
            .map(|y| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>().trim_end().to_owned())
            .collect();
        (rows, furthest)
    }

    #[test]
    fn the_newest_messages_stand_above_the_input_with_their_ticks() {
        let messages = [
            message(false, "Hi, I am Robin.", None),
            message(true, "hello", Some(MessageStatus::Read)),
            message(true, "waiting", Some(MessageStatus::Queued)),
        ];
        let (rows, furthest) = picture(60, 10, &messages, 0, "typing");
        assert!(rows[0].starts_with("robin"));
        assert!(rows[4].ends_with("robin  Hi, I am Robin."), "{rows:#?}");
        assert!(rows[5].ends_with("you    hello  ✓✓*"), "{rows:#?}");
        assert!(rows[6].ends_with("waiting  ◷"), "{rows:#?}");
        assert_eq!(rows[8], "> typing");
        assert!(rows[9].contains("relay online"));
        assert_eq!(furthest, 0);
    }

    #[test]
    fn scrolling_shows_older_messages_and_stops_at_the_first() {
        let messages: Vec<Message> = (0..20).map(|n| message(false, &format!("number {n}"), None)).collect();
        let (rows, furthest) = picture(60, 10, &messages, 0, "");
        assert!(rows[6].ends_with("number 19"), "{rows:#?}");
        assert_eq!(furthest, 14);
        let (rows, _) = picture(60, 10, &messages, 1_000, "");
        assert!(rows[1].ends_with("number 0"), "{rows:#?}");
        assert!(rows[9].contains("newer messages below"));
    }

    #[test]
    fn hostile_text_and_tiny_terminals_are_survived() {
        let messages =
            [message(false, "\x1b[2J\u{202E}👩‍👩‍👧‍👦世界\u{0}\n\n\n", None), message(true, &"x".repeat(5_000), None)];
        for (width, height) in [(1, 1), (29, 5), (30, 6), (31, 7), (200, 60)] {
            let (rows, _) = picture(width, height, &messages, 3, &"世".repeat(500));
            assert!(rows.iter().all(|row| !row.contains('\x1b') && !row.contains('\u{202E}')));
        }
    }

    #[test]
    fn lines_break_at_spaces_and_long_words_between_graphemes() {
        assert_eq!(wrap("one two three", 8), ["one two ", "three"]);
        assert_eq!(wrap("abcdefghij", 4), ["abcd", "efgh", "ij"]);
        assert_eq!(wrap("世界世界", 5), ["世界", "世界"]);
        assert_eq!(wrap("", 5), [""]);
        assert_eq!(wrap("世", 1), ["世"], "what is wider than the line is not lost");
    }
}
