//! One setting is written or taken out, and everything else in the text stays as a person left it: order, blanks, comments.

use toml_edit::{Document, DocumentMut, Item, Table, TableLike, Value};

/// The text with this setting in it.
pub(super) fn set(mut document: DocumentMut, name: &str, value: Value) -> String {
    // What stands in a file without settings would be taken for its end, and the first one put before it.
    let mut text = if document.is_empty() { std::mem::take(&mut document).to_string() } else { String::new() };
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    put(document.as_table_mut(), name, value);
    text + &document.to_string()
}

/// The text without this setting. Comments about it stay, too: who wrote them may still want them.
pub(super) fn unset(text: &str, name: &str) -> Result<String, toml_edit::TomlError> {
    let mut document: DocumentMut = match cut(text, name) {
        // What was cut by hand is believed only if it still is TOML.
        Some(rest) => rest.parse().or_else(|_| text.parse())?,
        None => text.parse()?,
    };
    take(document.as_table_mut(), name);
    Ok(document.to_string())
}

/// Takes the characters of `name = value` out of the text, if it stands on lines of its own.
fn cut(text: &str, name: &str) -> Option<String> {
    let document = Document::parse(text).ok()?;
    let mut table: &Table = document.as_table();
    let (tables, last) = name.rsplit_once('.').map_or((None, name), |(tables, last)| (Some(tables), last));
    for part in tables.into_iter().flat_map(|tables| tables.split('.')) {
        table = table.get(part)?.as_table()?;
    }
    let (key, item) = table.get_key_value(last)?;
    let (start, end) = (key.span()?.start, item.as_value()?.span()?.end);
    let line = text.get(..start)?.rfind('\n').map_or(0, |at| at + 1);
    // `tui.theme = …` begins with its table; anything else before it belongs to somebody else.
    if text.get(line..start)?.contains(['=', '{', ',']) {
        return None;
    }
    let after = text.get(end..)?;
    let (rest, next) = after.split_once('\n').map_or((after, ""), |(rest, next)| (rest, next));
    let mut left = text.get(..line)?.to_owned();
    if !rest.trim().is_empty() {
        left.push_str(rest.trim());
        left.push('\n');
    }
    left.push_str(next);
    Some(left)
}

fn put(table: &mut dyn TableLike, name: &str, value: Value) {
    let Some((first, rest)) = name.split_once('.') else {
        // In place: what a person wrote beside it stays.
        match table.get_mut(name).and_then(Item::as_value_mut) {
            Some(old) => {
                let decor = old.decor().clone();
                *old = value;
                *old.decor_mut() = decor;
            }
            None => drop(table.insert(name, Item::Value(value))),
        }
        return;
    };
    if !table.get(first).is_some_and(Item::is_table_like) {
        table.insert(first, toml_edit::table());
    }
    if let Some(inner) = table.get_mut(first).and_then(Item::as_table_like_mut) {
        put(inner, rest, value);
    }
}

/// Takes a setting out that [`cut`] could not, and a table that is empty then and has no comment.
fn take(table: &mut dyn TableLike, name: &str) {
    let Some((first, rest)) = name.split_once('.') else {
        drop(table.remove(name));
        return;
    };
    let Some(inner) = table.get_mut(first) else { return };
    let commented = inner.as_table().is_some_and(|table| {
        let decor = table.decor();
        [decor.prefix(), decor.suffix()]
            .into_iter()
            .flatten()
            .any(|text| text.as_str().is_some_and(|text| text.contains('#')))
    });
    let Some(inner) = inner.as_table_like_mut() else { return };
    take(inner, rest);
    if inner.is_empty() && !commented {
        table.remove(first);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taking_one_setting_out_leaves_every_comment_and_the_order() {
        for (text, name, left) in [
            ("# mine\ncolour = \"never\"\n", "colour", "# mine\n"),
            ("# mine\ncolour = \"never\" # old eyes\nfuture = 3\n", "colour", "# mine\n# old eyes\nfuture = 3\n"),
            ("future = 3\n\n# about colours\n  colour = 'never'", "colour", "future = 3\n\n# about colours\n"),
            ("[tui]\ntheme = \"dusk\"\n", "tui.theme", ""),
            (
                "[tui]\n# dark\ntheme = \"dusk\"\n\n[tui.keys]\nquit = \"q\"\n",
                "tui.theme",
                "[tui]\n# dark\n\n[tui.keys]\nquit = \"q\"\n",
            ),
            ("# the interface\n[tui]\ntheme = \"dusk\"\n", "tui.theme", "# the interface\n[tui]\n"),
            ("tui.theme = \"dusk\"\nascii = true\n", "tui.theme", "ascii = true\n"),
            ("tui = { theme = \"dusk\", mouse = false }\n", "tui.theme", "tui = { mouse = false }\n"),
            ("colour = \"\"\"\nnever\"\"\"\nascii = true\n", "colour", "ascii = true\n"),
            ("ascii = true\n", "colour", "ascii = true\n"),
            ("", "tui.theme", ""),
        ] {
            assert_eq!(unset(text, name).unwrap().replace("{  mouse", "{ mouse"), left, "{text:?} without {name}");
        }
    }

    #[test]
    fn the_first_setting_stands_below_what_was_written_before_it() {
        let text = set("# mine\n# and this".parse().unwrap(), "ascii", Value::from(true));
        assert_eq!(text, "# mine\n# and this\nascii = true\n");
        let text = set("# mine\na = 1 # one\n# end\n".parse().unwrap(), "ascii", Value::from(true));
        assert_eq!(text, "# mine\na = 1 # one\nascii = true\n# end\n");
    }

    #[test]
    fn names_with_dots_are_tables() {
        let text = set(DocumentMut::new(), "tui.keys.quit", Value::from("q"));
        assert!(text.contains("[tui.keys]\nquit = \"q\"\n"), "{text}");
        assert_eq!(unset(&text, "tui.keys.quit").unwrap(), "");
        assert_eq!(unset("", "tui.gone").unwrap(), "");
    }
}
