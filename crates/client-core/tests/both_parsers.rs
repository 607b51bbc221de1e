//! Account records and device lists are parsed twice, by the cryptography and by the relay: whatever is signed, both take it, as
//! the same, or neither does. The fuzz target `device_lists` includes this file.

use ed25519_dalek::{Signer as _, SigningKey};
use sha2::{Digest as _, Sha256};
use subrosa_relay::identity;
use subrosa_wire::labels;

/// Certificates in a list that is made here: more than are allowed.
const MOST_DEVICES: u8 = 7;

/// What is left of the input; zeros after its end.
struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.byte())
    }

    /// Mostly what an honest program would write, else something small, else anything.
    fn near(&mut self, honest: u32) -> u32 {
        match self.byte() {
            0..=0x9f => honest,
            0xa0..=0xdf => u32::from(self.byte() % 9),
            _ => u32::from_be_bytes(self.bytes()),
        }
    }

    fn near_byte(&mut self, honest: u8) -> u8 {
        u8::try_from(self.near(u32::from(honest)) & 0xff).unwrap_or_default()
    }

    /// An encoded point: an honest key, one in a form of its own (small order, not canonical), or anything.
    fn point(&mut self, honest: u8) -> [u8; 32] {
        match self.byte() {
            0..=0xbf => SigningKey::from_bytes(&[honest; 32]).verifying_key().to_bytes(),
            0xc0..=0xdf => {
                let (first, filling, last) = (self.byte(), self.byte(), self.byte());
                let filling = if filling & 1 == 0 { 0 } else { 0xff };
                std::array::from_fn(|at| match at {
                    0 => first,
                    31 => last,
                    _ => filling,
                })
            }
            _ => self.bytes(),
        }
    }
}

/// Makes record and list as the input says, well signed but for the damage that it asks for, and lets both parsers read them.
pub fn agree(data: &[u8]) {
    let mut input = Input(data);
    let key = SigningKey::from_bytes(&[7; 32]);
    let record = [&[input.near_byte(1)][..], &input.point(7), &input.bytes::<32>()].concat();
    let id: [u8; 32] = Sha256::new().chain_update(labels::ACCOUNT_ID).chain_update(&record[1..]).finalize().into();

    let count = input.byte() % (MOST_DEVICES + 1);
    let version = input.near(u32::from(count).max(1));
    let certificates: Vec<u8> = (1..=count)
        .flat_map(|at| {
            let number = input.near(u32::from(at)).to_be_bytes();
            let (identity, added_in) = (input.point(at), input.near(u32::from(at)).to_be_bytes());
            let fields = [&number[..], &identity, &added_in].concat();
            let signature = key.sign(&[labels::DEVICE_CERTIFICATE, &id, &fields].concat());
            [fields, signature.to_bytes().to_vec()].concat()
        })
        .collect();
    let highest = input.near(u32::from(count).max(9)).to_be_bytes();
    let head = [&[input.near_byte(1)][..], &id, &version.to_be_bytes(), &input.bytes::<8>(), &highest];
    let signed = [head.concat(), vec![input.near_byte(count)], certificates].concat();
    let signature = key.sign(&[labels::DEVICE_LIST, &signed].concat());
    let mut list = [signed, signature.to_bytes().to_vec()].concat();
    match input.byte() {
        0..=0xbf => {}
        0xc0..=0xcf => {
            let at = usize::from(u16::from_be_bytes(input.bytes())) % list.len();
            list[at] ^= 1 << (input.byte() % 8);
        }
        0xd0..=0xdf => list.truncate(usize::from(u16::from_be_bytes(input.bytes())) % list.len()),
        _ => list.push(input.byte()),
    }

    let theirs = identity::AccountRecord::parse(&record);
    let ours = subrosa_crypto::AccountRecord::decode(&record);
    assert_eq!(theirs.is_ok(), ours.is_ok(), "record {record:02x?}");
    let (Ok(theirs), Ok(ours)) = (theirs, ours) else { return };
    assert!(theirs.id.0 == ours.id() && &theirs.account_key == ours.account_key().as_bytes());

    let theirs = identity::DeviceList::parse(&list, &theirs);
    let ours = subrosa_crypto::DeviceList::decode(&list).ok().and_then(|list| list.verify(&ours).ok());
    assert_eq!(theirs.is_ok(), ours.is_some(), "list {list:02x?}");
    let (Ok(theirs), Some(ours)) = (theirs, ours) else { return };
    let numbers = theirs.devices.iter().map(|device| (device.number, device.identity));
    assert_eq!((theirs.version, theirs.highest), (ours.version(), ours.highest()));
    assert!(numbers.eq(ours.devices().iter().map(|device| (device.number(), *device.identity().as_bytes()))));
}

#[cfg(test)]
#[path = "../../../fuzz/inputs.rs"]
mod inputs;

#[test]
fn both_parsers_take_the_same_records_and_lists() {
    inputs::hold("device_lists", agree);
}
