//! `completions` and `man`: what a package installs beside the program.

use std::{
    io,
    path::{Path, PathBuf},
};

use clap::{Command, CommandFactory as _};
use clap_complete::env::Shells;
use clap_mangen::{
    Man,
    roff::{Roff, roman},
};
use subrosa_client_core::{ApiError, ErrorKind};

use crate::{
    Context,
    args::{Cli, CompletionsArgs, ManArgs},
    complete::VARIABLE,
    errors::Failure,
    output::print,
    shells::Shell,
};

/// Our name, as shells find the program.
const NAME: &str = "subrosa";

pub(crate) fn completions(args: &CompletionsArgs) -> Result<(), Failure> {
    let name = args.shell.to_string();
    if let Some(shell) = Shell::named(name.as_ref()) {
        return Ok(print(shell.registration())?);
    }
    let shells = Shells::builtins();
    let shell = shells.completer(&name).ok_or_else(|| {
        ApiError::new(ErrorKind::Usage, format!("{name} cannot be completed")).hint("see: subrosa completions --help")
    })?;
    let mut script = Vec::new();
    shell.write_registration(VARIABLE, NAME, NAME, NAME, &mut script)?;
    Ok(print(&String::from_utf8_lossy(&script))?)
}

pub(crate) fn man(ctx: &Context, args: ManArgs) -> Result<(), Failure> {
    let mut command = Cli::command();
    command.build();
    let Some(dir) = args.dir else {
        return Ok(print(&page(&command)?)?);
    };
    std::fs::create_dir_all(&dir).map_err(|error| cannot("make", &dir, &error))?;
    let mut written = 0;
    write_all(&command, &dir, &mut written)?;
    ctx.out.note(&format!("{written} pages are in {}; read one with: man -l {0}/subrosa.1", dir.display()));
    Ok(())
}

fn write_all(command: &Command, dir: &Path, written: &mut u32) -> Result<(), Failure> {
    let path: PathBuf = dir.join(Man::new(command.clone()).get_filename());
    std::fs::write(&path, page(command)?).map_err(|error| cannot("write", &path, &error))?;
    *written += 1;
    for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
        write_all(verb, dir, written)?;
    }
    Ok(())
}

fn cannot(what: &str, path: &Path, error: &io::Error) -> Failure {
    ApiError::new(ErrorKind::Storage, format!("cannot {what} {}: {error}", path.display()))
        .hint("name a directory that can be written")
        .into()
}

/// A page with its examples where they are looked for: before the options.
fn page(command: &Command) -> io::Result<String> {
    let man = Man::new(command.clone()).manual("Subrosa");
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    section(&mut page, "EXAMPLES", command.get_before_help().map(ToString::to_string).as_deref())?;
    man.render_options_section(&mut page)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut page)?;
    }
    let notes = command.get_after_help().map(ToString::to_string);
    let is_top = command.get_name() == NAME;
    section(&mut page, if is_top { "EXIT STATUS" } else { "NOTES" }, notes.as_deref())?;
    if is_top {
        man.render_version_section(&mut page)?;
    }
    Ok(String::from_utf8_lossy(&page).into_owned())
}

/// Lines as they are, without the heading that the help text gives them.
fn section(page: &mut Vec<u8>, heading: &str, text: Option<&str>) -> io::Result<()> {
    let Some(text) = text else { return Ok(()) };
    let mut roff = Roff::new();
    roff.control("SH", [heading]);
    roff.control("nf", []);
    let lines = text.lines().filter(|line| !matches!(*line, "Examples:" | "Exit codes:"));
    for line in lines {
        roff.text([roman(line)]);
    }
    roff.control("fi", []);
    roff.to_writer(page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verb_has_a_page_with_its_examples() {
        let place = tempfile::tempdir().unwrap();
        let mut command = Cli::command();
        command.build();
        let mut written = 0;
        write_all(&command, place.path(), &mut written).unwrap();
        assert!(written > 15, "{written}");
        for entry in std::fs::read_dir(place.path()).unwrap() {
            let path = entry.unwrap().path();
            let page = std::fs::read_to_string(&path).unwrap();
            assert!(page.contains(".SH EXAMPLES"), "{}", path.display());
            assert!(page.contains(".SH NAME") && page.contains(".SH SYNOPSIS"), "{}", path.display());
        }
        assert!(place.path().join("subrosa-contact-list.1").exists());
    }
}
