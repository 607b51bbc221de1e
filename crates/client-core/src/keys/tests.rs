//! What opens `store.key`, what does not, and that nothing overwrites it unasked.

use std::os::unix::fs::PermissionsExt as _;

use super::*;

fn typed(text: &str) -> Passphrase {
    Passphrase::typed(Zeroizing::new(text.to_owned())).unwrap()
}

fn refused<T>(result: Result<T, ApiError>) -> ApiError {
    match result {
        Ok(_) => panic!("was accepted"),
        Err(error) => error,
    }
}

#[test]
fn only_the_right_passphrase_opens_the_key() {
    let place = tempfile::tempdir().unwrap();
    let home = Home::at(place.path());
    let made = create(&home, &typed("correct horse")).unwrap();
    home.write_private(&home.account_file(), b"{}").unwrap();
    let opened = unlock(&home, &typed("correct horse")).unwrap();
    assert_eq!(made.as_bytes(), opened.as_bytes());
    assert_ne!(opened.as_bytes(), &[0; 32]);

    let error = refused(unlock(&home, &typed("correct  horse")));
    assert_eq!(error.code, ErrorKind::BadPassphrase);
    assert!(error.hint.is_some());
    let error = refused(create(&home, &typed("another")));
    assert_eq!(error.code, ErrorKind::Failed, "an account's key is never overwritten");
}

#[test]
fn a_key_that_lies_there_is_used_by_who_can_open_it_and_overwritten_by_nobody() {
    let place = tempfile::tempdir().unwrap();
    let home = Home::at(place.path());
    let made = create(&home, &typed("correct horse")).unwrap();
    let content = std::fs::read(home.store_key()).unwrap();
    let error = refused(create(&home, &typed("another")));
    assert!(error.message.contains("store.key") && error.hint.unwrap().contains("account repair"), "{}", error.message);
    assert_eq!(create(&home, &typed("correct horse")).unwrap().as_bytes(), made.as_bytes());
    assert_eq!(std::fs::read(home.store_key()).unwrap(), content);
    std::fs::write(home.store_key(), "cut").unwrap();
    assert_eq!(refused(create(&home, &typed("correct horse"))).code, ErrorKind::DamagedStore);
    assert_eq!(std::fs::read(home.store_key()).unwrap(), b"cut");
}

#[test]
fn the_key_file_says_nothing_and_hostile_ones_are_refused_quickly() {
    let place = tempfile::tempdir().unwrap();
    let home = Home::at(place.path());
    let made = create(&home, &typed("correct horse")).unwrap();
    home.write_private(&home.account_file(), b"{}").unwrap();
    let content = std::fs::read_to_string(home.store_key()).unwrap();
    assert!(!content.contains(&hex::encode(made.as_bytes())));
    let file: serde_json::Value = serde_json::from_str(&content).unwrap();

    let change = |field: &str, value: serde_json::Value| {
        let mut changed = file.clone();
        changed[field] = value;
        std::fs::write(home.store_key(), changed.to_string()).unwrap();
        refused(unlock(&home, &typed("correct horse"))).code
    };
    assert_eq!(change("m_kib", u32::MAX.into()), ErrorKind::DamagedStore);
    assert_eq!(change("m_kib", 8.into()), ErrorKind::DamagedStore);
    assert_eq!(change("t", u32::MAX.into()), ErrorKind::DamagedStore);
    assert_eq!(change("t", 0.into()), ErrorKind::DamagedStore);
    assert_eq!(change("p", 255.into()), ErrorKind::DamagedStore);
    assert_eq!(change("salt", "00".into()), ErrorKind::DamagedStore);
    assert_eq!(change("nonce", "zz".into()), ErrorKind::DamagedStore);
    assert_eq!(change("wrapped", "00".into()), ErrorKind::DamagedStore);
    assert_eq!(change("v", 3.into()), ErrorKind::DamagedStore);
    assert_eq!(change("v", 1.into()), ErrorKind::BadPassphrase, "the version is authenticated");
    assert_eq!(change("kdf", "hkdf-sha256".into()), ErrorKind::DamagedStore);
    assert_eq!(change("kdf", "md5".into()), ErrorKind::DamagedStore);
    assert_eq!(change("source", 1.into()), ErrorKind::DamagedStore);
    assert_eq!(change("extra", 1.into()), ErrorKind::DamagedStore);
    assert_eq!(change("t", 1.into()), ErrorKind::BadPassphrase, "parameters are authenticated");
    for content in ["", "{}", &"x".repeat(100_000)] {
        std::fs::write(home.store_key(), content).unwrap();
        assert_eq!(refused(unlock(&home, &typed("correct horse"))).code, ErrorKind::DamagedStore);
    }
    std::fs::remove_file(home.store_key()).unwrap();
    assert_eq!(refused(unlock(&home, &typed("correct horse"))).code, ErrorKind::DamagedStore);
}

#[test]
fn the_first_versions_file_still_opens() {
    let place = tempfile::tempdir().unwrap();
    let home = Home::at(place.path());
    home.write_private(&home.account_file(), b"{}").unwrap();
    let (salt, nonce) = ([1; SALT_BYTES], [2; NONCE_BYTES]);
    let mut file = KeyFile {
        v: KEY_FILE_VERSION_1,
        source: None,
        kdf: ARGON2ID.to_owned(),
        m_kib: ARGON2_MEMORY_KIB,
        t: ARGON2_PASSES,
        p: ARGON2_LANES,
        salt: hex::encode(salt),
        nonce: hex::encode(nonce),
        wrapped: String::new(),
    };
    let cipher = wrapping_cipher(&file, &salt, &(&typed("correct horse")).into()).unwrap();
    let payload = Payload { msg: &[7; KEY_BYTES], aad: &file.bound(&salt) };
    file.wrapped = hex::encode(cipher.encrypt(&nonce.into(), payload).unwrap());
    let json = serde_json::to_string(&file).unwrap();
    assert!(!json.contains("source"), "{json}");
    std::fs::write(home.store_key(), json).unwrap();
    assert_eq!(remembered(&home), KeySource::Ask);
    assert_eq!(unlock(&home, &typed("correct horse")).unwrap().as_bytes(), &[7; KEY_BYTES]);
}

#[test]
fn a_changed_passphrase_replaces_the_old_one_and_keeps_the_store() {
    let place = tempfile::tempdir().unwrap();
    let home = Home::at(place.path());
    let made = create(&home, &typed("old")).unwrap();
    home.write_private(&home.account_file(), b"{}").unwrap();
    let source = KeySource::PassphraseCommand { command: "echo new".to_owned() };
    let new = source.open(|| panic!("nobody is asked")).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(change(&home, &typed("old"), &new).unwrap_err().code, ErrorKind::DamagedStore, "it opens nothing");
    drop(store::open(&home.store(), &[7; KEY_BYTES], true).unwrap());
    assert_eq!(change(&home, &typed("old"), &new).unwrap_err().code, ErrorKind::DamagedStore, "another's");
    unlock(&home, &typed("old")).unwrap();
    std::fs::remove_file(home.store()).unwrap();
    drop(store::open(&home.store(), made.as_bytes(), true).unwrap());

    let command = KeySource::PassphraseCommand { command: "echo new".to_owned() };
    let new = command.open(|| panic!("nobody is asked")).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(change(&home, &typed("wrong"), &new).unwrap_err().code, ErrorKind::BadPassphrase);
    assert_eq!(remembered(&home), KeySource::Ask);

    change(&home, &typed("old"), &new).unwrap();
    assert_eq!(refused(unlock(&home, &typed("old"))).code, ErrorKind::BadPassphrase);
    assert_eq!(unlock(&home, &new).unwrap().as_bytes(), made.as_bytes());
    assert_eq!(remembered(&home), command);

    let file = KeySource::KeyFile { path: place.path().join("key") };
    let key = file.open_or_make(|| panic!("nobody is asked")).unwrap_or_else(|error| panic!("{error}"));
    change(&home, &new, &key).unwrap();
    assert!(takes_random_key(&home));
    assert_eq!(unlock(&home, &key).unwrap().as_bytes(), made.as_bytes());
    let error = refused(unlock(&home, &typed("new")));
    assert!(
        error.message.contains("a key, not a passphrase") && error.hint.unwrap().contains("key file"),
        "{}",
        error.message
    );
    let content = std::fs::read_to_string(home.store_key()).unwrap();
    assert!(!content.contains(&hex::encode(&key.bytes[..])) && !content.contains(&hex::encode(made.as_bytes())));
    // Another key file of the same form.
    std::fs::remove_file(place.path().join("key")).unwrap();
    let other = file.open_or_make(|| panic!("nobody is asked")).unwrap_or_else(|error| panic!("{error}"));
    assert!(refused(unlock(&home, &other)).message.contains("this key does not open"));
}

#[test]
fn without_an_account_nothing_is_opened() {
    let place = tempfile::tempdir().unwrap();
    assert_eq!(refused(unlock(&Home::at(place.path()), &typed("x"))).code, ErrorKind::NoAccount);
}

#[test]
fn a_passphrase_file_gives_its_first_line() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("pass");
    let read = |content: &[u8]| {
        std::fs::write(&path, content).unwrap();
        Passphrase::from_file(&path)
    };
    for content in [&b"open sesame"[..], b"open sesame\n", b"open sesame\r\n", b"open sesame\nsecond line\n"] {
        assert_eq!(&read(content).ok().unwrap().passphrase.0[..], b"open sesame");
    }
    assert_eq!(&read(b" spaces stay \n").ok().unwrap().passphrase.0[..], b" spaces stay ");
    for content in [&b""[..], b"\n", b"\r\nsecond"] {
        assert_eq!(refused(read(content)).code, ErrorKind::BadPassphrase);
    }
    assert!(read(&[b'x'; MAX_PASSPHRASE_BYTES]).is_ok());
    assert_eq!(refused(read(&[b'x'; MAX_PASSPHRASE_BYTES + 1])).code, ErrorKind::BadPassphrase);
    assert_eq!(refused(read(&[b'x'; 1_000_000])).code, ErrorKind::BadPassphrase);
    assert_eq!(refused(Passphrase::from_file(&place.path().join("missing"))).code, ErrorKind::BadPassphrase);
}

#[test]
fn a_passphrase_file_that_others_can_read_is_reported() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("pass");
    std::fs::write(&path, "secret\n").unwrap();
    for (mode, exposed) in [(0o600, false), (0o400, false), (0o640, true), (0o644, true)] {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(Passphrase::from_file(&path).ok().unwrap().exposed, exposed, "{mode:o}");
    }
}
