//! Opening any head and body: first as they come, then (second byte) a good envelope with any
//! content sealed into it, then that envelope damaged. Never a panic; only what was sealed opens.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use subrosa_crypto::*;

struct World {
    record: AccountRecord,
    certificate: DeviceCertificate,
    identity: IdentityKeyPair,
    address: PartyAddress,
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let account = AccountKeyPair::from_seed(&[1; 32]);
    let record = AccountRecord::new(account.public(), [2; 32]);
    let identity = IdentityKeyPair::from_seed(&[3; 32]);
    let certificate = DeviceCertificate::issue(&account, &record.id(), 1, &identity.public(), 1);
    World { record, certificate, address: PartyAddress { account: record.id(), device: 1 }, identity }
});

fuzz_target!(|data: &[u8]| {
    let world = &*WORLD;
    let Some((control, rest)) = data.split_first_chunk::<4>() else { return };
    if control[0] % 2 == 0 {
        let (head, body) = rest.split_at(rest.len().min(48));
        let mut body = body.to_vec();
        // Mostly a size that is looked at.
        body.resize(BUCKETS[usize::from(control[1]) % 3], 0);
        assert!(open(&world.identity, &world.address, head, &body).is_err());
        return;
    }
    let content = match control[1] % 2 {
        0 => SealedContent::session(world.record.id(), world.certificate, rest.to_vec()),
        _ => SealedContent::setup(world.record, world.certificate, rest.to_vec()),
    };
    let target = SealTarget { address: world.address, identity: &world.identity.public() };
    let Ok(mut sealed) = seal(&[target], &content) else { return };
    let opened = open(&world.identity, &world.address, &sealed.heads[0], &sealed.body);
    assert!(opened.is_ok_and(|opened| opened == content));
    let position = usize::from(u16::from_be_bytes([control[2], control[3]])) % sealed.body.len();
    sealed.body[position] ^= 1 << (control[1] >> 5);
    assert!(open(&world.identity, &world.address, &sealed.heads[0], &sealed.body).is_err());
});
