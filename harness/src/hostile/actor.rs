//! Somebody who speaks the protocol and keeps none of its rules: an account with its keys, one of its devices, and the
//! sessions of that device (`docs/protocol.md` sections 2 to 6). Keys, sessions and seals are `subrosa-crypto`'s; what is
//! said with them, to whom and under whose name is free.

use std::collections::HashMap;

use anyhow::{Context, Result, anyhow, bail};
use prost::Message;
use sha2::{Digest, Sha256};
use subrosa_crypto::{
    AccountKeyPair, AccountRecord, DeviceCertificate, DeviceList, IdentityKeyPair, KemPrekeyPair, KemUse, MessageKind,
    OneTimePrekeyPair, PartyAddress, PrekeyBundle, ReceivingPairKey, ResponderPrekeys, SealedContent, SendingPairKey,
    Session, SetupHeader, SignedPrekeyPair, VerifiedCertificate, open, seal,
};

use super::{
    contents::{Content, Introduction, chat_id},
    frames::{Capability, DURABLE, DeviceAddress, Item, PutPrekeys, Submit},
    questions::{Devices, Prekeys, Register},
};

/// One-time keys of each kind that an actor makes.
const ONE_TIME_KEYS: u32 = 4;

/// An envelope before somebody submits it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// For whom.
    pub to: PartyAddress,
    /// The head.
    pub head: Vec<u8>,
    /// The body.
    pub body: Vec<u8>,
    /// The receiver's list that it was made for.
    pub list_version: u32,
}

impl Envelope {
    /// Section 9: the first 16 bytes of SHA-256(account id ‖ device number ‖ head ‖ body).
    #[must_use]
    pub fn id(&self) -> [u8; 16] {
        envelope_id(&self.to, &self.head, &self.body)
    }

    /// A submission of this envelope alone.
    #[must_use]
    pub fn submit(&self, capability: Option<Capability>) -> Submit {
        let item = Item {
            device: Some(device_address(&self.to)),
            capability,
            class: DURABLE,
            expiry_s: 0,
            head: self.head.clone(),
            body_ref: 0,
            list_version: self.list_version,
        };
        Submit { bodies: vec![self.body.clone()], items: vec![item] }
    }
}

/// Section 9, as both ends compute it.
#[must_use]
pub fn envelope_id(to: &PartyAddress, head: &[u8], body: &[u8]) -> [u8; 16] {
    let mut hash = Sha256::new();
    hash.update(to.account);
    hash.update(to.device.to_be_bytes());
    hash.update(head);
    hash.update(body);
    let digest: [u8; 32] = hash.finalize().into();
    let mut id = [0; 16];
    id.copy_from_slice(&digest[..16]);
    id
}

/// The message form of an address.
#[must_use]
pub fn device_address(address: &PartyAddress) -> DeviceAddress {
    DeviceAddress { account: address.account.to_vec(), device: address.device }
}

/// Whom an actor writes to: a record and a list that verified.
#[derive(Clone, Debug)]
pub struct Target {
    /// The account.
    pub record: AccountRecord,
    /// Its devices.
    pub list: DeviceList,
}

impl Target {
    /// From what a relay answered.
    ///
    /// # Errors
    /// It is not what it says.
    pub fn read(devices: &Devices) -> Result<Self> {
        let record = AccountRecord::decode(&devices.account_record)?;
        let list = DeviceList::decode(&devices.device_list)?.verify(&record)?;
        Ok(Self { record, list })
    }

    /// Device 1, which is all that a victim has.
    ///
    /// # Errors
    /// The list has no device 1.
    pub fn device(&self) -> Result<VerifiedCertificate> {
        self.list.device(1).context("no device 1")
    }
}

/// An account, one of its devices, and that device's sessions.
pub struct Actor {
    /// The account's key: an actor signs what it likes.
    pub key: AccountKeyPair,
    /// The account.
    pub record: AccountRecord,
    /// What it calls itself.
    pub handle: String,
    /// The list that it claims, in contents and to relays.
    pub list: DeviceList,
    /// This device.
    pub identity: IdentityKeyPair,
    /// What it says that this device is.
    pub certificate: DeviceCertificate,
    /// What lets others submit to it.
    pub delivery_key: [u8; 16],
    prekeys: OwnPrekeys,
    sessions: HashMap<PartyAddress, Vec<Session>>,
}

struct OwnPrekeys {
    signed: SignedPrekeyPair,
    last_resort: KemPrekeyPair,
    one_time: Vec<OneTimePrekeyPair>,
    one_time_kem: Vec<KemPrekeyPair>,
}

impl OwnPrekeys {
    fn generate(identity: &IdentityKeyPair, stock: u32) -> Result<Self> {
        Ok(Self {
            signed: SignedPrekeyPair::generate(1, identity)?,
            last_resort: KemPrekeyPair::generate(1, identity, KemUse::LastResort)?,
            one_time: (1..=stock).map(OneTimePrekeyPair::generate).collect::<Result<_, _>>()?,
            one_time_kem: (1..=stock)
                .map(|id| KemPrekeyPair::generate(id, identity, KemUse::OneTime))
                .collect::<Result<_, _>>()?,
        })
    }
}

/// What an actor got and could read.
#[derive(Clone, Debug)]
pub struct Opened {
    /// Who sent it.
    pub from: PartyAddress,
    /// Whether a session was set up with it.
    pub setup: bool,
    /// What it says.
    pub content: Content,
}

impl Actor {
    /// A new account with one device, number 1 on list 1.
    ///
    /// # Errors
    /// The system gives no randomness.
    pub fn new(handle: &str) -> Result<Self> {
        let key = AccountKeyPair::generate()?;
        let record = AccountRecord::new(key.public(), rand::random());
        let identity = IdentityKeyPair::generate()?;
        let certificate = DeviceCertificate::issue(&key, &record.id(), 1, &identity.public(), 1);
        let list = DeviceList::issue(&key, &record, 1, super::now_ms(), 1, vec![certificate])?;
        let prekeys = OwnPrekeys::generate(&identity, 0)?;
        Ok(Self {
            key,
            record,
            handle: handle.to_owned(),
            list,
            identity,
            certificate,
            delivery_key: rand::random(),
            prekeys,
            sessions: HashMap::new(),
        })
    }

    /// Another device of the same account: on no list until [`Actor::issue_list`] puts it there.
    ///
    /// # Errors
    /// The system gives no randomness.
    pub fn device(&self, number: u32, list_version: u32) -> Result<Self> {
        let identity = IdentityKeyPair::generate()?;
        let key = AccountKeyPair::from_seed(&self.key.seed());
        let certificate = DeviceCertificate::issue(&key, &self.record.id(), number, &identity.public(), list_version);
        let prekeys = OwnPrekeys::generate(&identity, 0)?;
        Ok(Self {
            key,
            record: self.record,
            handle: self.handle.clone(),
            list: self.list.clone(),
            identity,
            certificate,
            delivery_key: self.delivery_key,
            prekeys,
            sessions: HashMap::new(),
        })
    }

    /// Signs a list of this account and claims it from now on.
    ///
    /// # Errors
    /// The certificates do not make a list.
    pub fn issue_list(&mut self, version: u32, devices: Vec<DeviceCertificate>) -> Result<()> {
        let highest = devices.iter().map(DeviceCertificate::number).max().unwrap_or(0).max(self.list.highest());
        self.list = DeviceList::issue(&self.key, &self.record, version, super::now_ms(), highest, devices)?;
        Ok(())
    }

    /// One-time keys for the relay's stock.
    ///
    /// # Errors
    /// The system gives no randomness.
    pub fn stock_up(&mut self) -> Result<()> {
        self.prekeys = OwnPrekeys::generate(&self.identity, ONE_TIME_KEYS)?;
        Ok(())
    }

    /// The account's id in the form that people and programs see.
    #[must_use]
    pub fn id(&self) -> String {
        hex::encode(self.record.id())
    }

    /// This device.
    #[must_use]
    pub fn address(&self) -> PartyAddress {
        PartyAddress { account: self.record.id(), device: self.certificate.number() }
    }

    /// How it introduces itself, as somebody at that relay.
    #[must_use]
    pub fn introduction(&self, relay: &str) -> Introduction {
        Introduction {
            handle: self.handle.clone(),
            relay: relay.to_owned(),
            pin: Vec::new(),
            delivery_key: self.delivery_key.to_vec(),
            contact_token: Vec::new(),
            link_proof: Vec::new(),
            member_key: Vec::new(),
        }
    }

    /// What registers it.
    #[must_use]
    pub fn registration(&self, authority: &str) -> Register {
        let proof =
            self.identity.sign_registration(authority, None, &self.handle, &self.record.id(), &self.list.hash());
        Register {
            account_record: self.record.encode().to_vec(),
            handle: self.handle.clone(),
            device_list: self.list.encode(),
            authority: authority.to_owned(),
            pin: Vec::new(),
            proof: proof.to_vec(),
            registration_token: Vec::new(),
        }
    }

    /// What a relay answers about its devices.
    #[must_use]
    pub fn devices(&self) -> Devices {
        Devices { account_record: self.record.encode().to_vec(), device_list: self.list.encode() }
    }

    /// What a relay answers to those without a capability.
    #[must_use]
    pub fn standing_prekeys(&self) -> Prekeys {
        Prekeys {
            signed_prekey: self.prekeys.signed.public_bytes().to_vec(),
            one_time_ec: Vec::new(),
            kem: self.prekeys.last_resort.public_bytes(),
            kem_last_resort: true,
        }
    }

    /// What it uploads.
    #[must_use]
    pub fn put_prekeys(&self) -> PutPrekeys {
        PutPrekeys {
            signed_prekey: self.prekeys.signed.public_bytes().to_vec(),
            last_resort_kem: self.prekeys.last_resort.public_bytes(),
            one_time_ec: self.prekeys.one_time.iter().map(|key| key.public_bytes().to_vec()).collect(),
            one_time_kem: self.prekeys.one_time_kem.iter().map(KemPrekeyPair::public_bytes).collect(),
            replace_one_time: true,
        }
    }

    /// Starts a session with a device from its bundle; the newest session encrypts.
    ///
    /// # Errors
    /// The bundle is not the device's.
    pub fn start(&mut self, device: &VerifiedCertificate, bundle: &Prekeys) -> Result<()> {
        let kem_use = if bundle.kem_last_resort { KemUse::LastResort } else { KemUse::OneTime };
        let one_time = (!bundle.one_time_ec.is_empty()).then_some(bundle.one_time_ec.as_slice());
        let bundle = PrekeyBundle::verify(device, &bundle.signed_prekey, one_time, &bundle.kem, kem_use)?;
        let session = Session::initiate(&self.identity, &self.address(), &bundle)?;
        self.sessions.entry(device.address()).or_default().insert(0, session);
        Ok(())
    }

    /// Whether there is a session with the device.
    #[must_use]
    pub fn has_session(&self, device: &PartyAddress) -> bool {
        self.sessions.get(device).is_some_and(|all| !all.is_empty())
    }

    /// Whether there is a session with the device that the peer has answered.
    #[must_use]
    pub fn is_answered(&self, device: &PartyAddress) -> bool {
        self.sessions.get(device).and_then(|all| all.first()).is_some_and(|session| !session.is_unanswered())
    }

    /// What a content of this actor is called at the target.
    #[must_use]
    pub fn id_of(&self, content: &Content, target: &Target) -> Vec<u8> {
        content.id(&self.record.id(), &target.record.id())
    }

    /// Encrypts a content in the newest session and seals it. A content without the hash of a list names the actor's.
    ///
    /// # Errors
    /// There is no session, or the content is too long.
    pub fn write(&mut self, target: &Target, content: &Content) -> Result<Envelope> {
        let mut content = content.clone();
        if content.shown && content.conversation.is_empty() {
            content.conversation = chat_id(&self.record.id(), &target.record.id()).to_vec();
        }
        if content.list_hash.is_empty() {
            content.list_version = self.list.version();
            content.list_hash = self.list.hash().to_vec();
        }
        self.write_bytes(target, &content.encode_to_vec())
    }

    /// As [`Actor::write`], with any bytes in the place of a content.
    ///
    /// # Errors
    /// As there.
    pub fn write_bytes(&mut self, target: &Target, plaintext: &[u8]) -> Result<Envelope> {
        let device = target.device()?;
        let session = self.sessions.get_mut(&device.address()).and_then(|all| all.first_mut()).context("no session")?;
        let step = session.encrypt(plaintext)?;
        let (next, ciphertext) = step.commit(|_| Ok::<(), std::convert::Infallible>(()))?;
        *session = next;
        let sealed = match ciphertext.kind {
            MessageKind::Setup => SealedContent::setup(self.record, self.certificate, ciphertext.message),
            MessageKind::Session => SealedContent::session(self.record.id(), self.certificate, ciphertext.message),
            MessageKind::Group => SealedContent::group(self.record.id(), self.certificate, ciphertext.message),
        };
        self.seal_as(self.address(), target, &sealed)
    }

    /// Random bytes in the place of a message, sealed under somebody's certificate. Whose is up to the actor; the tag is made
    /// with the only identity key that it has.
    ///
    /// # Errors
    /// The system gives no randomness.
    pub fn junk_as(&self, target: &Target, account: [u8; 32], certificate: DeviceCertificate) -> Result<Envelope> {
        let mut message = vec![0; 230];
        rand::fill(&mut message[..]);
        let claimed = PartyAddress { account, device: certificate.number() };
        self.seal_as(claimed, target, &SealedContent::session(account, certificate, message))
    }

    /// Seals a content for device 1 of somebody.
    fn seal_as(&self, own: PartyAddress, target: &Target, content: &SealedContent) -> Result<Envelope> {
        let device = target.device()?;
        let sealed = seal(&[&SendingPairKey::new(&self.identity, &own, &device)?], content)?;
        Ok(Envelope {
            to: device.address(),
            head: sealed.heads.first().context("a seal without head")?.to_vec(),
            body: sealed.body,
            list_version: target.list.version(),
        })
    }

    /// Opens an envelope that was sent to this device, in a session it knows or in a new one.
    ///
    /// # Errors
    /// It is not for this device, or no session decrypts it.
    pub fn read(&mut self, head: &[u8], body: &[u8], senders: &Target) -> Result<Opened> {
        let opened =
            open(&self.identity, &self.address(), head, body).map_err(|error| anyhow!("not opened: {error}"))?;
        let from = opened.claimed_sender();
        let certificate = opened.claimed_certificate().verify(&senders.record)?;
        let sealed = opened.verify(&ReceivingPairKey::new(&self.identity, &self.address(), &certificate)?)?;
        let setup = sealed.kind() == MessageKind::Setup;
        for session in self.sessions.entry(from).or_default() {
            if let Ok(step) = session.decrypt(sealed.kind(), sealed.message()) {
                let (next, plaintext) = step.commit(|_| Ok::<(), std::convert::Infallible>(()))?;
                *session = next;
                return Ok(Opened { from, setup, content: Content::decode(plaintext.as_bytes())? });
            }
        }
        if !setup {
            bail!("no session decrypts it");
        }
        let header = SetupHeader::peek(sealed.message())?;
        let one_time = header.one_time_prekey_id();
        let kem = match header.kem_use() {
            KemUse::LastResort => Some(&self.prekeys.last_resort),
            KemUse::OneTime => self.prekeys.one_time_kem.iter().find(|key| key.id() == header.kem_prekey_id()),
        };
        let prekeys = ResponderPrekeys {
            signed: &self.prekeys.signed,
            one_time: one_time.and_then(|id| self.prekeys.one_time.iter().find(|key| key.id() == id)),
            kem: kem.context("a KEM key that is not ours")?,
        };
        let step = Session::accept(&self.identity, &self.address(), &certificate, &prekeys, sealed.message())?;
        let (session, plaintext) = step.commit(|_| Ok::<(), std::convert::Infallible>(()))?;
        self.sessions.entry(from).or_default().insert(0, session);
        Ok(Opened { from, setup, content: Content::decode(plaintext.as_bytes())? })
    }
}
