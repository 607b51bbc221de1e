//! A terminal's screen as SVG.
//!
//! Text is text, in runs of one style, each stretched to the cells that it takes, so that columns hold whatever font is there.
//! Lines, blocks and bars are drawn as shapes: fonts leave gaps between them.

use std::fmt::Write as _;

use subrosa_pty::{Cell, Color, Screen};

/// Size of a cell. Most fixed-width fonts are six tenths as wide as high.
const CELL: (f64, f64) = (8.4, 18.0);

const FONT_SIZE: f64 = 14.0;

/// From the top of a cell to the line that letters stand on.
const BASELINE: f64 = 13.5;

/// Round the screen.
const PADDING: f64 = 12.0;

/// The window's title.
const BAR: f64 = 30.0;

const FONTS: &str = "ui-monospace, SFMono-Regular, 'DejaVu Sans Mono', 'Liberation Mono', Menlo, Consolas, 'Noto Color Emoji', monospace";

/// Drawn, not written.
const SHAPES: &str = "─│╭╮╰╯█▀▄▌▎";

/// The colours that a terminal's owner chooses.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    background: &'static str,
    text: &'static str,
    bar: &'static str,
    border: &'static str,
    /// The first sixteen.
    palette: [&'static str; 16],
}

/// A dark terminal.
pub const DARK: Look = Look {
    background: "#1b1d23",
    text: "#d4d7dd",
    bar: "#25282f",
    border: "#3a3e47",
    palette: [
        "#1b1d23", "#e06c75", "#98c379", "#e5c07b", "#61afef", "#c678dd", "#56b6c2", "#d4d7dd", //
        "#7f848e", "#ef8891", "#b1d995", "#f0d197", "#7cc3ff", "#d898ea", "#74ccd7", "#ffffff",
    ],
};

/// A light terminal.
pub const LIGHT: Look = Look {
    background: "#fcfcfa",
    text: "#26292e",
    bar: "#eeeeea",
    border: "#cfcfca",
    palette: [
        "#26292e", "#b3261e", "#2e7d32", "#8a6100", "#1f5fbf", "#8e3a9d", "#00707a", "#d9d9d4", //
        "#6b7078", "#cf3b32", "#3f9143", "#a37300", "#2f74d8", "#a650b5", "#0f8a95", "#ffffff",
    ],
};

impl Look {
    /// Whether two cells beside each other are drawn as one shape.
    fn joins(self, one: &Cell, other: &Cell) -> bool {
        matches!(one.contents(), "─" | "█" | "▀" | "▄")
            && one.contents() == other.contents()
            && self.style(one) == self.style(other)
    }

    fn style(self, cell: &Cell) -> Style {
        let colour = if cell.inverse() {
            self.colour(cell.bgcolor(), self.background)
        } else {
            self.colour(cell.fgcolor(), self.text)
        };
        Style { colour, bold: cell.bold(), dim: cell.dim(), italic: cell.italic(), underline: cell.underline() }
    }

    /// What lies under a cell, unless it is the terminal's own.
    fn ground(self, cell: &Cell) -> Option<String> {
        if cell.inverse() {
            return Some(self.colour(cell.fgcolor(), self.text));
        }
        (cell.bgcolor() != Color::Default).then(|| self.colour(cell.bgcolor(), self.background))
    }

    fn colour(self, colour: Color, default: &str) -> String {
        match colour {
            Color::Default => default.to_owned(),
            Color::Rgb(red, green, blue) => format!("#{red:02x}{green:02x}{blue:02x}"),
            Color::Idx(index @ 0..16) => self.palette[usize::from(index)].to_owned(),
            // A cube of six steps a colour, then greys.
            Color::Idx(index @ 16..232) => {
                let step = |part: u8| if part == 0 { 0 } else { 55 + 40 * part };
                let index = index - 16;
                let [red, green, blue] = [index / 36, index / 6 % 6, index % 6].map(step);
                format!("#{red:02x}{green:02x}{blue:02x}")
            }
            Color::Idx(index) => {
                let grey = 8 + 10 * (index - 232);
                format!("#{grey:02x}{grey:02x}{grey:02x}")
            }
        }
    }
}

/// How a cell's text looks.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Style {
    colour: String,
    bold: bool,
    dim: bool,
    italic: bool,
    underline: bool,
}

/// Cells of a row with one style.
#[derive(Debug)]
struct Run {
    column: u16,
    columns: u16,
    text: String,
    style: Style,
}

/// The screen in a modest window.
#[must_use]
pub fn svg(screen: &Screen, title: &str, look: Look) -> String {
    let (rows, columns) = screen.size();
    let (width, height) = (
        f64::from(columns.get()).mul_add(CELL.0, 2.0 * PADDING),
        f64::from(rows.get()).mul_add(CELL.1, BAR + 2.0 * PADDING),
    );
    let mut page = Page { look, text: String::new(), styles: Vec::new() };
    for row in 0..rows.get() {
        page.row(screen, row, columns.get());
    }
    let mut out = String::new();
    let title = escape(title);
    // Writing to a string does not fail.
    let _ = write!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.1} {height:.1}\" width=\"{width:.0}\" height=\"{height:.0}\" role=\"img\">\n\
         <title>{title}</title>\n<style>text{{font:{FONT_SIZE}px {FONTS};white-space:pre}}g rect{{shape-rendering:crispEdges}}"
    );
    for (number, style) in page.styles.iter().enumerate() {
        let _ = write!(out, ".s{number}{{fill:{}", style.colour);
        for (is, rule) in [
            (style.bold, "font-weight:bold"),
            (style.dim, "opacity:.6"),
            (style.italic, "font-style:italic"),
            (style.underline, "text-decoration:underline"),
        ] {
            if is {
                let _ = write!(out, ";{rule}");
            }
        }
        out.push('}');
    }
    let _ = write!(
        out,
        "</style>\n<rect x=\".5\" y=\".5\" width=\"{:.1}\" height=\"{:.1}\" rx=\"8\" fill=\"{}\" stroke=\"{}\"/>\n\
         <path d=\"M1 {BAR}V9a8 8 0 0 1 8-8H{:.1}a8 8 0 0 1 8 8V{BAR}z\" fill=\"{}\"/>\n",
        width - 1.0,
        height - 1.0,
        look.background,
        look.border,
        width - 9.0,
        look.bar
    );
    for dot in [18, 36, 54] {
        let _ = write!(out, "<circle cx=\"{dot}\" cy=\"15\" r=\"5\" fill=\"{}\"/>", look.border);
    }
    let _ = write!(
        out,
        "\n<text x=\"{:.1}\" y=\"20\" text-anchor=\"middle\" fill=\"{}\">{title}</text>\n\
         <g transform=\"translate({PADDING} {:.1})\">\n{}</g>\n</svg>\n",
        width / 2.0,
        look.palette[8],
        BAR + PADDING,
        page.text
    );
    out
}

struct Page {
    look: Look,
    text: String,
    styles: Vec<Style>,
}

impl Page {
    fn row(&mut self, screen: &Screen, row: u16, columns: u16) {
        let cells: Vec<(u16, &Cell)> =
            (0..columns).filter_map(|column| screen.cell(row, column).map(|cell| (column, cell))).collect();
        let look = self.look;
        for group in cells.chunk_by(|(_, one), (_, other)| look.ground(one) == look.ground(other)) {
            if let Some((column, cell)) = group.first()
                && let Some(colour) = look.ground(cell)
            {
                let count = u16::try_from(group.len()).unwrap_or(u16::MAX);
                self.rectangle(*column, row, (0.0, 0.0), (f64::from(count), 1.0), &colour);
            }
        }
        // Neighbours that are one shape.
        for group in cells.chunk_by(|(_, one), (_, other)| look.joins(one, other)) {
            if let Some((column, cell)) = group.first() {
                let count = u16::try_from(group.len()).unwrap_or(u16::MAX);
                self.shape(*column, row, count, cell.contents(), &look.style(cell).colour);
            }
        }
        let mut run: Option<Run> = None;
        for (column, cell) in cells {
            if cell.is_wide_continuation() {
                continue;
            }
            let style = look.style(cell);
            let blank = cell.contents().trim().is_empty();
            if (blank && !style.underline) || cell.contents().chars().any(|c| SHAPES.contains(c)) {
                // One space inside a run of words is part of it.
                match &mut run {
                    Some(run) if blank && !run.text.ends_with(' ') && run.style == style => {
                        run.text.push(' ');
                        run.columns += 1;
                    }
                    _ => self.write(row, run.take()),
                }
                continue;
            }
            let content = if blank { " " } else { cell.contents() };
            let wide = cell.is_wide();
            match &mut run {
                Some(run) if run.style == style && !wide && run.column + run.columns == column => {
                    run.text.push_str(content);
                    run.columns += 1;
                }
                _ => {
                    self.write(row, run.take());
                    run = Some(Run { column, columns: 1 + u16::from(wide), text: content.to_owned(), style });
                }
            }
            // A wide character stands alone: no font agrees with another about its width.
            if wide {
                self.write(row, run.take());
            }
        }
        self.write(row, run);
    }

    fn write(&mut self, row: u16, run: Option<Run>) {
        let Some(mut run) = run else { return };
        let kept = if run.style.underline { run.text.as_str() } else { run.text.trim_end() };
        run.columns -= u16::try_from(run.text.len() - kept.len()).unwrap_or_default();
        let text = escape(kept);
        let number = self.styles.iter().position(|known| *known == run.style).unwrap_or_else(|| {
            self.styles.push(run.style.clone());
            self.styles.len() - 1
        });
        let _ = writeln!(
            self.text,
            "<text class=\"s{number}\" x=\"{:.1}\" y=\"{:.1}\" textLength=\"{:.1}\" lengthAdjust=\"spacingAndGlyphs\">{text}</text>",
            f64::from(run.column) * CELL.0,
            f64::from(row).mul_add(CELL.1, BASELINE),
            f64::from(run.columns) * CELL.0,
        );
    }

    /// Draws one of [`SHAPES`], as wide as so many cells.
    fn shape(&mut self, column: u16, row: u16, count: u16, content: &str, colour: &str) {
        let part = match content {
            "█" => ((0.0, 0.0), (1.0, 1.0)),
            "▀" => ((0.0, 0.0), (1.0, 0.5)),
            "▄" => ((0.0, 0.5), (1.0, 0.5)),
            "▌" => ((0.0, 0.0), (0.5, 1.0)),
            "▎" => ((0.0, 0.0), (0.25, 1.0)),
            _ => {
                let (x, y) = (f64::from(column) * CELL.0, f64::from(row) * CELL.1);
                let (w, h) = CELL;
                let (middle, centre) = (x + w / 2.0, y + h / 2.0);
                let (right, bottom) = (f64::from(count).mul_add(w, x), y + h);
                let path = match content {
                    "─" => format!("M{x:.1} {centre:.1}H{right:.1}"),
                    "│" => format!("M{middle:.1} {y:.1}V{bottom:.1}"),
                    "╭" => format!("M{middle:.1} {bottom:.1}Q{middle:.1} {centre:.1} {right:.1} {centre:.1}"),
                    "╮" => format!("M{middle:.1} {bottom:.1}Q{middle:.1} {centre:.1} {x:.1} {centre:.1}"),
                    "╰" => format!("M{middle:.1} {y:.1}Q{middle:.1} {centre:.1} {right:.1} {centre:.1}"),
                    "╯" => format!("M{middle:.1} {y:.1}Q{middle:.1} {centre:.1} {x:.1} {centre:.1}"),
                    _ => return,
                };
                let _ = writeln!(self.text, "<path d=\"{path}\" fill=\"none\" stroke=\"{colour}\"/>");
                return;
            }
        };
        self.rectangle(column, row, part.0, (part.1.0 * f64::from(count), part.1.1), colour);
    }

    /// A part of a cell, or of several beside each other, in cells.
    fn rectangle(&mut self, column: u16, row: u16, from: (f64, f64), size: (f64, f64), colour: &str) {
        let _ = writeln!(
            self.text,
            "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"{colour}\"/>",
            (f64::from(column) + from.0) * CELL.0,
            (f64::from(row) + from.1) * CELL.1,
            size.0 * CELL.0,
            size.1 * CELL.1,
        );
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU16;

    use super::*;

    fn drawn(text: &str) -> String {
        let size = |cells| NonZeroU16::new(cells).unwrap();
        let mut parser = subrosa_pty::Parser::new(size(3), size(20), 0);
        parser.process(text.as_bytes());
        svg(parser.screen(), "a <title>", DARK)
    }

    #[test]
    fn text_stands_in_its_cells_in_runs_of_one_style() {
        let picture = drawn("\x1b[1;31mred one\x1b[0m<&>\r\n世界 \x1b[7mx\x1b[0m");
        assert!(picture.contains("<title>a &lt;title&gt;</title>"));
        assert!(
            picture
                .contains("x=\"0.0\" y=\"13.5\" textLength=\"58.8\" lengthAdjust=\"spacingAndGlyphs\">red one</text>")
        );
        assert!(picture.contains(
            "x=\"58.8\" y=\"13.5\" textLength=\"25.2\" lengthAdjust=\"spacingAndGlyphs\">&lt;&amp;&gt;</text>"
        ));
        assert!(picture.contains("{fill:#e06c75;font-weight:bold}"));
        assert!(
            picture.contains("x=\"16.8\" y=\"31.5\" textLength=\"16.8\" lengthAdjust=\"spacingAndGlyphs\">界</text>")
        );
        // Reversed: the ground has the text's colour.
        assert!(picture.contains("<rect x=\"42.0\" y=\"18.0\" width=\"8.4\" height=\"18.0\" fill=\"#d4d7dd\""));
    }

    #[test]
    fn lines_and_blocks_are_shapes() {
        let picture = drawn("╭─\r\n│▀ a");
        assert!(picture.contains("<path d=\"M8.4 9.0H16.8\""));
        assert!(picture.contains("<path d=\"M4.2 18.0V36.0\""));
        assert!(picture.contains("<rect x=\"8.4\" y=\"18.0\" width=\"8.4\" height=\"9.0\""));
        for sign in ["─", "│", "╭", "▀"] {
            assert!(!picture.contains(sign), "{sign}");
        }
    }
}
