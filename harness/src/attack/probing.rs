//! Does the time of an answer tell whether an account exists? Asks for somebody and for nobody in turn.

use std::time::Instant;

use anyhow::{Result, ensure};
use futures_util::{SinkExt, StreamExt};
use subrosa_wire::{
    AccountId, Capability, DeliveryKey, DeviceAddress,
    submit::{EnvelopeClass, Submit, SubmitClientFrame, SubmitItem, SubmitServerFrame},
};
use tokio_tungstenite::tungstenite::Message;

use crate::{
    measure::Times,
    relay_client::{Device, open_submit},
};

/// Times of the refusals of a wrong capability.
#[derive(Debug, Default)]
pub struct Probes {
    /// For an account that exists, every second question: what the noise is.
    pub somebody: [Times; 2],
    /// For one that does not.
    pub nobody: Times,
}

/// Submits `rounds` times to somebody, to nobody, and to somebody again, each with a new wrong capability.
///
/// # Errors
/// The answers differ in more than time.
pub async fn probe(authority: &str, rounds: u32) -> Result<Probes> {
    let somebody = Device::register(authority, "somebody").await?;
    drop(somebody.open_mailbox(authority).await?);
    let mut probes = Probes::default();
    let mut socket = open_submit(authority).await?;
    for round in 0..rounds {
        // The order changes, so that no place in it is the faster one.
        for step in 0..3 {
            let who = (round + step) % 3;
            let account = if who == 2 { AccountId(rand::random()) } else { somebody.address.account };
            let item = SubmitItem {
                device: DeviceAddress { account, device: 1 },
                capability: Some(Capability::DeliveryKey(DeliveryKey::new(rand::random()))),
                class: EnvelopeClass::Durable,
                expiry_s: 0,
                head: std::array::from_fn(|_| rand::random()),
                body_ref: 0,
                list_version: 1,
            };
            let submit = Submit { bodies: vec![vec![7; 512].into()], items: vec![item] };
            let frame = SubmitClientFrame::Submit { id: 1, submit }.encode();
            let asked = Instant::now();
            socket.send(Message::Binary(frame)).await?;
            let Some(answer) = socket.next().await else { anyhow::bail!("the relay hung up") };
            let took = asked.elapsed();
            let answer = SubmitServerFrame::decode(answer?.into_data())?;
            ensure!(matches!(answer, SubmitServerFrame::Reply { result: Ok(_), .. }), "another answer: {answer:?}");
            match who {
                2 => probes.nobody.add(took),
                0 => probes.somebody[0].add(took),
                _ => probes.somebody[1].add(took),
            }
        }
    }
    Ok(probes)
}
