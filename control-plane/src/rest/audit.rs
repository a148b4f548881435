//! The audit log over REST.

use axum::extract::State;
use engine_core::time::WallTime;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::auth::{AuditRead, May};
use super::extract::QueryOf;
use super::page::{PageOf, cut, read_page};
use super::problem::{Kind, Problem};
use crate::audit::Entry;
use crate::contract::ContractId;
use crate::line::Line;
use crate::plane::ControlPlane;
use crate::store::{After, AuditPage};
use crate::wording::time_utc;

/// Which entries.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct AuditQuery {
    /// Only what was done to this contract; with `line`, what was done to either.
    #[param(format = Uuid)]
    contract: Option<String>,
    /// Only what was done to this line; with `contract`, what was done to either.
    #[param(pattern = "^(\\+81[6-9]0[0-9]{8}|0[6-9]0-?[0-9]{4}-?[0-9]{4})$")]
    line: Option<String>,
    /// Most items, 1 to 200.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u32>,
    /// `next` of the page before; without it the list begins.
    #[param(pattern = "^[0-9a-f]{48}$")]
    cursor: Option<String>,
}

/// An entry. Its hash is SHA-256 over number, time, `prev_hash` and the other fields, each behind
/// its length; `rusuden audit verify` follows the chain.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditEntry)]
pub(crate) struct EntryView {
    /// Its place, from 1 without gaps.
    seq: i64,
    /// RFC 3339, UTC.
    #[schema(format = DateTime)]
    at: String,
    /// `key:<id>`, `subscriber:<contract>`, `command` or `system`.
    actor: String,
    /// What was done.
    #[schema(example = "contract.cancelled")]
    action: String,
    /// To what; lines as keyed hashes.
    subject: String,
    /// More about it.
    #[schema(value_type = Object)]
    detail: serde_json::Value,
    /// Hash of the entry before.
    prev_hash: String,
    /// Hash of this entry.
    hash: String,
}

impl From<Entry> for EntryView {
    fn from(entry: Entry) -> Self {
        Self {
            seq: entry.seq,
            at: time_utc(entry.at),
            actor: entry.actor,
            action: entry.action,
            subject: entry.subject,
            detail: serde_json::from_str(&entry.detail).unwrap_or_default(),
            prev_hash: entry.prev_hash,
            hash: entry.hash,
        }
    }
}

/// Lists what operators, subscribers and the service itself changed, oldest first.
#[utoipa::path(get, path = "/v1/audit", tag = "audit", params(AuditQuery),
    responses((status = 200, body = PageOf<EntryView>)), security(("key" = ["audit:read"])))]
pub(crate) async fn list(
    _: May<AuditRead>,
    State(plane): State<ControlPlane>,
    QueryOf(query): QueryOf<AuditQuery>,
) -> Result<axum::Json<PageOf<EntryView>>, Problem> {
    let page = read_page(query.limit, query.cursor.as_deref())?;
    let malformed = |e: &dyn std::fmt::Display| Problem::new(Kind::MalformedQuery, e.to_string());
    let mut subjects = Vec::with_capacity(2);
    if let Some(contract) = &query.contract {
        let id: ContractId = contract.parse().map_err(|e| malformed(&e))?;
        subjects.push(format!("contract:{id}"));
    }
    if let Some(line) = &query.line {
        let line = Line::read(line).map_err(|e| malformed(&e))?;
        subjects.push(format!("line:{}", line.hash(&plane.shared.pepper)));
    }
    let after = page.after.map_or(0, |after| i64::try_from(after.id).unwrap_or(i64::MAX));
    let wanted = AuditPage { after, limit: page.limit, subjects };
    let found = plane.shared.store.audit(&wanted).await?;
    let at = |entry: &Entry| After { at: WallTime::default(), id: entry.seq as u128 };
    let (items, next) = cut(found, page, at);
    Ok(axum::Json(PageOf { items: items.into_iter().map(Into::into).collect(), next }))
}
