//! The embedded back end does what every back end promises.

use tempfile::TempDir;

use super::{CommitMetrics, Embedded, StoreStopped};
use crate::{
    config::Config,
    conformance::{Bench, conformance},
    ledger::LocalLedger,
    parts::Single,
    router::LocalRouter,
};

struct OneProcess {
    dir: TempDir,
    store: Embedded,
    stopped: StoreStopped,
    router: LocalRouter,
    ledger: LocalLedger,
}

impl OneProcess {
    fn open(dir: TempDir) -> Self {
        // The people here have no signatures, which a look at the whole database would miss.
        let config = Config { refuse_damage: false, ..Config::new(dir.path()) };
        let (store, stopped) = Embedded::open(&config, CommitMetrics::default()).unwrap();
        Self { dir, store, stopped, router: LocalRouter::default(), ledger: LocalLedger::new(&config.rates) }
    }
}

impl Bench for OneProcess {
    type Parts = Single<LocalRouter>;
    const RECOGNISES_REPEATS: bool = true;

    async fn new() -> Self {
        Self::open(tempfile::tempdir().unwrap())
    }

    fn store(&self) -> &Embedded {
        &self.store
    }

    fn router(&self) -> &LocalRouter {
        &self.router
    }

    fn ledger(&self) -> &LocalLedger {
        &self.ledger
    }

    /// As the disk is at this moment: what a killed process leaves. (That it is on the disk and not in a cache is what
    /// `harness/tests/power_cut.rs` shows.)
    async fn killed(self) -> Self {
        let left = tempfile::tempdir().unwrap();
        for file in std::fs::read_dir(self.dir.path()).unwrap() {
            let file = file.unwrap();
            // SQLite makes the index of its log anew.
            if !file.file_name().to_string_lossy().ends_with("-shm") {
                std::fs::copy(file.path(), left.path().join(file.file_name())).unwrap();
            }
        }
        drop(self.store);
        self.stopped.await.unwrap().unwrap();
        Self::open(left)
    }
}

conformance!(
    OneProcess:
    an_account_is_registered_once_under_a_handle_of_its_own,
    a_replaced_list_leaves_nothing_of_who_is_gone,
    a_one_time_key_is_taken_once,
    facts_about_who_asks_are_those_of_this_moment,
    of_two_copies_the_one_that_was_let_in_last_goes_on,
    a_removed_account_is_gone_and_its_handle_stays_its_own,
    what_is_accepted_is_durable_as_a_whole,
    items_are_answered_singly_and_hold_nobody_up,
    the_largest_group_is_one_submission,
    a_repeat_is_accepted,
    submissions_of_one_source_keep_their_order,
    no_row_appears_below_one_that_was_read,
    a_number_is_never_given_twice,
    what_is_acknowledged_is_gone_and_nothing_else,
    pages_cover_a_mailbox,
    what_has_expired_is_neither_read_nor_kept,
    a_limit_is_one_limit,
    one_time_keys_are_shared_out,
    a_pair_has_one_request,
    a_device_has_one_session,
    news_before_the_wait_is_not_lost,
    who_is_served_is_present,
);
