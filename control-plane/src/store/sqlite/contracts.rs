//! Contracts in SQLite. Every change begins with the write lock, so what it read still holds when
//! it writes: of two that exclude each other, exactly one sees the other's rows.

use async_trait::async_trait;
use engine_core::id::MailboxId;
use engine_core::time::WallTime;
use serde_json::json;
use sqlx::{QueryBuilder, Sqlite, Transaction};
use tracing::warn;

use super::audit::append_audit;
use super::campaigns::campaign_in_force;
use super::contract_rows::{find, keep, read, write};
use super::jobs::{drop_job, end_job, put_job};
use super::lines::{flags, free_line, take_line};
use super::mailboxes::{bury_mailbox, insert_mailbox};
use super::notices::{drop_notice, put_notice};
use super::numbers::{assign_number, has_reached, quarantine_number};
use super::repeats::{find_repeat, keep_repeat};
use super::sealed::SealedLists;
use super::terms::{accept_terms, version_at};
use super::webhooks::put_event;
use super::{SqliteStore, unreadable};
use crate::audit::{Actor, Change, Deed};
use crate::campaign::{self, Exclusion, Grant};
use crate::contract::{Contract, ContractError, ContractId, ContractKind};
use crate::contract_notice::{self, application_complete_id};
use crate::line::{Line, LineFlag};
use crate::mailbox::{MailboxSettings, StoredMailbox};
use crate::notice::{Notice, NoticeId};
use crate::outbox::Channel;
use crate::store::{
    Activated, Activation, Application, Applied, ContractFilter, ContractStore, Job, Page,
    StoreError, Task,
};
use crate::vault::Vault;
use crate::webhook::{
    CONTRACT_ACTIVATED, CONTRACT_APPLIED, CONTRACT_CANCELLED, CONTRACT_ENDED, CONTRACT_REINSTATED,
};

const BY_ID: &str = "SELECT * FROM contracts WHERE id = $1";
const BY_SERIAL: &str = "SELECT * FROM contracts WHERE serial_hash = $1";
const BY_MAILBOX: &str = "SELECT * FROM contracts WHERE mailbox = $1";
const OF_LINE: &str = "SELECT contracts.* FROM line_services \
    JOIN contracts ON contracts.id = line_services.contract WHERE line_services.line = $1";
const FIRST_OF_LINE: &str = "INSERT INTO line_campaign \
    (line_hash, contract, campaign_version, granted_at) VALUES ($1, $2, $3, $4) \
    ON CONFLICT DO NOTHING";
const HAS_APPLIED: &str = "SELECT EXISTS (SELECT 1 FROM line_campaign WHERE line_hash = $1)";

#[async_trait]
impl ContractStore for SqliteStore {
    async fn apply(
        &self,
        application: &Application,
        change: Change,
    ) -> Result<Applied, StoreError> {
        let mut tx = self.begin().await?;
        if let Some(repeat) = &application.repeat
            && let Some(before) = find_repeat(&mut tx, repeat, change).await?
        {
            let id = before.parse().map_err(|_| unreadable(&before, "a malformed contract"))?;
            return Ok(Applied::Before(find(&mut tx, id).await?));
        }
        let mut contract = application.contract.clone();
        take_line(&mut tx, &contract.line, contract.id, change.at).await?;
        let free = grant(&mut tx, application).await?;
        contract.free = free.ok();
        keep(&mut tx, &contract, &application.serial_hash).await?;
        sqlx::query(FIRST_OF_LINE)
            .bind(&application.line_hash)
            .bind(contract.id.to_string())
            .bind(contract.free.map(|free| free.version))
            .bind(change.at.as_unix_millis())
            .execute(&mut *tx)
            .await?;
        if let Some(repeat) = &application.repeat {
            keep_repeat(&mut tx, repeat, contract.id, change).await?;
        }
        let detail = json!({
            "line": application.line_hash,
            "kind": contract.kind.name(),
            "free_until": contract.free.map(|free| free.free_until.to_string()),
            "campaign_version": contract.free.map(|free| free.version),
            "no_campaign": free.err().map(campaign::NoGrant::name),
        });
        tell(&mut tx, &self.vault, &contract, Some(&application.notice)).await?;
        announce(&mut tx, CONTRACT_APPLIED, &contract, change.at).await?;
        append_audit(&mut tx, change, &deed("contract.applied", contract.id, detail)).await?;
        tx.commit().await?;
        Ok(Applied::New(contract))
    }

    async fn contract(&self, id: ContractId) -> Result<Option<Contract>, StoreError> {
        self.one(BY_ID, &id.to_string()).await
    }

    async fn contract_of_line(&self, line: &Line) -> Result<Option<Contract>, StoreError> {
        self.one(OF_LINE, line.reveal()).await
    }

    async fn contract_of_mailbox(&self, id: MailboxId) -> Result<Option<Contract>, StoreError> {
        self.one(BY_MAILBOX, &id.to_string()).await
    }

    async fn contract_by_serial(&self, hash: &str) -> Result<Option<Contract>, StoreError> {
        self.one(BY_SERIAL, hash).await
    }

    async fn contracts(
        &self,
        filter: &ContractFilter,
        page: Page,
    ) -> Result<Vec<Contract>, StoreError> {
        let mut query = QueryBuilder::new("SELECT * FROM contracts WHERE TRUE");
        if let Some(line) = &filter.line {
            query.push(" AND line = ").push_bind(line.reveal());
        }
        if let Some(state) = filter.state {
            query.push(" AND state = ").push_bind(state.name());
        }
        if let Some(after) = page.after {
            let id = ContractId::from_u128(after.id).to_string();
            query.push(" AND (applied_at, id) > (").push_bind(after.at.as_unix_millis());
            query.push(", ").push_bind(id).push(")");
        }
        query.push(" ORDER BY applied_at, id LIMIT ").push_bind(i64::from(page.limit));
        query.build().fetch_all(&self.readers).await?.iter().map(read).collect()
    }

    async fn activate(
        &self,
        activation: &Activation,
        change: Change,
    ) -> Result<Activated, StoreError> {
        // The data key is a write to another file: not while this one is held. A serial that is
        // not there makes no key, whoever guesses.
        if self.one(BY_SERIAL, &activation.serial_hash).await?.is_some() {
            self.vault.key(activation.mailbox).await?;
        }
        let mut tx = self.begin().await?;
        let row = sqlx::query(BY_SERIAL).bind(&activation.serial_hash);
        let row = row.fetch_optional(&mut *tx).await?;
        let mut contract = read(&row.ok_or(ContractError::SerialUnknown)?)?;
        let current = version_at(&mut tx, change.at).await?;
        contract.activate(activation.mailbox, activation.accepts_terms, current, change.at)?;
        let number = assign_number(&mut tx, contract.id, change.at).await?;
        contract.number = Some(number);
        let mailbox = mailbox_of(&contract, change.at)?;
        let lists = SealedLists::of(&self.vault, &mailbox).await?;
        insert_mailbox(&mut *tx, &mailbox, &lists).await?;
        accept_terms(&mut tx, contract.id, contract.terms_version, change.at).await?;
        write(&mut tx, &contract).await?;
        let detail = json!({ "terms_version": contract.terms_version });
        append_audit(&mut tx, change, &deed("contract.activated", contract.id, detail)).await?;
        announce(&mut tx, CONTRACT_ACTIVATED, &contract, change.at).await?;
        let at_low_water = has_reached(&mut tx, activation.low_water, change.at).await?;
        tx.commit().await?;
        if at_low_water {
            warn!(left = activation.low_water, "Few 050 numbers are left; add some soon.");
        }
        Ok(Activated { contract, at_low_water })
    }

    async fn cancel_contract(
        &self,
        id: ContractId,
        change: Change,
    ) -> Result<Contract, StoreError> {
        let mut tx = self.begin().await?;
        let mut contract = find(&mut tx, id).await?;
        if contract.cancel(change.at)? {
            write(&mut tx, &contract).await?;
            let ends_at = contract.ends_at.expect("a cancelled contract has an end");
            put_job(&mut tx, Task::EndContract(id), ends_at).await?;
            tell(&mut tx, &self.vault, &contract, contract_notice::ending(&contract).as_ref())
                .await?;
            announce(&mut tx, CONTRACT_CANCELLED, &contract, change.at).await?;
            let detail = json!({ "ends_on": contract.ends_on.map(|date| date.to_string()) });
            append_audit(&mut tx, change, &deed("contract.cancelled", id, detail)).await?;
        }
        tx.commit().await?;
        Ok(contract)
    }

    async fn reinstate_contract(
        &self,
        id: ContractId,
        change: Change,
    ) -> Result<Contract, StoreError> {
        let mut tx = self.begin().await?;
        let mut contract = find(&mut tx, id).await?;
        let ending = contract_notice::ending(&contract);
        if contract.reinstate(change.at)? {
            if let Some(ending) = ending {
                drop_notice(&mut tx, ending.id).await?;
            }
            write(&mut tx, &contract).await?;
            drop_job(&mut tx, Task::EndContract(id)).await?;
            announce(&mut tx, CONTRACT_REINSTATED, &contract, change.at).await?;
            append_audit(&mut tx, change, &deed("contract.reinstated", id, json!({}))).await?;
        }
        tx.commit().await?;
        Ok(contract)
    }

    async fn end_contract(
        &self,
        job: &Job,
        id: ContractId,
        now: WallTime,
    ) -> Result<Option<MailboxId>, StoreError> {
        let mut tx = self.begin().await?;
        if !end_job(&mut tx, job).await? {
            return Ok(None);
        }
        let mut contract = find(&mut tx, id).await?;
        let running = contract.clone();
        if !contract.end(now) {
            // Reinstated, or ended by an attempt whose lease ran out. One that is cancelled again
            // has left a job of its own.
            tx.commit().await?;
            return Ok(None);
        }
        for notice in [Some(application_complete_id(id)), ending_id(&running)].into_iter().flatten()
        {
            drop_notice(&mut tx, notice).await?;
        }
        if let Some(mailbox) = contract.mailbox {
            bury_mailbox(&mut tx, mailbox, now).await?;
        }
        if let Some(number) = &contract.number {
            quarantine_number(&mut tx, number, now).await?;
        }
        free_line(&mut tx, &contract.line, id).await?;
        tell(&mut tx, &self.vault, &running, contract_notice::data_deleted(&running, now).as_ref())
            .await?;
        write(&mut tx, &contract).await?;
        announce(&mut tx, CONTRACT_ENDED, &contract, now).await?;
        let change = Change { by: Actor::System, at: now };
        append_audit(&mut tx, change, &deed("contract.ended", id, json!({}))).await?;
        tx.commit().await?;
        Ok(contract.mailbox)
    }
}

impl SqliteStore {
    async fn one(&self, sql: &'static str, key: &str) -> Result<Option<Contract>, StoreError> {
        let row = sqlx::query(sql).bind(key).fetch_optional(&self.readers).await?;
        row.as_ref().map(read).transpose()
    }
}

/// Leaves a notice for the contract's address.
pub(super) async fn tell(
    tx: &mut Transaction<'static, Sqlite>,
    vault: &Vault,
    contract: &Contract,
    notice: Option<&Notice>,
) -> Result<(), StoreError> {
    let (Some(notice), Some(email)) = (notice, &contract.email) else { return Ok(()) };
    put_notice(tx, vault, notice, &[(Channel::Mail, email.reveal())]).await
}

/// Tells operators' programs what became of a contract: ids and dates, never a number or a name.
async fn announce(
    tx: &mut Transaction<'static, Sqlite>,
    event: &str,
    contract: &Contract,
    now: WallTime,
) -> Result<(), StoreError> {
    let data = json!({
        "contract": contract.id.to_string(),
        "state": contract.state.name(),
        "mailbox": contract.mailbox.map(|mailbox| mailbox.to_string()),
        "ends_on": contract.ends_on.map(|date| date.to_string()),
    });
    // A change counts the version up: each is told, and once.
    let id = NoticeId::of(event, &format!("{}:{}", contract.id, contract.version));
    put_event(tx, id, event, data, now).await
}

fn ending_id(contract: &Contract) -> Option<NoticeId> {
    contract_notice::ending(contract).map(|notice| notice.id)
}

fn deed(action: &'static str, id: ContractId, detail: serde_json::Value) -> Deed {
    Deed { action, subject: format!("contract:{id}"), detail }
}

/// The mailbox that an activation makes: the subscriber's language, and the address of the
/// application is told of messages until the subscriber chooses otherwise.
fn mailbox_of(contract: &Contract, now: WallTime) -> Result<StoredMailbox, StoreError> {
    let (Some(id), Some(number)) = (contract.mailbox, &contract.number) else {
        return Err(unreadable(contract.id, "an activation without mailbox or number"));
    };
    let settings = MailboxSettings {
        language: engine_core::text::LanguageChoice::Fixed(contract.language),
        addresses: contract.email.iter().map(|email| email.reveal().clone()).collect(),
        ..MailboxSettings::default()
    };
    StoredMailbox::new(id, number, settings, now)
        .map_err(|_| unreadable(contract.id, "an address or number that no mailbox can have"))
}

/// What the campaign gives this application, with the line's history as it is now.
async fn grant(
    tx: &mut Transaction<'static, Sqlite>,
    application: &Application,
) -> Result<Result<Grant, campaign::NoGrant>, StoreError> {
    let contract = &application.contract;
    let has_applied_before: bool =
        sqlx::query_scalar(HAS_APPLIED).bind(&application.line_hash).fetch_one(&mut **tx).await?;
    let flags = flags(tx, &contract.line).await?;
    let exclusions: Vec<_> = flags.iter().map(|flagged| exclusion(flagged.flag)).collect();
    let campaign = campaign_in_force(&mut **tx, contract.applied_on).await?;
    let facts = campaign::Application {
        applied_on: contract.applied_on,
        is_corporate: contract.kind == ContractKind::Corporate,
        has_applied_before,
        exclusions: &exclusions,
    };
    Ok(campaign::grant(campaign.as_ref(), &facts))
}

const fn exclusion(flag: LineFlag) -> Exclusion {
    match flag {
        LineFlag::Arrears => Exclusion::Arrears,
        LineFlag::Breach => Exclusion::Breach,
        LineFlag::Unsuitable => Exclusion::Unsuitable,
    }
}
