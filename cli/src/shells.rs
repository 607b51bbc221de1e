//! What shells are told while somebody presses Tab: one word for each candidate, written as that shell needs it.
//!
//! Names are other people's. Whatever they hold, a candidate must arrive as one argument and run nothing: in bash the word is
//! quoted here, also behind a quote that was begun; zsh and fish quote what they insert themselves. What cannot be written so
//! is not offered by its name ([`crate::complete`]).

use std::{
    ffi::{OsStr, OsString},
    io::{self, Write},
};

use clap_complete::engine::CompletionCandidate;

/// Marks candidates that are names of people: a `~` in them is no home directory.
pub(crate) const NAME_TAG: &str = "name";

/// A shell whose words and quotes are understood here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shell {
    Bash,
    Zsh,
    Fish,
}

impl Shell {
    /// By the name or the path that the variable holds.
    pub(crate) fn named(name: &OsStr) -> Option<Self> {
        match std::path::Path::new(name).file_stem()?.to_str()? {
            "bash" => Some(Self::Bash),
            "zsh" => Some(Self::Zsh),
            "fish" => Some(Self::Fish),
            _ => None,
        }
    }

    /// What makes the shell ask.
    pub(crate) const fn registration(self) -> &'static str {
        match self {
            Self::Bash => BASH,
            Self::Zsh => ZSH,
            Self::Fish => FISH,
        }
    }
}

/// The variables in which bash's function hands over the line up to the cursor, and readline's idea of the current word.
pub(crate) const BASH_LINE: &str = "_SUBROSA_LINE";
pub(crate) const BASH_WORD: &str = "_SUBROSA_WORD";

/// No process substitution (posix mode has none) and no word splitting: a line is a candidate, whatever stands in it.
const BASH: &str = r#"_subrosa() {
    local candidate
    COMPREPLY=()
    while IFS= read -r candidate; do
        [[ -n $candidate ]] && COMPREPLY+=("$candidate")
    done <<< "$(_SUBROSA_LINE="${COMP_LINE:0:COMP_POINT}" _SUBROSA_WORD="$2" SUBROSA_COMPLETE=bash subrosa -- subrosa 2>/dev/null)"
    if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *[/=] ]]; then
        compopt -o nospace 2>/dev/null
    fi
}
if [[ ${BASH_VERSINFO[0]} -gt 4 || ( ${BASH_VERSINFO[0]} -eq 4 && ${BASH_VERSINFO[1]} -ge 4 ) ]]; then
    complete -o nosort -F _subrosa subrosa
else
    complete -F _subrosa subrosa
fi
"#;

/// `compadd` quotes what it inserts, as the line it stands in needs it.
const ZSH: &str = r#"#compdef subrosa
_subrosa() {
    local -a typed values shown dirs
    local line value
    typed=("${(@Q)words[1,CURRENT-1]}" "${(Q)PREFIX}")
    for line in "${(@f)$(SUBROSA_COMPLETE=zsh subrosa -- "${typed[@]}" 2>/dev/null)}"; do
        value="${line%%$'\t'*}"
        [[ -n $value ]] || continue
        if [[ $value == */ ]]; then
            dirs+=("$value")
        else
            values+=("$value")
            shown+=("${line/$'\t'/  -- }")
        fi
    done
    (( ${#dirs} )) && compadd -V directories -S '' -- "${dirs[@]}"
    (( ${#values} )) && compadd -V values -l -d shown -- "${values[@]}"
}
if [[ ${funcstack[1]} == _subrosa ]]; then
    _subrosa "$@"
else
    compdef _subrosa subrosa
fi
"#;

/// A line is a candidate; fish quotes what it inserts.
const FISH: &str = r#"complete --keep-order --exclusive --command subrosa --arguments "(SUBROSA_COMPLETE=fish subrosa -- (commandline --current-process --tokenize --cut-at-cursor) (commandline --current-token --cut-at-cursor))"
"#;

/// Which quote a place on the line is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quote {
    None,
    Single,
    Double,
}

/// A word of a line: as it was typed, and as the program would get it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Word {
    raw: String,
    value: String,
    ends_in: Quote,
}

/// The words of a line that is being typed, the last one up to the cursor (maybe empty). Nothing is expanded.
fn words(line: &str) -> Vec<Word> {
    let empty = || Word { raw: String::new(), value: String::new(), ends_in: Quote::None };
    let mut done = Vec::new();
    let mut word = empty();
    // What follows a redirection is no argument.
    let mut dropped = false;
    let mut letters = line.chars();
    while let Some(c) = letters.next() {
        match (word.ends_in, c) {
            (Quote::None, ' ' | '\t' | '\n') => {
                if !word.raw.is_empty() {
                    let ended = std::mem::replace(&mut word, empty());
                    if !std::mem::take(&mut dropped) {
                        done.push(ended);
                    }
                }
                continue;
            }
            (Quote::None, '<' | '>') => {
                word = empty();
                dropped = true;
                continue;
            }
            (Quote::None, '\'') | (Quote::Single, '\'') => {
                word.ends_in = if word.ends_in == Quote::Single { Quote::None } else { Quote::Single };
            }
            (Quote::None, '"') | (Quote::Double, '"') => {
                word.ends_in = if word.ends_in == Quote::Double { Quote::None } else { Quote::Double };
            }
            (Quote::None | Quote::Double, '\\') => {
                word.raw.push(c);
                let Some(next) = letters.next() else { continue };
                if word.ends_in == Quote::Double && !matches!(next, '"' | '$' | '`' | '\\') {
                    word.value.push(c);
                }
                word.value.push(next);
                word.raw.push(next);
                continue;
            }
            _ => word.value.push(c),
        }
        word.raw.push(c);
    }
    done.push(word);
    done
}

/// What the shell handed over: the words of the line, and for bash how a candidate has to be written.
#[derive(Debug)]
pub(crate) struct Typed {
    pub(crate) words: Vec<OsString>,
    /// Bash replaces only what readline takes as the current word: what stands before it, as typed.
    kept: Option<Word>,
}

impl Typed {
    pub(crate) fn of(shell: Shell, arguments: Vec<OsString>) -> Option<Self> {
        if shell != Shell::Bash {
            let mut words = arguments;
            if shell == Shell::Fish
                && let Some(current) = words.last_mut()
            {
                // The current one comes as it was typed.
                *current = self::words(&current.to_string_lossy()).pop()?.value.into();
            }
            return Some(Self { words, kept: None });
        }
        let line = std::env::var(BASH_LINE).ok()?;
        Self::of_bash(&line, &std::env::var(BASH_WORD).ok()?)
    }

    fn of_bash(line: &str, word: &str) -> Option<Self> {
        let typed = words(line);
        let kept = words(typed.last()?.raw.strip_suffix(word)?).pop()?;
        Some(Self { words: typed.into_iter().map(|word| word.value.into()).collect(), kept: Some(kept) })
    }

    /// Writes the candidates, one a line.
    pub(crate) fn write(&self, candidates: &[CompletionCandidate], out: &mut impl Write) -> io::Result<()> {
        for candidate in candidates {
            let value = candidate.get_value().to_string_lossy();
            // A line is a candidate, and a tab begins its description.
            if value.contains(['\n', '\t', '\r']) {
                continue;
            }
            match &self.kept {
                Some(kept) => {
                    let is_name = candidate.get_tag().is_some_and(|tag| tag.to_string() == NAME_TAG);
                    if let Some(quoted) = quoted(&value, kept, is_name) {
                        writeln!(out, "{quoted}")?;
                    }
                }
                None => match candidate.get_help() {
                    Some(help) => writeln!(out, "{value}\t{}", help.to_string().lines().next().unwrap_or_default())?,
                    None => writeln!(out, "{value}")?,
                },
            }
        }
        Ok(())
    }
}

/// A candidate as bash takes it in place of the current word: the rest of the value, behind what stays on the line.
fn quoted(value: &str, kept: &Word, is_name: bool) -> Option<String> {
    let rest = value.strip_prefix(&kept.value)?;
    let mut quoted = String::with_capacity(rest.len() + 8);
    for (at, c) in rest.char_indices() {
        match kept.ends_in {
            Quote::Single if c == '\'' => quoted.push_str("'\\''"),
            Quote::Single => quoted.push(c),
            // A backslash would not keep the shell's history from it, and would stay in the text.
            Quote::Double if c == '!' => quoted.push_str("\"'!'\""),
            Quote::Double => {
                if matches!(c, '"' | '$' | '`' | '\\') {
                    quoted.push('\\');
                }
                quoted.push(c);
            }
            Quote::None => {
                let is_plain = !c.is_ascii() || c.is_ascii_alphanumeric() || "_-./,+".contains(c);
                // `~/` is somebody's home only in a path.
                let is_home = c == '~' && at == 0 && kept.raw.is_empty() && !is_name;
                if !is_plain && !is_home {
                    quoted.push('\\');
                }
                quoted.push(c);
            }
        }
    }
    // Readline ends the quote itself, but not where the last letter is one already.
    let quote = match kept.ends_in {
        Quote::None => None,
        Quote::Single => Some('\''),
        Quote::Double => Some('"'),
    };
    if let Some(quote) = quote.filter(|quote| quoted.ends_with(*quote)) {
        quoted.push(quote);
    }
    (!quoted.is_empty()).then_some(quoted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complete(line: &str, word: &str, value: &str) -> Option<String> {
        let typed = Typed::of_bash(line, word)?;
        quoted(value, typed.kept.as_ref()?, true)
    }

    fn values(line: &str) -> Vec<String> {
        words(line).into_iter().map(|word| word.value).collect()
    }

    #[test]
    fn a_line_is_cut_into_the_words_that_the_program_would_get() {
        assert_eq!(values("subrosa send my\\ fr"), ["subrosa", "send", "my fr"]);
        assert_eq!(values("subrosa send \"my fr"), ["subrosa", "send", "my fr"]);
        assert_eq!(values("subrosa send 'a\\b'\"\\$c\\d\" "), ["subrosa", "send", "a\\b$c\\d", ""]);
        assert_eq!(values("subrosa export bob > out fi"), ["subrosa", "export", "bob", "fi"]);
    }

    #[test]
    fn a_candidate_replaces_what_readline_takes_as_the_word_and_stays_in_its_quotes() {
        let is = |line: &str, word: &str, value: &str, written: &str| {
            assert_eq!(complete(line, word, value).as_deref(), Some(written), "{line} {value}");
        };
        is("subrosa send my", "my", "my frank", "my\\ frank");
        is("subrosa send my\\ f", "my\\ f", "my frank", "my\\ frank");
        is("subrosa send \"my f", "my f", "my frank", "my frank");
        is("subrosa send \"it", "it", "it's \"a\" $(b) `c` \\ !", "it's \\\"a\\\" \\$(b) \\`c\\` \\\\ \"'!'\"\"");
        is("subrosa send \"it", "it", "it is \"x\"", "it is \\\"x\\\"\"");
        is("subrosa send 'it", "it", "its'", "its'\\'''");
        is("subrosa send 'it", "it", "it's !", "it'\\''s !");
        is(
            "subrosa send ",
            "",
            "a$(b)`c`!;&|<>*?[]{}~#=:@%^\"'",
            "a\\$\\(b\\)\\`c\\`\\!\\;\\&\\|\\<\\>\\*\\?\\[\\]\\{\\}\\~\\#\\=\\:\\@\\%\\^\\\"\\'",
        );
        is("subrosa send ~", "~", "~bob", "\\~bob");
        // Readline ends words at some characters.
        is("subrosa --home=/x", "/x", "--home=/x y", "/x\\ y");
        is("subrosa send a\\:b", "a\\:b", "a:bc", "a\\:bc");
        is("subrosa send \"my \"f", "f", "my frank", "frank");
        is("subrosa send 🌊", "🌊", "🌊 wave", "🌊\\ wave");
        assert_eq!(complete("subrosa send my", "other", "my frank"), None, "a line that is not understood");
    }
}
