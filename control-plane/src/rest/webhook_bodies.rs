//! What clients send about webhooks, and how it is described. Knows no webhook.

use serde::Deserialize;
use utoipa::ToSchema;
use utoipa::openapi::schema::{Array, ArrayBuilder, Object, ObjectBuilder, SchemaType, Type};

use crate::webhook::EVENTS;

/// A webhook to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewWebhook {
    /// Where events are sent to: https, on the public internet unless configured otherwise.
    #[schema(schema_with = url_schema)]
    pub(super) url: String,
    /// What it is told of; left out or empty: everything.
    #[serde(default)]
    #[schema(schema_with = events_schema)]
    pub(super) events: Vec<String>,
    /// What people call it.
    #[serde(default)]
    #[schema(max_length = 200)]
    pub(super) description: String,
}

fn events() -> ArrayBuilder {
    let event = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(EVENTS));
    ArrayBuilder::new()
        .items(event)
        .description(Some("What it is told of; empty: everything."))
        .unique_items(true)
}

fn events_schema() -> Array {
    events().build()
}

fn new_events_schema() -> Array {
    events().schema_type(SchemaType::from_iter([Type::Array, Type::Null])).build()
}

/// Hosts of the public internet have names of several labels.
fn url() -> ObjectBuilder {
    const URL: &str = concat!(
        "^https://([A-Za-z0-9]([A-Za-z0-9-]{0,30}[A-Za-z0-9])?[.]){1,4}[A-Za-z]{2,20}",
        "(:[1-9][0-9]{0,3})?([/?#][!-~]{0,500})?$",
    );
    ObjectBuilder::new()
        .schema_type(Type::String)
        .pattern(Some(URL))
        .description(Some("Where events are sent to: https, on the public internet."))
        .examples(["https://example.jp/rusuden"])
}

fn url_schema() -> Object {
    url().build()
}

fn new_url_schema() -> Object {
    url().schema_type(SchemaType::from_iter([Type::String, Type::Null])).build()
}

/// A change of a webhook (RFC 7396): what is left out stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WebhookChange {
    /// A new URL.
    #[schema(schema_with = new_url_schema)]
    pub(super) url: Option<String>,
    /// What it is told of; replaces the whole list.
    #[schema(schema_with = new_events_schema)]
    pub(super) events: Option<Vec<String>>,
    /// What people call it.
    #[schema(max_length = 200)]
    pub(super) description: Option<String>,
    /// Whether it is told at all.
    pub(super) enabled: Option<bool>,
}

/// What is to be told again.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub(crate) enum ReplayRequest {
    Delivery(String),
    FailedSince(String),
}

/// How [`ReplayRequest`] is described: an enum of serde would allow members that it refuses.
#[derive(ToSchema)]
#[serde(untagged)]
#[schema(as = ReplayRequest)]
#[allow(dead_code, reason = "it is only described")]
pub(crate) enum ReplayChoice {
    One(ReplayOne),
    Failed(ReplayFailed),
}

/// One delivery.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "it is only described")]
pub(crate) struct ReplayOne {
    /// The delivery with this id, whatever became of it.
    #[schema(format = Uuid)]
    delivery: String,
}

/// All that failed.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "it is only described")]
pub(crate) struct ReplayFailed {
    /// All that were given up and happened at or after this time (RFC 3339).
    #[schema(format = DateTime)]
    failed_since: String,
}
