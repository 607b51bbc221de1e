//! Fresh random vectors, for `test-vectors/verify.py --fresh`: other values each run, in the same files.
//!
//! ```text
//! SUBROSA_FRESH_VECTORS=DIR cargo test -p subrosa-crypto --lib vectors::fresh -- --ignored
//! ```
//!
//! A test, not a program: only test code may choose the random bytes of this crate, and nothing of it is in the product.

use super::*;
use crate::randomness::Os;

fn hex_of<const N: usize>() -> Value {
    show(Os.array::<N>().unwrap())
}

fn hex_of_length(length: usize) -> Value {
    let mut bytes = vec![0; length];
    Os.fill(&mut bytes).unwrap();
    show(bytes)
}

fn any_u32() -> u32 {
    u32::from_be_bytes(Os.array().unwrap())
}

fn below(limit: usize) -> usize {
    any_u32() as usize % limit
}

fn person() -> Value {
    json!({"account_seed": hex_of::<32>(), "recovery_commitment": hex_of::<32>()})
}

fn with(mut base: Value, more: Value) -> Value {
    base.as_object_mut().unwrap().extend(object(&more).clone());
    base
}

fn used() -> &'static str {
    ["one-time", "last-resort"][below(2)]
}

fn ec_prekey() -> Value {
    json!({"id": any_u32(), "secret": hex_of::<32>()})
}

fn setup() -> Value {
    let device = || json!({"account_id": hex_of::<32>(), "device": 1 + below(5), "identity_seed": hex_of::<32>()});
    let responder = json!({
        "signed_prekey": ec_prekey(),
        "one_time_prekey": if below(2) == 0 { ec_prekey() } else { Value::Null },
        "kem_prekey": {"id": any_u32(), "use": used(), "seed": hex_of::<64>()},
    });
    json!({
        "initiator": device(),
        "responder": with(device(), responder),
        "base_secret": hex_of::<32>(),
        "kem_randomness": hex_of::<32>(),
    })
}

fn keys() -> Vec<Value> {
    let mut cases = Vec::new();
    for _ in 0..10 {
        cases.push(json!({"what": "identity", "ed25519_seed": hex_of::<32>()}));
        let public = identity::keys(&json!({"inputs": cases.last().unwrap()})).outputs["x25519_image"].clone();
        cases.push(json!({"what": "agreement", "x25519_secret": hex_of::<32>(), "x25519_public": public}));
        let flip = json!([{"offset": below(64), "flip": "01"}]);
        let change = if below(2) == 0 { flip } else { json!([]) };
        let message = hex_of_length(below(100));
        cases.push(json!({"what": "signature", "ed25519_seed": hex_of::<32>(), "message": message, "change": change}));
        for what in ["x25519 public key", "ed25519 public key"] {
            cases.push(json!({"what": what, "public": hex_of::<32>()}));
        }
    }
    cases
}

fn device_list() -> Vec<Value> {
    let device =
        |at: usize| json!({"device": at * 3 + 1, "identity_seed": hex_of::<32>(), "list_version": 1 + below(7)});
    let list = |count: usize| {
        let devices: Vec<Value> = (0..count).map(device).collect();
        with(person(), json!({"version": 7, "issued_ms": any_u32(), "highest": 13 + below(9), "devices": devices}))
    };
    (1..=5).map(list).collect()
}

fn prekeys() -> Vec<Value> {
    vec![
        json!({"what": "signed prekey", "identity_seed": hex_of::<32>(), "id": any_u32(), "secret": hex_of::<32>()}),
        json!({"what": "one-time prekey", "identity_seed": hex_of::<32>(), "id": any_u32(), "secret": hex_of::<32>()}),
        json!({"what": "KEM prekey", "identity_seed": hex_of::<32>(), "id": any_u32(), "use": used(), "kem_seed": hex_of::<64>()}),
    ]
}

fn x3dh() -> Value {
    json!({
        "initiator_seed": hex_of::<32>(),
        "responder_seed": hex_of::<32>(),
        "base_secret": hex_of::<32>(),
        "signed_prekey": ec_prekey(),
        "one_time_secret": if below(2) == 0 { hex_of::<32>() } else { Value::Null },
    })
}

fn message() -> Value {
    json!({
        "what": "message",
        "chain": hex_of::<32>(),
        "steps": 1 + below(20),
        "salt": hex_of::<16>(),
        "associated_data": hex_of_length(below(100)),
        "plaintext": hex_of_length(below(300)),
    })
}

fn seal() -> Value {
    let kind = ["setup", "session", "group"][below(3)];
    let sender = json!({
        "identity_seed": hex_of::<32>(), "device": any_u32().max(1), "list_version": any_u32().max(1), "kind": kind,
        "message": hex_of_length(1 + below(3000)), "message_repeated": 1,
    });
    let target = |_| json!({"account_id": hex_of::<32>(), "device": 1 + below(5), "identity_seed": hex_of::<32>()});
    let targets: Vec<Value> = (0..1 + below(4)).map(target).collect();
    let mut opening = json!({"target": below(targets.len())});
    match below(4) {
        0 => opening["head_change"] = json!([{"offset": below(64), "flip": "10"}]),
        // Behind version and E: what a changed E means is a case of its own.
        1 => opening["body_change"] = json!([{"offset": 33 + below(400), "flip": "80"}]),
        _ => {}
    }
    json!({
        "sender": with(person(), sender), "targets": targets, "ephemeral_secret": hex_of::<32>(),
        "body_key": hex_of::<32>(), "open": opening,
    })
}

fn group_sender() -> Value {
    json!({
        "group": hex_of::<32>(), "account_id": hex_of::<32>(), "device": any_u32().max(1), "identity_seed": hex_of::<32>(),
    })
}

/// A chain as a bad network and changing members make it: lost, reordered, repeated, altered and moved messages,
/// newcomers in the middle, altered handovers.
fn sender_key() -> Value {
    let chain = json!({
        "generation": any_u32().max(1), "number": any_u32() / 2, "chain_key": hex_of::<32>(), "seed": hex_of::<32>(),
    });
    let who = group_sender();
    let mut steps = vec![json!({"hand_over": []})];
    let (mut sent, mut handovers, mut receivers) = (0, 1, 1);
    for _ in 0..120 {
        match below(12) {
            0..4 => {
                steps.push(json!({"send": hex_of_length(below(80)), "salt": hex_of::<16>()}));
                sent += 1;
            }
            4 => steps.push(json!({"lose": 1 + below(150)})),
            5 if receivers < 5 => {
                steps.push(json!({"hand_over": []}));
                (handovers, receivers) = (handovers + 1, receivers + 1);
            }
            6 => {
                let flip = json!([{"offset": below(73), "flip": format!("{:02x}", 1 << below(8))}]);
                let change = if below(2) == 0 { flip } else { json!([]) };
                steps.push(json!({"again": below(handovers), "to": below(receivers), "change": change}));
            }
            _ if sent > 0 => {
                // One of the last few mostly.
                let message = if below(3) == 0 { below(sent) } else { sent - 1 - below(sent.min(4)) };
                let mut step = json!({"deliver": message, "to": below(receivers)});
                match below(6) {
                    // Header (37), salt (16), tag (16) and signature (64) are always there.
                    0 => step["change"] = json!([{"offset": below(133), "flip": format!("{:02x}", 1 << below(8))}]),
                    1 => step["as"] = group_sender(),
                    _ => {}
                }
                steps.push(step);
            }
            _ => {}
        }
    }
    json!({"chain": chain, "sender": who, "steps": steps})
}

/// A conversation as a bad network makes it: lost, reordered, repeated and altered messages in both directions.
struct Schedule {
    steps: Vec<Value>,
    secrets: [Vec<Value>; 2],
    /// For each side: whether its next message starts a chain, how many chains it started, and the newest chain of the
    /// other side that it read.
    fresh: [bool; 2],
    chains: [usize; 2],
    read: [usize; 2],
    /// On the way to each side: number of the message, its chain, whether it still carries the set-up header.
    waiting: [Vec<(usize, usize, bool)>; 2],
    delivered: Vec<usize>,
    sent: usize,
}

const SET_UP_HEADER: usize = crate::setup_header::SETUP_HEADER_LEN;
const NAMES: [&str; 2] = ["a", "b"];

impl Schedule {
    fn new() -> Self {
        Self {
            steps: Vec::new(),
            secrets: [Vec::new(), Vec::new()],
            fresh: [true; 2],
            chains: [0; 2],
            read: [0; 2],
            waiting: [Vec::new(), Vec::new()],
            delivered: Vec::new(),
            sent: 0,
        }
    }

    fn turn(&mut self, who: usize) {
        if self.fresh[who] {
            self.fresh[who] = false;
            self.chains[who] += 1;
            self.secrets[who].push(hex_of::<32>());
        }
    }

    fn send(&mut self, who: usize) {
        self.turn(who);
        self.steps.push(json!({"send": NAMES[who], "text": hex_of_length(below(80)), "salt": hex_of::<16>()}));
        if below(100) < 85 {
            // The initiator repeats the set-up header until it read an answer.
            let set_up = who == 0 && self.read[0] == 0;
            self.waiting[1 - who].push((self.sent, self.chains[who], set_up));
        }
        self.sent += 1;
    }

    fn deliver(&mut self, who: usize) {
        let at = if below(2) == 0 { 0 } else { below(self.waiting[who].len()) };
        let (message, chain, set_up) = self.waiting[who].remove(at);
        // A chain that is too old to be remembered is a case of the checked-in vectors.
        if chain + 4 < self.read[who] {
            return;
        }
        if below(3) == 0 {
            // Header (41), salt (16) and tag (16) are always there.
            let offset = below(41 + 16 + 16) + if set_up { SET_UP_HEADER } else { 0 };
            let mask = format!("{:02x}", 1 << below(8));
            self.steps.push(json!({"deliver": message, "change": [{"offset": offset, "flip": mask}]}));
        }
        self.steps.push(json!({"deliver": message}));
        self.delivered.push(message);
        if chain > self.read[who] {
            self.read[who] = chain;
            self.fresh[who] = true;
        }
    }

    fn inputs(mut self, length: usize) -> Value {
        for _ in 0..length {
            let who = below(2);
            match below(10) {
                // The responder has nothing to answer before it read something.
                0..4 if who == 0 || self.read[1] > 0 => self.send(who),
                4 if who == 0 || self.read[1] > 0 => {
                    self.turn(who);
                    self.steps.push(json!({"lose": NAMES[who], "count": 1 + below(9)}));
                }
                5..9 if !self.waiting[who].is_empty() => self.deliver(who),
                9 if !self.delivered.is_empty() => {
                    // One of the last few: an older chain may be forgotten.
                    let recent = self.delivered.len().saturating_sub(4);
                    let again = self.delivered[recent + below(self.delivered.len() - recent)];
                    self.steps.push(json!({"deliver": again}));
                }
                _ => {}
            }
        }
        let [a, b] = self.secrets;
        json!({"setup": setup(), "ratchet_secrets": {"a": a, "b": b}, "steps": self.steps})
    }
}

/// A set of changes as people make them who act at the same time, backdate, and ask for too much.
struct Group {
    people: Value,
    names: Vec<String>,
    changes: Vec<Value>,
    made: membership::Made,
    links: Vec<Value>,
}

impl Group {
    fn new() -> Self {
        let names: Vec<String> = ["ann", "bob", "cid", "dan", "eve"].map(str::to_owned).to_vec();
        let one = || {
            let device = |number: u32, version: u32| json!({"device": number, "identity_seed": hex_of::<32>(), "list_version": version});
            let list = |version: u32, highest: u32, devices: &[u32]| json!({"version": version, "issued_ms": any_u32(), "highest": highest, "devices": devices});
            let more = json!({
                "devices": [device(1, 1), device(2, 1), device(3, 3)],
                "lists": [list(1, 2, &[0, 1]), list(2, 2, &[0]), list(3, 3, &[0, 2])],
            });
            with(person(), more)
        };
        let people: Map<String, Value> = names.iter().map(|name| (name.clone(), one())).collect();
        let people = Value::Object(people);
        let made = membership::Made::new(&people);
        let mut group = Self { people, names, changes: Vec::new(), made, links: Vec::new() };
        let first = json!({"kind": "create", "random": hex_of::<16>(), "settings": below(8), "list": 0, "name": "all"});
        assert!(group.sign("ann", json!(0), &[], first));
        let others: Vec<&str> = ["bob", "cid", "dan", "eve"][..2 + below(3)].to_vec();
        let coming: Vec<Value> = others.iter().map(|who| json!({"who": who, "list": 0})).collect();
        assert!(group.sign("ann", json!(0), &[0], json!({"kind": "add", "link": null, "newcomers": coming})));
        for (at, who) in others.iter().take(1 + below(3)).enumerate() {
            assert!(group.sign("ann", json!(0), &[1 + at], json!({"kind": "promote", "accounts": [who]})));
        }
        group
    }

    /// Whether it is in the set now. A few of those that are not taken stay in the case.
    fn sign(&mut self, author: &str, device: Value, heads: &[usize], act: Value) -> bool {
        let clock = 10 * self.changes.len();
        let change = with(act, json!({"author": author, "device": device, "clock": clock, "heads": heads}));
        let taken = self.made.put(&change, below(20) == 0);
        if taken.is_some() {
            self.changes.push(change);
        }
        taken == Some(true)
    }

    /// Of those that are in the set: the newest ones, or any that nobody among them had seen.
    fn heads(&self) -> Vec<usize> {
        if below(3) == 0 {
            return self.made.newest(usize::MAX);
        }
        // The first ones of all make a group of it.
        let least = self.changes.len().min(4);
        self.made.newest(least + below(self.changes.len() + 1 - least))
    }

    fn someone(&self) -> String {
        self.names[below(self.names.len())].clone()
    }

    fn chains(&self) -> Value {
        let one = |device: usize| json!({"device": device, "generation": 1 + below(3), "next": below(9), "chain": hex_of::<32>()});
        (1..=below(3)).map(one).collect()
    }

    fn any(&mut self) {
        let (author, heads) = (self.someone(), self.heads());
        let mut whom = vec![self.someone(), self.someone()];
        whom.truncate(1 + below(2));
        whom.sort();
        whom.dedup();
        let known = |links: &[Value]| links.get(below(links.len().max(1))).cloned().unwrap_or(Value::Null);
        let mut device = json!([0, 0, 0, 1, 2][below(5)]);
        let act = match below(20) {
            0..4 => {
                let coming = whom.iter().map(|who| json!({"who": who, "list": below(3)})).collect::<Vec<_>>();
                let link = if below(2) == 0 { known(&self.links) } else { Value::Null };
                json!({"kind": "add", "link": link, "newcomers": coming})
            }
            at @ 4..11 => {
                let kind = if at < 8 { "remove" } else { "demote" };
                let endings = whom.iter().map(|who| json!({"who": who, "chains": self.chains()})).collect::<Vec<_>>();
                json!({"kind": kind, "endings": endings})
            }
            11..14 => json!({"kind": "promote", "accounts": whom}),
            14 => json!({"kind": "rename", "name": format!("name {}", below(100))}),
            15 => json!({"kind": "set", "settings": below(8)}),
            16 => {
                let link = hex_of::<16>();
                self.links.push(link.clone());
                let expires = 10 * below(40);
                json!({"kind": "open link", "link": link, "uses": 1 + below(2), "expires_ms": expires, "approval": below(3) == 0})
            }
            17 if !self.links.is_empty() => json!({"kind": "revoke link", "link": known(&self.links)}),
            18 => {
                let successor = if below(2) == 0 { json!(whom[0]) } else { Value::Null };
                if below(2) == 0 {
                    device = Value::Null;
                }
                json!({"kind": "leave", "successor": successor, "chains": self.chains()})
            }
            19 if below(8) == 0 => json!({"kind": "disband"}),
            _ => {
                device = Value::Null;
                json!({"kind": "list", "list": 1 + below(2)})
            }
        };
        self.sign(&author, device, &heads, act);
    }

    fn inputs() -> Value {
        let mut group = Self::new();
        let length = 12 + below(14);
        // What is disbanded takes no more, so not for ever.
        for _ in 0..400 {
            if group.changes.len() >= length {
                break;
            }
            group.any();
        }
        json!({"people": group.people, "changes": group.changes})
    }
}

fn group_change() -> Value {
    let mut inputs = Group::inputs();
    let changes = inputs.as_object_mut().unwrap().remove("changes").unwrap();
    let mut change = list(&changes)[below(list(&changes).len())].clone();
    change.as_object_mut().unwrap().remove("heads");
    let first = change["kind"] == "create";
    let heads = (0..if first { 0 } else { 1 + below(8) }).map(|_| hex_of::<32>()).collect::<Vec<_>>();
    let group = if first { show([0; 32]) } else { hex_of::<32>() };
    with(inputs, json!({"change": change, "heads": heads, "group": group}))
}

fn cases(name: &str) -> Vec<Value> {
    let several = |count: usize, make: fn() -> Value| (0..count).map(|_| make()).collect::<Vec<_>>();
    match name {
        "keys" => keys(),
        "recovery-words" => several(10, || json!({"seed": hex_of::<32>()})),
        "account" => several(10, person),
        "device-certificate" => several(10, || {
            let device =
                json!({"device": any_u32().max(1), "identity_seed": hex_of::<32>(), "list_version": any_u32().max(1)});
            with(person(), device)
        }),
        "device-list" => device_list(),
        "prekeys" => prekeys(),
        "ml-kem-1024" => several(5, || {
            let change = json!([{"offset": below(1568), "flip": "01"}]);
            json!({"seed": hex_of::<64>(), "randomness": hex_of::<32>(), "change": change})
        }),
        "x3dh" => several(10, x3dh),
        "pqxdh" => several(5, setup),
        "key-schedule" => several(10, message),
        "double-ratchet" => {
            // So short a schedule that b never reads anything says nothing: take another one.
            let told = |inputs: &Value| !list(&inputs["ratchet_secrets"]["b"]).is_empty();
            std::iter::repeat_with(|| Schedule::new().inputs(150)).filter(told).take(12).collect()
        }
        "seal" => several(12, seal),
        "sender-key" => several(8, sender_key),
        "safety-number" => several(3, || json!({"a": person(), "b": person()})),
        "relay-proofs" => several(6, || {
            json!({
                "what": "auth", "identity_seed": hex_of::<32>(), "authority": format!("relay-{}.example:443", any_u32()),
                "pin": if below(2) == 0 { hex_of::<32>() } else { Value::Null }, "account_id": hex_of::<32>(),
                "nonce": hex_of::<32>(), "device": any_u32().max(1),
                "exporter": if below(2) == 0 { hex_of::<32>() } else { Value::Null },
                "shown": (0..below(9)).map(|_| hex_of::<16>()).collect::<Vec<_>>(), "mark": hex_of::<16>(),
                "take_over": below(2) == 0,
            })
        }),
        "link-secret" => several(8, || {
            let joiner = hex_of::<32>();
            let flip = json!([{"offset": below(32), "flip": "04"}]);
            let change = if below(2) == 0 { flip } else { json!([]) };
            json!({
                "secret": hex_of::<16>(), "inviter": hex_of::<32>(), "joiner": joiner, "shown_by": joiner, "change": change,
            })
        }),
        "message-id" => several(6, || {
            let author = if below(2) == 0 { "one" } else { "other" };
            json!({"one": hex_of::<32>(), "other": hex_of::<32>(), "author": author, "random": hex_of::<16>()})
        }),
        "group-change" => several(10, group_change),
        "membership" => several(30, Group::inputs),
        other => panic!("no construction {other}"),
    }
}

const CONSTRUCTIONS: [&str; 19] = [
    "keys",
    "recovery-words",
    "account",
    "device-certificate",
    "device-list",
    "prekeys",
    "ml-kem-1024",
    "x3dh",
    "pqxdh",
    "key-schedule",
    "double-ratchet",
    "seal",
    "sender-key",
    "safety-number",
    "relay-proofs",
    "link-secret",
    "message-id",
    "group-change",
    "membership",
];

fn file(name: &str) -> Value {
    let computed = cases(name).into_iter().enumerate().map(|(at, inputs)| {
        let mut case = json!({"name": format!("fresh {}", at + 1), "inputs": inputs});
        let Computed { intermediate, outputs } = construction(name)(&case);
        case["intermediate"] = intermediate;
        case["outputs"] = outputs;
        case
    });
    let cases: Vec<Value> = computed.collect();
    json!({"construction": name, "title": "made anew", "section": "", "made_by": "subrosa-crypto", "cases": cases})
}

/// What CI gives to Python. Here without a file: every construction can be computed for random inputs.
#[test]
fn random_inputs_are_computed() {
    for name in CONSTRUCTIONS {
        assert!(!list(&file(name)["cases"]).is_empty());
    }
}

#[test]
#[ignore = "writes files: run with SUBROSA_FRESH_VECTORS set to a directory"]
fn write_fresh_vectors() {
    let directory = std::path::PathBuf::from(std::env::var_os("SUBROSA_FRESH_VECTORS").unwrap());
    std::fs::create_dir_all(&directory).unwrap();
    for name in CONSTRUCTIONS {
        std::fs::write(directory.join(format!("{name}.json")), file(name).to_string()).unwrap();
    }
}
