//! A filled account is one that the programs can use.

use subrosa_harness::{
    account::Account,
    large::{OWNER, PEER, Size, make},
    programs::Programs,
};

const NOW_MS: u64 = 1_795_521_600_000;

#[tokio::test]
async fn a_filled_account_is_listed_read_searched_and_checked() {
    let place = tempfile::tempdir().unwrap();
    let size = Size { messages: 900, chats: 130, largest: 300, seed: 5 };
    let folder = place.path().join("account");
    let (told, progress) = std::sync::mpsc::channel();
    let manifest = make(&folder, size, NOW_MS, move |done| told.send(done).unwrap()).await.unwrap();
    assert_eq!(progress.into_iter().last(), Some(900));
    assert!(make(&folder, size, NOW_MS, |_| {}).await.is_err(), "nothing is written over");

    // It opens with its key file, and remembers where that is.
    let owner = Account::existing(&Programs::locate().unwrap(), &folder, OWNER, &manifest.owner);
    let lines = async |arguments: &[&str]| -> Vec<serde_json::Value> {
        let text = owner.run(arguments).await.unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let chats = lines(&["chats", "--archived"]).await;
    assert_eq!(chats.len(), 130);
    let count = |what: &dyn Fn(&serde_json::Value) -> bool| chats.iter().filter(|chat| what(chat)).count();
    assert_eq!(count(&|chat| chat["pinned"] == true), 1);
    assert_eq!(count(&|chat| chat["archived"] == true), 1);
    assert!(count(&|chat| chat["unread"].as_u64() > Some(0)) >= 8);
    assert!(count(&|chat| chat["draft"].is_string()) >= 2);
    assert!(count(&|chat| chat["name"].as_str().unwrap().chars().any(|c| ('\u{590}'..'\u{700}').contains(&c))) > 3);

    let largest = lines(&["history", PEER, "-n", "1000"]).await;
    assert_eq!(largest.len(), 300 + 2, "and both hellos");
    for status in ["sent", "delivered", "read", "failed", "expired"] {
        assert!(
            chats.iter().any(|chat| chat["last"]["status"] == status) || largest.iter().any(|m| m["status"] == status)
        );
    }
    assert!(largest.iter().any(|message| message["reply_to"]["quote"].is_string()), "replies have their originals");
    let oldest = lines(&["history", PEER, "--oldest", "-n", "2"]).await;
    assert_eq!(oldest, largest[..2]);
    let found = lines(&["search", "finished", "build"]).await;
    assert!(found.len() == 50, "{}", found.len());
}
