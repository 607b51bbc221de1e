//! Records and device lists that were verified, by their bytes. What is stored was verified when it came, and is verified again when it is
//! first read (the file may have been changed); not each of the dozen times that one message looks at the same peer, at three
//! signatures each.

use std::{cell::RefCell, collections::HashMap};

use subrosa_crypto::{AccountRecord, DeviceList};

use super::StoreError;

/// Peers remembered: about 1.5 KB each. Beyond it all are forgotten, and read anew.
const MAX_REMEMBERED: usize = 512;

thread_local! {
    static RECORDS: RefCell<HashMap<Vec<u8>, AccountRecord>> = RefCell::default();
    /// By record and list.
    static LISTS: RefCell<HashMap<Vec<u8>, DeviceList>> = RefCell::default();
}

/// Reads a record.
pub(super) fn record(bytes: &[u8]) -> Result<AccountRecord, StoreError> {
    if let Some(known) = RECORDS.with_borrow(|records| records.get(bytes).copied()) {
        return Ok(known);
    }
    let record = AccountRecord::decode(bytes).map_err(|_| StoreError::Damaged("account record"))?;
    RECORDS.with_borrow_mut(|records| remember(records, bytes.to_vec(), record));
    Ok(record)
}

/// Reads the device list of an account.
pub(super) fn list(bytes: &[u8], record: &AccountRecord) -> Result<DeviceList, StoreError> {
    let both = [&record.encode()[..], bytes].concat();
    if let Some(known) = LISTS.with_borrow(|lists| lists.get(&both).cloned()) {
        return Ok(known);
    }
    let verified = DeviceList::decode(bytes).ok().and_then(|list| list.verify(record).ok());
    let list = verified.ok_or(StoreError::Damaged("device list"))?;
    LISTS.with_borrow_mut(|lists| remember(lists, both, list.clone()));
    Ok(list)
}

fn remember<T>(map: &mut HashMap<Vec<u8>, T>, bytes: Vec<u8>, what: T) {
    if map.len() >= MAX_REMEMBERED {
        map.clear();
    }
    map.insert(bytes, what);
}

#[cfg(test)]
mod tests {
    use subrosa_crypto::{AccountKeyPair, DeviceCertificate, IdentityKeyPair};

    use super::*;

    #[test]
    fn a_list_is_believed_for_the_record_that_signed_it_alone_also_when_it_is_remembered() {
        let key = AccountKeyPair::from_seed(&[7; 32]);
        let mine = AccountRecord::new(key.public(), [1; 32]);
        let other = AccountRecord::new(AccountKeyPair::from_seed(&[8; 32]).public(), [1; 32]);
        let identity = IdentityKeyPair::from_seed(&[9; 32]);
        let certificate = DeviceCertificate::issue(&key, &mine.id(), 1, &identity.public(), 1);
        let bytes = DeviceList::issue(&key, &mine, 1, 5, 1, vec![certificate]).unwrap().encode();
        for _ in 0..2 {
            assert_eq!(list(&bytes, &mine).unwrap().encode(), bytes);
            assert!(list(&bytes, &other).is_err());
            let mut changed = bytes.clone();
            *changed.last_mut().unwrap() ^= 1;
            assert!(list(&changed, &mine).is_err());
            assert_eq!(record(&mine.encode()).unwrap(), mine);
        }
    }
}
