//! Device lists: signed, consistent, never backwards.

use subrosa_crypto::*;

use crate::parties::Party;

fn certificate(party: &Party, number: u32, list_version: u32) -> DeviceCertificate {
    DeviceCertificate::issue(
        &party.account,
        &party.record.id(),
        number,
        &IdentityKeyPair::generate().unwrap().public(),
        list_version,
    )
}

fn list(party: &Party, version: u32, devices: Vec<DeviceCertificate>) -> DeviceList {
    let highest = devices.iter().map(DeviceCertificate::number).max().unwrap();
    after(party, version, highest, devices)
}

fn after(party: &Party, version: u32, highest: u32, devices: Vec<DeviceCertificate>) -> DeviceList {
    DeviceList::issue(&party.account, &party.record, version, 1_000, highest, devices).unwrap()
}

#[test]
fn a_list_goes_through_its_bytes() {
    let alice = Party::new();
    // Given in any order, kept in ascending order.
    let list = list(&alice, 3, vec![certificate(&alice, 2, 3), certificate(&alice, 1, 1)]);
    let bytes = list.encode();
    assert_eq!(bytes.len(), 1 + 32 + 4 + 8 + 4 + 1 + 2 * 104 + 64);
    let read = DeviceList::decode(&bytes).unwrap().verify(&alice.record).unwrap();
    assert_eq!(read, list);
    assert_eq!(read.version(), 3);
    assert_eq!(read.issued_ms(), 1_000);
    assert_eq!(read.highest(), 2);
    assert_eq!(*read.account(), alice.record.id());
    let numbers: Vec<_> = read.devices().iter().map(|d| d.number()).collect();
    assert_eq!(numbers, [1, 2]);
    assert_eq!(read.device(2).unwrap().address().device, 2);
    assert_eq!(read.device(3), None);
    assert_eq!(read.device(1).unwrap(), read.devices()[0].verify(&alice.record).unwrap());
}

#[test]
fn every_byte_of_a_list_is_signed() {
    let alice = Party::new();
    let bytes = list(&alice, 1, vec![certificate(&alice, 1, 1)]).encode();
    for position in 0..bytes.len() {
        let mut altered = bytes.clone();
        altered[position] ^= 1;
        let refused = match DeviceList::decode(&altered) {
            Ok(list) => list.verify(&alice.record).is_err(),
            Err(_) => true,
        };
        assert!(refused, "byte {position}");
    }
}

#[test]
fn lists_and_certificates_swapped_between_accounts_are_refused() {
    let (alice, mallory) = (Party::new(), Party::new());
    let bytes = list(&mallory, 1, vec![certificate(&mallory, 1, 1)]).encode();
    assert_eq!(DeviceList::decode(&bytes).unwrap().verify(&alice.record).unwrap_err(), DeviceListError::OtherAccount);
    // A certificate of another account inside an otherwise good list.
    assert_eq!(
        DeviceList::issue(&alice.account, &alice.record, 1, 0, 1, vec![certificate(&mallory, 1, 1)]).unwrap_err(),
        DeviceListError::BadSignature
    );
    // The right record, signed by the wrong key.
    assert_eq!(
        DeviceList::issue(&mallory.account, &alice.record, 1, 0, 1, vec![certificate(&alice, 1, 1)]).unwrap_err(),
        DeviceListError::BadSignature
    );
}

#[test]
fn a_list_that_contradicts_itself_is_never_signed() {
    let alice = Party::new();
    let issue = |version, devices| DeviceList::issue(&alice.account, &alice.record, version, 0, 6, devices);
    assert_eq!(issue(1, vec![]), Err(DeviceListError::DeviceCount));
    let six = (1..=6).map(|n| certificate(&alice, n, 1)).collect();
    assert_eq!(issue(1, six), Err(DeviceListError::DeviceCount));
    let five = (1..=5).map(|n| certificate(&alice, n, 1)).collect();
    assert_eq!(issue(1, five).unwrap().devices().len(), MAX_DEVICES);
    let one = certificate(&alice, 1, 1);
    for (version, devices) in [
        (1, vec![one, certificate(&alice, 1, 1)]),
        (1, vec![certificate(&alice, 1, 2)]),
        (1, vec![certificate(&alice, 0, 1)]),
        (1, vec![certificate(&alice, 1, 0)]),
        (0, vec![one]),
        (1, vec![one, DeviceCertificate::issue(&alice.account, &alice.record.id(), 2, one.identity(), 1)]),
    ] {
        assert_eq!(issue(version, devices), Err(DeviceListError::Inconsistent));
    }
    // A number above the highest that was ever used.
    let seven = vec![one, certificate(&alice, 7, 1)];
    assert_eq!(issue(1, seven), Err(DeviceListError::Inconsistent));
}

#[test]
fn a_list_that_uses_a_device_number_again_is_told() {
    let alice = Party::new();
    let (one, two) = (certificate(&alice, 1, 1), certificate(&alice, 2, 2));
    let known = list(&alice, 2, vec![one, two]);
    let compare = |highest, devices| after(&alice, 5, highest, devices).compare(&known);
    // Removed, kept, and one more; also after lists that were never seen.
    assert_eq!(compare(2, vec![one]), Freshness::Newer);
    assert_eq!(compare(3, vec![one, certificate(&alice, 3, 5)]), Freshness::Newer);
    assert_eq!(compare(9, vec![one, two, certificate(&alice, 9, 4)]), Freshness::Newer);
    // The number of the second device for another key: in its place, and after it was removed.
    assert_eq!(compare(2, vec![one, certificate(&alice, 2, 5)]), Freshness::NumberReused);
    let removed = after(&alice, 3, 2, vec![one]);
    let again = after(&alice, 4, 2, vec![one, certificate(&alice, 2, 4)]);
    assert_eq!(again.compare(&removed), Freshness::NumberReused);
    // The same device again after its removal is as new as any other.
    assert_eq!(after(&alice, 4, 2, vec![one, two]).compare(&removed), Freshness::NumberReused);
    // A list that forgets what was used, so that a later one could use it again.
    assert_eq!(after(&alice, 4, 1, vec![one]).compare(&removed), Freshness::NumberReused);
}

#[test]
fn a_rolled_back_list_is_told_and_a_second_list_of_one_version_is_a_conflict() {
    let alice = Party::new();
    let second = list(&alice, 2, vec![certificate(&alice, 1, 1)]);
    let other_second = list(&alice, 2, vec![certificate(&alice, 1, 1)]);
    let third = list(&alice, 3, second.devices().to_vec());
    assert_eq!(second.compare(&second), Freshness::Same);
    assert_eq!(third.compare(&second), Freshness::Newer);
    assert_eq!(second.compare(&third), Freshness::Older);
    assert_eq!(other_second.compare(&second), Freshness::Conflict);
}
