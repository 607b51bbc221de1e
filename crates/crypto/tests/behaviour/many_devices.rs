//! Random schedules of several devices, each with a session with every other: loss, reordering,
//! duplication, tampering, stores that fail, crashes before and after a commit, and snapshots that
//! are restored, against a model that knows only which messages exist and what each state has read.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use proptest::prelude::*;
use subrosa_crypto::*;

use crate::parties::{Party, committed, send};

const DEVICES: usize = 4;

static PARTIES: LazyLock<[Party; DEVICES]> = LazyLock::new(|| std::array::from_fn(|_| Party::new()));

#[derive(Clone, Debug)]
enum Action {
    /// A device writes to all others.
    Send(usize),
    /// A device gets one of the messages under way to it, which stays under way or not.
    Deliver { to: usize, pick: usize, keep: bool },
    /// The same, with one byte altered.
    Tamper { to: usize, pick: usize, position: usize },
    /// A message goes to another device than the one it is for.
    Misdeliver { to: usize, pick: usize },
    /// A message is lost.
    Lose { to: usize, pick: usize },
    /// A device decrypts, and crashes before its store has committed.
    CrashInReceipt { to: usize, pick: usize },
    /// A device encrypts, and crashes before its store has committed.
    CrashInSend(usize),
    /// A device starts again from what is stored.
    Restart(usize),
    /// What a device has stored is copied.
    Snapshot(usize),
    /// The copy is put in place of what is stored.
    Restore(usize),
}

fn action() -> impl Strategy<Value = Action> {
    let device = 0..DEVICES;
    prop_oneof![
        3 => device.clone().prop_map(Action::Send),
        8 => (device.clone(), 0..3usize, prop::bool::weighted(0.2))
            .prop_map(|(to, pick, keep)| Action::Deliver { to, pick, keep }),
        3 => (device.clone(), any::<usize>(), any::<bool>())
            .prop_map(|(to, pick, keep)| Action::Deliver { to, pick, keep }),
        1 => (device.clone(), any::<usize>(), any::<usize>())
            .prop_map(|(to, pick, position)| Action::Tamper { to, pick, position }),
        1 => (device.clone(), any::<usize>()).prop_map(|(to, pick)| Action::Misdeliver { to, pick }),
        1 => (device.clone(), any::<usize>()).prop_map(|(to, pick)| Action::Lose { to, pick }),
        1 => (device.clone(), any::<usize>()).prop_map(|(to, pick)| Action::CrashInReceipt { to, pick }),
        1 => device.clone().prop_map(Action::CrashInSend),
        1 => device.clone().prop_map(Action::Restart),
        1 => device.clone().prop_map(Action::Snapshot),
        1 => device.prop_map(Action::Restore),
    ]
}

#[derive(Clone)]
struct UnderWay {
    from: usize,
    ciphertext: Ciphertext,
    text: Vec<u8>,
    /// Counts all messages.
    number: u32,
}

/// What a device has on its disk: that, and only that, survives.
#[derive(Clone, Default)]
struct Disk {
    /// By peer.
    sessions: HashMap<usize, Vec<u8>>,
    /// Texts read, from whom.
    read: HashSet<(usize, Vec<u8>)>,
    /// The newest read of each peer.
    newest: HashMap<usize, u32>,
}

#[derive(Default)]
struct Device {
    disk: Disk,
    copy: Option<Disk>,
    inbox: Vec<UnderWay>,
}

struct World {
    devices: [Device; DEVICES],
    sent: u32,
    /// Ratchet key, number and salt of every message that left a device.
    nonces: HashSet<Vec<u8>>,
    /// Devices that went back to a copy: what they and others write to each other may be unreadable.
    went_back: HashSet<usize>,
}

impl World {
    fn new() -> Self {
        Self { devices: Default::default(), sent: 0, nonces: HashSet::new(), went_back: HashSet::new() }
    }

    fn send(&mut self, from: usize) {
        let text = format!("{from}:{}", self.sent).into_bytes();
        self.sent += 1;
        for to in (0..DEVICES).filter(|to| *to != from) {
            let disk = &mut self.devices[from].disk;
            let mut session = match disk.sessions.get(&to) {
                Some(bytes) => Session::deserialize(bytes).unwrap(),
                // Of two devices the one with the lower number starts: who starts when both do is
                // the client's choice.
                None if from < to => PARTIES[from].initiate(&PARTIES[to]),
                None => continue,
            };
            let ciphertext = send(&mut session, &text);
            disk.sessions.insert(to, session.serialize().as_bytes().to_vec());
            let start = match ciphertext.kind {
                MessageKind::Setup => SETUP_HEADER_LEN,
                MessageKind::Session | MessageKind::Group => 0,
            };
            let header_and_salt = ciphertext.message[start..start + 57].to_vec();
            assert!(self.nonces.insert(header_and_salt), "one message key with one salt, twice");
            self.devices[to].inbox.push(UnderWay { from, ciphertext, text: text.clone(), number: self.sent });
        }
    }

    /// What the device's stored state makes of a message: the new state and the text. Nothing is
    /// stored.
    fn open(&self, to: usize, message: &UnderWay) -> Option<(Session, Vec<u8>)> {
        let Ciphertext { kind, message: bytes } = &message.ciphertext;
        let step = match self.devices[to].disk.sessions.get(&message.from) {
            Some(stored) => Session::deserialize(stored).unwrap().decrypt(*kind, bytes).ok()?,
            None => {
                let (me, peer) = (&PARTIES[to], &PARTIES[message.from]);
                Session::accept(&me.identity, &me.address(), &peer.certificate, &me.prekeys(), bytes).ok()?
            }
        };
        let (session, text) = committed(step);
        Some((session, text.as_bytes().to_vec()))
    }

    fn deliver(&mut self, to: usize, pick: usize, keep: bool) {
        let Some(index) = pick.checked_rem(self.devices[to].inbox.len()) else { return };
        let message = self.devices[to].inbox[index].clone();
        let opened = self.open(to, &message);
        let known = (message.from, message.text.clone());
        match opened {
            Some((session, text)) => {
                assert_eq!(text, message.text, "a text became another");
                let disk = &mut self.devices[to].disk;
                assert!(disk.read.insert(known), "read twice by one state");
                disk.sessions.insert(message.from, session.serialize().as_bytes().to_vec());
                let newest = disk.newest.entry(message.from).or_default();
                *newest = message.number.max(*newest);
            }
            // What is newer than all that was read of its sender is refused only if one of the two
            // went back to a copy. (What else may be refused, the two-party schedules say exactly.)
            None => {
                let newest = self.devices[to].disk.newest.get(&message.from);
                let is_newer = newest.is_none_or(|newest| message.number > *newest);
                let rewound = self.went_back.contains(&to) || self.went_back.contains(&message.from);
                assert!(rewound || !is_newer, "a new message of a device that never went back was refused");
            }
        }
        if !keep {
            self.devices[to].inbox.remove(index);
        }
    }

    fn picked(&self, to: usize, pick: usize) -> Option<UnderWay> {
        let inbox = &self.devices[to].inbox;
        pick.checked_rem(inbox.len()).map(|index| inbox[index].clone())
    }

    fn run(&mut self, action: &Action) {
        match *action {
            Action::Send(from) => self.send(from),
            Action::Deliver { to, pick, keep } => self.deliver(to, pick, keep),
            Action::Tamper { to, pick, position } => {
                if let Some(mut message) = self.picked(to, pick) {
                    let position = position % message.ciphertext.message.len();
                    message.ciphertext.message[position] ^= 0x20;
                    assert!(self.open(to, &message).is_none(), "altered at {position}");
                }
            }
            Action::Misdeliver { to, pick } => {
                if let Some(message) = self.picked(to, pick) {
                    let other = (0..DEVICES).find(|other| *other != to && *other != message.from).unwrap();
                    assert!(self.open(other, &message).is_none(), "opened by another device");
                }
            }
            Action::Lose { to, pick } => {
                if let Some(index) = pick.checked_rem(self.devices[to].inbox.len()) {
                    self.devices[to].inbox.remove(index);
                }
            }
            Action::CrashInReceipt { to, pick } => {
                if let Some(message) = self.picked(to, pick) {
                    // Decrypted, never stored: the same again afterwards.
                    let once = self.open(to, &message).map(|(_, text)| text);
                    assert_eq!(self.open(to, &message).map(|(_, text)| text), once);
                }
            }
            Action::CrashInSend(from) => {
                for stored in self.devices[from].disk.sessions.values() {
                    let step = Session::deserialize(stored).unwrap().encrypt(b"never sent").unwrap();
                    assert!(step.commit(|_| Err(())).is_err());
                }
            }
            Action::Restart(device) => {
                for stored in self.devices[device].disk.sessions.values() {
                    assert_eq!(Session::deserialize(stored).unwrap().serialize().as_bytes(), stored);
                }
            }
            Action::Snapshot(device) => self.devices[device].copy = Some(self.devices[device].disk.clone()),
            Action::Restore(device) => {
                if let Some(copy) = self.devices[device].copy.clone() {
                    self.devices[device].disk = copy;
                    self.went_back.insert(device);
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn many_devices_agree_with_the_model(actions in prop::collection::vec(action(), 1..160)) {
        let mut world = World::new();
        for action in &actions {
            world.run(action);
        }
    }
}
