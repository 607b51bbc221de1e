//! What a large account holds: who wrote what to whom, in which order. The same size and seed, the same account.

use anyhow::{Context, Result, ensure};
use rand::{RngExt, SeedableRng, rngs::StdRng, seq::SliceRandom};
use serde::{Deserialize, Serialize};
use subrosa_client_core::{
    api::{ContactState, MessageStatus},
    bulk::{Filler, Line, Person},
    limits::MAX_EVENTS_KEPT,
};
use subrosa_wire::{AccountId, MessageId};

use super::words::{Writer, name};

/// Messages of one transaction: few enough that the log stays small, many enough that its ends do not count.
const BATCH: usize = 2_000;

/// Over so long a time the messages were written.
const SPAN_MS: u64 = 3 * 365 * 24 * 3_600_000;

/// Of the chats beside the largest this one is filled by a program.
const REPORTS: usize = 1;

/// In one chat of so many the last messages are unread.
const UNREAD_EVERY: usize = 12;

/// How many of them.
const UNREAD: usize = 4;

/// A large account's size.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Size {
    /// Messages altogether.
    pub messages: usize,
    /// Chats.
    pub chats: usize,
    /// Messages of the largest chat.
    pub largest: usize,
    /// Everything is made from it.
    pub seed: u64,
}

impl Size {
    /// What can be made.
    ///
    /// # Errors
    /// It cannot.
    pub fn check(self) -> Result<()> {
        ensure!(self.chats >= 2 && self.chats <= 50_000, "from 2 to 50000 chats");
        ensure!(self.messages <= 20_000_000, "at most 20000000 messages");
        ensure!(
            self.largest >= 1 && self.messages >= self.largest + self.chats - 1,
            "each chat has a message: at least --largest and one for every other chat"
        );
        Ok(())
    }

    /// Messages of each chat, the largest first.
    fn shares(self) -> Vec<usize> {
        /// So that the second largest is not half of the rest.
        const SHIFT: f64 = 10.0;
        let rest = self.messages - self.largest;
        let others = self.chats - 1;
        let weight = |rank: usize| 1.0 / (rank as f64 + SHIFT);
        let total: f64 = (0..others).map(weight).sum();
        let spare = (rest - others) as f64;
        let mut shares: Vec<usize> = (0..others).map(|rank| 1 + (spare * weight(rank) / total) as usize).collect();
        let given: usize = shares.iter().sum();
        if let Some(first) = shares.first_mut() {
            *first += rest - given;
        }
        shares.insert(0, self.largest);
        shares
    }
}

/// Fills a store. The largest chat is the one with `peer`, who is a contact already. `told` gets the number of messages so far.
///
/// # Errors
/// The store cannot be written.
pub(super) fn fill(
    filler: &mut Filler,
    peer: AccountId,
    size: Size,
    end_ms: u64,
    mut told: impl FnMut(usize),
) -> Result<()> {
    size.check()?;
    let mut random = StdRng::seed_from_u64(size.seed);
    let begin_ms = end_ms.saturating_sub(SPAN_MS);
    let people: Vec<Person> = (1..size.chats).map(|number| person(&mut random, number, begin_ms, end_ms)).collect();
    let mut accounts = vec![peer];
    accounts.extend(filler.people(&people)?);
    let shares = size.shares();
    let order = order(&mut random, &shares);
    let writer = Writer::new(size.seed);
    let mut left = shares;
    let mut clocks = vec![0u64; size.chats];
    let mut last = vec![None; size.chats];
    let step = SPAN_MS / size.messages.max(1) as u64;
    let evented = size.messages.saturating_sub(usize::try_from(MAX_EVENTS_KEPT).unwrap_or(usize::MAX));
    let mut batch = Vec::with_capacity(BATCH);
    for (number, chat) in order.into_iter().enumerate() {
        let chat = usize::from(chat);
        left[chat] -= 1;
        let shown_ms = begin_ms + step * number as u64 + random.random_range(0..step.max(1));
        clocks[chat] = shown_ms.max(clocks[chat] + 1);
        let unread = chat % UNREAD_EVERY == UNREAD_EVERY - 1 && left[chat] < UNREAD;
        let reports = chat == REPORTS;
        let outgoing = !unread && !reports && random.random_bool(0.45);
        let id = MessageId(random.random());
        let reply_to = last[chat].filter(|_| random.random_bool(0.06));
        let body = if reports { Writer::report(&mut random, number) } else { writer.text(&mut random, chat, number) };
        batch.push(Line {
            id,
            chat: *accounts.get(chat).context("a chat without an account")?,
            outgoing,
            clock: clocks[chat],
            shown_ms,
            body,
            reply_to,
            status: outgoing.then(|| status(&mut random, chat, left[chat])),
            unread,
            event: number >= evented,
        });
        last[chat] = Some(id);
        if batch.len() == BATCH {
            filler.lines(&batch)?;
            batch.clear();
            told(number + 1);
        }
    }
    filler.lines(&batch)?;
    told(size.messages);
    Ok(())
}

fn person(random: &mut StdRng, number: usize, begin_ms: u64, end_ms: u64) -> Person {
    Person {
        seed: random.random(),
        name: name(number),
        handle: format!("person{number}"),
        state: match number % 200 {
            150 => ContactState::Blocked,
            _ => ContactState::Ok,
        },
        verified: number.is_multiple_of(9),
        since_ms: begin_ms,
        pinned: number == 40,
        muted_until_ms: if number % 50 == 7 { end_ms + SPAN_MS } else { 0 },
        archived: number % 100 == 99,
        draft: (number % 60 == 3).then(|| format!("about {number}: I wanted to say")),
    }
}

/// Which chat each message belongs to: people write a few messages in a row, then somebody else does.
fn order(random: &mut StdRng, shares: &[usize]) -> Vec<u16> {
    /// Longest row.
    const ROW: usize = 9;
    let mut rows: Vec<(u16, u8)> = Vec::new();
    for (chat, share) in shares.iter().enumerate() {
        let mut left = *share;
        while left > 0 {
            let row = random.random_range(1..ROW).min(left);
            rows.push((u16::try_from(chat).unwrap_or(u16::MAX), u8::try_from(row).unwrap_or(u8::MAX)));
            left -= row;
        }
    }
    rows.shuffle(random);
    rows.into_iter().flat_map(|(chat, row)| std::iter::repeat_n(chat, usize::from(row))).collect()
}

/// Old messages were read; of the newest of a chat every state occurs. Nothing waits: that the engine would work on.
fn status(random: &mut StdRng, chat: usize, left: usize) -> MessageStatus {
    use MessageStatus::{Delivered, Expired, Failed, Read, Sent};
    if left < 3 {
        return [Sent, Delivered, Read, Failed, Expired][(chat + left) % 5];
    }
    match random.random_range(0..1_000) {
        0 => Failed,
        1..3 => Expired,
        3..10 => Sent,
        10..40 => Delivered,
        _ => Read,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_has_its_chat() {
        let size = Size { messages: 10_000, chats: 100, largest: 2_000, seed: 3 };
        size.check().unwrap();
        let shares = size.shares();
        assert_eq!((shares.len(), shares[0], shares.iter().sum::<usize>()), (100, 2_000, 10_000));
        assert!(shares.iter().all(|share| *share > 0));
        let mut random = StdRng::seed_from_u64(3);
        let order = order(&mut random, &shares);
        for (chat, share) in shares.iter().enumerate() {
            assert_eq!(order.iter().filter(|one| usize::from(**one) == chat).count(), *share);
        }
        for wrong in [Size { chats: 1, ..size }, Size { largest: 9_990, ..size }, Size { messages: 20_000_001, ..size }]
        {
            assert!(wrong.check().is_err());
        }
    }

    #[test]
    fn names_differ_and_texts_come_from_the_seed() {
        let names: std::collections::HashSet<String> = (0..5_000).map(name).collect();
        assert_eq!(names.len(), 5_000);
        let write = || {
            let writer = Writer::new(5);
            let mut random = StdRng::seed_from_u64(5);
            (0..50).map(|number| writer.text(&mut random, number, number)).collect::<Vec<_>>()
        };
        assert_eq!(write(), write());
    }
}
