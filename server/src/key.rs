//! `rusuden key`: make, list, revoke API keys in a data folder, whether the service runs or not;
//! change the master key that wraps the data keys of mailboxes.

use std::path::Path;

use control_plane::vault::Vault;
use control_plane::{Keys, Scope, VaultConfig};

use crate::cli::{KeyAction, KeyArguments};
use crate::config::Config;

pub(crate) fn run(arguments: &KeyArguments) -> anyhow::Result<()> {
    let config = Config::read(&arguments.place())?;
    let data_dir = config.make_data_dir()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    if matches!(arguments.action, KeyAction::RotateMaster) {
        return runtime.block_on(rotate(data_dir, &config.control_plane.vault));
    }
    runtime.block_on(async {
        let keys = Keys::open(data_dir).await?;
        let done = act(&keys, &arguments.action, data_dir).await;
        keys.close().await;
        done
    })
}

#[expect(clippy::print_stdout, reason = "this is what the command is for")]
#[expect(clippy::print_stderr, reason = "standard output holds the secret alone, for `$(…)`")]
async fn act(keys: &Keys, action: &KeyAction, data_dir: &Path) -> anyhow::Result<()> {
    match action {
        KeyAction::Create { name, scopes } => {
            let scopes: Vec<Scope> = match scopes.as_slice() {
                [] => vec![Scope::Admin],
                some => some.iter().map(|scope| scope.parse()).collect::<Result<_, _>>()?,
            };
            let (key, secret) = keys.create_key(name, &scopes).await?;
            println!("{secret}");
            let place = data_dir.display();
            eprintln!(
                "This is key {} ({name}) of the data in {place}. It is shown only now.",
                key.id
            );
        }
        KeyAction::List => {
            for key in keys.list().await? {
                let scopes: Vec<_> = key.scopes.iter().map(|scope| scope.name()).collect();
                let state = if key.revoked_at.is_some() { "revoked" } else { "valid" };
                println!("{}  {state:7}  {}  [{}]", key.id, key.name, scopes.join(", "));
            }
        }
        KeyAction::RotateMaster => unreachable!("`run` has done it without opening the keys"),
        KeyAction::Revoke { id } => {
            let id = id.parse().map_err(|_| {
                anyhow::anyhow!("{id:?} is not a key's id; `rusuden key list` shows them")
            })?;
            anyhow::ensure!(keys.revoke(id).await?, "there is no valid key {id}");
            println!("Key {id} is revoked.");
        }
    }
    Ok(())
}

/// `rusuden key rotate-master`.
#[expect(clippy::print_stdout, reason = "this is what the command is for")]
async fn rotate(data_dir: &Path, config: &VaultConfig) -> anyhow::Result<()> {
    let vault = Vault::new(data_dir, config);
    let rotation = vault.rotate_master().await;
    vault.close().await;
    let rotation = rotation?;
    println!(
        "{} data keys are wrapped with the master key {} now.",
        rotation.rewrapped, rotation.master
    );
    match (rotation.retired.join(", "), rotation.removed) {
        (retired, _) if retired.is_empty() => println!("There was no other master key."),
        (retired, true) => println!("The old ones were taken out of the file: {retired}"),
        (retired, false) => println!("These may be taken out of the configuration now: {retired}"),
    }
    Ok(())
}
