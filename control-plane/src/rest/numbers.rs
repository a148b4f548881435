//! The pool of 050 numbers over REST (S10).

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::auth::{May, NumbersRead, NumbersWrite};
use super::extract::JsonBody;
use super::problem::Problem;
use crate::clock;
use crate::numbers::NumberRange;
use crate::plane::ControlPlane;

/// A range of 050 numbers for the pool, both ends included; 10,000 at most.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewNumbers {
    /// The lowest.
    #[schema(pattern = "^(\\+8150[0-9]{8}|050-?[0-9]{4}-?[0-9]{4})$", example = "+815012340000")]
    first: String,
    /// The highest.
    #[schema(pattern = "^(\\+8150[0-9]{8}|050-?[0-9]{4}-?[0-9]{4})$", example = "+815012349999")]
    last: String,
}

/// What became of a range.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = NumbersAdded)]
pub(crate) struct AddedView {
    /// Numbers that are new in the pool.
    added: u64,
    /// Numbers that were in it before; they stay as they were.
    known: u64,
}

/// How many numbers there are.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = NumberCounts)]
pub(crate) struct CountsView {
    /// Can be handed out now.
    free: u64,
    /// Belong to a contract.
    assigned: u64,
    /// Were given back less than 180 days ago.
    quarantined: u64,
    /// When so few are free, the operator is told.
    low_water: u32,
}

/// Takes a range of numbers into the pool; numbers that are in it stay as they are.
#[utoipa::path(post, path = "/v1/numbers", tag = "numbers", request_body = NewNumbers,
    responses((status = 200, body = AddedView)), security(("key" = ["numbers:write"])))]
pub(crate) async fn add(
    may: May<NumbersWrite>,
    State(plane): State<ControlPlane>,
    JsonBody(new): JsonBody<NewNumbers>,
) -> Result<axum::Json<AddedView>, Problem> {
    let range = NumberRange::read(&new.first, &new.last)?;
    let added = plane.shared.store.add_numbers(range, may.change()).await?;
    Ok(axum::Json(AddedView { added: added.added, known: added.known }))
}

/// Counts the numbers of the pool.
#[utoipa::path(get, path = "/v1/numbers", tag = "numbers",
    responses((status = 200, body = CountsView)), security(("key" = ["numbers:read"])))]
pub(crate) async fn count(
    _: May<NumbersRead>,
    State(plane): State<ControlPlane>,
) -> Result<axum::Json<CountsView>, Problem> {
    let counts = plane.shared.store.count_numbers(clock::now()).await?;
    Ok(axum::Json(CountsView {
        free: counts.free,
        assigned: counts.assigned,
        quarantined: counts.quarantined,
        low_water: plane.shared.config.numbers_low_water,
    }))
}
