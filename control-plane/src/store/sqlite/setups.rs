//! Set-ups and one-time codes in SQLite. One writer makes reading, judging and counting an
//! attempt one step.

use async_trait::async_trait;
use engine_core::time::WallTime;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, Sqlite, Transaction};
use subtle::ConstantTimeEq;

use super::notices::put_notice;
use super::subscribers::{device_by_id, expect_forwarding, keep_device};
use super::turns::{put_turns, when_free};
use super::{SqliteStore, time, unreadable};
use crate::limits::CODE_TRIES_MAX;
use crate::one_time_code::{Attempt, SentCode};
use crate::outbox::Channel;
use crate::setup::{Input, Step};
use crate::store::{CodeSent, CodeToSend, CodeTried, CodeTry, Setup, SetupStore, StoreError};
use crate::turns::{Turn, TurnKind};

const CREATE: &str = "INSERT INTO setups \
    (id, token_hash, step, version, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6)";
const BY_TOKEN: &str = "SELECT * FROM setups WHERE token_hash = $1 AND expires_at > $2";
const BY_ID: &str = "SELECT * FROM setups WHERE id = $1";
const UPDATE: &str = "UPDATE setups SET step = $3, contract = $4, mailbox = $5, \
    device_name = $6, device = $7, version = version + 1 WHERE id = $1 AND version = $2";
const DROP_CODES: &str = "DELETE FROM one_time_codes \
    WHERE setup IN (SELECT id FROM setups WHERE expires_at <= $1)";
const DROP_EXPIRED: &str = "DELETE FROM setups WHERE expires_at <= $1";
const PUT_CODE: &str = "INSERT INTO one_time_codes \
    (setup, number_mac, code_mac, tries, sent_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6) \
    ON CONFLICT (setup) DO UPDATE SET number_mac = excluded.number_mac, \
    code_mac = excluded.code_mac, tries = excluded.tries, sent_at = excluded.sent_at, \
    expires_at = excluded.expires_at";
const CODE: &str = "SELECT * FROM one_time_codes WHERE setup = $1";
const COUNT: &str = "UPDATE one_time_codes SET tries = tries + 1 WHERE setup = $1";

#[async_trait]
impl SetupStore for SqliteStore {
    async fn create_setup(
        &self,
        setup: &Setup,
        token_hash: &str,
        turns: &[Turn],
    ) -> Result<Option<WallTime>, StoreError> {
        let mut tx = self.begin().await?;
        let now = setup.created_at;
        if let Some(free) = when_free(&mut tx, turns, now).await? {
            return Ok(Some(free));
        }
        put_turns(&mut tx, turns, now).await?;
        for sql in [DROP_CODES, DROP_EXPIRED] {
            sqlx::query(sql).bind(now.as_unix_millis()).execute(&mut *tx).await?;
        }
        sqlx::query(CREATE)
            .bind(&setup.id)
            .bind(token_hash)
            .bind(setup.step.name())
            .bind(setup.version)
            .bind(now.as_unix_millis())
            .bind(setup.expires_at.as_unix_millis())
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(None)
    }

    async fn setup_by_token(
        &self,
        token_hash: &str,
        now: WallTime,
    ) -> Result<Option<Setup>, StoreError> {
        let query = sqlx::query(BY_TOKEN).bind(token_hash).bind(now.as_unix_millis());
        query.fetch_optional(&self.readers).await?.as_ref().map(read).transpose()
    }

    async fn update_setup(&self, setup: &Setup) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let updated = update(&mut tx, setup).await?;
        tx.commit().await?;
        Ok(updated)
    }

    async fn take_turns(
        &self,
        turns: &[Turn],
        now: WallTime,
    ) -> Result<Option<WallTime>, StoreError> {
        let mut tx = self.begin().await?;
        if let Some(free) = when_free(&mut tx, turns, now).await? {
            return Ok(Some(free));
        }
        put_turns(&mut tx, turns, now).await?;
        tx.commit().await?;
        Ok(None)
    }

    async fn send_code(&self, sending: CodeToSend<'_>) -> Result<CodeSent, StoreError> {
        let CodeToSend { setup, code, told, turns } = sending;
        let mut tx = self.begin().await?;
        if let Some(free) = when_free(&mut tx, turns, code.sent_at).await? {
            return Ok(CodeSent::Wait(free));
        }
        if !update(&mut tx, setup).await? {
            return Ok(CodeSent::Changed);
        }
        put_turns(&mut tx, turns, code.sent_at).await?;
        sqlx::query(PUT_CODE)
            .bind(&setup.id)
            .bind(&code.number_mac)
            .bind(&code.code_mac)
            .bind(i64::from(code.tries))
            .bind(code.sent_at.as_unix_millis())
            .bind(code.expires_at.as_unix_millis())
            .execute(&mut *tx)
            .await?;
        if let Some((notice, number)) = told {
            put_notice(&mut tx, &self.vault, notice, &[(Channel::Sms, number)]).await?;
        }
        tx.commit().await?;
        Ok(CodeSent::Sent)
    }

    async fn try_code(&self, attempt: CodeTry<'_>, now: WallTime) -> Result<CodeTried, StoreError> {
        let mut tx = self.begin().await?;
        let tried = judge(&mut tx, &attempt, now).await?;
        tx.commit().await?;
        Ok(tried)
    }
}

/// Judges one attempt and writes what follows from it.
async fn judge(
    tx: &mut Transaction<'static, Sqlite>,
    attempt: &CodeTry<'_>,
    now: WallTime,
) -> Result<CodeTried, StoreError> {
    if let Some(free) = when_free(tx, attempt.turns, now).await? {
        return Ok(CodeTried::Wait(free));
    }
    let setup = sqlx::query(BY_ID).bind(attempt.setup).fetch_optional(&mut **tx).await?;
    let code = sqlx::query(CODE).bind(attempt.setup).fetch_optional(&mut **tx).await?;
    let (Some(setup), Some(code)) = (setup.as_ref(), code.as_ref()) else {
        return Ok(CodeTried::NotAsked);
    };
    let (mut setup, code) = (read(setup)?, read_code(code)?);
    let Ok(next) = setup.step.follow(Input::RightCode) else { return Ok(CodeTried::NotAsked) };
    let wrong = Turn { kind: TurnKind::WrongCode, subject: code.number_mac.clone() };
    if let Some(free) = when_free(tx, std::slice::from_ref(&wrong), now).await? {
        return Ok(CodeTried::Wait(free));
    }
    match code.attempt(now) {
        Attempt::Counts => {}
        Attempt::Expired => return Ok(CodeTried::Expired),
        Attempt::UsedUp => return Ok(CodeTried::UsedUp),
    }
    put_turns(tx, attempt.turns, now).await?;
    sqlx::query(COUNT).bind(&setup.id).execute(&mut **tx).await?;
    let is_right = code.code_mac.as_bytes().ct_eq(attempt.code_mac.as_bytes());
    if !bool::from(is_right) {
        put_turns(tx, &[wrong], now).await?;
        return Ok(CodeTried::Wrong { left: CODE_TRIES_MAX - code.tries - 1 });
    }
    if let Some(device) = setup.device {
        // The answer to the same code was lost on its way.
        let device = device_by_id(tx, device).await?.filter(|device| device.ended.is_none());
        return Ok(device.map_or(CodeTried::NotAsked, CodeTried::Right));
    }
    keep_device(tx, attempt.device, attempt.token_hash).await?;
    expect_forwarding(tx, attempt.device.mailbox, now).await?;
    (setup.step, setup.device) = (next, Some(attempt.device.id));
    update(tx, &setup).await?;
    Ok(CodeTried::Right(attempt.device.clone()))
}

async fn update(tx: &mut Transaction<'static, Sqlite>, setup: &Setup) -> Result<bool, StoreError> {
    let updated = sqlx::query(UPDATE)
        .bind(&setup.id)
        .bind(setup.version)
        .bind(setup.step.name())
        .bind(setup.contract.map(|id| id.to_string()))
        .bind(setup.mailbox.map(|id| id.to_string()))
        .bind(&setup.device_name)
        .bind(setup.device.map(|id| id.to_string()))
        .execute(&mut **tx)
        .await?;
    Ok(updated.rows_affected() == 1)
}

fn read(row: &SqliteRow) -> Result<Setup, StoreError> {
    let id: String = row.try_get("id")?;
    let wrong = |what| unreadable(format!("set-up {id}"), what);
    let step: String = row.try_get("step")?;
    let text = |column| row.try_get::<Option<String>, _>(column);
    let contract =
        text("contract")?.map(|id| id.parse().map_err(|_| wrong("a malformed contract")));
    let mailbox = text("mailbox")?.map(|id| id.parse().map_err(|_| wrong("a malformed mailbox")));
    let device = text("device")?.map(|id| id.parse().map_err(|_| wrong("a malformed device")));
    Ok(Setup {
        step: Step::from_name(&step).ok_or_else(|| wrong("an unknown step"))?,
        contract: contract.transpose()?,
        mailbox: mailbox.transpose()?,
        device_name: text("device_name")?,
        device: device.transpose()?,
        version: row.try_get("version")?,
        created_at: time(row.try_get("created_at")?),
        expires_at: time(row.try_get("expires_at")?),
        id,
    })
}

fn read_code(row: &SqliteRow) -> Result<SentCode, StoreError> {
    Ok(SentCode {
        number_mac: row.try_get("number_mac")?,
        code_mac: row.try_get("code_mac")?,
        tries: row.try_get::<i64, _>("tries")? as u32,
        sent_at: time(row.try_get("sent_at")?),
        expires_at: time(row.try_get("expires_at")?),
    })
}
