//! The command line: what may be asked. Texts here are what `--help` prints.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// The Rusuden smart voicemail centre.
#[derive(Debug, Parser)]
#[command(name = "rusuden", version, about, after_help = AFTER_HELP)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

const AFTER_HELP: &str = "\
Start with `rusuden demo`: it places one real call to itself and shows what comes out.
`rusuden serve` needs no configuration; it then listens on loopback only.";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Answer calls: SIP and RTP in, messages out, REST beside
    Serve(ServeArguments),
    /// Place one real call to a service started for it, and show the message that comes out
    Demo(DemoArguments),
    /// Turn sound files, or a capture of an RTP call, into text
    Transcribe(TranscribeArguments),
    /// Call a SIP address, play a sound file, report what was sent, lost and heard
    Call(CallArguments),
    /// Read the configuration as `serve` would, say what is wrong with it, print what holds
    CheckConfig(ServeArguments),
    /// Make, list and revoke API keys; change the master key
    Key(KeyArguments),
    /// Check a receipt that a mailbox was deleted for ever
    Receipt(ReceiptArguments),
    /// Check the log of who changed what
    Audit(AuditArguments),
    /// Reads for the service that starts it; of no use by itself
    #[command(hide = true)]
    Reader,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct ServeArguments {
    /// Configuration file (TOML). Environment variables (`RUSUDEN_SECTION__KEY`) and flags go before it
    #[arg(long, value_name = "FILE", env = "RUSUDEN_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// Where everything is kept: database, sound, journal, mail
    #[arg(long, value_name = "DIR", env = "RUSUDEN_DATA_DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Address of the REST API
    #[arg(long, value_name = "IP:PORT")]
    pub(crate) http: Option<std::net::SocketAddr>,
    /// SIP address, UDP and TCP; may be repeated
    #[arg(long, value_name = "IP:PORT")]
    pub(crate) sip: Vec<std::net::SocketAddr>,
    /// Folder of a CTranslate2 Whisper model instead of the embedded one
    #[arg(long, value_name = "DIR")]
    pub(crate) model: Option<PathBuf>,
    /// Print the addresses in use as one line of JSON once the service is ready
    #[arg(long)]
    pub(crate) announce: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DemoArguments {
    /// Leave the service running afterwards, until Ctrl-C
    #[arg(long)]
    pub(crate) keep: bool,
    /// Which shipped message the caller speaks
    #[arg(long, default_value = "clinic", value_parser = crate::embedded::message_names())]
    pub(crate) message: String,
    /// How the call's sound is coded
    #[arg(long, value_enum, default_value = "pcmu")]
    pub(crate) codec: CodecName,
    /// Keep the data in this folder instead of a temporary one
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct TranscribeArguments {
    /// WAV, MP3, FLAC, Ogg (Vorbis, Opus); pcap or pcapng of an RTP call
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// How to print
    #[arg(long, value_enum, default_value = "text")]
    pub(crate) format: Format,
    /// Language: ja, en, or detect
    #[arg(long, default_value = "ja", value_parser = parse_language)]
    pub(crate) language: engine_core::text::LanguageChoice,
    /// Folder of a CTranslate2 Whisper model instead of the embedded one
    #[arg(long, value_name = "DIR")]
    pub(crate) model: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct CallArguments {
    /// Whom to call, such as sip:05012345678@127.0.0.1:5060
    #[arg(value_name = "SIP-URI")]
    pub(crate) target: String,
    /// What to say: WAV, MP3, FLAC or Ogg
    #[arg(long, value_name = "FILE")]
    pub(crate) audio: PathBuf,
    /// How the sound is coded
    #[arg(long, value_enum, default_value = "pcmu")]
    pub(crate) codec: CodecName,
    /// The caller's number
    #[arg(long, default_value = "09012345678")]
    pub(crate) from: String,
    /// Call as if forwarded from this number (Diversion header, RFC 5806)
    #[arg(long, value_name = "NUMBER")]
    pub(crate) forwarded_from: Option<String>,
    /// Seconds to wait after the answer before speaking; without it, until the far end is quiet
    #[arg(long, value_name = "SECONDS")]
    pub(crate) wait: Option<f64>,
    /// Write what was heard to this WAV file
    #[arg(long, value_name = "FILE")]
    pub(crate) heard: Option<PathBuf>,
    /// Print the report as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct KeyArguments {
    #[command(subcommand)]
    pub(crate) action: KeyAction,
    /// Where the service keeps its data
    #[arg(long, value_name = "DIR", env = "RUSUDEN_DATA_DIR", global = true)]
    pub(crate) data_dir: Option<PathBuf>,
    /// The service's configuration file, if that names its data folder
    #[arg(long, value_name = "FILE", env = "RUSUDEN_CONFIG", global = true)]
    pub(crate) config: Option<PathBuf>,
}

impl KeyArguments {
    /// Where the service is that the keys are for, as `serve` would be told.
    pub(crate) fn place(&self) -> ServeArguments {
        ServeArguments::of_place(self.config.clone(), self.data_dir.clone())
    }
}

#[derive(Debug, Args)]
pub(crate) struct AuditArguments {
    #[command(subcommand)]
    pub(crate) action: AuditAction,
    /// Where the service keeps its data
    #[arg(long, value_name = "DIR", env = "RUSUDEN_DATA_DIR", global = true)]
    pub(crate) data_dir: Option<PathBuf>,
    /// The service's configuration file, if that names its data folder
    #[arg(long, value_name = "FILE", env = "RUSUDEN_CONFIG", global = true)]
    pub(crate) config: Option<PathBuf>,
}

impl AuditArguments {
    /// Where the service is whose log is checked, as `serve` would be told.
    pub(crate) fn place(&self) -> ServeArguments {
        ServeArguments::of_place(self.config.clone(), self.data_dir.clone())
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum AuditAction {
    /// Follow the chain of hashes through the whole log and print its head
    Verify {
        /// A head that was printed before: the log must still hold it
        #[arg(long, value_name = "NUMBER:HASH")]
        head: Option<String>,
    },
}

impl ServeArguments {
    /// What names a data folder, and nothing else.
    fn of_place(config: Option<PathBuf>, data_dir: Option<PathBuf>) -> Self {
        Self { config, data_dir, http: None, sip: Vec::new(), model: None, announce: false }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeyAction {
    /// Make a key and print it, once
    Create {
        /// What it is for, shown in lists
        #[arg(long, default_value = "default")]
        name: String,
        /// What it may do; may be repeated. Without it: everything
        #[arg(long = "scope", value_name = "SCOPE")]
        scopes: Vec<String>,
    },
    /// List keys: id, state, name, scopes
    List,
    /// Wrap every mailbox's data key with a new master key; a service may run meanwhile
    RotateMaster,
    /// Make a key useless
    Revoke {
        /// Its id, as `list` shows it
        id: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct ReceiptArguments {
    #[command(subcommand)]
    pub(crate) action: ReceiptAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ReceiptAction {
    /// Check the signature and print what was deleted; needs no service and no network
    Verify {
        /// The receipt, as GET /v1/deletions/{mailbox} gave it
        file: PathBuf,
        /// The public key, as GET /v1/receipt-key gave it (PEM)
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Words only
    Text,
    /// Everything: verdict, language, segments, confidence
    Json,
    /// SubRip subtitles
    Srt,
    /// WebVTT subtitles
    Vtt,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum CodecName {
    Pcmu,
    Pcma,
    G722,
    Opus,
}

impl From<CodecName> for engine_core::codec::Codec {
    fn from(name: CodecName) -> Self {
        match name {
            CodecName::Pcmu => Self::Pcmu,
            CodecName::Pcma => Self::Pcma,
            CodecName::G722 => Self::G722,
            CodecName::Opus => Self::Opus,
        }
    }
}

fn parse_language(text: &str) -> Result<engine_core::text::LanguageChoice, String> {
    use engine_core::text::{Language, LanguageChoice};
    match text {
        "detect" => Ok(LanguageChoice::Detect),
        code => Language::from_code(code)
            .map(LanguageChoice::Fixed)
            .ok_or_else(|| format!("{code:?} is not one of ja, en, detect")),
    }
}

/// Prints an error with its causes, as sentences.
#[expect(clippy::print_stderr, reason = "this is where errors reach the person at the terminal")]
pub(crate) fn say_error(error: &anyhow::Error) {
    eprintln!("rusuden: {error}");
    for cause in error.chain().skip(1) {
        eprintln!("  because: {cause}");
    }
}
