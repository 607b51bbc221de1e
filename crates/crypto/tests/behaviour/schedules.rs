//! Random schedules of two parties (loss, reordering, duplication, tampering, failed storing,
//! restarts) against a model that knows only which messages exist.

use std::collections::HashSet;
use std::sync::LazyLock;

use proptest::prelude::*;
use subrosa_crypto::*;

use crate::parties::{Party, receive, send};

static PARTIES: LazyLock<[Party; 2]> = LazyLock::new(|| [Party::new(), Party::new()]);

#[derive(Clone, Debug)]
enum Action {
    /// A side sends a message.
    Send(usize),
    /// The network delivers one of the messages to a side, and may keep it.
    Deliver { to: usize, pick: usize, keep: bool },
    /// The same, with one byte altered.
    Tamper { to: usize, pick: usize, position: usize, flip: u8 },
    /// The network loses a message.
    Lose { to: usize, pick: usize },
    /// A side encrypts, and its store fails.
    FailToSend(usize),
    /// A side starts again from its stored bytes.
    Restart(usize),
}

fn action() -> impl Strategy<Value = Action> {
    let side = 0..2usize;
    prop_oneof![
        4 => side.clone().prop_map(Action::Send),
        // Mostly the oldest message, as networks do.
        4 => side.clone().prop_map(|to| Action::Deliver { to, pick: 0, keep: false }),
        3 => (side.clone(), any::<usize>(), any::<bool>())
            .prop_map(|(to, pick, keep)| Action::Deliver { to, pick, keep }),
        1 => (side.clone(), any::<usize>(), any::<usize>(), 1..=255u8)
            .prop_map(|(to, pick, position, flip)| Action::Tamper { to, pick, position, flip }),
        1 => (side.clone(), any::<usize>()).prop_map(|(to, pick)| Action::Lose { to, pick }),
        1 => side.clone().prop_map(Action::FailToSend),
        1 => side.prop_map(Action::Restart),
    ]
}

struct InFlight {
    ciphertext: Ciphertext,
    text: Vec<u8>,
    /// The sender's chain it belongs to, counted from 0.
    chain: usize,
}

/// One side: its session (the responder has none before its first message), what is on its way
/// to it, and what it has read.
#[derive(Default)]
struct Side {
    session: Option<Session>,
    inbox: Vec<InFlight>,
    read: HashSet<Vec<u8>>,
    newest_chain_read: usize,
    /// Ratchet keys this side has sent under, in order.
    chains: Vec<[u8; 32]>,
    sent: u32,
}

fn ratchet_key(ciphertext: &Ciphertext) -> [u8; 32] {
    let start = match ciphertext.kind {
        MessageKind::Setup => SETUP_HEADER_LEN,
        MessageKind::Session | MessageKind::Group => 0,
    };
    ciphertext.message[start + 1..start + 33].try_into().unwrap()
}

struct World {
    sides: [Side; 2],
}

impl World {
    fn new() -> Self {
        let mut sides = [Side::default(), Side::default()];
        sides[0].session = Some(PARTIES[0].initiate(&PARTIES[1]));
        Self { sides }
    }

    fn send(&mut self, from: usize) {
        let side = &mut self.sides[from];
        let Some(session) = &mut side.session else {
            return;
        };
        let text = format!("{from}:{}", side.sent).into_bytes();
        side.sent += 1;
        let ciphertext = send(session, &text);
        let key = ratchet_key(&ciphertext);
        if side.chains.last() != Some(&key) {
            assert!(!side.chains.contains(&key), "a ratchet key came back");
            side.chains.push(key);
        }
        let chain = side.chains.len() - 1;
        self.sides[1 - from].inbox.push(InFlight { ciphertext, text, chain });
    }

    fn deliver(&mut self, to: usize, pick: usize, keep: bool) {
        let side = &mut self.sides[to];
        if side.inbox.is_empty() {
            return;
        }
        let index = pick % side.inbox.len();
        let message = &side.inbox[index];
        let result = read(to, &mut side.session, &message.ciphertext);
        let remembered = message.chain + MAX_CHAINS > side.newest_chain_read;
        if side.read.contains(&message.text) {
            assert!(result.is_err(), "read twice");
        } else if remembered {
            assert_eq!(result.as_deref(), Ok(&*message.text));
            side.read.insert(message.text.clone());
            side.newest_chain_read = side.newest_chain_read.max(message.chain);
        } else {
            assert!(result.is_err(), "read from a forgotten chain");
        }
        if !keep {
            side.inbox.remove(index);
        }
    }

    fn tamper(&mut self, to: usize, pick: usize, position: usize, flip: u8) {
        let side = &mut self.sides[to];
        if side.inbox.is_empty() {
            return;
        }
        let mut altered = side.inbox[pick % side.inbox.len()].ciphertext.clone();
        let position = position % altered.message.len();
        altered.message[position] ^= flip;
        assert!(read(to, &mut side.session, &altered).is_err());
    }

    fn run(&mut self, action: &Action) {
        match *action {
            Action::Send(from) => self.send(from),
            Action::Deliver { to, pick, keep } => self.deliver(to, pick, keep),
            Action::Tamper { to, pick, position, flip } => self.tamper(to, pick, position, flip),
            Action::Lose { to, pick } => {
                let inbox = &mut self.sides[to].inbox;
                if !inbox.is_empty() {
                    inbox.remove(pick % inbox.len());
                }
            }
            Action::FailToSend(from) => {
                if let Some(session) = &self.sides[from].session {
                    let step = session.encrypt(b"never sent").unwrap();
                    assert!(step.commit(|_| Err(())).is_err());
                }
            }
            Action::Restart(side) => {
                if let Some(session) = &mut self.sides[side].session {
                    *session = Session::deserialize(session.serialize().as_bytes()).unwrap();
                }
            }
        }
    }
}

/// Reads with the session, or accepts if there is none yet.
fn read(to: usize, session: &mut Option<Session>, message: &Ciphertext) -> Result<Vec<u8>, String> {
    match session {
        Some(session) => receive(session, message).map_err(|error| error.to_string()),
        None => {
            let (accepted, text) =
                PARTIES[to].accept(&PARTIES[1 - to], &message.message).map_err(|error| error.to_string())?;
            *session = Some(accepted);
            Ok(text.as_bytes().to_vec())
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 96,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn every_message_is_read_exactly_once_or_refused(
        actions in prop::collection::vec(action(), 1..120)
    ) {
        let mut world = World::new();
        for action in &actions {
            world.run(action);
        }
        // In the end the network catches up, oldest first: all that was not lost is read.
        for to in [1, 0, 1] {
            while !world.sides[to].inbox.is_empty() {
                world.deliver(to, 0, false);
            }
        }
    }
}
