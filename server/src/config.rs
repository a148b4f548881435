//! The configuration: file < environment < flags, every key checked before anything starts.
//!
//! `[sip]`, `[rtp]`, `[engine]`, `[control_plane]` and `[metrics]` are the parts' own settings;
//! this module only gathers them. In the environment `RUSUDEN_RTP__SHARDS=2` stands for
//! `shards = 2` under `[rtp]`.

use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use control_plane::PlaneConfig;
use engine_media::engine::EngineConfig;
use engine_media::whisper::ModelFolder;
use figment::Figment;
use figment::providers::{Env, Format as _, Toml};
use ingress::rtp::RtpConfig;
use ingress::sip::SipConfig;

use crate::cli::ServeArguments;
use crate::metrics::MetricsConfig;

/// Everything that may be set.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    /// Where everything is kept.
    pub(crate) data_dir: Option<PathBuf>,
    /// Log level of our own crates: error, warn, info, debug, trace.
    pub(crate) log: Option<String>,
    /// How long a gentle stop waits for calls and queues, in seconds.
    pub(crate) stop_seconds: Option<u64>,
    /// SIP.
    pub(crate) sip: SipConfig,
    /// RTP and the journal.
    pub(crate) rtp: RtpConfig,
    /// Speech to text.
    pub(crate) engine: EngineConfig,
    /// REST, mail, jobs.
    pub(crate) control_plane: PlaneConfig,
    /// Prometheus.
    pub(crate) metrics: MetricsConfig,
}

/// Where data goes when nobody says.
const DATA_DIR: &str = "rusuden-data";

impl Config {
    /// Reads and checks file, environment and flags.
    pub(crate) fn read(arguments: &ServeArguments) -> anyhow::Result<Self> {
        let mut figment = Figment::new();
        if let Some(file) = &arguments.config {
            anyhow::ensure!(file.is_file(), "there is no configuration file {}", file.display());
            figment = figment.merge(Toml::file_exact(file));
        }
        figment = figment.merge(
            Env::prefixed("RUSUDEN_").split("__").ignore(&["config", "ct2_lib", "data_dir"]),
        );
        let mut config: Self = figment.extract().map_err(explain)?;
        config.take_flags(arguments);
        config.check()?;
        Ok(config)
    }

    /// Where data goes.
    pub(crate) fn data_dir(&self) -> &Path {
        self.data_dir.as_deref().unwrap_or(Path::new(DATA_DIR))
    }

    /// Makes the data folder if it is not there, for nobody's eyes but ours.
    pub(crate) fn make_data_dir(&self) -> anyhow::Result<&Path> {
        let folder = self.data_dir();
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .with_context(|| format!("the data folder {} cannot be made", folder.display()))?;
        Ok(folder)
    }

    /// How long a gentle stop may take.
    pub(crate) fn stop_limit(&self) -> std::time::Duration {
        std::time::Duration::from_secs(self.stop_seconds.unwrap_or(90))
    }

    fn take_flags(&mut self, arguments: &ServeArguments) {
        if let Some(folder) = &arguments.data_dir {
            self.data_dir = Some(folder.clone());
        }
        if let Some(address) = arguments.http {
            self.control_plane.listen = address;
        }
        if !arguments.sip.is_empty() {
            self.sip.udp.clone_from(&arguments.sip);
            self.sip.tcp.clone_from(&arguments.sip);
        }
        if let Some(folder) = &arguments.model {
            self.engine.model_dir.clone_from(folder);
        }
    }

    fn check(&self) -> anyhow::Result<()> {
        self.sip.check().context("the section [sip] cannot be used")?;
        self.rtp.check().context("the section [rtp] cannot be used")?;
        self.engine.check().context("the section [engine] cannot be used")?;
        let model = &self.engine.model_dir;
        if !model.as_os_str().is_empty() {
            ModelFolder::open(model).context("the section [engine] cannot be used")?;
        }
        if let Some(level) = &self.log {
            let known = ["error", "warn", "info", "debug", "trace"].contains(&level.as_str());
            anyhow::ensure!(known, "log = {level:?} is not one of error, warn, info, debug, trace");
        }
        self.control_plane.check().context("the section [control_plane] cannot be used")?;
        Ok(())
    }
}

/// figment's error as a sentence: which key, where it was set, what is wrong with it.
fn explain(error: figment::Error) -> anyhow::Error {
    let sentences: Vec<String> = error
        .into_iter()
        .map(|one| {
            let key =
                if one.path.is_empty() { "the top level".to_owned() } else { one.path.join(".") };
            let source = one.metadata.as_ref().map(|metadata| match &metadata.source {
                Some(source) => format!(" ({} {source})", metadata.name),
                None => format!(" ({})", metadata.name),
            });
            format!("{key}{}: {}", source.unwrap_or_default(), one.kind)
        })
        .collect();
    anyhow::anyhow!("the configuration cannot be used: {}", sentences.join("; "))
}

/// `rusuden check-config`.
#[expect(clippy::print_stdout, reason = "this is what the command is for")]
pub(crate) fn check(arguments: &ServeArguments) -> anyhow::Result<()> {
    let config = Config::read(arguments)?;
    println!("The configuration can be used. What holds:\n");
    println!("{config:#?}");
    Ok(())
}
