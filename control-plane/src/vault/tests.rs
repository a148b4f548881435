//! The vault on a real disk.

use super::*;
use crate::limits::KEYS_PER_TRANSACTION_MAX;

const PLACE: Place<'static> = Place { table: "messages", column: "text", row: "1" };

fn mailbox(n: u128) -> MailboxId {
    MailboxId::from_u128(n)
}

fn vault(folder: &Path) -> Vault {
    Vault::new(folder, &VaultConfig::default())
}

fn given(keys: &str) -> VaultConfig {
    VaultConfig { master_keys: Some(keys.to_owned()), ..VaultConfig::default() }
}

fn master(id: &str, byte: &str) -> String {
    format!("{id}:{}", byte.repeat(32))
}

fn occurs(needle: &[u8], folder: &Path) -> bool {
    std::fs::read_dir(folder).unwrap().any(|file| {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        bytes.windows(needle.len()).any(|window| window == needle)
    })
}

#[tokio::test]
async fn a_key_is_made_once_and_found_again_by_the_next_process() {
    let folder = tempfile::tempdir().unwrap();
    let first = vault(folder.path());
    assert!(matches!(first.look_up(mailbox(1)).await.unwrap(), Held::Nothing));
    let key = first.key(mailbox(1)).await.unwrap().unwrap();
    let sealed = key.seal_text(PLACE, "本文", nonce());
    assert_eq!(first.key(mailbox(1)).await.unwrap().unwrap().id(), key.id());
    assert_ne!(first.key(mailbox(2)).await.unwrap().unwrap().id(), key.id());
    first.close().await;

    let second = vault(folder.path());
    let key = second.key(mailbox(1)).await.unwrap().unwrap();
    assert_eq!(key.open_text(PLACE, &sealed).unwrap(), "本文");
    let other = second.key(mailbox(2)).await.unwrap().unwrap();
    assert_eq!(other.open_text(PLACE, &sealed), Err(Unsealable), "another mailbox's key");
    assert!(!occurs(key.secret().as_ref(), &folder.path().join(FOLDER)), "keys lie wrapped");
}

#[tokio::test]
async fn makers_at_once_agree_on_one_key() {
    let folder = tempfile::tempdir().unwrap();
    let vaults = [vault(folder.path()), vault(folder.path()), vault(folder.path())];
    vaults[0].check().await.unwrap();
    let makers = vaults.iter().cycle().take(30).map(|vault| vault.key(mailbox(7)));
    let keys = futures::future::try_join_all(makers).await.unwrap();
    let first = keys[0].as_ref().unwrap().id();
    assert!(keys.iter().all(|key| key.as_ref().unwrap().id() == first));
    let makers = (100..1_100).map(|n| vaults[n as usize % 3].key(mailbox(n)));
    let keys = futures::future::try_join_all(makers).await.unwrap();
    let ids: HashSet<_> = keys.iter().map(|key| key.as_ref().unwrap().id()).collect();
    assert_eq!(ids.len(), 1_000, "each mailbox has a key of its own");
}

#[tokio::test]
async fn a_destroyed_key_never_comes_back_and_leaves_no_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let vault = vault(folder.path());
    for n in 1..=40 {
        vault.key(mailbox(n)).await.unwrap();
    }
    let open = vault.open().await.unwrap();
    let Found::Wrapped(wrapped) = open.file.find(mailbox(20)).await.unwrap() else {
        panic!("it was made")
    };
    assert!(occurs(&wrapped.bytes, &folder.path().join(FOLDER)));
    vault.destroy(&[mailbox(20)]).await.unwrap();
    vault.destroy(&[mailbox(20), mailbox(99)]).await.unwrap();
    for n in [20, 99] {
        assert!(matches!(vault.look_up(mailbox(n)).await.unwrap(), Held::Destroyed { .. }));
        assert!(vault.key(mailbox(n)).await.unwrap().is_none(), "nor is a new one made");
    }
    assert!(vault.key(mailbox(21)).await.unwrap().is_some());
    vault.close().await;
    assert!(!occurs(&wrapped.bytes, &folder.path().join(FOLDER)));
    assert!(!occurs(&wrapped.bytes[..24], &folder.path().join(FOLDER)), "not even its nonce");
}

#[tokio::test]
async fn a_new_master_wraps_every_key_while_the_service_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let service = vault(folder.path());
    let count = KEYS_PER_TRANSACTION_MAX as u128 + 1;
    let key = service.key(mailbox(0)).await.unwrap().unwrap();
    let open = service.open().await.unwrap();
    for n in 1..count {
        let wrapped = wrap(open.masters().current(), mailbox(n), &key).unwrap();
        open.file.insert(&[wrapped], WallTime::from_unix_millis(0)).await.unwrap().unwrap();
    }
    let old_file = std::fs::read_to_string(folder.path().join("keys/master.key")).unwrap();
    let old = open.masters().current().id.clone();

    let command = vault(folder.path());
    let rotation = command.rotate_master().await.unwrap();
    assert_eq!((rotation.rewrapped, &rotation.retired), (count as u64, &vec![old.clone()]));
    assert!(rotation.removed && rotation.master != old);
    assert_eq!(command.open().await.unwrap().file.masters().await.unwrap(), [rotation.master]);
    // The service, which knows the old master only, reads what it does not know.
    let after = service.key(mailbox(count - 1)).await.unwrap().unwrap();
    assert_eq!(after.secret(), key.secret());
    assert!(service.key(mailbox(count)).await.unwrap().is_some(), "and makes keys");
    assert!(
        !std::fs::read_to_string(folder.path().join("keys/master.key")).unwrap().contains(&old)
    );

    // The old master opens nothing any more.
    std::fs::write(folder.path().join("keys/master.key"), old_file).unwrap();
    let error = vault(folder.path()).check().await.unwrap_err();
    assert!(matches!(error, VaultError::MasterMissing { .. }), "{error}");
}

#[tokio::test]
async fn several_given_masters_open_and_the_first_wraps() {
    let folder = tempfile::tempdir().unwrap();
    let open = |keys: &str| Vault::new(folder.path(), &given(keys));
    let (old, new) = (master("old", "aa"), master("new", "bb"));
    open(&old).key(mailbox(1)).await.unwrap();
    let error = open(&new).check().await.unwrap_err().to_string();
    assert!(error.contains("old"), "{error}");
    let both = open(&format!("{new} {old}"));
    assert!(both.key(mailbox(1)).await.unwrap().is_some());
    both.key(mailbox(2)).await.unwrap();
    let rotation = both.rotate_master().await.unwrap();
    assert_eq!((&*rotation.master, rotation.rewrapped, rotation.removed), ("new", 1, false));
    assert_eq!(rotation.retired, ["old"]);
    assert!(open(&new).key(mailbox(1)).await.unwrap().is_some());
    assert!(!folder.path().join("keys/master.key").exists(), "none is made where one is given");
    let forged = open(&master("new", "cc")).key(mailbox(1)).await.unwrap_err();
    assert!(matches!(forged, VaultError::WrongMaster { .. }), "{forged}");
}

#[tokio::test]
async fn a_lost_master_key_is_said_at_the_start_and_no_new_one_is_made() {
    let folder = tempfile::tempdir().unwrap();
    vault(folder.path()).key(mailbox(1)).await.unwrap();
    let file = folder.path().join("keys/master.key");
    std::fs::remove_file(&file).unwrap();
    let error = vault(folder.path()).check().await.unwrap_err().to_string();
    assert!(error.contains("put it back"), "{error}");
    assert!(!file.exists());
}

#[tokio::test]
async fn a_key_that_is_moved_to_another_mailbox_does_not_open() {
    let folder = tempfile::tempdir().unwrap();
    let vault = vault(folder.path());
    vault.key(mailbox(1)).await.unwrap();
    let open = vault.open().await.unwrap();
    let Found::Wrapped(mut stolen) = open.file.find(mailbox(1)).await.unwrap() else {
        panic!("it was made")
    };
    stolen.mailbox = mailbox(2);
    open.file.insert(&[stolen], WallTime::from_unix_millis(0)).await.unwrap().unwrap();
    let error = vault.key(mailbox(2)).await.unwrap_err();
    assert!(matches!(error, VaultError::WrongMaster { .. }), "{error}");
}

/// What sealing costs. The best of many short runs, so that a busy machine tells little less than a
/// quiet one: `cargo test --workspace --lib -- --ignored --nocapture figures_of_sealing`.
#[test]
#[ignore = "a figure, not a check"]
#[expect(clippy::print_stdout, reason = "this is what it is for")]
fn figures_of_sealing() {
    let key = DataKey::new(Uuid::nil(), Zeroizing::new([7; 32]));
    let best = |act: &mut dyn FnMut()| {
        let times = (0..400).map(|_| {
            let start = std::time::Instant::now();
            act();
            start.elapsed()
        });
        times.min().unwrap_or_default().as_secs_f64()
    };
    // A message of a minute: text, segments, number.
    let columns = ["明日の会議は十時からです。".repeat(15), "x".repeat(2_500), "+81".repeat(4)];
    let mut sealed = Vec::new();
    let seal = best(&mut || {
        sealed = columns.iter().map(|text| key.seal_text(PLACE, text, nonce())).collect();
    });
    let open = best(&mut || {
        for text in &sealed {
            std::hint::black_box(key.open_text(PLACE, text).unwrap());
        }
    });
    println!("a message's columns: seal {:.1} µs, open {:.1} µs", seal * 1e6, open * 1e6);
    let sound = vec![7; 250_000];
    let mut object = Vec::new();
    let seal = best(&mut || object = key.seal(PLACE, &sound, nonce()));
    let open = best(&mut || drop(std::hint::black_box(key.open(PLACE, &object).unwrap())));
    let speed = |seconds: f64| sound.len() as f64 / seconds / 1e6;
    println!(
        "250 kB of sound: seal {:.0} µs ({:.0} MB/s), open {:.0} µs ({:.0} MB/s)",
        seal * 1e6,
        speed(seal),
        open * 1e6,
        speed(open)
    );
    let mailbox = mailbox(1);
    let master = MasterKey::generate().unwrap();
    let mut wrapped = wrap(&master, mailbox, &key).unwrap();
    let wrapping = best(&mut || wrapped = wrap(&master, mailbox, &key).unwrap());
    let unwrapping = best(&mut || drop(unwrap(&master, &wrapped).unwrap()));
    println!("a data key: wrap {:.1} µs, unwrap {:.1} µs", wrapping * 1e6, unwrapping * 1e6);
}
