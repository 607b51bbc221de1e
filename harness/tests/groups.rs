//! What groups will cost, held against every limit, before engines have any. The tables and findings of `docs/groups.md` are made here and
//! compared; `SUBROSA_UPDATE=1` writes them anew.

use std::{collections::BTreeSet, fmt::Write as _, fs, path::Path, sync::LazyLock};

use subrosa_crypto::{
    AccountKeyPair, AccountRecord, BUCKETS, DeviceCertificate, GROUP_MESSAGE_OVERHEAD, IdentityKeyPair,
    MESSAGE_OVERHEAD, PartyAddress, SETUP_HEADER_LEN, SealedContent, SendingPairKey,
    membership::{MAX_CHANGES, MAX_TARGETS},
    seal,
};
use subrosa_harness::groups::{
    Group, Numbers, item_bytes,
    limits::{Use, uses},
    load::{Receipts, everybody, receipt_body, receipts, relay, sustained, until_full, window_ms},
    operations::{Cost, Operation, TEXT_BYTES, cost},
    people::people,
    prekey_question,
    sizes::{self, Encrypted, History},
};
use subrosa_wire::limits::{MAX_BUNDLES, MAX_MAILBOX_ROWS};

/// The last one is what the limits are made for: the largest group with as many devices as there may be.
const GROUPS: [Group; 7] = [
    Group { members: 6, devices: 1 },
    Group { members: 6, devices: 2 },
    Group { members: 64, devices: 1 },
    Group { members: 64, devices: 2 },
    Group { members: 256, devices: 1 },
    Group { members: 256, devices: 2 },
    Group { members: 256, devices: 5 },
];

/// Messages a minute of one author.
const PACES: [usize; 2] = [1, 60];

const TOGETHER: [Operation; 2] = [Operation::FirstMessage, Operation::AfterRemoval];

/// What has to wait, by one member: operation, group, limit. Everything else fits at once.
const WAITS: &[(&str, &str, &str)] = &[("create", "256 × 5", "KiB on one connection")];

/// What has to wait if everybody does it at the same moment behind one address.
const WAITS_TOGETHER: &[(&str, &str, &str)] = &[
    ("first message", "64 × 1", "devices asked for by one address"),
    ("first message", "64 × 2", "devices asked for by one address"),
    ("first message", "256 × 1", "devices asked for by one address"),
    ("first message", "256 × 2", "devices asked for by one address"),
    ("first message", "256 × 5", "devices asked for by one address"),
    ("first message", "64 × 2", "envelopes from one address"),
    ("first message", "256 × 1", "envelopes from one address"),
    ("first message", "256 × 2", "envelopes from one address"),
    ("first message", "256 × 5", "envelopes from one address"),
    ("first message", "256 × 5", "HTTP requests of one address"),
    ("message after a removal", "256 × 1", "envelopes from one address"),
    ("message after a removal", "256 × 2", "envelopes from one address"),
    ("message after a removal", "256 × 5", "envelopes from one address"),
];

/// Loads of receipts that lasting rates do not carry.
const OVERLOADS: &[(&str, &str, usize)] = &[
    ("at once", "64 × 1", 60),
    ("at once", "64 × 2", 60),
    ("at once", "256 × 1", 60),
    ("at once", "256 × 2", 60),
    ("at once", "256 × 5", 60),
    ("gathered, of each device", "256 × 5", 1),
    ("gathered, of each device", "256 × 5", 60),
];

/// An operation in each group, and what it uses of each limit.
type Row = (Operation, Vec<(Group, Cost, Vec<Use>)>);

static COSTS: LazyLock<Vec<Row>> = LazyLock::new(|| {
    let cell = |operation, group| {
        let cost = cost(operation, group).unwrap();
        let uses = uses(&cost).unwrap();
        (group, cost, uses)
    };
    let row = |operation| (operation, GROUPS.into_iter().map(|group| cell(operation, group)).collect());
    Operation::ALL.into_iter().map(row).collect()
});

#[test]
fn bodies_are_as_large_as_real_seals() {
    let (key, identity) = (AccountKeyPair::from_seed(&[1; 32]), IdentityKeyPair::from_seed(&[2; 32]));
    let record = AccountRecord::new(key.public(), [3; 32]);
    let certificate = DeviceCertificate::issue(&key, &record.id(), 1, &identity.public(), 1);
    let address = PartyAddress { account: record.id(), device: 1 };
    let pair = SendingPairKey::new(&identity, &address, &certificate.verify(&record).unwrap()).unwrap();
    let sealed = |encrypted, content: usize| {
        let content = match encrypted {
            Encrypted::Setup => {
                SealedContent::setup(record, certificate, vec![1; SETUP_HEADER_LEN + MESSAGE_OVERHEAD + content])
            }
            Encrypted::Session => SealedContent::session(record.id(), certificate, vec![1; MESSAGE_OVERHEAD + content]),
            Encrypted::Group => {
                SealedContent::group(record.id(), certificate, vec![1; GROUP_MESSAGE_OVERHEAD + content])
            }
        };
        seal(&[&pair], &content).ok().map(|envelope| envelope.body.len())
    };
    for encrypted in [Encrypted::Setup, Encrypted::Session, Encrypted::Group] {
        for body in BUCKETS.into_iter().filter(|body| encrypted.room(*body) > 0) {
            for content in [encrypted.room(body), encrypted.room(body) + 1] {
                assert_eq!(sealed(encrypted, content), encrypted.body(content).ok(), "{encrypted:?}, {content}");
            }
        }
    }
}

#[test]
fn contents_fit_the_bodies_that_they_are_planned_for() {
    let handover = sizes::longest_handover().unwrap();
    assert!(handover <= Encrypted::Setup.room(2_304));
    assert!(handover <= Encrypted::Session.room(512));
    assert!(sizes::text(TEXT_BYTES) <= Encrypted::Group.room(1_024));
    assert!(sizes::receipt(1) <= Encrypted::Session.room(512));
    assert_eq!(people(2).unwrap()[0].list_bytes(), 114 + 2 * 104);
    for group in GROUPS {
        assert!(sizes::longest_checkpoint(group).unwrap() <= Encrypted::Group.room(65_536), "{group}");
        for history in HISTORIES {
            let changes = sizes::changes(group, history).unwrap();
            let parts = sizes::parts(&changes, group.members);
            assert!(parts.iter().all(|part| *part <= sizes::MAX_PART_BYTES), "{group}: {parts:?}");
            let whole = changes.iter().sum::<usize>() + group.members * sizes::directory_entry();
            assert!(parts.iter().sum::<usize>() >= whole, "{group}: something is left out");
        }
    }
}

#[test]
fn a_real_group_has_the_changes_that_are_counted() {
    for group in GROUPS {
        let made = sizes::made(group).unwrap();
        assert_eq!(made.state().members().len(), group.members);
        let real: Vec<_> = made.changes().map(|change| change.encode().len()).collect();
        assert_eq!(real, sizes::changes(group, History::AtOnce).unwrap(), "{group}");
    }
}

#[test]
fn everything_fits_its_limits_or_is_named() {
    let mut waits = BTreeSet::new();
    for (operation, row) in &*COSTS {
        for (group, _, uses) in row {
            for one in uses.iter().filter(|one| !one.fits()) {
                assert!(one.per_minute.is_some(), "{}, {group}: no waiting helps {one:?}", operation.name());
                waits.insert((operation.name(), group.to_string(), one.limit));
            }
        }
    }
    assert_eq!(waits, named(WAITS));

    let mut waits = BTreeSet::new();
    for operation in TOGETHER {
        for group in GROUPS {
            for one in everybody(operation, group).unwrap().into_iter().filter(|one| !one.fits()) {
                assert!(one.per_minute.is_some(), "{}, {group}: no waiting helps {one:?}", operation.name());
                waits.insert((operation.name(), group.to_string(), one.limit));
            }
        }
    }
    assert_eq!(waits, named(WAITS_TOGETHER));
}

fn named(all: &[(&'static str, &str, &'static str)]) -> BTreeSet<(&'static str, String, &'static str)> {
    all.iter().map(|(operation, group, limit)| (*operation, (*group).to_owned(), *limit)).collect()
}

const WAYS: [(&str, Receipts); 4] = [
    ("at once", Receipts::AtOnce),
    ("gathered", Receipts::Gathered),
    ("gathered, of each device", Receipts::OfEachDevice),
    ("gathered, to the device that wrote", Receipts::ToWriter),
];

#[test]
fn receipts_come_no_faster_than_they_are_let_in_or_are_named() {
    let mut overloads = BTreeSet::new();
    for (way, how) in WAYS {
        for group in GROUPS {
            for pace in PACES {
                if sustained(receipts(group, pace, how)).iter().any(|one| !one.fits()) {
                    overloads.insert((way, group.to_string(), pace));
                }
            }
        }
    }
    let named = OVERLOADS.iter().map(|(way, group, pace)| (*way, (*group).to_owned(), *pace)).collect();
    assert_eq!(overloads, named);
}

#[test]
fn the_page_says_what_is_computed() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/groups.md");
    let page = fs::read_to_string(&path).unwrap();
    let mut new = page.clone();
    for (name, text) in made() {
        let begin = format!("<!-- {name}: made by harness/tests/groups.rs -->\n");
        let (before, rest) = new.split_once(&begin).unwrap_or_else(|| panic!("the page has no place for {name}"));
        let (_, after) = rest.split_once(END).expect("and an end of it");
        new = format!("{before}{begin}\n{}\n{END}{after}", text.trim_end().to_owned() + "\n");
    }
    if std::env::var_os("SUBROSA_UPDATE").is_some() {
        fs::write(&path, new).unwrap();
        return;
    }
    assert!(page == new, "docs/groups.md says something else; SUBROSA_UPDATE=1 writes what is true");
}

const END: &str = "<!-- end of what is made -->\n";

const HISTORIES: [History; 3] = [History::AtOnce, History::OneByOne, History::Busy(1_000)];

/// Everything on the page that is computed.
fn made() -> Vec<(&'static str, String)> {
    vec![
        ("sizes", sizes_made()),
        ("operations", operations()),
        ("limits", limits()),
        ("time", times()),
        ("receipts", receipts_made()),
        ("together", together()),
        ("changes", changes()),
        ("findings", findings()),
    ]
}

/// With commas between thousands.
fn n(number: usize) -> String {
    let digits = number.to_string();
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(|three| String::from_utf8_lossy(three)).collect();
    groups.join(",")
}

fn table(head: &[String], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = format!("| {} |\n|{}\n", head.join(" | "), "---|".repeat(head.len()));
    for row in rows {
        writeln!(table, "| {} |", row.join(" | ")).unwrap();
    }
    table
}

/// A table with a column for each group.
fn by_group(first: &str, rows: impl IntoIterator<Item = (String, Vec<String>)>) -> String {
    let head: Vec<_> = std::iter::once(first.to_owned()).chain(GROUPS.iter().map(Group::to_string)).collect();
    table(&head, rows.into_iter().map(|(name, cells)| std::iter::once(name).chain(cells).collect()))
}

fn of_each(cell: impl Fn(Group) -> String) -> Vec<String> {
    GROUPS.into_iter().map(cell).collect()
}

fn sizes_made() -> String {
    let row = |what: &str, encrypted: Encrypted, content: usize| {
        let body = encrypted.body(content).unwrap();
        vec![what.to_owned(), n(content), n(encrypted.room(body)), n(body)]
    };
    let head = ["content", "bytes", "fit", "body"].map(str::to_owned);
    let mut text = table(
        &head,
        [
            row("sender key handed over, with a set-up", Encrypted::Setup, sizes::handover().unwrap()),
            row("the same in a session", Encrypted::Session, sizes::handover().unwrap()),
            row(
                "the same with the largest numbers and all flags",
                Encrypted::Session,
                sizes::longest_handover().unwrap(),
            ),
            row("text of 100 bytes", Encrypted::Group, sizes::text(TEXT_BYTES)),
            row("receipt for one message", Encrypted::Session, sizes::receipt(1)),
            row("receipt for 30 messages", Encrypted::Session, sizes::receipt(30)),
            row("the same, the conversation named once", Encrypted::Session, sizes::receipt_of_group(30)),
            row("one member added (1 device)", Encrypted::Group, sizes::news(sizes::add(1, 1).unwrap(), true)),
            row("one member added (2 devices)", Encrypted::Group, sizes::news(sizes::add(1, 2).unwrap(), true)),
            row("one member removed (2 devices)", Encrypted::Group, sizes::news(sizes::remove(2).unwrap(), false)),
        ],
    );
    let (question, answer) = prekey_question(MAX_BUNDLES).unwrap();
    let add = |devices| n(sizes::add(MAX_TARGETS, devices).unwrap());
    write!(
        text,
        "\nA member in the directory has {} bytes (handle of 12, URL of 26, a pin), {} at most. A change that adds {} members has {}, {} \
         and {} bytes with 1, 2 and 5 devices each, one that removes one {}, {} and {}. An item of a submission has {} bytes, {} with the \
         largest numbers. A question for {MAX_BUNDLES} bundles has {} bytes, its answer {}.\n",
        sizes::directory_entry(),
        sizes::longest_directory_entry(),
        MAX_TARGETS,
        add(1),
        add(2),
        add(5),
        sizes::remove(1).unwrap(),
        sizes::remove(2).unwrap(),
        sizes::remove(5).unwrap(),
        item_bytes(Numbers::Usual),
        item_bytes(Numbers::Largest),
        n(question),
        n(answer),
    )
    .unwrap();
    text
}

fn operations() -> String {
    let table = |title: &str, what: &str, cell: &dyn Fn(&Cost) -> String| {
        let rows = COSTS.iter().map(|(operation, row)| {
            (operation.name().to_owned(), row.iter().map(|(_, cost, _)| cell(cost)).collect::<Vec<_>>())
        });
        format!("{title}\n\n{}\n", by_group(what, rows))
    };
    [
        table("Envelopes:", "envelopes", &|cost| n(cost.envelopes())),
        table("Submissions:", "submissions", &|cost| n(cost.submissions.len())),
        table("Bytes submitted (frames):", "bytes", &|cost| n(cost.bytes())),
        table("Prekey bundles, and the questions for them:", "bundles", &|cost| match cost.bundles() {
            0 => "–".to_owned(),
            bundles => format!("{} in {}", n(bundles), cost.questions.len()),
        }),
        table("Ed25519 signatures that who does it makes, and verifies:", "made, verified", &|cost| {
            format!("{}, {}", n(cost.made), n(cost.verified))
        }),
        table(
            "Ed25519 signatures that each receiving device verifies (behind `+`: each device of who is new):",
            "verified",
            &|cost| match cost.verified_new {
                None => n(cost.verified_each),
                Some(new) => format!("{} + {}", n(cost.verified_each), n(new)),
            },
        ),
    ]
    .concat()
}

/// "n of limit", bold where it does not fit.
fn of_limit(one: &Use) -> String {
    let text = format!("{} of {}", n(one.used), n(one.allowed));
    if one.fits() { text } else { format!("**{text}**") }
}

fn limits() -> String {
    let (_, first) = &COSTS[0];
    let rows = first[0].2.iter().enumerate().map(|(at, limit)| {
        let cells = (0..GROUPS.len()).map(|group| {
            let all = COSTS.iter().map(|(operation, row)| (*operation, row[group].2[at]));
            // Of those that use as much, the first.
            let (operation, one) = all.clone().rev().max_by_key(|(_, one)| one.used).unwrap();
            if all.into_iter().all(|(_, other)| other.used == one.used) {
                return of_limit(&one);
            }
            format!("{} ({})", of_limit(&one), operation.name())
        });
        (limit.limit.to_owned(), cells.collect())
    });
    by_group("limit", rows)
}

fn times() -> String {
    let rows = COSTS.iter().map(|(operation, row)| {
        let cells = row.iter().map(|(_, _, uses)| {
            let wait = uses.iter().map(Use::wait_s).max().unwrap();
            let in_a_row = uses.iter().filter_map(Use::in_a_row).min().unwrap();
            if wait == 0 { format!("0 s; {}", n(in_a_row)) } else { format!("**{wait} s**") }
        });
        (operation.name().to_owned(), cells.collect())
    });
    by_group("seconds; times in a row", rows)
}

fn receipts_made() -> String {
    let mut rows =
        vec![("window, seconds".to_owned(), of_each(|group| format!("{}", window_ms(group.members) as f64 / 1_000.0)))];
    for pace in PACES {
        let load = |how| {
            of_each(|group| {
                let envelopes = receipts(group, pace, how);
                let fits = sustained(envelopes).iter().all(Use::fits);
                if fits { n(envelopes) } else { format!("**{}**", n(envelopes)) }
            })
        };
        for (way, how) in WAYS {
            rows.push((format!("{pace} a minute: mailboxes of the author, {way}"), load(how)));
        }
        for (way, how) in [WAYS[0], WAYS[1]] {
            rows.push((format!("{pace} a minute: relay, {way}"), of_each(|group| n(relay(group, pace, how)))));
        }
        rows.push((
            format!("{pace} a minute: body of a gathered receipt"),
            of_each(|group| n(receipt_body(group, pace).unwrap())),
        ));
        rows.push((
            format!("{pace} a minute: minutes until a device of the author that is away is full, gathered"),
            of_each(|group| {
                let each = receipts(group, pace, Receipts::Gathered) / group.devices + pace;
                n(MAX_MAILBOX_ROWS / each)
            }),
        ));
    }
    by_group("envelopes a minute", rows)
}

fn together() -> String {
    let mut rows = Vec::new();
    for operation in TOGETHER {
        let all: Vec<_> = GROUPS.iter().map(|group| everybody(operation, *group).unwrap()).collect();
        for (at, limit) in all[0].iter().map(|one| one.limit).enumerate() {
            let cell = |uses: &Vec<Use>| match uses[at].wait_s() {
                0 => of_limit(&uses[at]),
                wait if wait < 600 => format!("{}: {wait} s", of_limit(&uses[at])),
                wait => format!("{}: {} min", of_limit(&uses[at]), n(wait.div_ceil(60))),
            };
            rows.push((format!("{}: {limit}", operation.name()), all.iter().map(cell).collect()));
        }
    }
    by_group("everybody, by one address", rows)
}

fn changes() -> String {
    let names = ["made with all", "each added alone", "each added alone, then 1,000 came and went"];
    let mut rows = Vec::new();
    for (name, history) in names.iter().zip(HISTORIES) {
        let of = |group: Group| sizes::changes(group, history).unwrap();
        rows.push((format!("{name}: changes"), of_each(|group| n(of(group).len()))));
        rows.push((format!("{name}: bytes"), of_each(|group| n(of(group).iter().sum()))));
        rows.push((
            format!("{name}: parts, with the directory"),
            of_each(|group| n(sizes::parts(&of(group), group.members).len())),
        ));
    }
    let bytes = |of: fn(Group) -> anyhow::Result<usize>| of_each(|group| n(of(group).unwrap()));
    rows.push(("checkpoint, one admin: bytes".to_owned(), bytes(sizes::checkpoint)));
    rows.push(("checkpoint, all admins, longest description: bytes".to_owned(), bytes(sizes::longest_checkpoint)));
    rows.push(("directory: bytes".to_owned(), of_each(|group| n(group.members * sizes::directory_entry()))));
    by_group("all of a group", rows)
}

/// Named by what the tests above have found; the figures in the sentences are computed.
fn findings() -> String {
    let [.., large, two, five] = GROUPS;
    let medium = GROUPS[2];
    let pace = PACES[1];
    let load = |group, how| n(receipts(group, pace, how));
    let [account, capability] = sustained(0).map(|one| n(one.allowed));
    let of = |uses: Vec<Use>, limit: &str| uses.into_iter().find(|one| one.limit == limit).unwrap();
    let asked = |group| {
        let first = cost(Operation::FirstMessage, group).unwrap();
        of(uses(&first).unwrap(), "devices asked for by one address")
    };
    let all_ask = of(everybody(Operation::FirstMessage, two).unwrap(), "devices asked for by one address");
    let all_send = of(everybody(Operation::FirstMessage, two).unwrap(), "envelopes from one address");
    let kib = of(uses(&cost(Operation::Create, five).unwrap()).unwrap(), "KiB on one connection");
    let (handover, room) = (sizes::longest_handover().unwrap(), Encrypted::Session.room(512));
    // The changes that are left when all have come.
    let most = (MAX_CHANGES - large.members) / 2;
    let parts = |times| sizes::parts(&sizes::changes(large, History::Busy(times)).unwrap(), large.members).len();
    let ticks = |content: fn(usize) -> usize, body| {
        (1..).take_while(|messages| content(*messages) <= Encrypted::Session.room(body)).count()
    };
    let in_a_window = pace * window_ms(large.members) / 60_000;
    [
        format!(
            "- **Receipts at once, changed first: they are gathered.** At {pace} messages a minute {} envelopes a minute come for one author in {large} and {} in \
             {medium}, where {account} are let in for an account and {capability} with a capability. Gathered: {} and {}. Decided, comes with the engine.",
            load(large, Receipts::AtOnce),
            load(medium, Receipts::AtOnce),
            load(large, Receipts::Gathered),
            load(medium, Receipts::Gathered),
        ),
        format!(
            "- **Gathered receipts of each device of a reader to each device of the author: {} a minute in {five}.** It is the square of the devices. Decided, comes with the engine: only the \
             device that wrote gets them, and tells the author's others once a window: {}.",
            load(five, Receipts::OfEachDevice),
            load(five, Receipts::ToWriter),
        ),
        format!(
            "- **A device of the author that is away.** Each message of their own brings it a receipt of everybody: after {} messages in a group of {}, {} in one of {} and \
             {} in one of {} it holds {} envelopes and is full, and what is said by others waits at their ends. Gathering does not help who says less than two messages a minute. To a device that never \
             wrote nobody has a session, and it never answers one: each receipt for it is a set-up of 2,304 bytes, with a bundle first. Decided, comes with the engine: receipts go to the device that wrote.",
            n(until_full(large)),
            large.members,
            n(until_full(medium)),
            medium.members,
            n(until_full(GROUPS[0])),
            GROUPS[0].members,
            n(MAX_MAILBOX_ROWS),
        ),
        format!(
            "- **Prekeys, one member, changed first: the rate.** *Create* and *first message* in {five} ask for {} of {} devices at once and wait for none; at 600, the rate before, the last answer came after {} s. In {two} it is {} of {}: \
             {} such groups in a row.",
            n(asked(five).used),
            n(asked(five).allowed),
            (asked(five).used - 600).div_ceil(10),
            n(asked(two).used),
            n(asked(two).allowed),
            asked(two).in_a_row().unwrap(),
        ),
        format!(
            "- **Bytes of one connection**: *create* in {five} is {} KiB of {}; the rest is read within a second. Nothing is changed.",
            n(kib.used),
            n(kib.allowed),
        ),
        format!(
            "- **Prekeys, everybody behind one address.** All first messages of {two} ask for {} bundles: {} minutes. Envelopes take {} minutes. After a removal no \
             prekeys are asked for. Nobody loses anything by it; messages wait. Nothing is changed beyond the rate.",
            n(all_ask.used),
            n(all_ask.wait_s().div_ceil(60)),
            n(all_send.wait_s().div_ceil(60)),
        ),
        format!(
            "- **A sender key in a session fits 512 bytes with {} to spare** ({handover} of {room} with the largest numbers and all flags). One more field, a clock for instance, and each rotation costs twice as much. \
             The test holds it.",
            room - handover,
        ),
        format!(
            "- **A text in 512 bytes has at most {} bytes**, so nearly every message takes 1,024, up to {} bytes of text. Signature and heads cost 64 and 34, the sender's certificate 104. The relay stores \
             a body once; each device fetches it. Nothing is changed: no limit is met, and a smaller set of sizes tells less.",
            sizes::longest_text(512),
            sizes::longest_text(1_024),
        ),
        format!(
            "- **Receipts of a busy window take {} bytes** ({} for each message, the conversation's 34 among them), not 512. Decided, comes with the engine: a receipt of a group names its conversation once. \
             With {} for each message 512 bytes hold {} instead of {}, and 1,024 hold {} instead of {}; the {in_a_window} of a full window take {} all the same.",
            n(receipt_body(large, pace).unwrap()),
            sizes::receipt(2) - sizes::receipt(1),
            sizes::receipt_of_group(2) - sizes::receipt_of_group(1),
            ticks(sizes::receipt_of_group, 512),
            ticks(sizes::receipt, 512),
            ticks(sizes::receipt_of_group, 1_024),
            ticks(sizes::receipt, 1_024),
            n(Encrypted::Session.body(sizes::receipt_of_group(in_a_window)).unwrap()),
        ),
        format!(
            "- **Changes, changed first: they are bounded.** Each member who came and went leaves {} bytes for everybody who comes after. A group has at most {} changes: after {} who came and went in {large} it takes no more, \
             and somebody new gets {} parts then, after 1,000 {}. A checkpoint shows a large group at once, {} bytes in {large}; the changes follow.",
            n(sizes::add(1, 1).unwrap() + sizes::remove(1).unwrap()),
            n(MAX_CHANGES),
            n(most),
            parts(most),
            parts(1_000),
            n(sizes::checkpoint(large).unwrap()),
        ),
        "- **Who never answers is set up again.** A session that was not answered sends set-ups, and a week later begins anew. With receipts switched off, and towards a device whose account tells \
         by another one, a message after a removal costs what a first one does. No limit is met."
            .to_owned(),
        "- **Sockets and connections** (protocol.md section 16, and what the threat model says of them): submissions to two accounts never share a socket, questions about two accounts no connection. \
         A group's submission names all members, a question up to 64 devices of them. Decided: both pages say so when the engine does it."
            .to_owned(),
        format!(
            "- **The engine looks at 256 deliveries together** (`MAX_LOOKED_AT` in `crates/client-core/src/engine/send/sealing.rs`), and one message to {two} has {}, to {five} {}. One body for all needs all of them in hand. \
             Decided, comes with the engine: the bound goes up.",
            n(two.all()),
            n(five.all()),
        ),
        "- **The sender's certificate is verified with each envelope**: as much work as a group message's own signature. Decided, comes with the engine: a certificate that equals the one on the known list, byte for byte, is \
         believed."
            .to_owned(),
    ]
    .join("\n")
}
