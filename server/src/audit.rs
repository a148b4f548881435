//! `rusuden audit`: checks the audit log of a data folder, whether the service runs or not.

use control_plane::{AuditLog, Head};

use crate::cli::{AuditAction, AuditArguments};
use crate::config::Config;

pub(crate) fn run(arguments: &AuditArguments) -> anyhow::Result<()> {
    let config = Config::read(&arguments.place())?;
    let data_dir = config.make_data_dir()?;
    let AuditAction::Verify { head } = &arguments.action;
    let noted = head.as_deref().map(str::parse::<Head>).transpose()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let log = AuditLog::open(data_dir).await?;
        let verified = log.verify(noted.as_ref()).await;
        log.close().await;
        say(&verified?);
        Ok(())
    })
}

#[expect(clippy::print_stdout, reason = "this is what the command is for")]
#[expect(clippy::print_stderr, reason = "standard output holds the head alone, for `$(…)`")]
fn say(head: &Head) {
    println!("{head}");
    eprintln!(
        "The audit log is whole: {} entries. Note the head above elsewhere; `--head` then shows \
         whether entries were taken away since.",
        head.seq
    );
}
