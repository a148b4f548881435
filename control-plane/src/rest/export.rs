//! Everything that a mailbox holds, as one ZIP archive that is sent while it is made: settings,
//! own greeting, blocked callers, and each message as JSON, text and MP3. One message is in memory
//! at a time. For the operator's API and the subscriber's alike.

use std::collections::VecDeque;

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use engine_core::id::MailboxId;
use engine_core::time::WallTime;
use futures::stream::try_unfold;
use serde::Serialize;
use tokio::sync::OwnedSemaphorePermit;
use tracing::error;

use super::auth::{MailboxesRead, May, MessagesRead};
use super::blocked::list_of;
use super::contracts::ContractView;
use super::devices::DeviceView;
use super::extract::PathId;
use super::mailboxes::{self, MailboxView};
use super::me_settings::view as told;
use super::messages::MessageView;
use super::problem::Problem;
use super::scan::place;
use super::segments::{SegmentsView, segments_of};
use crate::clock;
use crate::limits::{EXPORT_PAGE, PAGE_MAX};
use crate::mailbox::StoredMailbox;
use crate::message::Message;
use crate::objects::{Object, ObjectError};
use crate::plane::ControlPlane;
use crate::store::{After, Page, StoreError};
use crate::subscriber::DeviceId;
use crate::wording::time_stamp;
use crate::zip::Zip;

const README: &str = "\
このファイルには、お客様の留守番電話のデータがすべて入っています。\r\n\
  contract.json         ご契約\r\n\
  mailbox.json          設定\r\n\
  notifications.json    通知\r\n\
  devices.json          登録した端末\r\n\
  greeting.wav          ご自分の応答メッセージ(ある場合)\r\n\
  blocked-callers.json  着信拒否\r\n\
  messages/             メッセージ: 情報(.json)、文字(.txt)、音声(.mp3)\r\n\
文字は音声認識によるもので、必ずしも正確ではありません。\r\n\
\r\n\
This file holds all data of your voicemail.\r\n\
  contract.json         your contract\r\n\
  mailbox.json          settings\r\n\
  notifications.json    how you are told\r\n\
  devices.json          your devices\r\n\
  greeting.wav          your own greeting, if there is one\r\n\
  blocked-callers.json  callers that are refused\r\n\
  messages/             messages: about them (.json), text (.txt), sound (.mp3)\r\n\
The text was recognised from the sound and is not guaranteed to be correct.\r\n";

/// Gives everything that a mailbox holds as a ZIP archive. An archive that was cut off has no
/// directory at its end, so that no program takes it for a whole one.
#[utoipa::path(get, path = "/v1/mailboxes/{id}/export", tag = "mailboxes",
    params(("id" = String, Path, format = Uuid)),
    responses((status = 200, body = Vec<u8>, content_type = "application/zip")),
    security(("key" = ["mailboxes:read", "messages:read"])))]
pub(crate) async fn export(
    _: May<MailboxesRead>,
    _: May<MessagesRead>,
    State(plane): State<ControlPlane>,
    PathId(id): PathId<MailboxId>,
) -> Result<Response, Problem> {
    let mailbox = mailboxes::find(&plane, id).await?;
    archive(&plane, mailbox).await
}

/// The archive of a mailbox.
pub(crate) async fn archive(
    plane: &ControlPlane,
    mailbox: StoredMailbox,
) -> Result<Response, Problem> {
    let busy = || Problem::unavailable("too many exports are under way; try again in a minute");
    let permit = plane.shared.exports.clone().try_acquire_owned().map_err(|_| busy())?;
    let now = clock::now();
    let id = mailbox.id;
    let mut zip = Zip::default();
    let mut head = BytesMut::new();
    for (name, content) in about(plane, mailbox).await? {
        head.extend_from_slice(&zip.file(name, now, &content));
    }
    let export = Export {
        plane: plane.clone(),
        mailbox: id,
        zip: Some(zip),
        head: Some(head.freeze()),
        after: None,
        read: VecDeque::new(),
        is_last: false,
        _permit: permit,
    };
    let name = format!("attachment; filename=\"rusuden-{}.zip\"", time_stamp(now));
    let headers = [(CONTENT_TYPE, "application/zip".to_owned()), (CONTENT_DISPOSITION, name)];
    Ok((headers, Body::from_stream(try_unfold(export, Export::next))).into_response())
}

/// The files that stand before the messages.
async fn about(
    plane: &ControlPlane,
    mailbox: StoredMailbox,
) -> Result<Vec<(&'static str, Bytes)>, Problem> {
    let (id, shared) = (mailbox.id, &plane.shared);
    let mut files = vec![("README.txt", Bytes::from_static(README.as_bytes()))];
    if let Some(contract) = shared.store.contract_of_mailbox(id).await? {
        files.push(("contract.json", json(&ContractView::from(contract))));
    }
    files.push(("blocked-callers.json", json(&list_of(plane, id).await?)));
    files.push(("devices.json", json(&devices(plane, id).await?)));
    let settings = shared.store.notification_settings(id).await?;
    let addresses = mailbox.settings.addresses.clone();
    files.push(("notifications.json", json(&told(settings, addresses))));
    if mailbox.own_greeting
        && let Some(wav) = shared.objects.get(Object::Greeting(id)).await?
    {
        files.push(("greeting.wav", wav));
    }
    files.push(("mailbox.json", json(&MailboxView::from(mailbox))));
    Ok(files)
}

async fn devices(plane: &ControlPlane, mailbox: MailboxId) -> Result<Vec<DeviceView>, StoreError> {
    let mut all = Vec::new();
    let mut page = Page { after: None, limit: PAGE_MAX };
    loop {
        let found = plane.shared.store.devices(mailbox, page).await?;
        let last =
            found.last().map(|device| After { at: device.created_at, id: device.id.as_u128() });
        let is_last = found.len() < PAGE_MAX as usize;
        // None of them asks: the archive may be read anywhere.
        all.extend(found.into_iter().map(|device| DeviceView::of(device, DeviceId::from_u128(0))));
        if is_last {
            return Ok(all);
        }
        page.after = last;
    }
}

/// Why an archive was cut off.
#[derive(Debug, thiserror::Error)]
enum ExportError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Objects(#[from] ObjectError),
}

/// An archive under way.
struct Export {
    plane: ControlPlane,
    mailbox: MailboxId,
    /// None once the end was sent.
    zip: Option<Zip>,
    head: Option<Bytes>,
    after: Option<After>,
    read: VecDeque<Message>,
    is_last: bool,
    _permit: OwnedSemaphorePermit,
}

/// What is told of a message.
#[derive(Serialize)]
struct ExportedMessage {
    #[serde(flatten)]
    message: MessageView,
    segments: Option<SegmentsView>,
}

impl Export {
    /// The next bytes and what is left to do; `None` at the end.
    async fn next(mut self) -> Result<Option<(Bytes, Self)>, ExportError> {
        if let Some(head) = self.head.take() {
            return Ok(Some((head, self)));
        }
        let step = self.step().await.inspect_err(|why| {
            error!(mailbox = %self.mailbox, %why, "An export was cut off.");
        });
        Ok(step?.map(|bytes| (bytes, self)))
    }

    async fn step(&mut self) -> Result<Option<Bytes>, ExportError> {
        if self.read.is_empty() && !self.is_last {
            let page = Page { after: self.after, limit: EXPORT_PAGE };
            let batch = self.plane.shared.store.messages(self.mailbox, None, page).await?;
            self.is_last = batch.len() < EXPORT_PAGE as usize;
            self.after = batch.last().map(place);
            self.read = batch.into();
        }
        match self.read.pop_front() {
            Some(message) => Ok(Some(self.message(message).await?)),
            None => Ok(self.zip.take().map(Zip::finish)),
        }
    }

    async fn message(&mut self, message: Message) -> Result<Bytes, ExportError> {
        let arrived = &message.arrived;
        let (id, at): (_, WallTime) = (arrived.id, arrived.received_at);
        let stem = format!("messages/{}_{id}", time_stamp(at));
        let mut files = Vec::with_capacity(3);
        if let Some(text) = &message.text {
            files.push(("txt", Bytes::from(text.text.reveal().clone().into_bytes())));
        }
        if message.audio.is_some()
            && let Some(mp3) = self.plane.shared.objects.get(Object::Audio(id)).await?
        {
            files.push(("mp3", mp3));
        }
        let segments = segments_of(message.clone()).ok();
        let about = ExportedMessage { message: message.into(), segments };
        files.push(("json", json(&about)));
        let zip = self.zip.as_mut().expect("the end comes after the last message");
        let mut out = BytesMut::new();
        for (ending, content) in files {
            out.extend_from_slice(&zip.file(&format!("{stem}.{ending}"), at, &content));
        }
        Ok(out.freeze())
    }
}

fn json(value: &impl Serialize) -> Bytes {
    let text = serde_json::to_vec_pretty(value);
    text.expect("views hold strings, numbers and lists only").into()
}
