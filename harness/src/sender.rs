//! Sends numbered messages one after another, over as many deaths of the engine as it takes.

use std::sync::Arc;

use rand::{RngExt, rngs::StdRng};
use subrosa_client_core::{
    api::{SendParams, Sent},
    chat_id, message_id,
};
use tokio::sync::watch;

use crate::{
    account::Account,
    caller::Caller,
    journal::{Entry, Journal},
};

/// One message in so many is long, so that other padding sizes occur.
const LONG_EVERY: u64 = 16;
/// Longest text of the long ones.
const LONG_BYTES: usize = 6_000;

/// How far a sender may go.
#[derive(Debug, Clone, Copy, Default)]
pub struct Target {
    /// Messages released so far.
    pub released: u64,
    /// No more will be.
    pub last: bool,
}

/// Sends from one account to another.
#[derive(Debug)]
pub(crate) struct Sender {
    pub(crate) from: Account,
    pub(crate) to: String,
    pub(crate) caller: Caller,
    pub(crate) journal: Arc<Journal>,
    pub(crate) random: StdRng,
}

/// What a message is called that one account writes to another with bytes of its choice.
pub(crate) fn own_message_id(from: &str, to: &str, chosen: &str) -> Option<String> {
    message_id(&chat_id(from, to)?, from, chosen)
}

impl Sender {
    /// Sends what is released, in order, until the target says that no more will be.
    pub(crate) async fn run(mut self, mut target: watch::Receiver<Target>) {
        for index in 0u64.. {
            let Ok(now) = target.wait_for(|now| now.released > index || now.last).await.map(|now| *now) else { return };
            if now.released <= index {
                return;
            }
            let chosen = hex::encode(self.random.random::<[u8; 16]>());
            let Some(id) = own_message_id(&self.from.id, &self.to, &chosen) else {
                self.journal.add(Entry::Wrong { text: format!("{} is no account id", self.to) });
                return;
            };
            let body = self.text(index);
            let (by, to) = (self.from.place(), self.to.clone());
            self.journal.add(Entry::Attempted { by, to, id: id.clone(), index, body: body.clone() });
            let params = SendParams { to: self.to.clone(), body, id: Some(chosen), ..SendParams::default() };
            match self.caller.call::<_, Sent>("send", &params).await {
                Ok(_) => self.journal.add(Entry::Accepted { id }),
                Err(text) => {
                    self.journal.add(Entry::Wrong { text });
                    return;
                }
            }
        }
    }

    fn text(&mut self, index: u64) -> String {
        let mut body = format!("{} {index}", self.from.name);
        if index % LONG_EVERY == LONG_EVERY - 1 {
            let length = self.random.random_range(100..LONG_BYTES);
            body.push(' ');
            body.extend(std::iter::repeat_n('~', length));
        }
        body
    }
}
