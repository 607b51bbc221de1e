//! A store that was changed on disk, or is opened with another key, is refused with a reason; nothing is repaired by guess.

use std::fs;

use crate::support::{Person, TestRelay, pair, passphrase};
use subrosa_client_core::{ApiError, Client, Engine, ErrorKind, api::EngineOwner, home::Home, keys, net::Network};

/// SQLCipher's page size.
const PAGE: usize = 4096;

async fn start(store: &Home, key_of: &Home) -> Result<Engine, ApiError> {
    let key = keys::unlock(key_of, &passphrase()).unwrap();
    Engine::start(store, key, EngineOwner { pid: std::process::id(), kind: "test".into() }, Network::direct()).await
}

fn assert_refused(error: &ApiError) {
    assert_eq!(error.code, ErrorKind::DamagedStore, "{error:?}");
    assert!(error.hint.as_deref().unwrap_or_default().contains("backup"), "{error:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flipped_bytes_and_a_wrong_key_are_refused() {
    let relay = TestRelay::start().await;
    let alice = Person::new(&relay, "alice").await;
    let bob = Person::new(&relay, "bob").await;
    pair(&alice, &bob).await;
    alice.engine.shutdown().await;
    bob.engine.shutdown().await;
    let (home, other) = (Home::at(alice.dir.path()), Home::at(bob.dir.path()));

    assert_refused(&start(&home, &other).await.map(drop).unwrap_err());

    let whole = fs::read(home.store()).unwrap();
    let mut first = whole.clone();
    first[100] ^= 1;
    fs::write(home.store(), &first).unwrap();
    assert_refused(&start(&home, &home).await.map(drop).unwrap_err());

    // Every page but the first: the file opens, and what is read from it is refused.
    let mut later = whole.clone();
    for page in later.chunks_mut(PAGE).skip(1) {
        page[7] ^= 1;
    }
    fs::write(home.store(), &later).unwrap();
    assert_refused(&start(&home, &home).await.map(drop).unwrap_err());

    fs::write(home.store(), &whole[..whole.len() / 2]).unwrap();
    match start(&home, &home).await {
        Err(error) => assert_refused(&error),
        Ok(engine) => {
            let list = engine.contact_list(subrosa_client_core::api::NoParams {}).await;
            engine.shutdown().await;
            assert_refused(&list.map(drop).unwrap_err());
        }
    }

    fs::write(home.store(), &whole).unwrap();
    let engine = start(&home, &home).await.unwrap();
    assert_eq!(engine.contact_list(subrosa_client_core::api::NoParams {}).await.unwrap().contacts.len(), 1);
    engine.shutdown().await;
}
