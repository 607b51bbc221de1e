//! How a command ends when it does not succeed, and how that is shown.

use std::{io, process::ExitCode};

use subrosa_client_core::{ApiError, ErrorKind, api::Line, clean::clean_text};

use crate::{
    interrupt::Signal,
    output::{json as json_line, to_stderr},
};

/// Why a command ended.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The error to show.
    Api(ApiError),
    /// A person or the system asked us to stop.
    Interrupted(Signal),
    /// Standard output cannot be written.
    Output(io::Error),
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        Self::Api(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

impl Failure {
    /// The exit code; 128 + signal for what a signal ended.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Api(error) => error.code.exit_code(),
            Self::Interrupted(signal) => signal.exit_code(),
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => 128 + 13,
            Self::Output(_) => ErrorKind::Storage.exit_code(),
        }
    }

    /// Tells why, on stderr, and gives the exit code.
    pub(crate) fn report(self, json: bool) -> ExitCode {
        let code = ExitCode::from(self.exit_code());
        match self {
            Self::Api(error) => show(&error, json),
            // Who closes the pipe (`| head`) has what they wanted.
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            Self::Output(error) => {
                show(&ApiError::new(ErrorKind::Storage, format!("cannot write to stdout: {error}")), json);
            }
            Self::Interrupted(_) => {}
        }
        code
    }
}

/// Shows an error on stderr: two lines for people, one JSON object for programs.
pub(crate) fn show(error: &ApiError, json: bool) {
    if json {
        if let Ok(text) = json_line(&Line::new(error.clone())) {
            to_stderr(&text);
        }
        return;
    }
    let bold = anstyle::Style::new().bold().fg_color(Some(anstyle::AnsiColor::Red.into()));
    to_stderr(&format!("{bold}error{bold:#}: {}", clean_text(&error.message)));
    if let Some(hint) = &error.hint {
        to_stderr(&format!("hint: {}", clean_text(hint)));
    }
}

/// A usage error, for what clap cannot check.
pub(crate) fn usage(message: impl Into<String>, hint: impl Into<String>) -> Failure {
    Failure::Api(ApiError::new(ErrorKind::Usage, message).hint(hint))
}
