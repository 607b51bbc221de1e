//! What large groups cost whoever takes their changes, beside the verification of one signature in the same run.
//!
//! ```text
//! cargo bench -p subrosa-crypto --bench membership
//! ```
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a failed expectation is the result

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use subrosa_crypto::membership::{Act, Change, Checkpoint, Ending, Membership, Newcomer, Offered, Settings, Signer};
use subrosa_crypto::{AccountKeyPair, AccountRecord, DeviceCertificate, DeviceList, IdentityKeyPair};

const CHANGES: usize = 10_000;

struct Person {
    record: AccountRecord,
    device: IdentityKeyPair,
    list: DeviceList,
}

impl Person {
    fn new(number: u16) -> Self {
        let mut seed = [7; 32];
        seed[..2].copy_from_slice(&number.to_be_bytes());
        let account = AccountKeyPair::from_seed(&seed);
        let record = AccountRecord::new(account.public(), seed);
        seed[2] = 8;
        let device = IdentityKeyPair::from_seed(&seed);
        let certificate = DeviceCertificate::issue(&account, &record.id(), 1, &device.public(), 1);
        let list = DeviceList::issue(&account, &record, 1, 0, 1, vec![certificate]).unwrap();
        Self { record, device, list }
    }

    fn sign(&self, group: [u8; 32], heads: &[[u8; 32]], act: Act) -> Change {
        Change::sign(group, self.record.id(), Signer::Device(1, &self.device), 1, heads, act)
    }

    fn newcomer(&self) -> Newcomer {
        Newcomer { record: self.record, list: self.list.clone().unverified() }
    }
}

fn add(people: &[Person]) -> Act {
    let mut members: Vec<Newcomer> = people.iter().map(Person::newcomer).collect();
    members.sort_by_key(|member| member.record.id());
    Act::Add { link: None, members }
}

fn remove(person: &Person) -> Act {
    Act::Remove(vec![Ending { account: person.record.id(), chains: vec![] }])
}

/// The CPU time of this thread.
fn cpu() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec.try_into().unwrap(), now.tv_nsec.try_into().unwrap())
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let begun = cpu();
    let result = work();
    (result, cpu() - begun)
}

fn show(what: &str, took: Duration, count: usize, signature: Duration) {
    let each = took / u32::try_from(count).unwrap();
    println!(
        "{what:<66} {:>9.1} ms {:>9.1} µs each {:>7.1} signatures",
        took.as_secs_f64() * 1e3,
        each.as_secs_f64() * 1e6,
        each.as_secs_f64() / signature.as_secs_f64(),
    );
}

fn take(group: &mut Membership, change: Change) {
    assert!(matches!(group.offer(change).unwrap(), Offered::Taken { .. }));
}

/// ana with 255 others, of whom ben is an admin.
fn begun(people: &[Person]) -> (Membership, Vec<Change>) {
    let ana = &people[0];
    let act = Act::Create {
        random: [1; 16],
        settings: Settings::default(),
        author: Box::new(ana.newcomer()),
        name: "large".to_owned(),
    };
    let mut changes = vec![ana.sign([0; 32], &[], act)];
    let mut group = Membership::begin(changes[0].clone()).unwrap();
    for part in people[1..].chunks(64) {
        let change = ana.sign(*group.id(), &group.heads(), add(part));
        take(&mut group, change.clone());
        changes.push(change);
    }
    let change = ana.sign(*group.id(), &group.heads(), Act::Promote(vec![people[1].record.id()]));
    take(&mut group, change.clone());
    changes.push(change);
    (group, changes)
}

fn main() {
    let people: Vec<Person> = (0..256).map(Person::new).collect();
    let (ana, ben, last) = (&people[0], &people[1], &people[255]);
    let (group, first) = begun(&people);

    // One verification: that of a checkpoint with nothing in it.
    let small = Checkpoint::sign(&Membership::begin(first[0].clone()).unwrap(), ana.record.id(), 1, &ana.device);
    let (_, thousand) = timed(|| assert!((0..1_000).all(|_| small.is_signed_by(&ana.device.public()))));
    let signature = thousand / 1_000;
    show("one signature verified", thousand, 1_000, signature);

    let (_, took) = timed(|| replay(&first));
    show("a group of 256 with all lists, from its changes", took, 1, signature);

    // Somebody comes and goes, thousands of times.
    let line = extend(&group, &first, |at, group| {
        let act = if at % 2 == 0 { remove(last) } else { add(std::slice::from_ref(last)) };
        vec![ana.sign(*group.id(), &group.heads(), act)]
    });
    let (mut long, took) = timed(|| replay(&line));
    show("10,000 changes, one after the other", took, line.len(), signature);

    let forked = extend(&group, &first, |at, group| {
        let heads = group.heads();
        let rename = |who: &Person| who.sign(*group.id(), &heads, Act::Rename(format!("{at}")));
        if at % 20 == 0 { vec![rename(ana), rename(ben)] } else { vec![rename(ana)] }
    });
    let (_, took) = timed(|| replay(&forked));
    show("10,000 changes, of which a tenth stands beside another", took, forked.len(), signature);

    // Ben is back from a backup of long ago, and everything since is beside what he signs.
    let old = *line[line.len() - 9_000].id();
    let change = ben.sign(*group.id(), &[old], Act::Rename("from long ago".to_owned()));
    let (_, took) = timed(|| take(&mut long, change));
    show("one change that stands beside 9,000, of which all remove or add", took, 1, signature);
    let joined = ana.sign(*group.id(), &long.heads(), Act::Rename("joined".to_owned()));
    let (_, took) = timed(|| take(&mut long, joined));
    show("the next one, which joins it", took, 1, signature);

    let checkpoint = Checkpoint::sign(&group, ana.record.id(), 1, &ana.device);
    let bytes = checkpoint.encode();
    let (_, took) = timed(|| assert!(Checkpoint::decode(&bytes).unwrap().is_signed_by(&ana.device.public())));
    show(&format!("a checkpoint of 256 ({} bytes), read and verified", bytes.len()), took, 1, signature);
}

fn replay(changes: &[Change]) -> Membership {
    let mut group = Membership::begin(changes[0].clone()).unwrap();
    for change in &changes[1..] {
        take(&mut group, change.clone());
    }
    group
}

fn extend(group: &Membership, first: &[Change], more: impl Fn(usize, &Membership) -> Vec<Change>) -> Vec<Change> {
    let (mut group, mut changes) = (group.clone(), first.to_vec());
    for at in 0.. {
        for change in more(at, &group) {
            take(&mut group, change.clone());
            changes.push(change);
        }
        if changes.len() >= CHANGES {
            break;
        }
    }
    changes
}
