//! One call, from 200 to its last transaction.
//!
//! In: the dialog's states, requests within the call, what media and a stop say, time. Out: calls
//! on the media plane, responses, BYE, session refreshes. One task owns all of a call's state, so
//! nothing here is locked.

use std::sync::Arc;

use engine_core::id::CallId;
use rsipstack::dialog::dialog::{Dialog, DialogState, DialogStateReceiver, TerminatedReason};
use rsipstack::dialog::invite_dialog::InviteDialog;
use rsipstack::sip::prelude::HeadersExt;
use rsipstack::sip::{Header, Method, Request, StatusCode};
use rsipstack::transaction::Transaction;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tracing::{debug, info};

use super::calls::{Command, Place};
use super::counters::count;
use super::invitation::{no_sdp, session_timer};
use super::refusal::Refusal;
use super::sdp::{Agreed, Local, Remote, SdpError};
use super::server::Site;
use super::session_timer::{Refresher, SessionTimer};
use super::{body, request};
use crate::media::RemoteChange;

pub(crate) struct Call {
    pub(crate) site: Arc<Site>,
    pub(crate) dialog: InviteDialog,
    pub(crate) place: Place,
    pub(crate) media: CallId,
    pub(crate) agreed: Agreed,
    pub(crate) local: Local,
    /// What we last sent, so that the version changes only with the text (RFC 3264 §8).
    pub(crate) description: String,
    /// The INVITE offered nothing: its ACK holds the answer to our offer.
    pub(crate) answer_in_ack: bool,
    pub(crate) timer: Option<SessionTimer>,
    pub(crate) caller_updates: bool,
    /// `CSeq` number of the caller's latest request.
    pub(crate) sequence: u32,
    pub(crate) commands: mpsc::Sender<Command>,
}

/// Where a call stands.
struct Progress {
    connected: bool,
    ending: bool,
    due: Option<Instant>,
    /// A re-INVITE or UPDATE that overtook the first ACK on its way through our own tasks.
    early: Option<Transaction>,
}

impl Call {
    /// Leads the call to its end and gives everything back.
    pub(crate) async fn run(
        mut self,
        mut states: DialogStateReceiver,
        mut inbox: mpsc::Receiver<Command>,
    ) {
        let mut progress = Progress { connected: false, ending: false, due: None, early: None };
        let cancel = self.site.cancel.clone();
        loop {
            let due = progress.due;
            let timer = async move {
                match due {
                    Some(due) => sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = cancel.cancelled() => break,
                state = states.recv() => match state {
                    Some(DialogState::Confirmed(..)) => {
                        self.connected(&mut progress);
                        if let Some(early) = progress.early.take() {
                            self.modify(early, &mut progress).await;
                        }
                    }
                    Some(DialogState::Terminated(_, reason)) => {
                        self.ended(&reason);
                        break;
                    }
                    Some(_) => {}
                    None => break,
                },
                Some(command) = inbox.recv() => self.obey(command, &mut progress).await,
                () = timer => self.session_timer_due(&mut progress),
            }
        }
        self.site.shared.media.hang_up(self.media);
        self.place.finish();
        // What still waits belongs to a call that is over.
        if let Some(early) = progress.early {
            request::refuse(&self.site, early, &Refusal::no_call()).await;
        }
        inbox.close();
        while let Ok(command) = inbox.try_recv() {
            if let Command::Request(transaction) = command {
                request::refuse(&self.site, *transaction, &Refusal::no_call()).await;
            }
        }
    }

    /// The ACK of the initial INVITE.
    fn connected(&mut self, progress: &mut Progress) {
        if std::mem::replace(&mut progress.connected, true) {
            return;
        }
        self.restart_timer(progress);
        if self.answer_in_ack {
            let ack = self.dialog.last_remote_ack();
            if let Err(error) = self.answered_in(ack.as_ref()) {
                debug!(%error, call = %self.media, "The ACK's answer cannot be used.");
                return self.goodbye(progress);
            }
        }
        self.site.shared.media.connected(self.media);
    }

    /// Takes the answer to our own offer.
    fn answered_in(&mut self, ack: Option<&Request>) -> Result<(), SdpError> {
        let octets = ack.and_then(|ack| body::sdp(ack).ok().flatten()).ok_or(SdpError::NoSound)?;
        let remote = Remote::parse(octets)?;
        remote.keeps(&self.agreed)?;
        self.site.shared.media.remote(self.media, remote.change);
        Ok(())
    }

    fn ended(&self, reason: &TerminatedReason) {
        if matches!(reason, TerminatedReason::Timeout) {
            count(&self.site.shared.counters.unacknowledged);
        }
        info!(call = %self.media, ?reason, "The call is over.");
    }

    async fn obey(&mut self, command: Command, progress: &mut Progress) {
        match command {
            Command::Request(transaction) => self.serve(*transaction, progress).await,
            Command::Acknowledged(Some(ack)) => {
                // The answer to an offer of ours, when the re-INVITE had none.
                if self.answer_in_ack && self.answered_in(Some(&ack)).is_err() {
                    self.goodbye(progress);
                }
            }
            // RFC 3261 §14.2 with §13.3.1.4: no ACK, so the session is ended.
            Command::HangUp | Command::Acknowledged(None) => self.goodbye(progress),
            Command::Refreshed(true) => self.restart_timer(progress),
            Command::Refreshed(false) => {
                info!(call = %self.media, "The caller did not take our session refresh.");
                self.goodbye(progress);
            }
        }
    }

    /// Sends BYE, once. The dialog ends when it is answered or times out.
    fn goodbye(&mut self, progress: &mut Progress) {
        if std::mem::replace(&mut progress.ending, true) {
            return;
        }
        progress.due = None;
        self.site.shared.media.hang_up(self.media);
        self.place.finish();
        let dialog = self.dialog.clone();
        tokio::spawn(async move {
            if dialog.bye().await.is_err() {
                debug!("BYE was not answered.");
            }
        });
    }

    fn restart_timer(&self, progress: &mut Progress) {
        progress.due =
            self.timer.filter(|_| !progress.ending).map(|timer| Instant::now() + timer.due_after());
    }

    /// RFC 4028 §10: refresh, or end the call that nobody refreshed.
    fn session_timer_due(&mut self, progress: &mut Progress) {
        let Some(timer) = self.timer else { return };
        if timer.refresher == Refresher::Caller {
            info!(call = %self.media, "The session timer ran out; the caller is gone.");
            return self.goodbye(progress);
        }
        // Without an answer the other half of the interval passes, then the call ends.
        progress.due = Some(Instant::now() + timer.interval / 2);
        let mut headers: Vec<Header> = timer
            .refresh_headers()
            .into_iter()
            .map(|(name, value)| Header::Other(name.to_owned(), value))
            .collect();
        let (dialog, commands) = (self.dialog.clone(), self.commands.clone());
        let description = (!self.caller_updates).then(|| self.description.clone().into_bytes());
        tokio::spawn(async move {
            let answer = match description {
                None => dialog.update(Some(headers), None).await,
                Some(description) => {
                    headers.push(Header::ContentType("application/sdp".into()));
                    dialog.reinvite(Some(headers), Some(description)).await
                }
            };
            let taken = matches!(answer, Ok(Some(answer)) if answer.status_code == StatusCode::OK);
            // A call that is over needs no news.
            let _ = commands.send(Command::Refreshed(taken)).await;
        });
    }

    async fn serve(&mut self, mut transaction: Transaction, progress: &mut Progress) {
        let method = transaction.original.method;
        let sequence = transaction.original.cseq_header().ok().and_then(|c| c.seq().ok());
        match method {
            Method::Ack | Method::Cancel => return,
            // RFC 3261 §12.2.2: a lower number than the last is out of order.
            _ if sequence.is_none_or(|sequence| sequence <= self.sequence) => {
                let refusal = Refusal::new(500, "out of order");
                return request::refuse(&self.site, transaction, &refusal).await;
            }
            _ => self.sequence = sequence.unwrap_or(self.sequence),
        }
        match method {
            Method::Bye => {
                if self.dialog.handle(&mut transaction).await.is_err() {
                    debug!("The answer to BYE could not be sent.");
                }
            }
            Method::Options => request::options(&self.site, transaction).await,
            Method::Invite | Method::Update => self.modify(transaction, progress).await,
            // RFC 3262 §3: we send no reliable provisional responses to acknowledge.
            Method::PRack => {
                request::refuse(&self.site, transaction, &Refusal::no_call()).await;
            }
            _ => request::refuse(&self.site, transaction, &Refusal::method()).await,
        }
    }

    /// re-INVITE and UPDATE: hold, resume, a new address, a session refresh.
    async fn modify(&mut self, mut transaction: Transaction, progress: &mut Progress) {
        if !progress.connected && progress.early.is_none() {
            // The ACK of the first INVITE comes first; it may be on its way to us.
            progress.early = Some(transaction);
            return;
        }
        let modification = if progress.connected && !progress.ending {
            self.read_modification(&transaction.original)
        } else {
            // RFC 3261 §14.2, RFC 3311 §5.2.
            Err(request::try_later())
        };
        let Modification { timer, change, description } = match modification {
            Ok(modification) => modification,
            Err(refusal) => {
                return request::refuse(&self.site, transaction, &refusal).await;
            }
        };
        self.refresh_target(&transaction.original);
        let mut headers = request::capabilities();
        headers.push(Header::Contact(format!("<{}>", self.contact(&transaction)).into()));
        if let Some(timer) = timer {
            let values = timer.answer_headers().into_iter();
            headers.extend(values.map(|(name, value)| Header::Other(name.to_owned(), value)));
        }
        self.timer = timer;
        if let Some(change) = change {
            self.site.shared.media.remote(self.media, change);
        }
        let is_invite = transaction.original.method == Method::Invite;
        // A re-INVITE without an offer gets ours (RFC 3261 §14.2); an UPDATE needs none.
        self.answer_in_ack = is_invite && description.is_none();
        let description = match description {
            Some(description) => Some(self.versioned(description)),
            None if is_invite => Some(self.description.clone()),
            None => None,
        };
        if description.is_some() {
            headers.push(Header::ContentType("application/sdp".into()));
        }
        let body = description.map(String::into_bytes);
        request::respond(&mut transaction, StatusCode::OK, headers, body).await;
        self.restart_timer(progress);
        if is_invite {
            tokio::spawn(await_ack(transaction, self.commands.clone()));
        }
    }

    fn contact(&self, transaction: &Transaction) -> String {
        request::peer(transaction).map(|peer| self.site.contact(peer)).unwrap_or_default()
    }

    fn read_modification(&self, request: &Request) -> Result<Modification, Refusal> {
        let min = self.site.shared.config.session_expires_min_seconds;
        let timer = session_timer(request, min)?;
        let Some(octets) = body::sdp(request)? else {
            let description = None;
            return Ok(Modification { timer, change: None, description });
        };
        let remote = Remote::parse(octets).map_err(|error| no_sdp(&error))?;
        let agreed = remote.keeps(&self.agreed).map_err(|error| no_sdp(&error))?;
        let ours = self.local.rtp;
        if remote.change.address.is_some_and(|address| address.is_ipv4() != ours.is_ipv4()) {
            return Err(Refusal::new(488, "address family")
                .warn("the address family of a call cannot change"));
        }
        let description = Some((remote, agreed));
        let change = description.as_ref().map(|(remote, _)| remote.change);
        Ok(Modification { timer, change, description })
    }

    /// Our answer, with a new version when it says something new.
    fn versioned(&mut self, (remote, agreed): (Remote, Agreed)) -> String {
        let mut answer = remote.answer(&agreed, &self.local);
        if answer != self.description {
            self.local.version += 1;
            answer = remote.answer(&agreed, &self.local);
            self.description.clone_from(&answer);
        }
        answer
    }

    /// RFC 3261 §12.2.2: a target refresh moves where our BYE goes. rsipstack leaves it to us.
    fn refresh_target(&self, request: &Request) {
        let Some(contact) = request.contact_headers().first().copied().cloned() else { return };
        let uri =
            request.typed_contact_headers().ok().and_then(|list| Some(list.first()?.uri.clone()));
        if let Some(uri) = uri {
            Dialog::Invite(self.dialog.clone()).set_remote_target(uri, Some(contact));
        }
    }
}

struct Modification {
    timer: Option<SessionTimer>,
    change: Option<RemoteChange>,
    description: Option<(Remote, Agreed)>,
}

/// Follows a re-INVITE's 200 to its ACK; rsipstack repeats the 200 meanwhile.
async fn await_ack(mut transaction: Transaction, commands: mpsc::Sender<Command>) {
    let mut ack = None;
    while let Some(message) = transaction.receive().await {
        if let rsipstack::sip::SipMessage::Request(request) = message
            && request.method == Method::Ack
        {
            ack = Some(Box::new(request));
            break;
        }
    }
    // A call that is over needs no news.
    let _ = commands.send(Command::Acknowledged(ack)).await;
}
