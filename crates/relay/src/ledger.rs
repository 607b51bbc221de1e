//! What is counted beside the store: how often things may be done, and the request lane. Two processes of one relay must share it, or a
//! limit would be as many limits as there are processes.

use std::{future::Future, net::IpAddr};

use subrosa_wire::{AccountId, CapabilityHash, DeviceAddress, EnvelopeId, submit::Refusal};

use crate::{
    backend::Source,
    policy::{
        lane::RequestLane,
        limiter::{Buckets, Left, Limiter},
        limits::RateLimits,
        permission::Permission,
        shares::Shares,
    },
};

/// A limit, and whose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Limit {
    /// HTTP requests of any kind from an address.
    Requests(IpAddr),
    /// Registrations from an address.
    Register(IpAddr),
    /// Handles that an address has resolved.
    Resolve(IpAddr),
    /// Device lists that an address has asked for.
    Devices(IpAddr),
    /// Prekeys that an address has asked for.
    Prekeys(IpAddr),
    /// Envelopes that an address has submitted.
    Submit(IpAddr),
    /// Wrong capabilities that an address has shown.
    WrongCapabilities(IpAddr),
    /// What the devices of an account have asked on their own sockets.
    OwnRequests(AccountId),
    /// Envelopes that were permitted for an account, whoever sent them.
    Account(AccountId),
    /// Envelopes that were permitted by a capability.
    Capability(CapabilityHash),
}

/// Keeps the counts. A count that is lost (a process ends) costs strictness for some minutes, never a message.
pub(crate) trait Ledger: Send + Sync + 'static {
    /// Takes so much of a limit; 0 only asks.
    ///
    /// # Errors
    /// Seconds until there is as much; nothing was taken.
    fn take(&self, limit: Limit, cost: u32) -> impl Future<Output = Result<(), u32>> + Send;
    /// How much is left of each of these; nothing is taken.
    fn left(&self, limits: Vec<Limit>) -> impl Future<Output = Vec<Left>> + Send;
    /// Counts what has happened, also beyond the limit.
    fn charge(&self, done: Vec<(Limit, u32)>) -> impl Future<Output = ()> + Send;
    /// Counts a bundle with one-time keys of `device`, for who has shown a capability that was checked; `false`: beyond its share.
    fn share(&self, source: Source, device: DeviceAddress, permission: Permission)
    -> impl Future<Output = bool> + Send;
    /// Reserves a request of one account to another; [`Ledger::requested`] must follow.
    ///
    /// # Errors
    /// Why there may be none now.
    fn request(&self, sender: AccountId, receiver: AccountId) -> impl Future<Output = Result<(), Refusal>> + Send;
    /// Says which envelopes a reserved request was stored as; none takes the reservation back.
    fn requested(
        &self,
        sender: AccountId,
        receiver: AccountId,
        envelopes: Vec<EnvelopeId>,
    ) -> impl Future<Output = ()> + Send;
    /// A receiver has these envelopes of requests: they are pending no more.
    fn answered(&self, receiver: AccountId, envelopes: Vec<EnvelopeId>) -> impl Future<Output = ()> + Send;
    /// Forgets what does not count any more.
    fn forget_old(&self) -> impl Future<Output = ()> + Send;
}

/// The ledger of a single process: in memory, gone with it.
pub(crate) struct LocalLedger {
    requests: Limiter,
    register: Limiter,
    resolve: Limiter,
    devices: Limiter,
    prekeys: Limiter,
    submit: Limiter,
    wrong_capabilities: Limiter,
    own_requests: Buckets<AccountId>,
    account: Buckets<AccountId>,
    capability: Buckets<CapabilityHash>,
    shares: Shares,
    lane: RequestLane,
}

/// The buckets of a limit.
enum Place<'a> {
    Address(&'a Limiter, IpAddr),
    Account(&'a Buckets<AccountId>, AccountId),
    Capability(&'a Buckets<CapabilityHash>, CapabilityHash),
}

impl LocalLedger {
    pub(crate) fn new(rates: &RateLimits) -> Self {
        Self {
            requests: Limiter::new(rates.requests),
            register: Limiter::new(rates.register),
            resolve: Limiter::new(rates.resolve),
            devices: Limiter::new(rates.devices),
            prekeys: Limiter::new(rates.prekeys),
            submit: Limiter::new(rates.submit),
            wrong_capabilities: Limiter::new(rates.wrong_capabilities),
            own_requests: Buckets::new(rates.own_requests),
            account: Buckets::new(rates.account),
            capability: Buckets::new(rates.capability),
            shares: Shares::new(),
            lane: RequestLane::default(),
        }
    }

    const fn place(&self, limit: Limit) -> Place<'_> {
        match limit {
            Limit::Requests(address) => Place::Address(&self.requests, address),
            Limit::Register(address) => Place::Address(&self.register, address),
            Limit::Resolve(address) => Place::Address(&self.resolve, address),
            Limit::Devices(address) => Place::Address(&self.devices, address),
            Limit::Prekeys(address) => Place::Address(&self.prekeys, address),
            Limit::Submit(address) => Place::Address(&self.submit, address),
            Limit::WrongCapabilities(address) => Place::Address(&self.wrong_capabilities, address),
            Limit::OwnRequests(account) => Place::Account(&self.own_requests, account),
            Limit::Account(account) => Place::Account(&self.account, account),
            Limit::Capability(hash) => Place::Capability(&self.capability, hash),
        }
    }
}

impl Ledger for LocalLedger {
    async fn take(&self, limit: Limit, cost: u32) -> Result<(), u32> {
        let now = subrosa_ambient::instant();
        match self.place(limit) {
            Place::Address(limiter, address) => limiter.take(address, cost, now),
            Place::Account(buckets, account) => buckets.take(account, cost, now),
            Place::Capability(buckets, hash) => buckets.take(hash, cost, now),
        }
    }

    async fn left(&self, limits: Vec<Limit>) -> Vec<Left> {
        let now = subrosa_ambient::instant();
        let left = |limit: &Limit| match self.place(*limit) {
            Place::Address(limiter, address) => limiter.left(address, now),
            Place::Account(buckets, account) => buckets.left(&account, now),
            Place::Capability(buckets, hash) => buckets.left(&hash, now),
        };
        limits.iter().map(left).collect()
    }

    async fn charge(&self, done: Vec<(Limit, u32)>) {
        let now = subrosa_ambient::instant();
        for (limit, cost) in done {
            match self.place(limit) {
                Place::Address(limiter, address) => limiter.charge(address, cost, now),
                Place::Account(buckets, account) => buckets.charge(account, cost, now),
                Place::Capability(buckets, hash) => buckets.charge(hash, cost, now),
            }
        }
    }

    async fn share(&self, source: Source, device: DeviceAddress, permission: Permission) -> bool {
        self.shares.take(source.asker(), device, &permission, subrosa_ambient::instant())
    }

    async fn request(&self, sender: AccountId, receiver: AccountId) -> Result<(), Refusal> {
        self.lane.admit(sender, receiver, subrosa_ambient::instant())
    }

    async fn requested(&self, sender: AccountId, receiver: AccountId, envelopes: Vec<EnvelopeId>) {
        self.lane.stored(sender, receiver, envelopes, subrosa_ambient::instant());
    }

    async fn answered(&self, receiver: AccountId, envelopes: Vec<EnvelopeId>) {
        self.lane.answered(receiver, &envelopes);
    }

    async fn forget_old(&self) {
        let now = subrosa_ambient::instant();
        self.lane.forget_old(now);
        self.shares.forget_old(now);
    }
}
