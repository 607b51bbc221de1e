//! Web addresses are opened by the desktop's own opener: as an argument, never through a shell, and away from this terminal.

use std::{
    os::unix::process::CommandExt as _,
    process::{Command, Stdio},
    sync::Arc,
};

use tokio::sync::{Semaphore, mpsc};

use crate::message::Msg;

/// What knows the person's browser.
const OPENER: &str = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };

/// Openers that run at once: some wait until the browser is closed.
const MAX_OPEN: usize = 16;

/// Starts openers and tells of those that fail.
#[derive(Debug)]
pub(crate) struct Opener {
    program: &'static str,
    room: Arc<Semaphore>,
}

impl Opener {
    pub(crate) fn new() -> Self {
        Self { program: OPENER, room: Arc::new(Semaphore::new(MAX_OPEN)) }
    }

    /// Opens an address. Nobody waits for it: the browser outlives this program.
    pub(crate) fn open(&self, address: &str, news: mpsc::Sender<Msg>) {
        let program = self.program;
        let failed = move |why: String| Msg::NotOpened(format!("{program} did not open the link: {why}"));
        let Ok(room) = Arc::clone(&self.room).try_acquire_owned() else {
            let _ = news.try_send(failed(format!("{MAX_OPEN} others are still being opened")));
            return;
        };
        let mut command = Command::new(program);
        command.arg(address).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        // Keys that stop or end this program are not for it.
        command.process_group(0);
        // A thread of its own: leaving does not wait for it, as it would for the runtime's.
        let waiting = std::thread::Builder::new().name("opener".to_owned()).spawn({
            let news = news.clone();
            move || {
                let ended = command.status();
                drop(room);
                let why = match ended {
                    Ok(status) if status.success() => return,
                    Ok(status) => format!("it ended with {status}. Copy the link instead"),
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                        format!("there is no {program} here. Copy the link instead")
                    }
                    Err(error) => error.to_string(),
                };
                // The interface may have ended meanwhile.
                let _ = news.blocking_send(failed(why));
            }
        });
        if let Err(error) = waiting {
            let _ = news.try_send(failed(error.to_string()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is told about an opening, once it has ended.
    async fn outcome(program: &'static str, address: &str) -> Option<String> {
        let (news, mut incoming) = mpsc::channel(1);
        Opener { program, ..Opener::new() }.open(address, news);
        match incoming.recv().await {
            Some(Msg::NotOpened(why)) => Some(why),
            other => other.map(|msg| panic!("{msg:?}")),
        }
    }

    #[tokio::test]
    async fn an_address_is_one_argument_and_failures_are_told() {
        let here = std::env::temp_dir().join(format!("subrosa-opener-{}", std::process::id()));
        let address = format!("{}; $(touch evil) 'x' --help", here.display());
        assert_eq!(outcome("mkdir", &address).await, None);
        std::fs::remove_dir(&address).unwrap();
        assert!(outcome("false", "https://a.org").await.unwrap().contains("exit status: 1"));
        let missing = outcome("no-such-opener", "https://a.org").await.unwrap();
        assert!(missing.contains("no no-such-opener here. Copy the link"), "{missing}");
    }
}
