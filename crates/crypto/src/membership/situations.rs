//! Situations that other people's groups had to learn, each with the state that all members end in. In each, what stands
//! in one line was signed by people who did not know of the others.

use super::cast::{Person, add, describe, person, promote, show};
use super::change::{ACCOUNT_ITSELF, Act, Newcomer, Settings};
use super::graph::Unfit;
use super::node::Verdict;
use super::rules::Refusal;
use super::story::{Story, by_link, demote, everybody_may_add, leave, open_link, other_person, remove};
use super::{MAX_CHANGES, MAX_MEMBERS};

#[test]
fn a_removal_stands_against_settings_that_its_target_changed_meanwhile() {
    let mut story = Story::new();
    let before = story.now();
    story.at("ana", &before, remove("cleo"));
    let set = story.at("cleo", &before, Act::Set(Settings { only_admins_write: true, ..Settings::default() }));
    let renamed = story.at("ben", &before, Act::Rename("climbers".into()));
    story.ends("\"climbers\": ana ben dan eve finn\nadmins: ana ben\nonly admins: edit add\ncleo was removed");
    assert!(matches!(story.verdicts(&set)[..], [Verdict::Void(_)]));
    assert_eq!(story.verdicts(&renamed), [Verdict::Counts]);
}

#[test]
fn who_is_added_by_two_at_once_is_in_once() {
    let mut story = Story::new();
    let before = story.now();
    let one = story.at("ana", &before, add(&[person("gus")]));
    let other = story.at("ben", &before, add(&["gus", "hana"].map(person)));
    story.ends("\"hikers\": ana ben cleo dan eve finn gus hana\nadmins: ana ben cleo\nonly admins: edit add");
    // The worse placed comes first, and both changes count for what they are alone in.
    assert_eq!(story.verdicts(&one), [Verdict::Refused(Refusal::AlreadyMember)]);
    assert_eq!(story.verdicts(&other), [Verdict::Counts; 2]);
}

#[test]
fn of_two_who_set_the_same_the_better_placed_has_the_last_word() {
    let mut story = Story::new();
    let before = story.now();
    for who in ["cleo", "ana", "ben"] {
        story.at(who, &before, Act::Rename(format!("{who}'s")));
    }
    story.ends("\"ana's\": ana ben cleo dan eve finn\nadmins: ana ben cleo\nonly admins: edit add");
}

#[test]
fn an_invite_link_brings_nobody_back_who_is_removed_meanwhile() {
    let mut story = Story::new();
    story.goes("ben", open_link(1, 5));
    story.goes("dan", leave(None));
    let before = story.now();
    let came = story.at("ben", &before, by_link(1, "dan"));
    story.at("cleo", &before, remove("dan"));
    story.ends(
        "\"hikers\": ana ben cleo eve finn\nadmins: ana ben cleo\nonly admins: edit add\ndan was removed\nlink 1 of ben: 5 uses",
    );
    assert!(matches!(story.verdicts(&came)[..], [Verdict::Void(_)]));
    // Nor later; an admin can.
    let now = story.now();
    assert_eq!(story.by("ben", 1, &now, by_link(1, "dan")), Err(Unfit::Refused(Refusal::WasRemoved)));
    story.goes("ben", add(&[person("dan")]));
    assert!(story.graph.state().member(&person("dan").id()).is_some());
}

#[test]
fn a_link_serves_as_many_as_it_says_and_its_makers_device_only() {
    let mut story = Story::new();
    story.goes("ana", Act::Set(everybody_may_add()));
    story.goes("dan", open_link(1, 2));
    let before = story.now();
    assert_eq!(story.by("ana", 1, &before, by_link(1, "gus")), Err(Unfit::Refused(Refusal::BadLink)));
    // Two devices of the maker's at once.
    let came = ["gus", "hana", "ida"].map(|who| story.at("dan", &before, by_link(1, who)));
    let counting = came.iter().filter(|id| story.verdicts(id) == [Verdict::Counts]).count();
    assert_eq!(counting, 2);
    assert_eq!(story.graph.state().links().count(), 0);
    let now = story.now();
    assert_eq!(story.by("dan", 1, &now, open_link(1, 9)), Err(Unfit::Refused(Refusal::BadLink)));
}

#[test]
fn of_two_admins_who_remove_each_other_the_better_placed_stays() {
    let mut story = Story::new();
    let before = story.now();
    story.at("ana", &before, remove("ben"));
    let back = story.change("ben", 1, &before, remove("ana"));
    let view = story.graph.view(&before).unwrap();
    assert_eq!(story.graph.insert(back, &view), Err(Unfit::Refused(Refusal::StandsAhead)));
    // ben removed cleo meanwhile, whom ana made the better of the two.
    let removed = story.at("ben", &before, remove("cleo"));
    story.ends("\"hikers\": ana cleo dan eve finn\nadmins: ana cleo\nonly admins: edit add\nben was removed");
    assert!(matches!(story.verdicts(&removed)[..], [Verdict::Void(_)]));
}

#[test]
fn two_lines_that_grew_apart_still_have_one_winner() {
    let mut story = Story::new();
    let before = story.now();
    // dan is made an admin in one half, eve in the other, and each removes the other.
    let dan = story.at("ana", &before, promote(&[person("dan")]));
    let eve = story.at("ben", &before, promote(&[person("eve")]));
    story.at("dan", &[dan], remove("eve"));
    story.at("eve", &[eve], remove("dan"));
    let (dan, eve) = (person("dan").id(), person("eve").id());
    let state = story.graph.state();
    assert!(state.member(&dan).is_some() != state.member(&eve).is_some());
    story.ends(&show(state));
}

#[test]
fn an_admin_who_was_demoted_and_promoted_again_is_last_in_the_line() {
    let mut story = Story::new();
    let before = story.now();
    let demoted = story.at("ana", &before, demote("ben"));
    let promoted = story.at("ana", &[demoted], promote(&[person("ben")]));
    // From the time when he stood before cleo.
    let old = story.at("ben", &before, remove("cleo"));
    story.at("cleo", &[promoted], remove("ben"));
    story.ends(
        "\"hikers\": ana cleo dan eve finn\nadmins: ana cleo\nonly admins: edit add\nben was removed\nben was demoted 0",
    );
    assert!(matches!(story.verdicts(&old)[..], [Verdict::Void(_)]));
}

#[test]
fn a_promotion_by_somebody_who_did_not_know_of_the_demotion_does_not_count() {
    let mut story = Story::new();
    story.goes("ana", promote(&[person("dan")]));
    let before = story.now();
    story.at("ana", &before, demote("dan"));
    let left = story.at("cleo", &before, leave(None));
    story.at("ben", &before, demote("dan"));
    // ben knows of his own demotion only.
    let knows: Vec<_> = story.now().into_iter().filter(|head| *head != left).collect();
    let again = story.at("ben", &knows, promote(&[person("dan")]));
    assert_eq!(story.verdicts(&again), [Verdict::Counts]);
    story.ends(
        "\"hikers\": ana ben dan eve finn\nadmins: ana ben dan\nonly admins: edit add\ncleo left\ndan was demoted 0",
    );
}

#[test]
fn a_state_goes_back_when_the_change_that_ends_it_comes_late() {
    let mut story = Story::new();
    let before = story.now();
    let promoted = story.at("ben", &before, promote(&[person("dan")]));
    let added = story.at("dan", &[promoted], add(&[person("gus")]));
    let renamed = story.at("gus", &[added], Act::List(person("gus").lists[1].clone().unverified()));
    assert!(story.graph.state().member(&person("gus").id()).is_some());
    // For three months nobody saw this.
    let late = story.at("ana", &before, remove("ben"));
    story.ends("\"hikers\": ana cleo dan eve finn\nadmins: ana cleo\nonly admins: edit add\nben was removed");
    assert_eq!(story.verdicts(&promoted), [Verdict::Void(late)]);
    assert_eq!(story.verdicts(&added), [Verdict::Refused(Refusal::NotAdmin)]);
    assert_eq!(story.verdicts(&renamed), [Verdict::Refused(Refusal::NotMember)]);
}

#[test]
fn what_an_author_knew_does_not_depend_on_what_else_is_here() {
    // Cleo, whom ben removes, removes dan beside that; ana joins both ends, and demotes dan beside something that dan does.
    let mut story = Story::new();
    story.goes("ana", promote(&[person("dan")]));
    let before = story.now();
    let taken = story.at("ben", &before, remove("cleo"));
    let void = story.at("cleo", &before, remove("dan"));
    let joined = story.at("ana", &[taken, void], Act::Rename("joined".into()));
    let demoted = story.at("ana", &[joined], demote("dan"));
    let beside = story.at("dan", &[joined], add(&[person("gus")]));
    let last = story.change("gus", ACCOUNT_ITSELF, &[demoted, beside], leave(None));
    let late = story.change("ben", 1, &[taken], Act::Describe("late".into()));
    for order in [[&last, &late], [&late, &last]] {
        let mut graph = story.graph.clone();
        for change in order {
            let view = graph.view(change.heads()).unwrap();
            let expected = if change.id == last.id { Err(Unfit::Refused(Refusal::NotMember)) } else { Ok(()) };
            assert_eq!(graph.insert(change.clone(), &view), expected, "{}", describe(&graph));
        }
        assert_eq!(graph.verdicts(&demoted).unwrap(), [Verdict::Counts]);
        assert_eq!(graph.verdicts(&beside).unwrap(), [Verdict::Void(demoted)]);
    }
}

#[test]
fn of_the_257th_and_the_one_who_came_at_the_same_time_one_is_in() {
    let mut story = Story::new();
    let people: Vec<Person> = (11..=255).map(Person::new).collect();
    for part in people.chunks(super::MAX_TARGETS) {
        let part: Vec<&Person> = part.iter().collect();
        story.goes("ana", add(&part));
    }
    for who in ["gus", "hana", "ida", "jon"] {
        story.goes("ana", add(&[person(who)]));
    }
    assert_eq!(story.graph.state().members().len(), MAX_MEMBERS - 1);
    let before = story.now();
    let (one, other) = (other_person(1), other_person(2));
    let one = story.at("ben", &before, add(&[&one]));
    let other = story.at("ana", &before, add(&[&other]));
    assert_eq!(story.graph.state().members().len(), MAX_MEMBERS);
    assert_eq!(story.verdicts(&one), [Verdict::Counts]);
    assert_eq!(story.verdicts(&other), [Verdict::Refused(Refusal::Full)]);
    let late = other_person(3);
    let now = story.now();
    assert_eq!(story.by("ana", 1, &now, add(&[&late])), Err(Unfit::Refused(Refusal::Full)));
}

#[test]
fn the_last_admin_names_another_and_two_who_leave_at_once_leave_the_longest_member() {
    let mut story = Story::new();
    story.goes("ana", demote("cleo"));
    let before = story.now();
    story.at("ana", &before, leave(None));
    story.at("ben", &before, leave(None));
    story.ends(
        "\"hikers\": cleo dan eve finn\nadmins: finn\nonly admins: edit add\nana left\nben left\ncleo was demoted 0",
    );
    let now = story.now();
    assert_eq!(story.by("finn", ACCOUNT_ITSELF, &now, leave(None)), Err(Unfit::Refused(Refusal::LastAdmin)));
    story.goes("finn", leave(Some("eve")));
    assert!(story.graph.state().admins().eq([&person("eve").id()]));
}

#[test]
fn who_left_and_was_confirmed_cannot_remove_who_leads_now() {
    let mut story = Story::new();
    let before = story.now();
    let left = story.at("ana", &before, leave(None));
    let confirmed = story.at("ben", &[left], remove("ana"));
    let old = story.at("ana", &before, remove("ben"));
    story.ends("\"hikers\": ben cleo dan eve finn\nadmins: ben cleo\nonly admins: edit add\nana was removed");
    assert_eq!(story.verdicts(&old), [Verdict::Void(confirmed)]);
}

#[test]
fn who_left_cannot_undo_old_removals_by_saying_that_it_was_before() {
    let mut story = Story::new();
    let before = story.now();
    story.at("ben", &before, remove("eve"));
    story.goes("ana", Act::Rename("climbers".into()));
    story.at("ben", &before, leave(None));
    story.ends("\"climbers\": ana cleo dan finn\nadmins: ana cleo\nonly admins: edit add\nben left\neve was removed");
}

#[test]
fn what_a_stolen_device_did_is_void_once_its_account_drops_it() {
    let mut story = Story::new();
    let before = story.now();
    let stolen = story.by("ana", 2, &before, remove("ben")).unwrap();
    let more = story.by("ana", 2, &[stolen], Act::Set(everybody_may_add())).unwrap();
    story.at("ana", &before, Act::List(person("ana").lists[1].clone().unverified()));
    story.ends(
        "\"hikers\": ana ben cleo dan eve finn\nadmins: ana ben cleo\nonly admins: edit add\ndevices of ana: [1]",
    );
    assert!(matches!(story.verdicts(&stolen)[..], [Verdict::Void(_)]));
    assert!(matches!(story.verdicts(&more)[..], [Verdict::Void(_)]));
    let now = story.now();
    assert_eq!(story.by("ana", 2, &now, remove("ben")), Err(Unfit::Refused(Refusal::UnknownDevice)));
}

#[test]
fn a_removed_admin_cannot_undo_what_a_device_of_his_did_long_ago() {
    let mut story = Story::new();
    let before = story.now();
    story.by("ben", 2, &before, remove("eve")).unwrap();
    let now = story.now();
    story.at("ana", &now, remove("ben"));
    story.at("ben", &before, Act::List(person("ben").lists[1].clone().unverified()));
    story.ends(
        "\"hikers\": ana cleo dan finn\nadmins: ana cleo\nonly admins: edit add\nben was removed\neve was removed",
    );
}

#[test]
fn a_device_that_a_member_dropped_before_somebody_made_him_an_admin_does_nothing() {
    let mut story = Story::new();
    let before = story.now();
    let promoted = story.at("ana", &before, promote(&[person("dan")]));
    let stolen = story.by("dan", 2, &[promoted], remove("eve")).unwrap();
    story.at("dan", &before, Act::List(person("dan").lists[1].clone().unverified()));
    story.ends(
        "\"hikers\": ana ben cleo dan eve finn\nadmins: ana ben cleo dan\nonly admins: edit add\ndevices of dan: [1]",
    );
    assert!(matches!(story.verdicts(&stolen)[..], [Verdict::Void(_)]));
}

#[test]
fn a_removed_member_who_stands_beside_what_all_joined_is_not_back() {
    let mut story = Story::new();
    story.goes("ana", add(&[person("gus")]));
    let before = story.now();
    // On one branch dan is made an admin; on the other, where he is not, finn removes him, and is removed by eve, who
    // stands before finn. ana joins all, and dan removes gus.
    let dan = story.at("ana", &before, promote(&[person("dan")]));
    let eve = story.at("ben", &before, promote(&[person("eve")]));
    let finn = story.at("ben", &[eve], promote(&[person("finn")]));
    let void = story.at("finn", &[finn], remove("dan"));
    let kept = story.at("eve", &[finn], remove("finn"));
    assert_eq!(story.now().len(), [dan, void, kept].len());
    story.goes("ana", Act::Rename("joined".into()));
    let removal = story.goes("dan", remove("gus"));
    let state = show(story.graph.state());
    assert_eq!(story.verdicts(&removal), [Verdict::Counts]);
    // gus says that his list changed long ago; and somebody who has nothing to do with it the description.
    story.at("gus", &before, Act::List(person("gus").lists[1].clone().unverified()));
    story.ends(&state);
    story.at("ben", &before, Act::Describe("beside everything".into()));
    story.ends(&state);
}

#[test]
fn who_leaves_undoes_nothing_of_what_they_did_beside_it() {
    let mut story = Story::new();
    let before = story.now();
    story.at("ben", &before, leave(None));
    // Whichever comes first by its hash.
    for who in ["gus", "hana", "ida", "jon"] {
        story.at("ben", &before, add(&[person(who)]));
    }
    story.ends("\"hikers\": ana cleo dan eve finn gus hana ida jon\nadmins: ana cleo\nonly admins: edit add\nben left");
}

#[test]
fn a_removal_by_an_office_that_is_void_does_not_count_by_another_one() {
    let mut story = Story::new();
    let before = story.now();
    let by_cleo = story.at("cleo", &before, promote(&[person("dan")]));
    let removal = story.at("dan", &[by_cleo], remove("finn"));
    story.at("ana", &before, promote(&[person("dan")]));
    story.at("ben", &before, remove("cleo"));
    assert_eq!(story.verdicts(&removal), [Verdict::Refused(Refusal::NotAdmin)]);
    story.ends("\"hikers\": ana ben dan eve finn\nadmins: ana ben dan\nonly admins: edit add\ncleo was removed");
}

#[test]
fn a_removal_that_is_void_in_the_end_voids_nothing() {
    let mut story = Story::new();
    let before = story.now();
    // Two are made admins beside each other; who stands better removes finn, and is removed by the other.
    let dan = story.at("ana", &before, promote(&[person("dan")]));
    let eve = story.at("ben", &before, promote(&[person("eve")]));
    let list = story.at("finn", &before, Act::List(person("finn").lists[1].clone().unverified()));
    let removed = story.at("dan", &[dan], remove("finn"));
    let last = story.at("eve", &[eve], remove("dan"));
    assert_eq!(story.verdicts(&removed), [Verdict::Void(last)]);
    assert_eq!(story.verdicts(&list), [Verdict::Counts]);
    story.ends(
        "\"hikers\": ana ben cleo eve finn\nadmins: ana ben cleo eve\nonly admins: edit add\ndevices of finn: [1]\ndan was removed",
    );
}

#[test]
fn nobody_is_added_again_with_an_older_device_list() {
    let mut story = Story::new();
    story.goes("dan", Act::List(person("dan").lists[1].clone().unverified()));
    story.goes("ana", remove("dan"));
    let now = story.now();
    assert_eq!(story.by("ana", 1, &now, add(&[person("dan")])), Err(Unfit::Refused(Refusal::OldList)));
    let newcomer =
        |list: usize| Newcomer { list: person("dan").lists[list].clone().unverified(), ..person("dan").newcomer() };
    story.goes("ana", Act::Add { link: None, members: vec![newcomer(1)] });
    assert!(story.graph.state().member(&person("dan").id()).is_some());
}

#[test]
fn who_fills_a_set_can_still_be_removed() {
    let mut story = Story::new();
    while story.graph.changes().len() < MAX_CHANGES {
        story.goes("ben", Act::Rename("full".into()));
    }
    let now = story.now();
    assert_eq!(story.by("ben", 1, &now, Act::Rename("more".into())), Err(Unfit::Full));
    story.goes("ana", remove("ben"));
    assert!(story.graph.state().member(&person("ben").id()).is_none());
}

#[test]
fn disbanding_is_the_last_thing_and_only_the_firsts() {
    let mut story = Story::new();
    let before = story.now();
    assert_eq!(story.by("ben", 1, &before, Act::Disband), Err(Unfit::Refused(Refusal::NotFirst)));
    story.at("ana", &before, Act::Disband);
    let added = story.at("cleo", &before, add(&[person("gus")]));
    story.at("dan", &before, leave(None));
    story.ends(
        "\"hikers\": ana ben cleo eve finn gus\nadmins: ana ben cleo\nonly admins: edit add\ndan left\ndisbanded",
    );
    assert_eq!(story.verdicts(&added), [Verdict::Counts]);
    let now = story.now();
    for (who, act) in [("ana", add(&[person("hana")])), ("ana", Act::Disband), ("eve", leave(None))] {
        let device = if matches!(act, Act::Leave { .. }) { ACCOUNT_ITSELF } else { 1 };
        assert_eq!(story.by(who, device, &now, act), Err(Unfit::Refused(Refusal::Disbanded)), "{who}");
    }
}

#[test]
fn messages_count_as_far_as_the_highest_removal_says_and_not_as_the_leaver_does() {
    let mut story = Story::new();
    let counts = |story: &Story, generation, number| {
        story.graph.state().counts(&person("dan").id(), 1, generation, &[7; 32], number)
    };
    assert!(counts(&story, 1, 1_000));
    story.goes("dan", Act::Leave { successor: None, chains: person("dan").ending_at(1_000).chains });
    assert!(counts(&story, 1, 999) && !counts(&story, 1, 1_000));
    let before = story.now();
    story.at("ana", &before, Act::Remove(vec![person("dan").ending_at(5)]));
    story.at("ben", &before, Act::Remove(vec![person("dan").ending_at(9)]));
    assert!(counts(&story, 1, 8) && !counts(&story, 1, 9) && !counts(&story, 2, 0));
    assert!(!story.graph.state().counts(&person("dan").id(), 1, 1, &[8; 32], 0), "another chain of that number");
    // Added again: what is newer counts, and nothing more of what was.
    story.goes("ana", add(&[person("dan")]));
    assert!(counts(&story, 1, 8) && !counts(&story, 1, 9) && counts(&story, 2, 0));
    assert!(!story.graph.state().counts(&person("jon").id(), 1, 1, &[7; 32], 0), "a stranger's never");
}

#[test]
fn what_a_demoted_one_says_counts_as_an_admins_up_to_the_demotion() {
    let mut story = Story::new();
    let admin =
        |story: &Story, number| story.graph.state().counts_as_admin(&person("ben").id(), 1, 1, &[7; 32], number);
    assert!(admin(&story, 100));
    story.goes("ana", Act::Demote(vec![person("ben").ending_at(3)]));
    assert!(admin(&story, 2) && !admin(&story, 3));
    assert!(story.graph.state().counts(&person("ben").id(), 1, 1, &[7; 32], 3), "as a member's still");
}
