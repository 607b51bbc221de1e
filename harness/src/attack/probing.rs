//! Does an answer, or its time, tell whether an account exists? Asks for somebody and for nobody in turn.

use std::{
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use subrosa_wire::{
    AccountId, Capability, DeliveryKey, DeviceAddress,
    http::{HttpCall, HttpMessage, TakePrekeys},
    mailbox::{LoginMarks, MailboxClientFrame},
    submit::{EnvelopeClass, Submit, SubmitClientFrame, SubmitItem},
};
use tokio::{io::AsyncWriteExt, net::TcpStream};

use super::raw::{ask, connect, frame, read_frame, upgrade};
use crate::{measure::Times, relay_client::Device};

/// Rounds of one address: three questions each, fewer than the relay takes wrong capabilities from one.
const ROUNDS_OF_AN_ADDRESS: u32 = 150;

/// What is asked with something that does not fit, so that the answer is a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// An envelope with a wrong capability.
    Submission,
    /// One-time prekeys with a wrong capability.
    Prekeys,
    /// A session with a wrong signature.
    Login,
}

impl Question {
    /// All.
    pub const ALL: [Self; 3] = [Self::Submission, Self::Prekeys, Self::Login];
}

/// Times of the refusals.
#[derive(Debug, Default)]
pub struct Probes {
    /// For an account that exists, every second question: what the noise is.
    pub somebody: [Times; 2],
    /// For one that does not.
    pub nobody: Times,
}

/// Asks `rounds` times about somebody, nobody, and somebody again, each with something new that is wrong.
///
/// # Errors
/// The answers differ in more than time.
pub async fn probe(authority: &str, question: Question, rounds: u32) -> Result<Probes> {
    let somebody = Device::register(authority, &format!("s{}", hex::encode(rand::random::<[u8; 8]>()))).await?;
    drop(somebody.open_mailbox(authority).await?);
    let mut probes = Probes::default();
    let mut asker = Asker { authority, question, source: Ipv4Addr::LOCALHOST, kept: None };
    let mut usual = None;
    for round in 0..rounds {
        if round % ROUNDS_OF_AN_ADDRESS == 0 {
            let [_, _, high, low] = (round / ROUNDS_OF_AN_ADDRESS).to_be_bytes();
            asker = Asker { source: Ipv4Addr::new(127, 100, high, low), kept: None, ..asker };
        }
        // The order changes, so that no place in it is the faster one.
        for step in 0..3 {
            let who = (round + step) % 3;
            let account = if who == 2 { AccountId(rand::random()) } else { somebody.address.account };
            let (answer, took) = asker.ask(DeviceAddress { account, device: 1 }).await?;
            let expected = usual.get_or_insert_with(|| answer.clone());
            ensure!(answer == *expected, "another answer: {answer:?} instead of {expected:?}");
            match who {
                2 => probes.nobody.add(took),
                0 => probes.somebody[0].add(took),
                _ => probes.somebody[1].add(took),
            }
        }
    }
    Ok(probes)
}

struct Asker<'a> {
    authority: &'a str,
    question: Question,
    source: Ipv4Addr,
    /// The connection of the last question, where there may be more than one on it.
    kept: Option<TcpStream>,
}

impl Asker<'_> {
    /// The answer, byte for byte, and how long it took.
    async fn ask(&mut self, device: DeviceAddress) -> Result<(Vec<u8>, Duration)> {
        let wrong = || Capability::DeliveryKey(DeliveryKey::new(rand::random()));
        let mut stream = match self.kept.take() {
            Some(stream) => stream,
            None => self.begin().await?,
        };
        let (answer, took) = match self.question {
            Question::Submission => {
                let item = SubmitItem {
                    device,
                    capability: Some(wrong()),
                    class: EnvelopeClass::Durable,
                    expiry_s: 0,
                    head: std::array::from_fn(|_| rand::random()),
                    body_ref: 0,
                    list_version: 1,
                };
                let submit = Submit { bodies: vec![vec![7; 512].into()], items: vec![item] };
                exchange(&mut stream, &SubmitClientFrame::Submit { id: 1, submit }.encode()).await?
            }
            Question::Prekeys => {
                let body = TakePrekeys::one(device, Some(wrong())).encode();
                let asked = Instant::now();
                (ask(&mut stream, TakePrekeys::PATH, &body).await?, asked.elapsed())
            }
            Question::Login => {
                let auth = MailboxClientFrame::Auth {
                    device,
                    authority: self.authority.to_owned(),
                    pin: None,
                    marks: LoginMarks::default(),
                    signature: std::array::from_fn(|_| rand::random()),
                };
                return exchange(&mut stream, &auth.encode()).await;
            }
        };
        self.kept = Some(stream);
        Ok((answer, took))
    }

    /// A connection on which the question can be asked.
    async fn begin(&self) -> Result<TcpStream> {
        let (path, hello) = match self.question {
            Question::Prekeys => return connect(self.source, self.authority).await,
            Question::Submission => ("/v1/submit", SubmitClientFrame::Hello(vec![1]).encode()),
            Question::Login => ("/v1/mailbox", MailboxClientFrame::Hello(vec![1]).encode()),
        };
        let mut stream = upgrade(self.source, self.authority, path).await?;
        // The welcome or the challenge.
        exchange(&mut stream, &hello).await?;
        Ok(stream)
    }
}

async fn exchange(stream: &mut TcpStream, question: &[u8]) -> Result<(Vec<u8>, Duration)> {
    let question = frame(0x82, question);
    let asked = Instant::now();
    stream.write_all(&question).await?;
    let answer = read_frame(stream).await?;
    Ok((answer, asked.elapsed()))
}
