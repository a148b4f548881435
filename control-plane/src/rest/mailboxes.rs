//! Mailboxes over REST.

use axum::extract::State;
use axum::http::StatusCode;
use engine_core::id::MailboxId;
use engine_core::sound::SoundId;
use engine_core::text::{Language, LanguageChoice};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;
use utoipa::openapi::schema::{Array, ArrayBuilder, ObjectBuilder, SchemaType, Type};

use super::auth::{MailboxesRead, MailboxesWrite, May};
use super::extract::{JsonBody, PathId, QueryOf, Whole};
use super::page::{PageOf, PageQuery, cut, read_page};
use super::problem::{Kind, Problem, ProblemBody};
use crate::audit::Change;
use crate::limits::{ADDRESSES_MAX, HOTWORDS_MAX};
use crate::mailbox::{GreetingChoice, MailboxSettings, StoredMailbox};
use crate::plane::ControlPlane;
use crate::store::After;
use crate::wording::time_utc;

/// Times that a change is begun anew when another one came between.
const CHANGE_ATTEMPTS_MAX: u32 = 8;
/// What the audit log calls a change of settings.
pub(crate) const CHANGED: &str = "mailbox.changed";

/// Language of announcements, recognition and mails; `detect` hears it from the message.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = Language)]
pub(crate) enum LanguageName {
    Ja,
    En,
    Detect,
}

impl From<LanguageName> for LanguageChoice {
    fn from(name: LanguageName) -> Self {
        match name {
            LanguageName::Ja => Self::Fixed(Language::Japanese),
            LanguageName::En => Self::Fixed(Language::English),
            LanguageName::Detect => Self::Detect,
        }
    }
}

impl From<LanguageChoice> for LanguageName {
    fn from(choice: LanguageChoice) -> Self {
        match choice {
            LanguageChoice::Fixed(Language::Japanese) => Self::Ja,
            LanguageChoice::Fixed(Language::English) => Self::En,
            LanguageChoice::Detect => Self::Detect,
        }
    }
}

/// What callers hear first.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = Greeting)]
pub(crate) enum GreetingName {
    Default,
    Own,
    None,
}

impl From<GreetingName> for GreetingChoice {
    fn from(name: GreetingName) -> Self {
        match name {
            GreetingName::Default => Self::Default,
            GreetingName::Own => Self::Own,
            GreetingName::None => Self::None,
        }
    }
}

impl From<GreetingChoice> for GreetingName {
    fn from(choice: GreetingChoice) -> Self {
        match choice {
            GreetingChoice::Default => Self::Default,
            GreetingChoice::Own => Self::Own,
            GreetingChoice::None => Self::None,
        }
    }
}

/// What callers of a new mailbox hear first.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum FirstGreeting {
    Default,
    None,
}

/// A mailbox.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Mailbox)]
pub(crate) struct MailboxView {
    /// Its id.
    #[schema(format = Uuid)]
    id: String,
    /// Its 050 number in E.164.
    #[schema(example = "+815012345678")]
    number: String,
    language: LanguageName,
    greeting: GreetingName,
    /// Whether a greeting was uploaded.
    own_greeting: bool,
    /// Whether a beep comes before recording.
    beep: bool,
    /// Quiet that ends a recording, in seconds; null: quiet never ends it.
    quiet_limit_s: Option<u32>,
    /// Longest message, in seconds.
    recording_limit_s: u32,
    /// Who is told of new messages by mail.
    addresses: Vec<String>,
    /// Words that the owner expects to be said; a model that takes prompts is told them before it
    /// reads.
    hotwords: Vec<String>,
    /// RFC 3339, UTC.
    #[schema(format = DateTime)]
    created_at: String,
    /// RFC 3339, UTC.
    #[schema(format = DateTime)]
    updated_at: String,
}

impl From<StoredMailbox> for MailboxView {
    fn from(mailbox: StoredMailbox) -> Self {
        let settings = mailbox.settings;
        Self {
            id: mailbox.id.to_string(),
            number: mailbox.number,
            language: settings.language.into(),
            greeting: settings.greeting.into(),
            own_greeting: mailbox.own_greeting,
            beep: settings.beep,
            quiet_limit_s: settings.quiet_limit_s,
            recording_limit_s: settings.recording_limit_s,
            addresses: settings.addresses,
            hotwords: settings.hotwords,
            created_at: time_utc(mailbox.created_at),
            updated_at: time_utc(mailbox.updated_at),
        }
    }
}

/// A mailbox to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewMailbox {
    /// Its 050 number, in E.164 or as it is written in Japan.
    #[schema(pattern = "^(\\+8150[0-9]{8}|050-?[0-9]{4}-?[0-9]{4})$", example = "+815012345678")]
    number: String,
    /// The choices; what is left out is `ja`, `default`, a beep, no quiet limit, 60 s, nobody.
    #[serde(default)]
    language: Option<LanguageName>,
    /// What callers hear first; an own greeting is uploaded once the mailbox is there.
    #[serde(default)]
    greeting: Option<FirstGreeting>,
    /// Whether a beep comes before recording.
    #[serde(default)]
    beep: Option<bool>,
    /// Quiet that ends a recording, in seconds.
    #[serde(default)]
    #[schema(value_type = Option<u32>, minimum = 2, maximum = 60)]
    quiet_limit_s: Option<Whole>,
    /// Longest message, in seconds.
    #[serde(default)]
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 60)]
    recording_limit_s: Option<Whole>,
    /// Who is told of new messages by mail.
    #[serde(default)]
    #[schema(schema_with = addresses_schema)]
    addresses: Option<Vec<String>>,
    /// Words that the owner expects to be said.
    #[serde(default)]
    #[schema(schema_with = hotwords_schema)]
    hotwords: Option<Vec<String>>,
}

/// A change of a mailbox (RFC 7396): what is left out stays.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(clippy::option_option, reason = "a merge patch has three answers: left out, null, value")]
pub(crate) struct MailboxChange {
    /// A new language.
    language: Option<LanguageName>,
    /// A new greeting; `own` needs an upload first.
    greeting: Option<GreetingName>,
    /// Whether a beep comes before recording.
    beep: Option<bool>,
    /// Quiet that ends a recording, in seconds; null: quiet never ends it.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<u32>, minimum = 2, maximum = 60)]
    quiet_limit_s: Option<Option<Whole>>,
    /// Longest message, in seconds.
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 60)]
    recording_limit_s: Option<Whole>,
    /// Who is told of new messages by mail; replaces the whole list.
    #[schema(schema_with = addresses_schema)]
    addresses: Option<Vec<String>>,
    /// Words that the owner expects to be said; replaces the whole list.
    #[schema(schema_with = hotwords_schema)]
    hotwords: Option<Vec<String>>,
}

/// Hotwords as clients should send them: somewhat stricter than what is taken.
fn hotwords_schema() -> Array {
    let word =
        ObjectBuilder::new().schema_type(Type::String).pattern(Some("^[^\\s\\p{C},、<>]{1,30}$"));
    ArrayBuilder::new()
        .schema_type(SchemaType::from_iter([Type::Array, Type::Null]))
        .items(word.examples(["齋藤"]))
        .description(Some(
            "Words that the owner expects to be said: names, places; the whole list.",
        ))
        .max_items(Some(HOTWORDS_MAX))
        .unique_items(true)
        .build()
}

/// Addresses as clients should send them: somewhat stricter than what is taken.
pub(crate) fn addresses_schema() -> Array {
    // Bounded so that whatever fits also fits RFC 5321 §4.5.3.1 (64 octets before the @).
    let pattern = concat!(
        "^[A-Za-z0-9]{1,40}([._+-][A-Za-z0-9]{1,7}){0,3}",
        "@([A-Za-z0-9]{1,25}(-[A-Za-z0-9]{1,25})?[.]){1,3}[A-Za-z]{2,24}$",
    );
    let address = ObjectBuilder::new().schema_type(Type::String).pattern(Some(pattern));
    ArrayBuilder::new()
        .schema_type(SchemaType::from_iter([Type::Array, Type::Null]))
        .items(address.examples(["user@example.jp"]))
        .description(Some("Who is told of new messages by mail; the whole list."))
        .max_items(Some(ADDRESSES_MAX))
        .unique_items(true)
        .build()
}

/// Tells `null` (`Some(None)`) from nothing at all (`None`, by `serde(default)`).
#[expect(clippy::option_option, reason = "a merge patch has three answers: left out, null, value")]
pub(crate) fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

impl MailboxChange {
    pub(crate) fn apply(self, settings: &mut MailboxSettings) {
        let old = std::mem::take(settings);
        *settings = MailboxSettings {
            language: self.language.map_or(old.language, Into::into),
            greeting: self.greeting.map_or(old.greeting, Into::into),
            beep: self.beep.unwrap_or(old.beep),
            quiet_limit_s: self
                .quiet_limit_s
                .map_or(old.quiet_limit_s, |limit| limit.map(|Whole(s)| s)),
            recording_limit_s: self.recording_limit_s.map_or(old.recording_limit_s, |Whole(s)| s),
            addresses: self.addresses.unwrap_or(old.addresses),
            hotwords: self.hotwords.unwrap_or(old.hotwords),
        };
    }
}

/// Makes a mailbox.
#[utoipa::path(post, path = "/v1/mailboxes", tag = "mailboxes", request_body = NewMailbox,
    responses((status = 201, body = MailboxView)), security(("key" = ["mailboxes:write"])))]
pub(crate) async fn create(
    may: May<MailboxesWrite>,
    State(plane): State<ControlPlane>,
    JsonBody(new): JsonBody<NewMailbox>,
) -> Result<(StatusCode, axum::Json<MailboxView>), Problem> {
    let mut settings = MailboxSettings::default();
    let number = new.number;
    let change = MailboxChange {
        language: new.language,
        greeting: new.greeting.map(|greeting| match greeting {
            FirstGreeting::Default => GreetingName::Default,
            FirstGreeting::None => GreetingName::None,
        }),
        beep: new.beep,
        quiet_limit_s: Some(new.quiet_limit_s),
        recording_limit_s: new.recording_limit_s,
        addresses: new.addresses,
        hotwords: new.hotwords,
    };
    change.apply(&mut settings);
    let id = MailboxId::from_u128(uuid::Uuid::now_v7().as_u128());
    let change = may.change();
    let mailbox = StoredMailbox::new(id, &number, settings, change.at)?;
    plane.shared.store.create_mailbox(&mailbox, change).await?;
    Ok((StatusCode::CREATED, axum::Json(mailbox.into())))
}

/// Lists mailboxes, oldest first.
#[utoipa::path(get, path = "/v1/mailboxes", tag = "mailboxes", params(PageQuery),
    responses((status = 200, body = PageOf<MailboxView>)), security(("key" = ["mailboxes:read"])))]
pub(crate) async fn list(
    _: May<MailboxesRead>,
    State(plane): State<ControlPlane>,
    QueryOf(query): QueryOf<PageQuery>,
) -> Result<axum::Json<PageOf<MailboxView>>, Problem> {
    let page = read_page(query.limit, query.cursor.as_deref())?;
    let found = plane.shared.store.mailboxes(page).await?;
    let at = |mailbox: &StoredMailbox| After { at: mailbox.created_at, id: mailbox.id.as_u128() };
    let (items, next) = cut(found, page, at);
    Ok(axum::Json(PageOf { items: items.into_iter().map(Into::into).collect(), next }))
}

/// Shows a mailbox.
#[utoipa::path(get, path = "/v1/mailboxes/{id}", tag = "mailboxes",
    params(("id" = String, Path, format = Uuid)), responses((status = 200, body = MailboxView)),
    security(("key" = ["mailboxes:read"])))]
pub(crate) async fn show(
    _: May<MailboxesRead>,
    State(plane): State<ControlPlane>,
    PathId(id): PathId<MailboxId>,
) -> Result<axum::Json<MailboxView>, Problem> {
    Ok(axum::Json(find(&plane, id).await?.into()))
}

/// Changes a mailbox. The next call hears the change.
#[utoipa::path(patch, path = "/v1/mailboxes/{id}", tag = "mailboxes",
    params(("id" = String, Path, format = Uuid)), request_body = MailboxChange,
    responses((status = 200, body = MailboxView)), security(("key" = ["mailboxes:write"])))]
pub(crate) async fn update(
    may: May<MailboxesWrite>,
    State(plane): State<ControlPlane>,
    PathId(id): PathId<MailboxId>,
    JsonBody(patch): JsonBody<MailboxChange>,
) -> Result<axum::Json<MailboxView>, Problem> {
    let apply = |mailbox: &mut StoredMailbox| patch.clone().apply(&mut mailbox.settings);
    let mailbox = change(&plane, id, (CHANGED, may.change()), apply).await?;
    Ok(axum::Json(mailbox.into()))
}

/// Deletes a mailbox with all its messages, for ever.
#[utoipa::path(delete, path = "/v1/mailboxes/{id}", tag = "mailboxes",
    params(("id" = String, Path, format = Uuid)),
    responses((status = 204),
        (status = 409, body = ProblemBody, content_type = "application/problem+json",
            description = "It belongs to a contract: cancel that instead")),
    security(("key" = ["mailboxes:write"])))]
pub(crate) async fn remove(
    may: May<MailboxesWrite>,
    State(plane): State<ControlPlane>,
    PathId(id): PathId<MailboxId>,
) -> Result<StatusCode, Problem> {
    let shared = &plane.shared;
    // A greeting that is being put is in the bank before it is taken out again.
    let _turn = shared.greetings.lock().await;
    if !shared.store.delete_mailbox(id, may.change()).await? {
        // Deleting again is no error; deleting what never was is.
        shared
            .store
            .mailbox(id)
            .await?
            .ok_or_else(|| Problem::not_found("mailbox with this id"))?;
        return Ok(StatusCode::NO_CONTENT);
    }
    shared.sounds.remove(SoundId::OwnGreeting(id));
    shared.jobs_wake.notify_one();
    Ok(StatusCode::NO_CONTENT)
}

/// The mailbox, or the problem that it is unknown or deleted.
pub(crate) async fn find(plane: &ControlPlane, id: MailboxId) -> Result<StoredMailbox, Problem> {
    match plane.shared.store.mailbox(id).await? {
        Some(mailbox) if mailbox.deleted_at.is_none() => Ok(mailbox),
        Some(_) => Err(Problem::gone("mailbox")),
        None => Err(Problem::not_found("mailbox with this id")),
    }
}

/// Changes a mailbox as it is now; begins anew when another change came between. The deed is what
/// the audit log calls it, and by whom.
pub(crate) async fn change(
    plane: &ControlPlane,
    id: MailboxId,
    (action, change): (&'static str, Change),
    mut apply: impl FnMut(&mut StoredMailbox),
) -> Result<StoredMailbox, Problem> {
    for _ in 0..CHANGE_ATTEMPTS_MAX {
        let mut mailbox = find(plane, id).await?;
        apply(&mut mailbox);
        mailbox.updated_at = change.at;
        mailbox.check()?;
        if plane.shared.store.update_mailbox(&mailbox, action, change).await? {
            mailbox.version += 1;
            return Ok(mailbox);
        }
    }
    Err(Problem::new(Kind::ChangedMeanwhile, "the mailbox changes all the time; try again"))
}
