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
    sending: SendingPairKey,
    receiving: ReceivingPairKey,
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let account = AccountKeyPair::from_seed(&[1; 32]);
    let record = AccountRecord::new(account.public(), [2; 32]);
    let identity = IdentityKeyPair::from_seed(&[3; 32]);
    let certificate = DeviceCertificate::issue(&account, &record.id(), 1, &identity.public(), 1);
    let address = PartyAddress { account: record.id(), device: 1 };
    // It seals for itself: one party is enough to have both ends.
    let own = certificate.verify(&record).expect("its own certificate");
    let sending = SendingPairKey::new(&identity, &address, &own).expect("a good key");
    let receiving = ReceivingPairKey::new(&identity, &address, &own).expect("a good key");
    World { record, certificate, identity, address, sending, receiving }
});

fuzz_target!(|data: &[u8]| {
    let world = &*WORLD;
    let Some((control, rest)) = data.split_first_chunk::<4>() else { return };
    if control[0] % 2 == 0 {
        let (head, body) = rest.split_at(rest.len().min(HEAD_LEN));
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
    let Ok(mut sealed) = seal(&[&world.sending], &content) else { return };
    let open = |sealed: &SealedEnvelope| open(&world.identity, &world.address, &sealed.heads[0], &sealed.body);
    let opened = open(&sealed).expect("what was sealed opens").verify(&world.receiving);
    assert!(opened.is_ok_and(|opened| opened == content));
    let mut tagged = sealed.clone();
    tagged.heads[0][HEAD_LEN - 1 - usize::from(control[2] % 16)] ^= 1 << (control[1] >> 5);
    assert!(open(&tagged).expect("a tag is looked at last").verify(&world.receiving).is_err());
    let position = usize::from(u16::from_be_bytes([control[2], control[3]])) % sealed.body.len();
    sealed.body[position] ^= 1 << (control[1] >> 5);
    assert!(open(&sealed).is_err());
});
