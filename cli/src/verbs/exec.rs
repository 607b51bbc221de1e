//! `listen --exec`: a command for each message that comes in.

use std::{ffi::OsString, process::Stdio, time::Duration};

use subrosa_client_core::api::Event;
use tokio::{io::AsyncWriteExt as _, process::Command};

use crate::output::event_json;

/// The command, without a shell: nothing of a message ever becomes part of a command line.
pub(super) struct Exec<'a> {
    program: &'a OsString,
    arguments: &'a [OsString],
    timeout: Duration,
}

impl<'a> Exec<'a> {
    /// `None` without a command.
    pub(super) fn new(words: &'a [OsString], timeout: Duration) -> Option<Self> {
        let (program, arguments) = words.split_first()?;
        Some(Self { program, arguments, timeout })
    }

    /// Runs it with the message on its stdin and waits for its end; what went wrong, in words.
    pub(super) async fn run(&self, event: &Event) -> Result<(), String> {
        let name = self.program.to_string_lossy();
        let line = event_json(event).map_err(|error| error.to_string())? + "\n";
        let mut child = Command::new(self.program)
            .args(self.arguments)
            .stdin(Stdio::piped())
            // Our stdout is the stream of events, and nothing else.
            .stdout(std::io::stderr())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| format!("{name} cannot be started: {error}"))?;
        let work = async {
            if let Some(mut stdin) = child.stdin.take() {
                // A command that does not read its input is free to do so.
                let _ = stdin.write_all(line.as_bytes()).await;
            }
            child.wait().await
        };
        match tokio::time::timeout(self.timeout, work).await {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => Err(format!("{name} failed: {status}")),
            Ok(Err(error)) => Err(format!("{name} cannot be waited for: {error}")),
            Err(_) => {
                let _ = child.kill().await;
                Err(format!("{name} was stopped after {} s; --exec-timeout allows more", self.timeout.as_secs_f32()))
            }
        }
    }
}
