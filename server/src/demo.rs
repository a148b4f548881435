//! `rusuden demo`: one real call through the real network path, shown step by step.
//!
//! It starts the whole centre on free loopback ports, makes a key and a mailbox, calls it as a
//! carrier would forward a missed call, and watches over REST like any client.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use control_plane::Scope;
use engine_core::codec::Codec;
use ingress::sip::Transport;
use serde_json::{Value, json};

use crate::cli::DemoArguments;
use crate::config::Config;
use crate::demo_client::{Client, Watcher};
use crate::serve::Centre;
use crate::{call, embedded, log};

const MAILBOX_NUMBER: &str = "05012345678";
const CALLER_NUMBER: &str = "09012345678";
/// How long text and mail may take after hang-up before the demo gives up.
const PATIENCE: Duration = Duration::from_mins(1);
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// `rusuden demo`.
pub(crate) fn run(arguments: &DemoArguments) -> anyhow::Result<()> {
    log::start("warn");
    let temporary = tempfile::Builder::new().prefix("rusuden-demo-").tempdir()?;
    let data_dir = arguments.data_dir.clone().unwrap_or_else(|| temporary.path().to_owned());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let centre = Centre::start(configuration(&data_dir)?).await?;
        let shown = show(&centre, arguments, &data_dir).await;
        if shown.is_ok() && arguments.keep {
            say("\nThe service goes on running. Ctrl-C ends it.");
            tokio::signal::ctrl_c().await?;
        }
        centre.stop(STOP_LIMIT).await?;
        shown
    })
}

fn configuration(data_dir: &Path) -> anyhow::Result<Config> {
    let free = "127.0.0.1:0".parse().context("a literal address")?;
    let mut config = Config { data_dir: Some(data_dir.to_owned()), ..Config::default() };
    config.control_plane.listen = free;
    config.sip.udp = vec![free];
    config.sip.tcp = vec![free];
    Ok(config)
}

async fn show(centre: &Centre, arguments: &DemoArguments, data_dir: &Path) -> anyhow::Result<()> {
    let (_, key) = centre.plane().keys().create_key("demo", &[Scope::Admin]).await?;
    let base = format!("http://{}", centre.http());
    let client = Client::new(&base, &key);
    let mailbox = client.clone().post(
        "/v1/mailboxes",
        json!({ "number": international(MAILBOX_NUMBER), "addresses": ["subscriber@example.jp"] }),
    );
    let mailbox = mailbox.await?["id"].as_str().context("a mailbox has an id")?.to_owned();
    say(&format!("Rusuden listens on {base} (REST) and {} (SIP).", sip_address(centre)?));
    say(&format!("Mailbox {MAILBOX_NUMBER} is ready. {CALLER_NUMBER} calls it now.\n"));

    let watcher = Watcher::start(&base, &key, &mailbox)?;
    let (wav, said) = embedded::message(&arguments.message)?;
    let hung_up = place_call(centre, wav, arguments.codec.into()).await?;
    let transcribed = watcher.wait_for("transcribed", PATIENCE)?;
    let to_text = transcribed.saturating_duration_since(hung_up);
    watcher.wait_for("notified", PATIENCE)?;

    let page = client.clone().get(&format!("/v1/mailboxes/{mailbox}/messages")).await?;
    let message = page["items"][0].clone();
    report(&message, &said, &newest_mail(data_dir)?, to_text);
    let id = message["id"].as_str().context("a message has an id")?;
    say(&format!("\nFetch it:\n  curl -H 'Authorization: Bearer {key}' {base}/v1/messages/{id}"));
    say(&format!(
        "  curl -H 'Authorization: Bearer {key}' {base}/v1/messages/{id}/audio.mp3 -o message.mp3"
    ));
    if !arguments.keep {
        say("(`make demo DEMO=--keep` leaves the service running for that.)");
    }
    anyhow::ensure!(message["verdict"] == "speech", "the call gave no words");
    Ok(())
}

/// Calls as a carrier that forwards a missed call; gives the moment at which the caller hung up.
async fn place_call(centre: &Centre, wav: &[u8], codec: Codec) -> anyhow::Result<Instant> {
    let target = format!("sip:{MAILBOX_NUMBER}@{}", sip_address(centre)?);
    let report = call::place(&call::Wanted {
        target,
        from: CALLER_NUMBER.to_owned(),
        forwarded_from: None,
        sound: call::read_sound(wav.to_vec())?,
        codec,
        wait: None,
    })
    .await?;
    let hung_up = Instant::now();
    call::explain(&report)?;
    Ok(hung_up)
}

fn sip_address(centre: &Centre) -> anyhow::Result<std::net::SocketAddr> {
    let local = centre.sip().iter().find(|local| local.transport == Transport::Udp);
    Ok(local.context("SIP listens on UDP")?.address)
}

fn international(national: &str) -> String {
    format!("+81{}", national.trim_start_matches('0'))
}

fn newest_mail(data_dir: &Path) -> anyhow::Result<PathBuf> {
    let folder = data_dir.join("mail");
    let mails = std::fs::read_dir(&folder)
        .with_context(|| format!("no mail arrived in {}", folder.display()))?;
    let mail = mails
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|ending| ending == "eml"));
    mail.with_context(|| format!("no mail arrived in {}", folder.display()))
}

fn report(message: &Value, said: &str, mail: &Path, to_text: Duration) {
    let text = |name: &str| message[name].as_str().unwrap_or_default().to_owned();
    let number = |name: &str| message[name].as_f64().unwrap_or_default();
    say("");
    say(&format!("  said        {said}"));
    say(&format!("  heard       {}", text("text")));
    say(&format!("  caller      {}", message["caller"]["number"].as_str().unwrap_or("（非通知）")));
    say(&format!(
        "  recording   {:.2} s, {}, {} packets, {} lost, ended: {}",
        number("duration_ms") / 1_000.0,
        text("codec"),
        number("frames"),
        number("lost"),
        text("end_reason"),
    ));
    say(&format!(
        "  forwarding  ¥{} for {:.1} s of call",
        number("forwarding_cost_yen"),
        number("call_ms") / 1_000.0
    ));
    say(&format!("  MP3         {:.1} kB", number("audio_bytes") / 1_000.0));
    say(&format!("  mail        {}", mail.display()));
    say(&format!("  hang-up to text: {} ms", to_text.as_millis()));
}

#[expect(clippy::print_stdout, reason = "the demo talks to the person at the terminal")]
fn say(text: &str) {
    println!("{text}");
}
