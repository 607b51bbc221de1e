//! Safety numbers: equal from both sides, another one for every change.

use subrosa_crypto::*;

use crate::parties::Party;

fn side(party: &Party) -> ([u8; 32], AccountKey) {
    (party.record.id(), party.account.public())
}

fn number(a: &([u8; 32], AccountKey), b: &([u8; 32], AccountKey)) -> SafetyNumber {
    safety_number((&a.0, &a.1), (&b.0, &b.1))
}

#[test]
fn both_sides_see_the_same_number() {
    let (alice, bob) = (side(&Party::new()), side(&Party::new()));
    let ours = number(&alice, &bob);
    let theirs = number(&bob, &alice);
    assert_eq!(ours, theirs);
    assert_eq!(ours.digits().len(), 60);
    assert!(ours.digits().bytes().all(|b| b.is_ascii_digit()));
    let groups: Vec<_> = ours.groups().collect();
    assert_eq!(groups.len(), 12);
    assert_eq!(groups.concat(), ours.digits());
    assert!(ours.matches_qr(theirs.qr_bytes()));
    assert!(ours.matches_digits(&groups.join(" ")));
}

#[test]
fn another_key_or_id_is_another_number() {
    let (alice, bob, mallory) = (side(&Party::new()), side(&Party::new()), side(&Party::new()));
    let ours = number(&alice, &bob);
    for other in [number(&alice, &mallory), number(&alice, &(bob.0, mallory.1)), number(&alice, &(mallory.0, bob.1))] {
        assert_ne!(ours.digits(), other.digits());
        assert!(!ours.matches_qr(other.qr_bytes()));
        assert!(!ours.matches_digits(other.digits()));
    }
    assert!(!ours.matches_qr(&[]));
    assert!(!ours.matches_qr(&ours.qr_bytes()[..64]));
    assert!(!ours.matches_digits(""));
}
