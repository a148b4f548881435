//! `rusuden receipt`: checks receipts of deletions, offline, with nothing but the public key.

use anyhow::Context as _;
use control_plane::receipt::verify;

use crate::cli::{ReceiptAction, ReceiptArguments};

#[expect(clippy::print_stdout, reason = "this is what the command is for")]
pub(crate) fn run(arguments: &ReceiptArguments) -> anyhow::Result<()> {
    let ReceiptAction::Verify { file, key } = &arguments.action;
    let read = |path: &std::path::Path| {
        std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))
    };
    let receipt = verify(&read(file)?, &read(key)?)?;
    let deleted = receipt.deleted;
    println!("The receipt holds: mailbox {} was deleted.", receipt.mailbox);
    println!("  requested at {}, completed at {}", receipt.requested_at, receipt.completed_at);
    println!(
        "  {} messages: {} recordings, {} MP3s, {} texts, {} callers' numbers; {} greetings",
        deleted.messages,
        deleted.recordings,
        deleted.mp3s,
        deleted.texts,
        deleted.caller_numbers,
        deleted.greetings
    );
    match (receipt.data_key, receipt.data_key_destroyed_at) {
        (Some(id), Some(at)) => println!("  its data key {id} was destroyed at {at}"),
        _ => println!("  nothing had ever been sealed for it, so there was no data key"),
    }
    Ok(())
}
