//! Long work as people and programs see it: a spinner or a bar on stderr, or a JSON line a second; nothing of either before
//! half a second has passed.

use std::{
    io::IsTerminal as _,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressFinish, ProgressStyle};
use subrosa_client_core::api::{Line, ProgressLine};
use tokio::task::JoinHandle;

use super::{Output, json, ticks::Ticks, to_stderr};

/// What ends sooner is not worth a flicker.
const APPEARS_AFTER: Duration = Duration::from_millis(500);

/// A spinner that is seen to move, without work for the terminal.
const TICK: Duration = Duration::from_millis(120);

/// Lines for programs.
const LINE_EVERY: Duration = Duration::from_secs(1);

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    Bytes,
    Messages,
}

/// Work that may take long; what is shown of it goes when this is dropped.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
    asking: Arc<AtomicBool>,
    ticks: Ticks,
    task: JoinHandle<()>,
}

/// Hides the work while a person is asked something.
#[derive(Debug, Clone)]
pub(crate) struct Hide {
    bar: ProgressBar,
    asking: Arc<AtomicBool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shown {
    No,
    Drawn,
    Lines,
}

impl Output {
    /// Work begins. `id` names it to programs, `text` to people ("writing the backup"). Call it on the runtime.
    pub(crate) fn progress(&self, id: &'static str, text: &str) -> Progress {
        let shown = match (self.quiet, self.json) {
            (true, _) => Shown::No,
            (false, true) => Shown::Lines,
            (false, false) if std::io::stderr().is_terminal() && !super::is_dumb() => Shown::Drawn,
            (false, false) => Shown::No,
        };
        Progress::begin(id, text, shown, self.ticks)
    }
}

impl Progress {
    fn begin(id: &'static str, text: &str, shown: Shown, ticks: Ticks) -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden())
            .with_style(style("{spinner} {msg} {elapsed}", ticks))
            .with_finish(ProgressFinish::AndClear)
            .with_message(text.to_owned());
        let asking = Arc::new(AtomicBool::new(false));
        let task = tokio::spawn(appear(bar.clone(), Arc::clone(&asking), id, shown));
        Self { bar, asking, ticks, task }
    }

    /// From now on it is known how much there is.
    pub(crate) fn total(&self, total: u64, unit: Unit) {
        if self.bar.length() == Some(total) {
            return;
        }
        self.bar.set_style(style(
            match unit {
                Unit::Bytes => "{spinner} {msg} [{bar:24}] {bytes}/{total_bytes}, {eta} left",
                Unit::Messages => "{spinner} {msg} [{bar:24}] {human_pos}/{human_len}, {eta} left",
            },
            self.ticks,
        ));
        self.bar.set_length(total);
    }

    /// So much of it is done.
    pub(crate) fn done(&self, done: u64) {
        self.bar.set_position(done);
    }

    /// For questions in between.
    pub(crate) fn hide(&self) -> Hide {
        Hide { bar: self.bar.clone(), asking: Arc::clone(&self.asking) }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.task.abort();
        self.bar.finish_and_clear();
    }
}

impl Hide {
    /// Asks something on an unspoiled terminal.
    pub(crate) fn during<T>(&self, ask: impl FnOnce() -> T) -> T {
        self.asking.store(true, Ordering::SeqCst);
        let answer = self.bar.suspend(ask);
        self.asking.store(false, Ordering::SeqCst);
        answer
    }
}

async fn appear(bar: ProgressBar, asking: Arc<AtomicBool>, id: &'static str, shown: Shown) {
    if shown == Shown::No {
        return;
    }
    loop {
        tokio::time::sleep(APPEARS_AFTER).await;
        // A person who types a passphrase is not waiting for us.
        if !asking.load(Ordering::SeqCst) {
            break;
        }
    }
    if shown == Shown::Drawn {
        bar.set_draw_target(ProgressDrawTarget::stderr());
        bar.enable_steady_tick(TICK);
        return;
    }
    loop {
        let line = ProgressLine { id: id.to_owned(), done: bar.position(), total: bar.length() };
        if let Ok(text) = json(&Line::new(line)) {
            to_stderr(&text);
        }
        tokio::time::sleep(LINE_EVERY).await;
    }
}

fn style(template: &str, ticks: Ticks) -> ProgressStyle {
    // The templates above are fixed; one that does not parse would show indicatif's own bar.
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner());
    if ticks.unicode { style.progress_chars("━╸ ") } else { style.tick_chars("|/-\\ ").progress_chars("=> ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Ticks = Ticks { colour: false, unicode: false };

    #[tokio::test]
    async fn every_template_is_one_and_nothing_is_drawn_early() {
        for template in ["{spinner} {msg} {elapsed}", "{spinner} {msg} [{bar:24}] {bytes}/{total_bytes}, {eta} left"] {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
        let progress = Progress::begin("test", "working", Shown::Drawn, PLAIN);
        assert!(progress.bar.is_hidden());
        progress.total(10, Unit::Messages);
        progress.done(4);
        assert_eq!((progress.bar.position(), progress.bar.length()), (4, Some(10)));
    }

    #[tokio::test]
    async fn it_does_not_appear_while_a_person_types() {
        let progress = Progress::begin("test", "working", Shown::No, PLAIN);
        let hide = progress.hide();
        hide.during(|| assert!(hide.asking.load(Ordering::SeqCst)));
        assert!(!hide.asking.load(Ordering::SeqCst));
    }
}
