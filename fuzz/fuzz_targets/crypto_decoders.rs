//! Every public decoder of `subrosa-crypto` but that of stored sessions: what is read is written
//! again byte for byte, and nothing panics. The first byte chooses the decoder.
#![no_main]

use libfuzzer_sys::fuzz_target;
use subrosa_crypto::membership::{Change, Checkpoint};
use subrosa_crypto::*;

fuzz_target!(|data: &[u8]| {
    let Some((which, bytes)) = data.split_first() else { return };
    let again = match which % 14 {
        0 => AccountRecord::decode(bytes).ok().map(|record| record.encode().to_vec()),
        1 => DeviceCertificate::decode(bytes).ok().map(|certificate| certificate.encode().to_vec()),
        2 => DeviceList::decode(bytes).ok().map(|_| bytes.to_vec()),
        3 => SignedPrekeyPair::from_secret_bytes(bytes).ok().map(|pair| pair.to_secret_bytes().to_vec()),
        4 => OneTimePrekeyPair::from_secret_bytes(bytes).ok().map(|pair| pair.to_secret_bytes().to_vec()),
        5 => KemPrekeyPair::from_secret_bytes(bytes).ok().map(|pair| pair.to_secret_bytes().to_vec()),
        6 => {
            if let Ok(header) = SetupHeader::peek(bytes) {
                assert_eq!(header.base_key()[..], bytes[1..33]);
            }
            return;
        }
        7 => {
            let _ = RecoveryKey::from_words(&String::from_utf8_lossy(bytes));
            return;
        }
        8 => {
            if let Ok(key) = bytes.try_into() {
                let _ = Curve25519PublicKey::from_bytes(key).map(|read| assert_eq!(read.as_bytes(), key));
                let _ = IdentityKey::from_bytes(key).map(|read| assert_eq!(read.as_bytes(), key));
            }
            return;
        }
        9 => SenderKeyHandover::decode(bytes).ok().map(|handover| handover.encode().to_vec()),
        10 => SendingChain::deserialize(bytes).ok().map(|chain| chain.serialize().as_bytes().to_vec()),
        11 => {
            let _ = GroupMessage::chain_id_of(bytes);
            MemberChain::deserialize(bytes).ok().map(|chain| chain.serialize().as_bytes().to_vec())
        }
        12 => Change::decode(bytes).ok().map(|change| change.encode()),
        _ => Checkpoint::decode(bytes).ok().map(|checkpoint| checkpoint.encode()),
    };
    if let Some(again) = again {
        assert_eq!(again, bytes, "one value, one encoding");
    }
});
