//! The caller's SIP: INVITE, ACK, CANCEL, BYE, on rsipstack's client dialog.
//!
//! In: the call's options. Out: its report. One endpoint lives as long as one call.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rsipstack::EndpointBuilder;
use rsipstack::dialog::dialog::{DialogState, DialogStateReceiver};
use rsipstack::dialog::dialog_layer::DialogLayer;
use rsipstack::dialog::invitation::InviteOption;
use rsipstack::dialog::invite_dialog::InviteDialog;
use rsipstack::sip::uri::ParamsExt as _;
use rsipstack::sip::{Header, Host, Method, Response, StatusCode, Transport, Uri};
use rsipstack::transaction::TransactionReceiver;
use rsipstack::transport::{SipAddr, TransportLayer};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::media::{Listener, Mouth, Sockets, Spoken};
use super::{CallError, CallOptions, CallReport, EndedBy, Progress, Talk, host};
use crate::sip::listen;
use crate::sip::sdp::{Agreed, Local, Remote, offer};

/// Receive buffer of the caller's SIP socket: it has one call.
const RECEIVE_BUFFER_BYTES: usize = 256 * 1024;
/// How long a CANCEL or BYE may take to be answered.
const GOODBYE_WAIT_MAX: Duration = Duration::from_secs(2);

/// Places one call and leads it to its end.
pub async fn place_call(options: CallOptions) -> Result<CallReport, CallError> {
    let cancel = CancellationToken::new();
    let _guard = cancel.clone().drop_guard();
    let phone = Phone::open(&options, &cancel).await?;
    phone.call(&options).await
}

struct Phone {
    dialogs: Arc<DialogLayer>,
    sockets: Sockets,
    signalling: SocketAddr,
}

/// What came of an INVITE.
struct Invited {
    statuses: Vec<u16>,
    outcome: Option<Response>,
    cancelled: bool,
    took: Duration,
}

impl Phone {
    async fn open(options: &CallOptions, cancel: &CancellationToken) -> Result<Self, CallError> {
        let failed = |source| CallError::Socket { local: options.local, source };
        let socket =
            listen::udp((options.local, 0).into(), RECEIVE_BUFFER_BYTES).map_err(failed)?;
        let signalling = socket.local_addr().map_err(failed)?;
        let layer = TransportLayer::new(cancel.child_token());
        let connection = listen::udp_connection(socket, Arc::default(), cancel.clone());
        layer.add_transport(connection.await.map_err(failed)?);
        let endpoint = EndpointBuilder::new()
            .with_cancel_token(cancel.child_token())
            .with_transport_layer(layer)
            .with_user_agent(concat!("rusuden-call/", env!("CARGO_PKG_VERSION")))
            .build();
        let requests = endpoint
            .incoming_transactions()
            .map_err(|error| CallError::Signalling { why: error.to_string() })?;
        let dialogs = Arc::new(DialogLayer::new(Arc::clone(&endpoint.inner)));
        tokio::spawn(answer_requests(requests, Arc::clone(&dialogs)));
        tokio::spawn(async move { endpoint.serve().await });
        let sockets = Sockets::open(options.local).await.map_err(failed)?;
        Ok(Self { dialogs, sockets, signalling })
    }

    async fn call(self, options: &CallOptions) -> Result<CallReport, CallError> {
        let rtp = self
            .sockets
            .address()
            .map_err(|source| CallError::Socket { local: options.local, source })?;
        let codec = options.codec;
        let agreed = Agreed {
            codec,
            payload_type: codec.static_payload_type().unwrap_or(111),
            digits: Some((101, codec.clock_hz())),
        };
        let local = Local { rtp, session: u64::from(rand::random::<u32>()), version: 1 };
        let start = Instant::now();
        let (sender, mut states) = self.dialogs.new_dialog_state_channel();
        let mut invite = self.invite(options, offer(&agreed, &local))?;
        invite.destination = destination(&invite.callee, options).await?;
        let (dialog, inviting) = self
            .dialogs
            .do_invite_async(invite, sender)
            .map_err(|error| CallError::Signalling { why: error.to_string() })?;
        let invited = invited(&dialog, inviting, &mut states, options).await?;
        let mut report = CallReport {
            statuses: invited.statuses,
            answered_after: None,
            lasted: Duration::ZERO,
            packets_sent: 0,
            pace_error_max: Duration::ZERO,
            heard: super::Heard::default(),
            reports: Vec::new(),
            ended_by: if invited.cancelled { EndedBy::Cancelled } else { EndedBy::Refused },
        };
        if let Some(answer) = invited.outcome.filter(|_| !invited.cancelled)
            && answer.status_code == StatusCode::OK
        {
            options.tell(Progress::Answered);
            report.answered_after = Some(invited.took);
            self.converse(options, &answer, agreed, &dialog, states, &mut report).await?;
        }
        report.lasted = start.elapsed();
        options.tell(Progress::Ended(report.ended_by));
        Ok(report)
    }

    fn invite(&self, options: &CallOptions, offer: String) -> Result<InviteOption, CallError> {
        let uri = |text: &str| {
            Uri::try_from(text)
                .map_err(|_| CallError::Uri { uri: text.chars().take(200).collect() })
        };
        let contact = format!("sip:{}:{}", host(options.local), self.signalling.port());
        Ok(InviteOption {
            caller: uri(&options.from)?,
            callee: uri(&options.target)?,
            contact: uri(&contact)?,
            content_type: Some("application/sdp".to_owned()),
            offer: Some(offer.into_bytes()),
            headers: Some(
                options
                    .headers
                    .iter()
                    .map(|(name, value)| Header::Other(name.clone(), value.clone()))
                    .collect(),
            ),
            ..InviteOption::default()
        })
    }

    /// From the answer to BYE.
    async fn converse(
        self,
        options: &CallOptions,
        answer: &Response,
        agreed: Agreed,
        dialog: &InviteDialog,
        states: DialogStateReceiver,
        report: &mut CallReport,
    ) -> Result<(), CallError> {
        let remote = Remote::parse(&answer.body).and_then(|remote| {
            let agreed = remote.choose(&[agreed.codec])?;
            Ok((remote, agreed))
        });
        let (remote, agreed) = match remote {
            Ok(remote) => remote,
            Err(source) => {
                goodbye(dialog).await;
                return Err(CallError::Answer { source });
            }
        };
        let mouth = remote.change.address.map(|to| Mouth {
            socket: Arc::clone(&self.sockets.rtp),
            to,
            codec: agreed.codec,
            payload_type: agreed.payload_type,
        });
        let listener = Listener::start(self.sockets);
        let spoken = Mutex::new(Spoken::default());
        let (over, theirs) = oneshot::channel();
        let watching = tokio::spawn(watch_end(states, over));
        let talking = talk(options, mouth.as_ref(), &listener, &spoken);
        let ended = tokio::select! {
            ended = theirs => ended.is_ok().then_some(EndedBy::Them),
            done = timeout(options.limit, talking) => {
                // Over time or done: we hang up either way.
                let _ = done;
                None
            }
        };
        report.ended_by = if let Some(them) = ended {
            them
        } else {
            goodbye(dialog).await;
            EndedBy::Us
        };
        watching.abort();
        let spoken = *spoken.lock().expect("nothing panics while talking");
        report.packets_sent = spoken.packets;
        report.pace_error_max = spoken.pace_error_max;
        (report.heard, report.reports) = listener.finish();
        Ok(())
    }
}

/// Where a host name points, in the family of our own address; addresses need no looking up.
async fn destination(target: &Uri, options: &CallOptions) -> Result<Option<SipAddr>, CallError> {
    let Host::Domain(name) = target.host() else { return Ok(None) };
    let port = target.host_with_port.port.map_or(5060, |port| port.value());
    let unknown = || CallError::NoResponse { target: options.target.clone() };
    let mut found =
        tokio::net::lookup_host((name.to_string(), port)).await.map_err(|_| unknown())?;
    let address = found.find(|address| address.is_ipv4() == options.local.is_ipv4());
    let transport = target.transport().copied().unwrap_or(Transport::Udp);
    Ok(Some(SipAddr::new(transport, address.ok_or_else(unknown)?.into())))
}

async fn talk(
    options: &CallOptions,
    mouth: Option<&Mouth>,
    listener: &Listener,
    spoken: &Mutex<Spoken>,
) {
    match options.talk {
        Talk::After(wait) => tokio::time::sleep(wait).await,
        Talk::AfterGreeting { quiet, at_most } => {
            listener.greeting_over(quiet, Instant::now() + at_most).await;
        }
    }
    if let Some(mouth) = mouth {
        let of = options.payloads.len() as u64;
        let told = |sent| options.tell(Progress::Talking { sent, of });
        mouth.say(&options.payloads, spoken, told).await;
    }
    tokio::time::sleep(options.stay).await;
}

async fn goodbye(dialog: &InviteDialog) {
    // An answer that does not come changes nothing for us.
    let _ = timeout(GOODBYE_WAIT_MAX, dialog.bye()).await;
}

/// Follows an INVITE to its end, with CANCEL when nobody answers in time.
async fn invited(
    dialog: &InviteDialog,
    mut inviting: tokio::task::JoinHandle<rsipstack::dialog::invitation::InviteAsyncResult>,
    states: &mut DialogStateReceiver,
    options: &CallOptions,
) -> Result<Invited, CallError> {
    let start = Instant::now();
    let mut statuses = Vec::new();
    let mut cancelled = false;
    let mut deadline = start + options.ring_limit;
    let joined = loop {
        tokio::select! {
            biased;
            Some(state) = states.recv() => {
                let status = match state {
                    DialogState::Trying(_) => 100,
                    DialogState::Early(_, response) => response.status_code.code(),
                    _ => continue,
                };
                statuses.push(status);
                options.tell(Progress::Status(status));
            }
            joined = &mut inviting => break joined,
            () = tokio::time::sleep_until(deadline) => {
                if std::mem::replace(&mut cancelled, true) {
                    let target = options.target.clone();
                    inviting.abort();
                    return Err(CallError::NoResponse { target });
                }
                deadline = Instant::now() + GOODBYE_WAIT_MAX;
                let dialog = dialog.clone();
                tokio::spawn(async move { dialog.cancel().await });
            }
        }
    };
    let outcome = joined
        .map_err(|error| CallError::Signalling { why: error.to_string() })?
        .map_err(|error| CallError::Signalling { why: error.to_string() })?
        .1;
    if let Some(response) = &outcome {
        let status = response.status_code.code();
        statuses.push(status);
        options.tell(Progress::Status(status));
    }
    Ok(Invited { statuses, outcome, cancelled, took: start.elapsed() })
}

async fn watch_end(mut states: DialogStateReceiver, over: oneshot::Sender<()>) {
    while let Some(state) = states.recv().await {
        if matches!(state, DialogState::Terminated(..)) {
            // Nobody waits once we hung up ourselves.
            let _ = over.send(());
            return;
        }
    }
    std::future::pending::<()>().await;
}

/// Serves what the other side sends within the call: BYE above all.
async fn answer_requests(mut requests: TransactionReceiver, dialogs: Arc<DialogLayer>) {
    while let Some(mut transaction) = requests.recv().await {
        if transaction.original.method == Method::Ack {
            continue;
        }
        match dialogs.match_dialog(&transaction) {
            Some(mut dialog) if transaction.original.method == Method::Bye => {
                let _ = dialog.handle(&mut transaction).await;
            }
            Some(_) if matches!(transaction.original.method, Method::Update | Method::Options) => {
                let _ = transaction.reply(StatusCode::OK).await;
            }
            Some(_) => {
                let _ = transaction.reply(StatusCode::MethodNotAllowed).await;
            }
            None => {
                let _ = transaction.reply(StatusCode::CallTransactionDoesNotExist).await;
            }
        }
    }
}
