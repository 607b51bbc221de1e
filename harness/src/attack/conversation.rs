//! The conversation that must go on: one sender, one receiver, a message at a steady pace.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use futures_util::StreamExt;
use subrosa_wire::{
    AccountId,
    mailbox::{MailboxClientFrame, MailboxServerFrame},
    submit::{SubmitResult, SubmitServerFrame},
};
use tokio::time::{interval, timeout};
use tokio_tungstenite::tungstenite::Message;

use crate::{
    measure::Times,
    relay_client::{Device, Socket, mailbox_frame, open_submit, send},
};

/// A conversation that takes this long for one message has stopped.
const PATIENCE: Duration = Duration::from_secs(30);

/// Two people and their sockets.
pub struct Talk {
    authority: String,
    sender: Device,
    receiver: Device,
    mailbox: Socket,
    last_seq: u64,
}

impl Talk {
    /// Registers both.
    ///
    /// # Errors
    /// The relay refuses.
    pub async fn new(authority: &str) -> Result<Self> {
        let sender = Device::register(authority, "talker").await?;
        let receiver = Device::register(authority, "listener").await?;
        let mailbox = receiver.open_mailbox(authority).await?;
        Ok(Self { authority: authority.to_owned(), sender, receiver, mailbox, last_seq: 0 })
    }

    /// The account that is written to.
    #[must_use]
    pub fn receiver(&self) -> AccountId {
        self.receiver.address.account
    }
}

/// Sends `count` messages, one each `pace`, whether or not the one before has arrived. Times run from the
/// moment a message was due until it is pushed, so that a stall counts for all it holds up.
///
/// # Errors
/// A message is refused, lost, or out of order.
pub async fn talk(people: &mut Talk, count: u64, pace: Duration) -> Result<Times> {
    let frames = people.receiver.sealed_by(&people.sender, count)?;
    let submit = open_submit(&people.authority).await?;
    let (mut sink, mut replies) = submit.split();
    let started = Instant::now();
    let due = |n: u64| started + pace * u32::try_from(n).unwrap_or(u32::MAX);
    let sending = async {
        use futures_util::SinkExt;
        let mut ticks = interval(pace);
        for frame in frames {
            ticks.tick().await;
            timeout(PATIENCE, sink.send(Message::Binary(frame))).await.context("sending has stopped")??;
        }
        anyhow::Ok(())
    };
    let accepting = async {
        for expected in 0..count {
            let message =
                timeout(PATIENCE, replies.next()).await.context("no reply")?.context("the relay hung up")??;
            match SubmitServerFrame::decode(message.into_data())? {
                SubmitServerFrame::Reply { id, result: Ok(results) } => {
                    ensure!(id == expected && results == [SubmitResult::Accepted], "message {expected}: {results:?}");
                }
                other => bail!("message {expected} was not accepted: {other:?}"),
            }
        }
        anyhow::Ok(())
    };
    let (mailbox, last_seq) = (&mut people.mailbox, &mut people.last_seq);
    let receiving = async {
        let mut times = Times::default();
        let mut arrived = 0;
        while arrived < count {
            if let MailboxServerFrame::Push(push) = mailbox_frame(mailbox).await? {
                ensure!(push.seq == *last_seq + 1, "push {} after {last_seq}", push.seq);
                *last_seq = push.seq;
                times.add(due(arrived).elapsed());
                arrived += 1;
                send(mailbox, MailboxClientFrame::Ack(push.seq).encode()).await?;
            }
        }
        anyhow::Ok(times)
    };
    let ((), (), times) = tokio::try_join!(sending, accepting, receiving)?;
    Ok(times)
}
