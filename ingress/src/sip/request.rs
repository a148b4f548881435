//! Every request that passed the gate: to its call, to a new call, or answered here.
//!
//! In: transactions. Out: responses, commands to calls. OPTIONS outside a call is a health check
//! and says whether new calls are taken.

use std::net::SocketAddr;
use std::sync::Arc;

use rsipstack::dialog::DialogId;
use rsipstack::sip::prelude::HeadersExt;
use rsipstack::sip::{Header, Method, StatusCode};
use rsipstack::transaction::{Transaction, TransactionReceiver};
use tokio::sync::{Semaphore, mpsc};
use tracing::debug;

use super::calls::Command;
use super::invite;
use super::limits::REQUESTS_AT_ONCE_MAX;
use super::refusal::{ALLOW, Refusal, SUPPORTED};
use super::server::Site;

/// Takes transactions until the endpoint ends.
pub(crate) async fn serve(site: Arc<Site>, mut transactions: TransactionReceiver) {
    let room = Arc::new(Semaphore::new(REQUESTS_AT_ONCE_MAX));
    loop {
        let transaction = tokio::select! {
            () = site.cancel.cancelled() => return,
            transaction = transactions.recv() => transaction,
        };
        let Some(transaction) = transaction else { return };
        let Ok(permit) = Arc::clone(&room).try_acquire_owned() else {
            let retry_after = site.shared.config.retry_after_seconds;
            refuse(&site, transaction, &Refusal::busy("requests", retry_after)).await;
            continue;
        };
        let site = Arc::clone(&site);
        tokio::spawn(async move {
            route(site, transaction).await;
            drop(permit);
        });
    }
}

async fn route(site: Arc<Site>, transaction: Transaction) {
    let has_to_tag =
        transaction.original.to_header().is_ok_and(|to| to.tag().is_ok_and(|tag| tag.is_some()));
    if has_to_tag {
        within_call(&site, transaction).await;
        return;
    }
    match transaction.original.method {
        Method::Invite => invite::take(site, transaction).await,
        Method::Options => options(&site, transaction).await,
        // RFC 3261 §15.1.2, RFC 3311 §5.2: these exist within calls only.
        Method::Bye | Method::Update | Method::PRack => {
            refuse(&site, transaction, &Refusal::no_call()).await;
        }
        Method::Ack | Method::Cancel => {}
        _ => refuse(&site, transaction, &Refusal::method()).await,
    }
}

async fn within_call(site: &Site, transaction: Transaction) {
    let commands = DialogId::try_from(&transaction)
        .ok()
        .and_then(|dialog| site.shared.calls.by_dialog(&dialog.to_string()));
    let Some(commands) = commands else {
        if transaction.original.method != Method::Ack {
            refuse(site, transaction, &Refusal::no_call()).await;
        }
        return;
    };
    let refused = match commands.try_send(Command::Request(Box::new(transaction))) {
        Ok(()) => return,
        Err(mpsc::error::TrySendError::Full(command)) => (command, try_later()),
        Err(mpsc::error::TrySendError::Closed(command)) => (command, Refusal::no_call()),
    };
    if let (Command::Request(transaction), refusal) = refused {
        refuse(site, *transaction, &refusal).await;
    }
}

/// RFC 3261 §14.2: an earlier request is not finished.
pub(crate) fn try_later() -> Refusal {
    Refusal::new(500, "not now").with("Retry-After", "1")
}

/// RFC 3261 §11.2.
pub(crate) async fn options(site: &Site, mut transaction: Transaction) {
    if site.shared.is_stopping() {
        let retry_after = site.shared.config.retry_after_seconds;
        refuse(site, transaction, &Refusal::busy("stopping", retry_after)).await;
        return;
    }
    let mut headers = capabilities();
    headers.push(Header::Accept("application/sdp, multipart/mixed".into()));
    headers.push(Header::Other("Accept-Encoding".to_owned(), "identity".to_owned()));
    headers.push(Header::Other("Accept-Language".to_owned(), "ja, en".to_owned()));
    if let Some(peer) = peer(&transaction) {
        let contact = format!("<{}>", site.contact(peer));
        headers.push(Header::Other("Contact".to_owned(), contact));
    }
    respond(&mut transaction, StatusCode::OK, headers, None).await;
}

/// Allow and Supported, for answers that say what we can.
pub(crate) fn capabilities() -> Vec<Header> {
    vec![
        Header::Other("Allow".to_owned(), ALLOW.to_owned()),
        Header::Other("Supported".to_owned(), SUPPORTED.to_owned()),
    ]
}

/// Where a request came from, as the socket saw it.
pub(crate) fn peer(transaction: &Transaction) -> Option<SocketAddr> {
    transaction.connection.as_ref()?.get_remote_addr()?.get_socketaddr().ok()
}

/// Refuses a request. Never waits for the other side: an INVITE's ACK is awaited by a task of its
/// own, so that a lost response is repeated until then or Timer H (RFC 3261 §17.2.1).
pub(crate) async fn refuse(site: &Site, mut transaction: Transaction, refusal: &Refusal) {
    debug!(status = refusal.status, reason = refusal.reason, "Refused a request.");
    let headers = refusal.header_list(&site.shared.config.user_agent);
    respond(&mut transaction, refusal.status_code(), headers, None).await;
    if transaction.original.method != Method::Invite {
        return;
    }
    // Without room rsipstack still answers each repetition of the INVITE as before.
    let Ok(room) = Arc::clone(&site.shared.refused).try_acquire_owned() else { return };
    let cancel = site.cancel.clone();
    tokio::spawn(async move {
        tokio::select! {
            () = cancel.cancelled() => {}
            () = async { while transaction.receive().await.is_some() {} } => {}
        }
        drop(room);
    });
}

/// Sends a final response; a peer that has gone needs none.
pub(crate) async fn respond(
    transaction: &mut Transaction,
    status: StatusCode,
    headers: Vec<Header>,
    body: Option<Vec<u8>>,
) {
    if transaction.reply_with(status, headers, body).await.is_err() {
        debug!("A response could not be sent.");
    }
}
