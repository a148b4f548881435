//! What a subscriber chooses, over REST: language, greeting and recording; who is told how and
//! when.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::extract::{JsonBody, RawBody};
use super::greeting::{get_of, put_of, remove_of};
use super::mailboxes::{
    CHANGED, MailboxChange, MailboxView, addresses_schema, change, find, given,
};
use super::problem::{Kind, Problem};
use super::subscriber::Subscriber;
use crate::plane::ControlPlane;
use crate::quiet::QuietHours;
use crate::subscriber::{NotificationChange, NotificationSettings};

/// Shows the subscriber's settings.
#[utoipa::path(get, path = "/v1/me/settings", tag = "subscriber",
    responses((status = 200, body = MailboxView)), security(("session" = [])))]
pub(crate) async fn show(
    subscriber: Subscriber,
    State(plane): State<ControlPlane>,
) -> Result<axum::Json<MailboxView>, Problem> {
    Ok(axum::Json(find(&plane, subscriber.mailbox).await?.into()))
}

/// Changes the subscriber's settings. The next call hears the change.
#[utoipa::path(patch, path = "/v1/me/settings", tag = "subscriber", request_body = MailboxChange,
    responses((status = 200, body = MailboxView)), security(("session" = [])))]
pub(crate) async fn update(
    subscriber: Subscriber,
    State(plane): State<ControlPlane>,
    JsonBody(patch): JsonBody<MailboxChange>,
) -> Result<axum::Json<MailboxView>, Problem> {
    let deed = (CHANGED, subscriber.change());
    let mailbox = change(&plane, subscriber.mailbox, deed, |mailbox| {
        patch.clone().apply(&mut mailbox.settings);
    });
    Ok(axum::Json(mailbox.await?.into()))
}

/// Puts the subscriber's own greeting (WAV, MP3, FLAC or Ogg, at most 30 s) and chooses it.
#[utoipa::path(put, path = "/v1/me/greeting", tag = "subscriber",
    request_body(content((Vec<u8> = "audio/wav"), (Vec<u8> = "audio/mpeg"),
        (Vec<u8> = "audio/flac"), (Vec<u8> = "audio/ogg"),
        (Vec<u8> = "application/octet-stream"))),
    responses((status = 200, body = MailboxView)), security(("session" = [])))]
pub(crate) async fn put_greeting(
    subscriber: Subscriber,
    State(plane): State<ControlPlane>,
    headers: HeaderMap,
    RawBody(file): RawBody,
) -> Result<axum::Json<MailboxView>, Problem> {
    Ok(axum::Json(put_of(&plane, subscriber.mailbox, &headers, file, subscriber.change()).await?))
}

/// Gives the subscriber's own greeting as mono 16 kHz WAV.
#[utoipa::path(get, path = "/v1/me/greeting", tag = "subscriber",
    responses((status = 200, body = Vec<u8>, content_type = "audio/wav"),
        (status = 206, body = Vec<u8>, content_type = "audio/wav"), (status = 304)),
    security(("session" = [])))]
pub(crate) async fn get_greeting(
    subscriber: Subscriber,
    State(plane): State<ControlPlane>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    get_of(&plane, subscriber.mailbox, &headers).await
}

/// Removes the subscriber's own greeting; callers hear the default one again.
#[utoipa::path(delete, path = "/v1/me/greeting", tag = "subscriber", responses((status = 204)),
    security(("session" = [])))]
pub(crate) async fn remove_greeting(
    subscriber: Subscriber,
    State(plane): State<ControlPlane>,
) -> Result<StatusCode, Problem> {
    remove_of(&plane, subscriber.mailbox, subscriber.change()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A stretch of each day on the clock of Japan; it may span midnight.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = QuietHours)]
pub(crate) struct QuietHoursView {
    /// Its first minute.
    #[schema(pattern = "^([01][0-9]|2[0-3]):[0-5][0-9]$", example = "22:00")]
    from: String,
    /// The first minute behind it.
    #[schema(pattern = "^([01][0-9]|2[0-3]):[0-5][0-9]$", example = "07:00")]
    to: String,
}

/// How a subscriber is told of new messages.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Notifications)]
pub(crate) struct NotificationsView {
    /// By mail, to `addresses`.
    mail: bool,
    /// Who is told by mail.
    addresses: Vec<String>,
    /// By SMS, to the contract's line.
    sms: bool,
    /// By push, to every device that registered for it.
    push: bool,
    /// When push and SMS wait; null: never.
    quiet_hours: Option<QuietHoursView>,
}

/// A change of how a subscriber is told (RFC 7396): what is left out stays.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(clippy::option_option, reason = "a merge patch has three answers: left out, null, value")]
pub(crate) struct NotificationsChange {
    /// By mail.
    mail: Option<bool>,
    /// Who is told by mail; replaces the whole list.
    #[schema(schema_with = addresses_schema)]
    addresses: Option<Vec<String>>,
    /// By SMS.
    sms: Option<bool>,
    /// By push.
    push: Option<bool>,
    /// When push and SMS wait; null: never.
    #[serde(default, deserialize_with = "given")]
    quiet_hours: Option<Option<QuietHoursView>>,
}

/// Shows how the subscriber is told.
#[utoipa::path(get, path = "/v1/me/notifications", tag = "subscriber",
    responses((status = 200, body = NotificationsView)), security(("session" = [])))]
pub(crate) async fn notifications(
    subscriber: Subscriber,
    State(plane): State<ControlPlane>,
) -> Result<axum::Json<NotificationsView>, Problem> {
    let mailbox = find(&plane, subscriber.mailbox).await?;
    let settings = plane.shared.store.notification_settings(subscriber.mailbox).await?;
    Ok(axum::Json(view(settings, mailbox.settings.addresses)))
}

/// Changes how the subscriber is told. The next message is told so.
#[utoipa::path(patch, path = "/v1/me/notifications", tag = "subscriber",
    request_body = NotificationsChange, responses((status = 200, body = NotificationsView)),
    security(("session" = [])))]
pub(crate) async fn update_notifications(
    subscriber: Subscriber,
    State(plane): State<ControlPlane>,
    JsonBody(patch): JsonBody<NotificationsChange>,
) -> Result<axum::Json<NotificationsView>, Problem> {
    let told = NotificationChange {
        mail: patch.mail,
        sms: patch.sms,
        push: patch.push,
        quiet_hours: match patch.quiet_hours {
            None => None,
            Some(hours) => Some(hours.map(QuietHoursView::read).transpose()?),
        },
    };
    let addresses = patch.addresses;
    // The mailbox's own check refuses bad addresses before anything is changed.
    let deed = (CHANGED, subscriber.change());
    let mailbox = change(&plane, subscriber.mailbox, deed, |mailbox| {
        if let Some(addresses) = &addresses {
            mailbox.settings.addresses.clone_from(addresses);
        }
    });
    let mailbox = mailbox.await?;
    let store = &plane.shared.store;
    let settings = store.change_notification_settings(subscriber.mailbox, told).await?;
    Ok(axum::Json(view(settings, mailbox.settings.addresses)))
}

impl QuietHoursView {
    fn read(self) -> Result<QuietHours, Problem> {
        let hours = format!("{}-{}", self.from, self.to).parse::<QuietHours>();
        hours.map_err(|why| Problem::of(Kind::InvalidField, &why).about("quiet_hours"))
    }

    fn of(hours: QuietHours) -> Option<Self> {
        let words = hours.to_string();
        let (from, to) = words.split_once('-')?;
        Some(Self { from: from.to_owned(), to: to.to_owned() })
    }
}

/// How a subscriber is told, as it is shown.
pub(crate) fn view(settings: NotificationSettings, addresses: Vec<String>) -> NotificationsView {
    NotificationsView {
        mail: settings.mail,
        addresses,
        sms: settings.sms,
        push: settings.push,
        quiet_hours: settings.quiet_hours.and_then(QuietHoursView::of),
    }
}
