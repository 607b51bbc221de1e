//! The model: admins who act at the same time, remove each other, backdate, are back from an old backup or have a stolen
//! device, over relays that deliver in any order. However it goes, all end in one state, nobody who was removed is back
//! unless somebody who knew of it added them, and nothing that a removed or demoted one signs changes anything.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use super::cast::{PEOPLE, Person, add, created, describe, name_of, promote, show, unsigned};
use super::change::{ACCOUNT_ITSELF, Act, Change, Settings};
use super::graph::Graph;
use super::node::Verdict;
use super::state::{Grant, State};
use super::{AccountId, ChangeId};

/// Schedules of each run of the tests. The first one has seed 0; `SUBROSA_SCHEDULES=from..to` runs others.
const SCHEDULES: Range<u64> = 0..10_000;
/// Steps of a schedule.
const STEPS: u64 = 40;
/// Forgeries against the state at its end.
const FORGERIES: usize = 12;

/// SplitMix64: a schedule is its seed.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, count: usize) -> usize {
        (self.next() % count as u64) as usize
    }

    fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    fn of<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }
}

/// Somebody's device: what it knows, what is on its way to it, and how it was once.
struct Replica {
    graph: Graph,
    on_the_way: Vec<Change>,
    backup: Graph,
}

impl Replica {
    /// Takes what it can; what names changes that are not here waits.
    fn take(&mut self, change: Change) {
        match self.graph.view(change.heads()) {
            Ok(view) => self.graph.insert(change, &view).unwrap(),
            Err(_) => self.on_the_way.push(change),
        }
    }

    fn take_all(&mut self) {
        while !self.on_the_way.is_empty() {
            let before = self.on_the_way.len();
            for change in std::mem::take(&mut self.on_the_way) {
                self.take(change);
            }
            assert!(self.on_the_way.len() < before, "something names what nobody sent");
        }
    }
}

struct World {
    dice: Dice,
    group: ChangeId,
    clock: u64,
    replicas: Vec<Replica>,
    all: Vec<Change>,
}

fn heads(graph: &Graph) -> Vec<ChangeId> {
    graph.heads().iter().take(super::MAX_HEADS).copied().collect()
}

/// Any heads: those of a past that really was possible.
fn old_heads(dice: &mut Dice, graph: &Graph) -> Vec<ChangeId> {
    let ids: Vec<ChangeId> = graph.changes().map(|change| *change.id()).collect();
    let some: BTreeSet<ChangeId> = (0..1 + dice.below(3)).map(|_| *dice.of(&ids)).collect();
    let behind: BTreeSet<ChangeId> = some.iter().flat_map(|head| seen_by(graph, head)).collect();
    some.into_iter().filter(|head| !behind.contains(head)).collect()
}

/// What a change had seen, without itself.
fn seen_by(graph: &Graph, id: &ChangeId) -> BTreeSet<ChangeId> {
    let mut seen = BTreeSet::new();
    let mut open: Vec<ChangeId> = graph.change(id).unwrap().heads().to_vec();
    while let Some(next) = open.pop() {
        if seen.insert(next) {
            open.extend(graph.change(&next).unwrap().heads());
        }
    }
    seen
}

/// Something that somebody might do, allowed or not.
fn any_act(dice: &mut Dice, state: &State, author: &Person) -> (u32, Act) {
    let people: Vec<&Person> = (0..1 + dice.below(2)).map(|_| dice.of(&PEOPLE)).collect();
    let mut unique: Vec<&Person> = people;
    unique.sort_by_key(|person| person.id());
    unique.dedup_by_key(|person| person.id());
    let endings = || unique.iter().map(|person| person.ending()).collect::<Vec<_>>();
    let device = 1 + dice.below(3) as u32;
    let act = match dice.below(16) {
        0..4 => add(&unique),
        4..7 => Act::Remove(endings()),
        7..10 => promote(&unique),
        10 | 11 => Act::Demote(endings()),
        12 => Act::Rename(format!("hikers {}", dice.below(100))),
        13 => Act::Set(Settings {
            only_admins_write: dice.one_in(2),
            only_admins_edit: dice.one_in(2),
            only_admins_add: dice.one_in(2),
        }),
        14 => {
            let successor = dice.one_in(2).then(|| unique[0].id());
            return (ACCOUNT_ITSELF, Act::Leave { successor, chains: vec![] });
        }
        _ => {
            let known = state.member(&author.id()).map_or(0, |member| member.list().version());
            let next = author.lists.iter().find(|list| list.version() > known).unwrap_or(&author.lists[0]);
            return (ACCOUNT_ITSELF, Act::List(next.clone().unverified()));
        }
    };
    (device, act)
}

impl World {
    fn new(seed: u64) -> Self {
        let first = created(&PEOPLE[0], Settings::default());
        let graph = Graph::begin(first.clone()).unwrap();
        let replicas = PEOPLE
            .iter()
            .map(|_| Replica { graph: graph.clone(), on_the_way: Vec::new(), backup: graph.clone() })
            .collect();
        let mut world = Self { dice: Dice(seed), group: *first.id(), clock: 1, replicas, all: vec![first] };
        // A group as groups are: seven members, of whom four are admins, known to all.
        let others: Vec<&Person> = PEOPLE[1..7].iter().collect();
        let admins: Vec<&Person> = others[..3].to_vec();
        for act in [add(&others), promote(&admins[..1]), promote(&admins[1..])] {
            let graph = world.replicas[0].graph.clone();
            assert!(world.sign(&graph, 0, 1, &heads(&graph), act));
        }
        for replica in &mut world.replicas {
            replica.take_all();
            replica.backup = replica.graph.clone();
        }
        world
    }

    /// Signs where `at` stands, if that is allowed there, and sends it to everybody.
    fn sign(&mut self, graph: &Graph, author: usize, device: u32, at: &[ChangeId], act: Act) -> bool {
        self.clock += 1;
        let change = unsigned(self.group, &PEOPLE[author], device, self.clock, at, act);
        let Ok(view) = graph.view(change.heads()) else { return false };
        if view.state.allow(&change, view.next()).is_err() {
            return false;
        }
        self.all.push(change.clone());
        for (number, replica) in self.replicas.iter_mut().enumerate() {
            if number == author { replica.take(change.clone()) } else { replica.on_the_way.push(change.clone()) }
        }
        true
    }

    fn step(&mut self) {
        let who = self.dice.below(PEOPLE.len());
        match self.dice.below(12) {
            // Some of what is on its way arrives, in any order.
            0..4 => {
                for _ in 0..self.dice.below(8) {
                    let replica = &mut self.replicas[who];
                    if replica.on_the_way.is_empty() {
                        break;
                    }
                    let next = self.dice.below(replica.on_the_way.len());
                    let change = replica.on_the_way.swap_remove(next);
                    replica.take(change);
                }
            }
            // Back from a backup: what it had received since comes again.
            4 => {
                let replica = &mut self.replicas[who];
                replica.graph = replica.backup.clone();
                replica.on_the_way =
                    self.all.iter().filter(|change| !replica.graph.contains(change.id())).cloned().collect();
            }
            5 => self.replicas[who].backup = self.replicas[who].graph.clone(),
            // Somebody who knows everything that there is, and says that it was long ago.
            6 => {
                let graph = self.whole();
                let at = old_heads(&mut self.dice, &graph);
                let (device, act) = any_act(&mut self.dice, graph.state(), &PEOPLE[who]);
                self.sign(&graph, who, device, &at, act);
            }
            _ => {
                let graph = self.replicas[who].graph.clone();
                let at = heads(&graph);
                for _ in 0..4 {
                    let (device, act) = any_act(&mut self.dice, graph.state(), &PEOPLE[who]);
                    if self.sign(&graph, who, device, &at, act) {
                        break;
                    }
                }
            }
        }
    }

    /// All changes, taken in the order in which they were made.
    fn whole(&self) -> Graph {
        let mut graph = Graph::begin(self.all[0].clone()).unwrap();
        for change in &self.all[1..] {
            let view = graph.view(change.heads()).unwrap();
            graph.insert(change.clone(), &view).unwrap();
        }
        graph
    }
}

fn beside_own_leave(graph: &Graph, id: &ChangeId) -> bool {
    let author = graph.change(id).unwrap().author();
    let past = seen_by(graph, id);
    graph.changes().any(|change| {
        change.author() == author
            && matches!(change.act(), Act::Leave { .. })
            && !past.contains(change.id())
            && !seen_by(graph, change.id()).contains(id)
    })
}

/// Who takes away from whom, by acts that count.
struct Taken {
    change: ChangeId,
    target: AccountId,
    removed: bool,
}

fn taken(graph: &Graph) -> Vec<Taken> {
    let mut all = Vec::new();
    for change in graph.changes() {
        let (targets, removed) = match change.act() {
            Act::Remove(targets) => (targets, true),
            Act::Demote(targets) => (targets, false),
            _ => continue,
        };
        let verdicts = graph.verdicts(change.id()).unwrap();
        let counting = targets.iter().zip(verdicts).filter(|(_, verdict)| *verdict == Verdict::Counts);
        all.extend(counting.map(|(target, _)| Taken { change: *change.id(), target: target.account, removed }));
    }
    all
}

/// Whether it was given again by somebody who knew that it was taken.
fn given_again(graph: &Graph, taken: &Taken) -> bool {
    graph.changes().any(|change| {
        let names = match change.act() {
            Act::Add { members, .. } if taken.removed => {
                members.iter().position(|member| member.record.id() == taken.target)
            }
            Act::Promote(targets) if !taken.removed => targets.iter().position(|target| *target == taken.target),
            Act::Leave { successor: Some(successor), .. } if !taken.removed && *successor == taken.target => Some(0),
            _ => None,
        };
        names.is_some_and(|at| graph.verdicts(change.id()).unwrap()[at] == Verdict::Counts)
            && seen_by(graph, change.id()).contains(&taken.change)
    })
}

fn check(seed: u64, world: &mut World) -> usize {
    let whole = world.whole();
    for replica in &mut world.replicas {
        let given: Vec<Change> =
            world.all.iter().filter(|change| !replica.graph.contains(change.id())).cloned().collect();
        replica.on_the_way = given;
        // From the newest: nothing fits at first.
        replica.on_the_way.reverse();
        replica.take_all();
        assert!(
            replica.graph.state() == whole.state(),
            "seed {seed}: two states\n{}\n{}\n{}",
            describe(&whole),
            show(whole.state()),
            show(replica.graph.state())
        );
        for change in whole.changes() {
            assert_eq!(replica.graph.verdicts(change.id()), whole.verdicts(change.id()), "seed {seed}: two verdicts");
        }
    }
    let state = whole.state();
    for taken in taken(&whole) {
        let is =
            if taken.removed { state.member(&taken.target).is_some() } else { state.place(&taken.target).is_some() };
        // Whoever leads because nobody else is left was promoted by nobody.
        let leads = !taken.removed && state.grant(&taken.target).is_some_and(|grant| grant.act == Grant::NOBODY_ELSE);
        assert!(
            !is || leads || given_again(&whole, &taken),
            "seed {seed}: {} is back\n{}\n{}",
            name_of(&taken.target),
            describe(&whole),
            show(state)
        );
    }
    forge(seed, world, &whole)
}

/// Who must not change anything any more: somebody whom a change removed or demoted, or whose device it dropped.
struct Spent {
    by: ChangeId,
    author: &'static Person,
    device: Option<u32>,
}

fn spent(graph: &Graph) -> Vec<Spent> {
    let state = graph.state();
    let person = |id: &AccountId| PEOPLE.iter().find(|person| person.id() == *id).unwrap();
    let is_out = |taken: &Taken| match taken.removed {
        true => state.member(&taken.target).is_none(),
        false => state.place(&taken.target).is_none(),
    };
    let mut all: Vec<Spent> = taken(graph)
        .iter()
        // What a leaver signed beside the own leave is weak: who confirms that without knowing of it voids it.
        .filter(|taken| is_out(taken) && !beside_own_leave(graph, &taken.change))
        // And what has no right answer: the target was made an admin beside it, by somebody who stands better.
        .filter(|taken| !graph.was_raised_beside(&taken.change, &taken.target))
        .map(|taken| Spent { by: taken.change, author: person(&taken.target), device: None })
        .collect();
    for change in graph.changes() {
        if let Act::List(list) = change.act()
            && graph.verdicts(change.id()).unwrap() == [Verdict::Counts]
            && list.admitted().device(2).is_none()
            && state.member(change.author()).is_some_and(|member| member.list().device(2).is_none())
        {
            all.push(Spent { by: *change.id(), author: person(change.author()), device: Some(2) });
        }
    }
    all
}

/// What they sign, wherever they say that they stand, and what others who never had a say put on top of it.
fn forge(seed: u64, world: &mut World, whole: &Graph) -> usize {
    let state = whole.state();
    let spent = spent(whole);
    if spent.is_empty() {
        return 0;
    }
    let accomplices: Vec<&Person> = PEOPLE.iter().filter(|person| never_led(whole, &person.id())).collect();
    let mut forged = whole.clone();
    let mut made = 0;
    for _ in 0..FORGERIES * 4 {
        let by = world.dice.of(&spent);
        let mut at = old_heads(&mut world.dice, &forged);
        let helped = made > 0 && !accomplices.is_empty() && world.dice.one_in(3);
        let author = if helped { *world.dice.of(&accomplices) } else { by.author };
        let (mut device, act) = any_act(&mut world.dice, state, author);
        if helped {
            // The newest forgery among what the accomplice builds on.
            let newest = *forged.changes().last().unwrap().id();
            let behind = seen_by(&forged, &newest);
            at.retain(|head| !behind.contains(head) && !seen_by(&forged, head).contains(&newest) && *head != newest);
            at.push(newest);
            if !matches!(act, Act::Remove(_) | Act::Promote(_) | Act::Demote(_) | Act::Set(_)) {
                continue;
            }
        } else {
            let knew = at.iter().any(|head| *head == by.by || seen_by(&forged, head).contains(&by.by));
            // Leaving is everybody's, and who knew may sign what anybody may.
            if knew || (matches!(act, Act::Leave { .. }) && by.device.is_none()) {
                continue;
            }
            if let Some(dropped) = by.device {
                if device == ACCOUNT_ITSELF {
                    continue;
                }
                device = dropped;
            }
        }
        world.clock += 1;
        let change = unsigned(world.group, author, device, world.clock, &at, act);
        let view = forged.view(change.heads()).unwrap();
        if forged.insert(change, &view).is_ok() {
            made += 1;
            assert!(
                forged.state() == state,
                "seed {seed}: the last one changed something\n{}\nbefore\n{}\nafter\n{}",
                describe(&forged),
                show(state),
                show(forged.state())
            );
        }
        if made == FORGERIES {
            break;
        }
    }
    made
}

fn never_led(graph: &Graph, account: &AccountId) -> bool {
    let first = graph.changes().next().unwrap().author();
    account != first
        && !graph.changes().any(|change| match change.act() {
            Act::Promote(targets) => targets.contains(account),
            Act::Leave { successor, .. } => {
                successor.as_ref() == Some(account) || graph.state().place(account).is_some()
            }
            _ => false,
        })
}

fn schedules() -> Range<u64> {
    let Ok(wanted) = std::env::var("SUBROSA_SCHEDULES") else { return SCHEDULES };
    let (from, to) = wanted.split_once("..").unwrap();
    from.parse().unwrap()..to.parse().unwrap()
}

#[test]
fn all_end_in_one_state_and_nobody_who_was_removed_is_back() {
    let threads = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    let (next, forged) = (AtomicU64::new(schedules().start), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= schedules().end {
                        break;
                    }
                    let mut world = World::new(seed);
                    for _ in 0..STEPS {
                        world.step();
                    }
                    forged.fetch_add(check(seed, &mut world), Ordering::Relaxed);
                }
            });
        }
    });
    let forged = forged.into_inner();
    println!("{forged} forgeries");
    assert!(forged as u64 > schedules().count() as u64, "{forged} forgeries are too few to say anything");
}
