//! What a relay is put together from. Everything that serves clients is written for any such parts.

use std::marker::PhantomData;

use crate::{
    backend::{Store, embedded::Embedded},
    ledger::{Ledger, LocalLedger},
    router::Router,
};

/// The seams of a relay.
pub(crate) trait Parts: Send + Sync + 'static {
    /// What is kept.
    type Store: Store;
    /// Who is connected.
    type Router: Router;
    /// What is counted.
    type Ledger: Ledger;
}

/// A relay of a single process, with the router of a caller's choice.
pub(crate) struct Single<R>(PhantomData<fn() -> R>);

impl<R: Router> Parts for Single<R> {
    type Store = Embedded;
    type Router = R;
    type Ledger = LocalLedger;
}
